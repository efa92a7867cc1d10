"""Finds whom a text names, so that an agent never learns who its reviewers are. Pure.

Texts and names are compared folded: without accents, case, invisible characters and compatibility forms. A word ends
where the script changes, and in a script that is written without spaces a name is found anywhere.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from approvals.scripts import script_of

# Letters that no decomposition takes apart, as people type them without their accents.
_PLAIN = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th", "ß": "ss", "ẞ": "SS",
     "Ø": "O", "Ł": "L", "Đ": "D", "Ð": "D", "Ħ": "H", "Æ": "AE", "Œ": "OE", "Þ": "TH"}
)  # fmt: skip
# The same letters spelt with an e, as German and the Nordic languages do.
_SPELT = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "Å": "Aa", "Ø": "Oe"}
)
_UNSPACED = frozenset({"CJK", "HIRAGANA", "KATAKANA", "BOPOMOFO", "HANGUL", "THAI", "LAO", "KHMER", "MYANMAR"})
_TITLES = frozenset(
    {"dr", "prof", "mr", "mrs", "ms", "miss", "mx", "sir", "dame", "herr", "frau", "ing", "dipl", "mag",
     "jr", "sr", "phd", "md", "mba", "cpa", "esq", "ii", "iii", "iv"}
)  # fmt: skip
_ENDINGS = frozenset({"s", "es"})  # of a family name that stands alone
_ENDING_AT_MOST = 3  # letters that a full name's last word may have more, as in Lindqvistin or Schmidts
_STEM_AT_LEAST = 3  # letters that two inflections of a word share
_IN_ONE_AT_LEAST = 6  # letters of a whole name written as one word
_FAMILY_AT_LEAST = 3  # letters; a shorter family name alone is too often a word
_SENTENCE_END = re.compile(r"[.!?:…。！？：][\"'”’»)\]]*\s|[\r\n]")
_OPENING = ('"', "'", "“", "‘", "«", "„", "「", "『", "*", "•", "–", "—")
_AT = re.compile(r"\s*(?:@|[(\[]\s*at\s*[)\]])\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Named:
    """Whom a text names. `surely`: as a name is written; else the words may be meant as words, and a person may say so
    (`meant` is what they confirm: the folded words)."""

    who: str
    surely: bool
    meant: str = ""


@dataclass(frozen=True, slots=True)
class _Word:
    """A word of a text: folded, as it was written, and what stands between it and the word before (None: the first)."""

    folded: str
    written: str
    before: str | None
    script: str

    @property
    def begins(self) -> bool:
        """Whether a sentence begins here, so that a capital says nothing."""
        if self.before is None:
            return True
        return bool(_SENTENCE_END.search(self.before)) or self.before.rstrip(" ")[-1:] in _OPENING

    @property
    def joined(self) -> bool:
        """Whether it can belong to the same name as the word before."""
        return self.before is not None and not re.search(r"[.!?…。！？]\s|\n\s*\n", self.before)


def named_in(
    text: str, *, people: Iterable[tuple[str, str]], teams: Collection[str], meant: Collection[str] = ()
) -> Named | None:
    """Whom the text names that the agent must not learn of; None where it names nobody.

    `people` are (name, address). A full name counts in any order and with an ending; a person's address wherever it
    stands; a team's name beside the word 'team'. One word alone (a single name, or a family name) counts only as it is
    written, with its capital inside a sentence. `meant` lists the words that the writer confirmed to mean as words.
    """
    texts = _readings(text)
    unsure: Named | None = None
    for name, address in people:
        if address and _has_address(text, address):
            return Named(address, surely=True)
        for words in texts:
            found = _person_in(words, name)
            if found is not None and found.surely:
                return found
            if found is not None and found.meant not in meant:
                unsure = unsure or found
    for team in teams:
        if any(_team_in(words, team) for words in texts):
            return Named(team, surely=True)
    return unsure


def _readings(text: str) -> list[list[_Word]]:
    """The text's words, with accents dropped and, where that differs, spelt out (Müller: Muller, Mueller)."""
    plain, spelt = list(_words(text)), list(_words(text.translate(_SPELT)))
    return [plain] if [word.folded for word in plain] == [word.folded for word in spelt] else [plain, spelt]


