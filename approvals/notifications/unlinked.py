"""Breaks what mail and chat programs turn into a link, so that no agent plants one in a message to people. Pure."""

from __future__ import annotations

import re

# Schemes that programs link without `//` after them.
_SCHEMES = (
    "mailto|tel|sms|mms|callto|skype|facetime|sip|sips|xmpp|news|magnet|bitcoin|geo|file|data|javascript|whatsapp|tg"
)
_BREAKS = (
    (re.compile(rf"\b({_SCHEMES}):(?=\S)", re.IGNORECASE), r"\1[:]"),
    (re.compile(r":(?=[/\\]{2})"), "[:]"),  # https://host
    (re.compile(r"([/\\／＼])(?=[/\\／＼])"), r"[\1]"),  # //host and \\\\server
    (re.compile(r"(?<=\S)([@＠﹫])(?=\S)"), r"[\1]"),
    # A label before the dot, and after it one that begins with a letter: example.com, EXAMPLE.рф, www.x. Amounts stay.
    (re.compile(r"(?<=[^\W_])([.．｡。])(?=[^\W\d_])"), r"[\1]"),
    # The last dot of four numbers: an address without a name.
    (re.compile(r"(?<!\d)(\d{1,3}\.\d{1,3}\.\d{1,3})\.(?=\d)"), r"\1[.]"),
)


def unlinked(text: str) -> str:
    """The text with a bracketed sign in each host, address and link, for a reader to see and no program to follow."""
    for pattern, broken in _BREAKS:
        text = pattern.sub(broken, text)
    return text
