"""The one way a channel says that a message did not get there. Nothing is done about it here."""

from __future__ import annotations


class NotSent(Exception):
    """The message was not taken; the text is for an administrator and names no person, secret or parameter.

    `permanent`: trying again changes nothing. `lane`: the whole channel is down, not this message alone. `code` is the
    receiver's own, where it answered.
    """

    def __init__(self, text: str, *, permanent: bool = False, lane: bool = False, code: int | None = None) -> None:
        super().__init__(text)
        self.permanent, self.lane, self.code = permanent, lane, code


class Gone(NotSent):
    """The receiver said that it wants no more (410): the webhook is to be switched off."""

    def __init__(self) -> None:
        super().__init__("The receiver answered that it is gone.", permanent=True, code=410)
