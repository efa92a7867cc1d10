"""Hands one message to a chat room by Apprise. To which room, and when, is not decided here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings

from approvals.notifications.errors import NotSent
from approvals.notifications.messages import Line, paragraph, subject

NOT_INSTALLED = (
    "CHAT_URLS is set, but Apprise is not installed: install the extra `chat` (python -m pip install 'apprise>=1.9'),"
    " or unset CHAT_URLS."
)
# What rooms read as mentions, links and formatting: written as their look-alikes, so that a title calls nobody.
_PLAIN = str.maketrans({"<": "‹", ">": "›", "@": "＠", "`": "ˋ", "|": "¦"})


def apprise() -> Any:
    """The library; raises `NotSent` saying how to install it."""
    try:
        import apprise as library
    except ImportError as error:
        raise NotSent(NOT_INSTALLED, lane=True) from error
    return library


def send(room: str, lines: Sequence[Line]) -> None:
    """Send one message to a room of CHAT_URLS; raises `NotSent`."""
    url = settings.CHAT_URLS.get(room)
    if url is None:
        raise NotSent("This room is not in CHAT_URLS any more.", permanent=True)
    library = apprise()
    outbound = library.Apprise(asset=library.AppriseAsset(app_id="Countersign", async_mode=False))
    if not outbound.add(url):
        raise NotSent("Apprise cannot read this room's address in CHAT_URLS.", lane=True)
    sent = outbound.notify(
        title=subject(lines).translate(_PLAIN),
        body="\n\n".join(paragraph(line).translate(_PLAIN) for line in lines),
        body_format=library.NotifyFormat.TEXT,
    )
    if not sent:
        raise NotSent("The chat service did not take the message.", lane=True)
