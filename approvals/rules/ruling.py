"""What is asked of policy, what policy answers, and how two answers that both hold become one.

Plain values that survive JSON; nothing is evaluated here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from approvals import quorum
from approvals.quorum import Requirement
from approvals.rules import answers
from approvals.rules.annotations import DEFAULT_TIMEOUT, DEFAULT_VALID, RISKS, Escalation, PermitTerms
from approvals.rules.answers import Answer, Retry
from approvals.rules.values import JSON

# What `Ask.recent` must hold: denials of this agent in 24 h, its filings in 1 h, and how often this very
# action, resource and parameters digest was denied (docs/reference/policy.md).
RECENT = ("denials_24h", "filings_1h", "same_denied")


@dataclass(frozen=True)
class Ask:
    """One question to policy. `hour` and `weekday` (ISO, Monday is 1) are UTC by the database's clock.

    Stored with the ruling (`as_json`), so that the frozen and the current version can both be asked later.
    """

    agent: str
    level: int
    phase: str
    action: str
    resource: str
    parameters: JSON
    hour: int
    weekday: int
    recent: Mapping[str, int]
    meters: Mapping[str, int] = field(default_factory=dict)
    sensitive: Sequence[str] = ()

    def as_json(self) -> dict[str, Any]:
        """JSON for storing; `from_json` gives the question back."""
        return {**asdict(self), "sensitive": list(self.sensitive)}

    @staticmethod
    def from_json(stored: Mapping[str, Any]) -> Ask:
        """The question that `as_json` stored."""
        return Ask(**stored)


@dataclass(frozen=True)
class Ruling:
    """Policy's answer.

    `reason` and `retry` are what the agent hears. `cause` is a slug for facts and counters; `problems` are
    words for auditors and alerts (non-empty whenever something could not be evaluated); neither ever
    leaves. `requirement` is None unless people are asked.
    """

    outcome: Literal["allowed", "people", "blocked"]
    reason: str
    retry: Retry | None
    cause: str
    problems: tuple[str, ...] = ()
    matched: tuple[str, ...] = ()
    risk: str = "high"
    risk_unknown: bool = False
    unknown: tuple[str, ...] = ()
    requirement: Requirement | None = None
    timeout_seconds: int = DEFAULT_TIMEOUT
    valid_seconds: int = DEFAULT_VALID
    stepup: bool = False
    executor: str | None = None
    because: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    escalate: Escalation | None = None

    @property
    def risk_shown(self) -> str:
        """What pages say: `unknown` where parameters aren't understood (signed and treated as high)."""
        return "unknown" if self.risk_unknown and self.risk != "critical" else self.risk

    @property
    def is_alarming(self) -> bool:
        """Whether it is blocked because policy itself is at fault: recorded, and somebody is told."""
        at_fault = (
            *("evaluation-error", "executor-conflict", "floor-people", "floor-stepup", "floor-salient"),
            *("policy-unreadable", "signing-key-unreadable"),
        )
        return self.outcome == "blocked" and self.cause in at_fault and not self.risk_unknown

    @property
    def floor_people(self) -> int:
        """Distinct people below which nothing is reached; for `quorum.weigh`."""
        return people_at_least(self.risk)

    @property
    def teams(self) -> list[str]:
        """The teams that are asked, sorted; none unless people are."""
        return sorted(quorum.teams_of(self.requirement or ()))

    @property
    def quorum(self) -> list[list[dict[str, Any]]]:
        """The requirement as the database checks an approval against it, and as evidence has it:
        `[[{"team": "finance", "count": 2}, …], …alternatives]`; empty unless people are asked."""
        return [
            [{"team": team, "count": count} for team, count in sorted(alternative.items())]
            for alternative in self.requirement or ()
        ]

    def as_json(self) -> dict[str, Any]:
        """JSON for freezing into the request; `from_json` gives the ruling back."""
        stored = asdict(self)
        for name in ("problems", "matched", "unknown", "because", "controls"):
            stored[name] = list(stored[name])
        if self.requirement is not None:
            stored["requirement"] = [dict(alternative) for alternative in self.requirement]
        return stored

    @staticmethod
    def from_json(stored: Mapping[str, Any]) -> Ruling:
        """The ruling that `as_json` froze."""
        values = dict(stored)
        for name in ("problems", "matched", "unknown", "because", "controls"):
            values[name] = tuple(values[name])
        if values["requirement"] is not None:
            values["requirement"] = tuple(values["requirement"])
        if values["escalate"] is not None:
            values["escalate"] = Escalation(**values["escalate"])
        return Ruling(**values)


