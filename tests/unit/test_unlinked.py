"""No text from outside becomes a link in a mail or chat program."""

from __future__ import annotations

import re

import pytest

from approvals.notifications.unlinked import unlinked


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("see evil.example now", "see evil[.]example now"),
        ("WWW.EVIL.EXAMPLE", "WWW[.]EVIL[.]EXAMPLE"),
        ("https://evil.example/x.html", "https[:][/]/evil[.]example/x[.]html"),
        ("HTTPS:\\\\evil", "HTTPS[:][\\]\\evil"),
        ("//evil", "[/]/evil"),
        ("\\\\server\\share", "[\\]\\server\\share"),
        ("mail pay@evil.example", "mail pay[@]evil[.]example"),
        ("mailto:x", "mailto[:]x"),
        ("Tel:+491234", "Tel[:]+491234"),
        ("10.0.0.1:8000", "10.0.0[.]1:8000"),
        ("пример.рф", "пример[.]рф"),
        ("evil。example", "evil[。]example"),
        ("a.b.c.d", "a[.]b[.]c[.]d"),
    ],
)
def test_unlinked_of_a_host_or_an_address_breaks_it(text: str, broken: str) -> None:
    assert unlinked(text) == broken
    assert not re.search(r"\w\.[^\W\d_]|//|://|\S@\S", broken.replace("[", " ").replace("]", " "))


@pytest.mark.parametrize("text", ["Refund $42.00 to order:1187", "It is late. Go on.", "order/1188", "v 1.2", "3.5 %"])
def test_unlinked_of_plain_words_changes_nothing(text: str) -> None:
    assert unlinked(text) == text
