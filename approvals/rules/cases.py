"""Policy tests written in TOML beside a pack: questions, and what policy should answer.

A case is `[[case]]` with `name`, `ask` and `expect`; what `expect` doesn't mention isn't compared. Nothing
is loaded from a database and nothing is stored.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from approvals import quorum
from approvals.rules.annotations import TIMEOUT_AT_MOST, duration
from approvals.rules.pack import Pack
from approvals.rules.ruling import RECENT, Ask, Ruling

# An ordinary Tuesday noon with nothing behind it, unless a case says otherwise.
_ORDINARY = {"agent": "helpdesk", "phase": "full", "resource": "test:thing", "hour": 12, "weekday": 2}
_ASK = {
    "agent", "level", "phase", "action", "resource", "parameters", "hour", "weekday", "recent", "meters",
    "sensitive",
}  # fmt: skip


class BadCase(ValueError):
    """A case that can't be run; the message says why."""


@dataclass(frozen=True)
class Case:
    """One question and the answer expected of it."""

    name: str
    ask: Ask
    expect: Mapping[str, Any]

    def failures(self, pack: Pack) -> list[str]:
        """Where the pack answers otherwise, one sentence each; empty when the case holds."""
        answer = answer_of(pack.rule(self.ask))
        return [
            f"{self.name}: {key} is {answer[key]!r}, expected {wanted!r}"
            for key, wanted in self.expect.items()
            if answer[key] != wanted
        ]


def answer_of(ruling: Ruling) -> dict[str, Any]:
    """A ruling in the words that `expect` uses; times in seconds."""
    return {
        "outcome": ruling.outcome,
        "reason": ruling.reason,
        "retry": ruling.retry or "",
        "cause": ruling.cause,
        "matched": list(ruling.matched),
        "risk": ruling.risk_shown,
        "require": "nobody" if ruling.requirement is None else quorum.as_text(ruling.requirement),
        "timeout": ruling.timeout_seconds,
        "valid": ruling.valid_seconds,
        "stepup": ruling.stepup,
        "executor": ruling.executor or "",
        "unknown": list(ruling.unknown),
    }


def read_cases(text: str) -> list[Case]:
    """The cases of one file. Raises `BadCase`: a misspelt expectation would otherwise hold by itself."""
    table = tomllib.loads(text)
    if set(table) != {"case"} or not isinstance(table["case"], list):
        raise BadCase("a file of cases holds [[case]] tables and nothing else")
    return [_case(row) for row in table["case"]]


def read_folder(folder: Path) -> dict[str, list[Case]]:
    """All cases of a pack on disk, by the name of their file."""
    return {path.name: read_cases(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("tests/*.toml"))}


def _case(row: Mapping[str, Any]) -> Case:
    name = row.get("name")
    if set(row) != {"name", "ask", "expect"} or not isinstance(name, str):
        raise BadCase(f"{name or 'a case without a name'}: a case has a name, ask and expect")
    for key in sorted(set(row["ask"]) - _ASK):
        raise BadCase(f"{name}: {key} is nothing that can be asked")
    if not {"action", "level", "parameters"} <= set(row["ask"]):
        raise BadCase(f"{name}: ask needs action, level and parameters")
    recent = {**dict.fromkeys(RECENT, 0), **row["ask"].get("recent", {})}
    ask = Ask(**{**_ORDINARY, **row["ask"], "recent": recent})
    expect = dict(row["expect"])
    known = answer_of(Ruling("blocked", "", None, ""))
    for key in sorted(set(expect) - set(known)):
        raise BadCase(f"{name}: {key} is nothing that can be expected")
    if not expect:
        raise BadCase(f"{name}: it expects nothing")
    for key in ("timeout", "valid"):
        if isinstance(expect.get(key), str):
            expect[key] = duration(expect[key], TIMEOUT_AT_MOST)
    return Case(name, ask, expect)
