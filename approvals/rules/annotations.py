"""What the annotations on a policy say, or every reason why they say nothing.

Cedar accepts unknown annotations, bare ones and repeated ids in silence, so `@requires("2 of finance")`
would allow the action to nobody's knowledge: here each misspelling is a problem, and a policy with a
problem makes its whole version invalid. Whether the policy's condition holds is Cedar's matter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from approvals import quorum
from approvals.quorum import Requirement
from approvals.rules import tells

RISKS = ("low", "medium", "high", "critical")  # in order
DEFAULT_TIMEOUT = 3600
TIMEOUT_AT_MOST = 7 * 86400
DEFAULT_VALID = 3600
VALID_AT_MOST = 86400

_FOR_PERMIT = frozenset(
    ("id", "require", "risk", "timeout", "escalate", "stepup", "valid", "executor", "because", "control")
)
_FOR_FORBID = frozenset(("id", "tell", "because", "control"))

_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_DURATION = re.compile(r"([1-9][0-9]{0,6})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_CONTROL = re.compile(r"[A-Za-z0-9][A-Za-z0-9 .:()/_-]*")
_NO_APPROVAL_ON_TIMEOUT = "there is no approve on timeout: silence means no, whatever a version says"


@dataclass(frozen=True)
class Escalation:
    """After `after_seconds` without a decision the request is also shown to `team`."""

    after_seconds: int
    team: str


@dataclass(frozen=True)
class PermitTerms:
    """What a `permit` asks for. `requirement` is `quorum.NOBODY` where it says so in words."""

    id: str
    requirement: Requirement
    risk: str
    timeout_seconds: int
    valid_seconds: int
    stepup: bool
    executor: str | None
    escalate: Escalation | None
    because: str | None
    controls: tuple[str, ...]


@dataclass(frozen=True)
class ForbidTerms:
    """What a `forbid` says: `tell` to the agent, the rest to reviewers and auditors."""

    id: str
    tell: str | None
    because: str | None
    controls: tuple[str, ...]


class _Malformed(ValueError):
    """A value that doesn't parse, in words."""


def read(
    effect: str,
    annotations: Mapping[str, Any],
    *,
    teams: Collection[str],
    people: Collection[str] = (),
) -> tuple[PermitTerms | ForbidTerms | None, list[str]]:
    """The terms of one policy, or None with every problem of its annotations.

    `annotations` is what Cedar's JSON form gives: a bare annotation has the value None.
    """
    reader = _Reader(annotations, teams, people)
    reader.names(_FOR_PERMIT if effect == "permit" else _FOR_FORBID, effect)
    terms = reader.permit() if effect == "permit" else reader.forbid()
    return (None if reader.problems else terms), reader.problems


def duration(text: str, at_most: int) -> int:
    """Seconds in `90s`, `30m`, `1h` or `7d`; `ValueError` with the reason otherwise."""
    found = _DURATION.fullmatch(text)
    if not found:
        raise _Malformed(f'"{text}" is no duration such as 90s, 30m, 1h or 7d')
    seconds = int(found[1]) * _SECONDS[found[2]]
    if seconds > at_most:
        raise _Malformed(f"{text} is longer than the {at_most // 86400}d allowed")
    return seconds


