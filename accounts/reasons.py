"""What a reason must be to be kept with an act: said, seen and short. Which acts ask for one, their verbs know."""

from __future__ import annotations

from accounts.acting import Refused, all_seen

AT_MOST = 500


def clean(
    text: str,
    *,
    asked: bool = True,
    why: str = "Say why.",
    at_most: int = AT_MOST,
    refused: type[Refused] = Refused,
) -> str:
    """The reason as it is kept, its spaces folded. Raises `refused` (field `reason`) where it is too long, holds what
    cannot be seen or, where one is `asked` for, says nothing: then with the sentence `why`."""
    said = " ".join(text.split())
    if asked and not said:
        raise refused(why, "reason")
    if len(said) > at_most:
        raise refused(f"At most {at_most} characters.", "reason")
    try:
        return all_seen(said, "reason")
    except Refused as unseen:
        raise refused(str(unseen), "reason") from unseen