def _visible(text: str) -> str:
    """Compatibility forms folded, and what is never seen removed."""
    return "".join(
        sign for sign in unicodedata.normalize("NFKC", text) if unicodedata.category(sign) != "Cf" and sign != "\u034f"
    )


def _bare(text: str) -> str:
    """Without accents; case is kept."""
    apart = unicodedata.normalize("NFKD", text.translate(_PLAIN))
    return unicodedata.normalize("NFC", "".join(sign for sign in apart if unicodedata.category(sign) != "Mn"))


def _words(text: str) -> Iterator[_Word]:
    """Runs of letters and digits of one script; a digit belongs to the run it stands in."""
    run, script = "", ""
    before: str | None = None
    between, initial = "", False
    for sign in _bare(_visible(text)):
        its = "" if sign.isdigit() or not sign.isalnum() else _family(sign)
        if run and (not sign.isalnum() or (its and script and its != script)):
            yield _Word(run.casefold(), run, before, script)
            # the dot of an initial (F. Lindqvist) ends no sentence
            initial, run, script, before, between = len(run) == 1, "", "", "", ""
        if sign.isalnum():
            if not run:
                before = None if before is None and not between.strip() else between.lstrip("." if initial else "")
            run += sign
            script = script or its
        else:
            between += sign
    if run:
        yield _Word(run.casefold(), run, before, script)


def _family(letter: str) -> str:
    """The script, with those of one language taken together: 田中さくら is one run."""
    script = script_of(letter)
    return "CJK" if script in ("HIRAGANA", "KATAKANA", "BOPOMOFO") else script


@lru_cache(maxsize=8192)
def _forms(name: str) -> tuple[tuple[str, ...], ...]:
    """The orders in which a full name is written, folded; the first is the name itself."""
    every: list[tuple[str, ...]] = []
    for reading in (name, name.translate(_SPELT)):
        bare = re.sub(r"[(（\[].*", "", reading) or reading
        words = tuple(word.folded for word in _words(bare))
        plain = tuple(word for word in words if word not in _TITLES)
        for one in dict.fromkeys((words, plain)):
            if len(one) < 2:
                continue
            every += [one[cut:] + one[:cut] for cut in range(len(one))]
            if len(one) > 2:
                every += [(one[0], one[-1]), (one[-1], one[0]), one[:2]]
    return tuple(dict.fromkeys(every))


@lru_cache(maxsize=8192)
def _last(name: str) -> _Word | None:
    """The one word that may stand for a person: a single name, else the family name; None where it is too short."""
    words = [word for word in _words(re.sub(r"[(（\[].*", "", name) or name) if word.folded not in _TITLES]
    if not words:
        return None
    word = words[0] if "," in name else words[-1]
    return word if len(words) == 1 or len(word.folded) >= _FAMILY_AT_LEAST else None


def _person_in(words: Sequence[_Word], name: str) -> Named | None:
    if not name.strip():
        return None
    if _unspaced(name):
        return _unspaced_in(words, name)
    for form in _forms(name):
        for place in range(len(words)):
            for fits in (_fits, _fits_inflected, _fits_in_one):
                part = words[place : place + (1 if fits is _fits_in_one else len(form))]
                if fits(part, form):
                    capital = all(not word.written[:1].islower() for word in part)
                    meant = " ".join(word.folded for word in part)
                    return Named(name, surely=capital and fits is not _fits_inflected, meant=meant)
    alone = _last(name)
    if alone is None:
        return None
    pairs = itertools.zip_longest(words, words[1:])
    return next((Named(w.written, False, w.folded) for w, after in pairs if _stands_alone(w, after, alone)), None)


def _fits(part: Sequence[_Word], form: Sequence[str]) -> bool:
    """The words of the form one by one; the last may have an ending."""
    if len(part) != len(form) or any(word.folded != wanted for word, wanted in zip(part, form[:-1], strict=False)):
        return False
    last, wanted = part[-1].folded, form[-1]
    return last.startswith(wanted) and len(last) - len(wanted) <= _ENDING_AT_MOST and _together(part)


