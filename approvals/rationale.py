"""What a decision's words must be, by verdict and risk. Pure; whom a text names is found by `naming`.

It measures the form alone; whether the person may decide is the gate's question.
"""

from __future__ import annotations

import re

from approvals.display.digest import confirms
from approvals.scripts import script_of

APPROVE_CODES = {
    "matches-records": "Matches our records",
    "routine": "Routine",
    "confirmed-with-a-person": "Confirmed with a person",
    "other": "Other",
}
REJECT_CODES = {
    "unexplained": "Not explained",
    "wrong-target": "Wrong target",
    "wrong-amount": "Wrong amount",
    "not-needed": "Not needed",
    "other": "Other",
}
SENTENCE_CHARACTERS = 15
SENTENCE_WORDS = 3
RATIONALE_AT_MOST = 4_000
WORDS = 2  # that a reason has at low and medium risk
UNSPACED_LETTERS = 4  # or letters, in a script that is written without spaces
_UNSPACED = frozenset({"CJK", "HIRAGANA", "KATAKANA", "BOPOMOFO", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN"})


def problems(
    *, verdict: str, rationale: str, note: str, reason_code: str, confirm: str, risk: str, salient: str | None
) -> dict[str, str]:
    """What is wrong with a decision's form, a sentence by field name; empty where nothing is.

    `risk` is the one treated (unknown counts as high); `salient` is the fact to retype as its canonical JSON text,
    asked for on a critical approval alone.
    """
    found: dict[str, str] = {}
    text = rationale.strip()
    codes = {"approve": APPROVE_CODES, "reject": REJECT_CODES}.get(verdict)
    if codes is None:
        return {"verdict": "Choose approve or reject."}
    if len(rationale) > RATIONALE_AT_MOST or len(note) > RATIONALE_AT_MOST:
        found["rationale" if len(rationale) > RATIONALE_AT_MOST else "note"] = (
            f"At most {RATIONALE_AT_MOST} characters."
        )
    elif reason_code and reason_code not in codes:
        found["reason_code"] = "This code does not belong to that verdict."
    elif verdict == "reject":
        if not _words(text):
            found["rationale"] = "Say why: the agent is told, and that is what makes the denial teach."
    elif risk in ("high", "critical"):
        if not is_sentence(text):
            found["rationale"] = (
                f"At {risk} risk, write a sentence: at least {SENTENCE_CHARACTERS} characters"
                f" and {SENTENCE_WORDS} different words."
            )
        if risk == "critical" and (salient is None or not confirms(salient, confirm)):
            found["confirm"] = "Type the fact as it stands in the parameters."
    elif not reason_code and not says_something(text):
        found["rationale"] = "Give a reason: choose a code, or write at least two words."
    return found


def says_something(text: str) -> bool:
    """At least two words, or four letters of a script that is written without spaces."""
    unspaced = sum(script_of(letter) in _UNSPACED for letter in text)
    return len(_words(text)) >= WORDS or unspaced >= UNSPACED_LETTERS


def _words(text: str) -> list[str]:
    """Runs of letters and digits; signs alone, and what cannot be seen, are none."""
    return re.findall(r"[^\W_]+", text)


def is_sentence(text: str) -> bool:
    """At least 15 characters and 3 different words."""
    words = {word.casefold() for word in _words(text)}
    return len(text) >= SENTENCE_CHARACTERS and len(words) >= SENTENCE_WORDS
