"""Whether a `@tell`, the sentence an agent hears from a `forbid`, gives away what it must not.

An agent learns outcomes and reasons alone: no team, no person, no threshold (docs/reference/policy.md). What
the sentence otherwise says is its author's business.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

AT_MOST = 300  # one or two sentences; more is a policy text

_THRESHOLD = re.compile(
    r"[0-9%]|\b(?:two|three|four|five|six|seven|eight|nine|ten|dozen|hundred|thousand|million|"
    r"limits?|thresholds?)\b",
    re.IGNORECASE,
)
_EMAIL = re.compile(r"\S@\S")
# Two capitalised words side by side, the second not at the start of a sentence: read as a person's name.
_NAME = re.compile(r"\b[A-Z][a-z]+ [A-Z][a-z]+\b")


def problems_of(text: str, *, teams: Collection[str], people: Collection[str] = ()) -> list[str]:
    """Why an agent must not hear this; empty when it may."""
    problems = []
    if not text.strip() or len(text) > AT_MOST:
        problems.append(f"must be a sentence of 1 to {AT_MOST} characters")
    if any(unicodedata.category(c)[0] == "C" or unicodedata.category(c) in ("Zl", "Zp") for c in text):
        problems.append("has characters that cannot be seen")
    plain = unicodedata.normalize("NFKC", text)
    words = _words(plain)
    for team in sorted(teams):
        if _words(team) in words:
            problems.append(f"names the team {team}")
    if " team " in words or " teams " in words:
        problems.append("speaks of a team")
    named = [person for person in people if person.strip() and _words(person) in words]
    if named or _EMAIL.search(plain) or _NAME.search(plain):
        problems.append("names a person")
    # As written too: the plain form of Ⅷ is letters.
    if _THRESHOLD.search(plain) or any(unicodedata.category(c) in ("Sc", "Nd", "Nl", "No") for c in text + plain):
        problems.append("names a threshold")
    return problems


def _words(text: str) -> str:
    """The words alone, between single spaces, so that `finance-leads` is found in `the Finance leads`."""
    return " ".join(["", *re.findall(r"[^\W_]+", text.casefold()), ""])