def _fits_inflected(part: Sequence[_Word], form: Sequence[str]) -> bool:
    """As `_fits`, but each longer word may end otherwise, as in Анны Петровой for Анна Петрова."""
    if len(part) != len(form) or not _together(part):
        return False
    return all(
        word.folded == wanted
        or (
            len(wanted) > _STEM_AT_LEAST
            and word.folded.startswith(wanted[: max(_STEM_AT_LEAST, len(wanted) - 2)])
            and abs(len(word.folded) - len(wanted)) <= _ENDING_AT_MOST
        )
        for word, wanted in zip(part, form, strict=True)
    )


def _fits_in_one(part: Sequence[_Word], form: Sequence[str]) -> bool:
    """All of the name in one word, as in FeiLindqvist."""
    whole = "".join(form)
    return (
        len(whole) >= _IN_ONE_AT_LEAST
        and part[0].folded.startswith(whole)
        and (len(part[0].folded) - len(whole) <= _ENDING_AT_MOST)
    )


def _together(part: Sequence[_Word]) -> bool:
    # "Ask Sam. Porter came." names nobody; "J. Smith" does.
    return all(
        one.joined or len(before.folded) == 1 or before.folded in _TITLES for before, one in itertools.pairwise(part)
    )


def _stands_alone(word: _Word, after: _Word | None, name: _Word) -> bool:
    """Whether this word is that name as it is written: its capital, not at the start of a sentence, not all capitals.

    An ending (Lindqvists, Will's) tells a name at the start of a sentence too.
    """
    written = name.written if name.written[:1].isupper() else name.written.capitalize()
    ending = word.written[len(written) :]
    if not word.written.startswith(written) or (ending and ending not in _ENDINGS):
        return False
    if not written[:1].isupper():  # a script without capitals
        return word.written == written
    owns = after is not None and after.folded == "s" and after.before in ("'", "’")
    return bool(ending) or owns or not word.begins


def _unspaced(name: str) -> bool:
    scripts = {word.script for word in _words(name)}
    return bool(scripts) and scripts <= _UNSPACED


def _unspaced_in(words: Sequence[_Word], name: str) -> Named | None:
    """A name in a script without spaces: anywhere in a run of that script, whatever separates its parts."""
    parts = [word.folded for word in _words(name)]
    wanted = "".join(parts)
    if len(wanted) == 1:  # as a word of its own, or before a title of respect
        found = any(re.fullmatch(rf"{wanted}(?:さん|様|氏|先生|さま|님|씨)?", word.folded) for word in words)
    else:
        run = "".join(word.folded if word.script in _UNSPACED else f" {word.folded} " for word in words)
        found = any("".join(parts[cut:] + parts[:cut]) in run for cut in range(len(parts)))
    if not found:
        return None
    return Named(name, surely=len(parts) > 1 or len(wanted) > 2, meant=wanted)


def _has_address(text: str, address: str) -> bool:
    """Whether the address stands there; a longer address that ends or begins with it is another one."""
    folded = _AT.sub("@", _visible(text)).casefold()
    wanted = re.escape(_visible(address).casefold())
    return re.search(rf"(?<![a-z0-9._%+-]){wanted}(?![a-z0-9_]|[.-][a-z0-9])", folded) is not None


def _team_in(words: Sequence[_Word], team: str) -> bool:
    form = [word.folded for word in _words(team)]
    if not form:
        return False
    for place in range(len(words) - len(form) + 1):
        part = words[place : place + len(form)]
        if [word.folded for word in part] != form or not all(word.joined for word in part[1:]):
            continue
        if place and words[place - 1].folded in ("team", "teams") and part[0].joined:
            return True
        after = words[place + len(form) :][:2]
        if after and after[0].folded == "s":  # finance's team
            after = after[1:]
        if after and after[0].folded in ("team", "teams") and after[0].joined:
            return True
    return False
