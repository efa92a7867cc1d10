"""What a reason must be to be kept with an act on agents or allowances: said, seen and short."""

from __future__ import annotations

from accounts import acting

REASON_AT_MOST = 500


class BadReason(ValueError):
    """The text is no reason; the message says why."""


def clean(text: str, *, why: str = "Say why.") -> str:
    """The reason as it is kept, its spaces folded; raises `BadReason`, with the sentence `why` where nothing is
    said."""
    said = " ".join(text.split())
    if not said:
        raise BadReason(why)
    if len(said) > REASON_AT_MOST:
        raise BadReason(f"At most {REASON_AT_MOST} characters.")
    try:
        return acting.all_seen(said, "reason")
    except acting.Refused as refused:
        raise BadReason(str(refused)) from refused