def people_at_least(risk: str) -> int:
    """Distinct people a risk needs whatever a version says (docs/reference/policy.md, Floors)."""
    return {"critical": 2, "high": 1}.get(risk, 0)


def blocked(answer: Answer, cause: str, *problems: str, **more: Any) -> Ruling:
    """A no by policy, without people."""
    return Ruling("blocked", answer.reason, answer.retry, cause, problems, **more)


def from_terms(terms: Sequence[PermitTerms]) -> Ruling:
    """All matching permits hold: one ruling from them (there is at least one)."""
    rulings = [
        _with_requirement(
            Ruling(
                "people", "", None, "permit",
                matched=(permit.id,), risk=permit.risk, requirement=permit.requirement,
                timeout_seconds=permit.timeout_seconds, valid_seconds=permit.valid_seconds,
                stepup=permit.stepup, executor=permit.executor, escalate=permit.escalate,
                because=(permit.because,) if permit.because else (), controls=permit.controls,
            ),
            permit.requirement,
        )
        for permit in terms
    ]  # fmt: skip
    merged = rulings[0]
    for ruling in rulings[1:]:
        merged = merge(merged, ruling)
    return merged


def merge(frozen: Ruling, current: Ruling) -> Ruling:
    """Both hold: the stricter of the two in everything.

    A block wins (the current one where both block); seats by the quorum algebra; the highest risk, the
    shortest times, step-up if either asks; an escalation as far as both have it. Two different executors cannot both
    hold: blocked.
    """
    if current.outcome == "blocked":
        return current
    if frozen.outcome == "blocked":
        return frozen
    executors = {ruling.executor for ruling in (frozen, current) if ruling.executor is not None}
    matched = _union(frozen.matched, current.matched)
    risk = max(frozen.risk, current.risk, key=RISKS.index)
    if len(executors) > 1:
        why = f"different executors: {', '.join(sorted(executors))}"
        return blocked(answers.CANNOT_BE_CHECKED, "executor-conflict", why, matched=matched, risk=risk)
    merged = replace(
        current,
        problems=_union(frozen.problems, current.problems),
        matched=matched,
        risk=risk,
        risk_unknown=frozen.risk_unknown or current.risk_unknown,
        unknown=_union(frozen.unknown, current.unknown),
        timeout_seconds=min(frozen.timeout_seconds, current.timeout_seconds),
        valid_seconds=min(frozen.valid_seconds, current.valid_seconds),
        stepup=frozen.stepup or current.stepup,
        executor=next(iter(executors), None),
        because=_union(frozen.because, current.because),
        controls=_union(frozen.controls, current.controls),
        escalate=_both_open(frozen.escalate, current.escalate),
    )
    try:
        both = quorum.all_of(frozen.requirement or quorum.NOBODY, current.requirement or quorum.NOBODY)
    except quorum.BadRequirement as error:
        return blocked(answers.CANNOT_BE_CHECKED, "evaluation-error", str(error), matched=matched, risk=risk)
    return _with_requirement(merged, both)


def _with_requirement(ruling: Ruling, requirement: Requirement) -> Ruling:
    if requirement == quorum.NOBODY:
        reason, retry, _ = answers.ALLOWED
        return replace(ruling, outcome="allowed", reason=reason, retry=retry, requirement=None)
    return replace(ruling, outcome="people", reason="", retry=None, requirement=requirement)


def _union(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))


def _both_open(first: Escalation | None, second: Escalation | None) -> Escalation | None:
    """An escalation widens who may decide, so it holds only as far as both say so: to the same team, from the later
    time on (docs/adr/0019)."""
    if first is None or second is None or first.team != second.team:
        return None
    return max(first, second, key=lambda escalation: escalation.after_seconds)