class _Reader:
    def __init__(self, annotations: Mapping[str, Any], teams: Collection[str], people: Collection[str]) -> None:
        self.annotations, self.teams, self.people = annotations, teams, people
        self.problems: list[str] = []

    def names(self, known: frozenset[str], effect: str) -> None:
        for name in sorted(set(self.annotations) - known):
            if "approve" in name.lower() or ("timeout" in name.lower() and name.lower() != "timeout"):
                self.problems.append(f"@{name}: {_NO_APPROVAL_ON_TIMEOUT}")
            elif name in _FOR_PERMIT | _FOR_FORBID:
                self.problems.append(f"@{name} says nothing on a {effect}")
            else:
                self.problems.append(f"@{name} is not a known annotation")

    def permit(self) -> PermitTerms:
        risk = self._value("risk", self._risk, must=True)
        return PermitTerms(
            id=self._value("id", self._id, must=True) or "",
            requirement=self._value("require", self._requirement, must=True) or quorum.NOBODY,
            risk=risk or "critical",
            timeout_seconds=self._value("timeout", self._timeout) or DEFAULT_TIMEOUT,
            valid_seconds=self._value("valid", lambda text: duration(text, VALID_AT_MOST)) or DEFAULT_VALID,
            # Critical implies step-up whatever the annotation says (docs/reference/policy.md, Floors).
            stepup=bool(self._value("stepup", self._boolean)) or risk == "critical",
            executor=self._value("executor", self._id),
            escalate=self._value("escalate", self._escalation),
            because=self._value("because", self._words),
            controls=self._value("control", self._controls) or (),
        )

    def forbid(self) -> ForbidTerms:
        return ForbidTerms(
            id=self._value("id", self._id, must=True) or "",
            tell=self._value("tell", self._tell),
            because=self._value("because", self._words),
            controls=self._value("control", self._controls) or (),
        )

    def _value(self, name: str, parse: Callable[[str], Any], *, must: bool = False) -> Any:
        if name not in self.annotations:
            if must:
                self.problems.append(f"@{name} is missing")
            return None
        text = self.annotations[name]
        if not isinstance(text, str) or not text.strip():
            self.problems.append(f"@{name} has no value")
            return None
        try:
            return parse(text)
        except ValueError as error:
            self.problems.append(f"@{name}: {error}")
            return None

    def _requirement(self, text: str) -> Requirement:
        requirement = quorum.parse(text)
        for team in sorted(quorum.teams_of(requirement) - set(self.teams)):
            raise _Malformed(f'there is no team "{team}"')
        return requirement

    def _risk(self, text: str) -> str:
        if text not in RISKS:
            raise _Malformed(f'"{text}" is none of {", ".join(RISKS)}')
        return text

    def _timeout(self, text: str) -> int:
        if re.search(r"approve|allow|yes", text, re.IGNORECASE):
            raise _Malformed(_NO_APPROVAL_ON_TIMEOUT)
        return duration(text, TIMEOUT_AT_MOST)

    def _escalation(self, text: str) -> Escalation:
        after, to, team = [*text.split(), "", "", ""][:3]
        if to != "to" or len(text.split()) != 3:
            raise _Malformed(f'"{text}" is not of the form "10m to team"')
        if team not in self.teams:
            if re.fullmatch(r"approved?|allow(?:ed)?|yes", team, re.IGNORECASE):
                raise _Malformed(_NO_APPROVAL_ON_TIMEOUT)
            raise _Malformed(f'there is no team "{team}"')
        return Escalation(duration(after, TIMEOUT_AT_MOST), team)

    def _boolean(self, text: str) -> bool:
        if text not in ("true", "false"):
            raise _Malformed(f'"{text}" is neither true nor false')
        return text == "true"

    def _id(self, text: str) -> str:
        if not _ID.fullmatch(text) or len(text) > 100:
            raise _Malformed(f'"{text}" is not lower-case letters, digits and hyphens')
        return text

    def _words(self, text: str) -> str:
        if len(text) > 1000:
            raise _Malformed("is longer than 1000 characters")
        return text.strip()

    def _controls(self, text: str) -> tuple[str, ...]:
        # Cedar refuses an annotation that stands twice, so several controls stand in one, by comma.
        controls = tuple(control.strip() for control in text.split(","))
        for control in controls:
            if not _CONTROL.fullmatch(control):
                raise _Malformed(f'"{control}" is no name of a control such as SOC2:CC6.1')
        return controls

    def _tell(self, text: str) -> str:
        problems = tells.problems_of(text, teams=self.teams, people=self.people)
        if problems:
            raise _Malformed("; ".join(problems))
        return text.strip()
