"""What a decision's words must be, by verdict and risk, and what a rejection must not name. Pure.

It measures the form alone; whether the person may decide is the gate's question.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable

from approvals.display.digest import confirms

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

_SLOT = re.compile(r"\{\{?[\w .-]+\}?\}|\[[A-Za-z_ .-]+\]|<[A-Za-z_ .-]{3,}>|_{3,}")


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
    elif _SLOT.search(text):
        found["rationale"] = f"Fill the slot {_SLOT.search(text)[0]} of the template."  # type: ignore[index]  # just matched
    elif verdict == "reject":
        if not text:
            found["rationale"] = "Say why: the agent is told, and that is what makes the denial teach."
    elif risk in ("high", "critical"):
        if not is_sentence(text):
            found["rationale"] = (
                f"At {risk} risk, write a sentence: at least {SENTENCE_CHARACTERS} characters"
                f" and {SENTENCE_WORDS} different words."
            )
        if risk == "critical" and (salient is None or not confirms(salient, confirm)):
            found["confirm"] = "Type the fact as it stands in the parameters."
    elif not text and not reason_code:
        found["rationale"] = "Give a reason: choose a code or write one."
    return found


def is_sentence(text: str) -> bool:
    """At least 15 characters and 3 different words."""
    words = {word.casefold() for word in re.findall(r"\w+", text)}
    return len(text) >= SENTENCE_CHARACTERS and len(words) >= SENTENCE_WORDS


def _plain(text: str) -> str:
    """For comparing: compatibility forms folded, invisible characters gone, case and runs of space ignored."""
    folded = unicodedata.normalize("NFKC", text)
    shown = "".join(c for c in folded if unicodedata.category(c) not in ("Cf", "Cc") or c.isspace())
    return " ".join(shown.casefold().split())


def names_in(rationale: str, *, people: Iterable[tuple[str, str]], teams: Collection[str]) -> str | None:
    """What a rejection names that the agent must not learn: a person's full name or e-mail address (`people` as
    (name, address)), or a team's name beside the word 'team'. None where it names nobody."""
    text = _plain(rationale)
    for name, address in people:
        for one in (name, address):
            if one and re.search(rf"(?<!\w){re.escape(_plain(one))}(?!\w)", text):
                return one
    for team in teams:
        bare = re.escape(_plain(team))
        if re.search(rf"(?<!\w)(?:team\W+{bare}|{bare}\W+team)(?!\w)", text):
            return team
    return None
