"""Text that came from outside, made so that what is seen is what is there.

Control, bidi, zero-width and tag characters, odd spaces and everything unassigned become tokens such as
`[U+202E]`; words of mixed script are marked; right-to-left letters stand apart; a URL's real host is spelt
out. Nothing is escaped for HTML here (templates do that) and nothing is shortened. Rule: docs/adr/0011.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Literal
from urllib.parse import urlsplit

from approvals.scripts import is_mixed

Kind = Literal["plain", "token", "mixed", "rtl"]


@dataclass(frozen=True)
class Run:
    """A stretch of one kind: `token` is ours and stands for something unseen, `mixed` is a warning.

    `rtl` is right-to-left writing, to be drawn isolated (`<bdi>`): beside it numbers and signs would change
    places without any control character, `10 א 9000` being shown as `10 9000 א`.
    """

    text: str
    kind: Kind = "plain"


Runs = tuple[Run, ...]

# Drawn as nothing or as a blank by common fonts although their category says letter, mark or symbol.
_BLANKS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufffc")
_SPACES_AT_MOST = 8  # a longer run pushes what follows out of sight
_BREAKS_AT_MOST = 4
_MARKS_AT_MOST = 4  # on one letter; real writing needs fewer, a pile of them covers the lines around it

_HARMLESS = re.compile(r"[!-~]++(?: {1,8}+[!-~]++)*+")
# The scheme's length is bounded: without a bound a long word takes quadratic time.
_LINKS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}:[/\\]{2,}[^\s<>\"]+|(?<=[^\s@])@[^\s@<>\"',;()]+")


def make_visible(text: str, *, multiline: bool = False) -> Runs:
    """The text as runs. With `multiline` line breaks stay line breaks, else each is a token."""
    if not text:
        return ()
    looks_linked = ":/" in text or ":\\" in text or "@" in text
    if not looks_linked and _HARMLESS.fullmatch(text):
        return (Run(text),)
    return tuple(_joined(_pieces(text, multiline)))


def plain_visible(text: str, *, multiline: bool = False) -> str:
    """The same as one string, for titles, mail and logs: tokens stand in it, marks of mixed script don't."""
    return as_text(make_visible(text, multiline=multiline))


def as_text(runs: Iterable[Run]) -> str:
    """Runs as one string."""
    return "".join(run.text for run in runs)


def joined(*parts: Runs) -> Runs:
    """Several stretches as one, neighbours of one kind put together (never two tokens)."""
    return tuple(_joined(run for part in parts for run in part))


def _pieces(text: str, multiline: bool) -> Iterator[Run]:
    if multiline:
        text = text.replace("\r\n", "\n")
    mixed, rtl = _mixed_places(text), _rtl_places(text)
    notes = _host_notes(text)
    place, marks = 0, 0
    for character, group in groupby(text):
        count = len(list(group))
        is_mark = unicodedata.category(character)[0] == "M"
        marks = marks + count if is_mark else 0
        orphan = is_mark and (place == 0 or text[place - 1].isspace())
        piled = marks > _MARKS_AT_MOST or _too_many(character, count)
        if orphan or piled or _is_unseen(character, multiline):
            yield Run(_token(character, count), "token")
        else:
            kind: Kind = "rtl" if place in rtl else "mixed" if place in mixed else "plain"
            yield Run(character * count, kind)
        # A link ends before a space or a quote or at the end, so never amid equal characters.
        place += count
        if place in notes:
            yield Run(notes[place], "token")


def _joined(runs: Iterable[Run]) -> Iterator[Run]:
    for kind, group in groupby(runs, key=lambda run: run.kind):
        if kind == "token":
            yield from group
        else:
            yield Run("".join(run.text for run in group), kind)


def _token(character: str, count: int) -> str:
    return f"[U+{ord(character):04X}]" if count == 1 else f"[U+{ord(character):04X} ×{count:,}]"


def _too_many(character: str, count: int) -> bool:
    return (character == " " and count > _SPACES_AT_MOST) or (character == "\n" and count > _BREAKS_AT_MOST)


def is_unseen(character: str) -> bool:
    """Whether this character, alone, would not be seen as what it is where it stands among others: control, format,
    an odd space, a mark that piles up, or right-to-left."""
    return (
        _is_unseen(character, False)
        or unicodedata.category(character)[0] == "M"
        or unicodedata.bidirectional(character) in ("R", "AL", "AN")
    )


@lru_cache(maxsize=4096)
def _is_unseen(character: str, multiline: bool) -> bool:
    if character == "\n":
        return not multiline
    if character in _BLANKS or "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef":
        return True
    category = unicodedata.category(character)
    # Control, format, surrogate, private use, unassigned; line and paragraph separators; all other spaces.
    return category[0] == "C" or category in ("Zl", "Zp") or (category == "Zs" and character != " ")


def _mixed_places(text: str) -> frozenset[int]:
    """The places of all characters in words of mixed script; unseen characters don't end a word."""
    if text.isascii():
        return frozenset()
    found: set[int] = set()
    word: list[int] = []
    for place, character in enumerate(f"{text} "):
        if character.isalnum() or unicodedata.category(character)[0] == "M" or character == "_":
            word.append(place)
        elif character == "\n" or not _is_unseen(character, False):
            if is_mixed(text[spot] for spot in word):
                found.update(word)
            word = []
    return frozenset(found)


def _rtl_places(text: str) -> frozenset[int]:
    """The places of right-to-left letters and digits, and of single spaces between two such letters."""
    if text.isascii():
        return frozenset()
    classes = [unicodedata.bidirectional(character) for character in text]
    letters: set[int] = set()
    for place, kind in enumerate(classes):
        # A mark belongs to the letter it stands on.
        if kind in ("R", "AL") or (kind == "NSM" and place - 1 in letters):
            letters.add(place)
    spaces = {
        place
        for place, character in enumerate(text)
        if character == " " and place - 1 in letters and place + 1 in letters
    }
    digits = {place for place, kind in enumerate(classes) if kind == "AN"}
    return frozenset(letters | spaces | digits)


def _host_notes(text: str) -> dict[int, str]:
    """Place after a link → the note with its real host, where the text could deceive about it."""
    notes = {}
    for found in _LINKS.finditer(text):
        note = _host_note(found[0])
        if note:
            notes[found.end()] = note
    return notes


def _host_note(link: str) -> str | None:
    if any(_is_unseen(character, False) for character in link) or "\\" in link:
        return "[host unclear]"
    try:
        parts = urlsplit(f"mailto://x{link}" if link.startswith("@") else link)
        host, named = parts.hostname, parts.username is not None and not link.startswith("@")
    except ValueError:
        return "[host unclear]"
    if not host:
        return None
    if host.isascii():
        # What stands before an @ is no host, though it looks like one: https://bank.example@evil.example
        return f"[host {host}]" if named else None
    return f"[host {punycode(host)}]"


def punycode(host: str) -> str:
    """A host as the network sees it, `xn--…` for each label that isn't ASCII."""
    labels = re.split("[.\u3002\uff0e\uff61]", unicodedata.normalize("NFKC", host).casefold())
    return ".".join(label if label.isascii() else f"xn--{label.encode('punycode').decode('ascii')}" for label in labels)
