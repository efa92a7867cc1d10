"""One question put to Cedar, and its bare answer turned into a ruling.

Evaluation runs without a schema on values of our own mapping. Any error blocks: Cedar skips a policy whose
evaluation errors, a `forbid` too. Loading and checking versions happen in `pack`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import cedarpy

from approvals.rules import answers, paths, values
from approvals.rules.annotations import RISKS, ForbidTerms, PermitTerms
from approvals.rules.answers import Answer
from approvals.rules.catalogue import Action
from approvals.rules.floors import floors
from approvals.rules.policies import Policy
from approvals.rules.ruling import RECENT, Ask, Ruling, blocked, from_terms

_OBSERVED = "observe"
_PHASES = (_OBSERVED, "limited", "full")


class _CannotAsk(Exception):
    """The question itself is not well-formed, or Cedar's answer is not one we know."""


class Engine:
    """The parsed policies and what they are asked about, kept for the life of a version."""

    def __init__(self, text: str, policies: Sequence[Policy], catalogue: Mapping[str, Action]) -> None:
        self._policies = {policy.handle: policy for policy in policies}
        self._catalogue = catalogue
        self._set = cedarpy.PolicySet.from_str(text)
        if len(self._set) != len(self._policies):
            raise ValueError("Cedar counts other policies than were read")
        self._levels = cedarpy.Entities.from_json_str(json.dumps([_level(n) for n in (1, 2, 3)]))

    def rule(self, ask: Ask) -> Ruling:
        """See `Pack.rule`."""
        try:
            return self._rule(ask)
        except Exception as error:  # when in doubt, no: whatever went wrong is a block
            return blocked(answers.CANNOT_BE_CHECKED, "evaluation-error", f"{type(error).__name__}: {error}")

    def _rule(self, ask: Ask) -> Ruling:
        if ask.phase not in _PHASES or ask.level not in (1, 2, 3):
            raise _CannotAsk(f"phase {ask.phase}, level {ask.level}")
        if ask.hour not in range(24) or ask.weekday not in range(1, 8):
            raise _CannotAsk(f"hour {ask.hour}, weekday {ask.weekday}")
        if ask.phase == _OBSERVED:
            return blocked(answers.NOT_OPEN, "observation")
        action = self._catalogue.get(ask.action)
        if action is None:
            return blocked(answers.NOT_OPEN, "not-in-catalogue")
        misfits = action.misfits(ask.parameters)
        if misfits:
            return self._without_parameters(ask, action, misfits)
        try:
            parameters = values.to_cedar(ask.parameters, action.declares)
        except values.Unmappable as error:
            return self._without_parameters(ask, action, [str(error)])
        return self._evaluate(ask, action, parameters)

    def _evaluate(self, ask: Ask, action: Action, parameters: Any) -> Ruling:
        decision, policies, errors = self._authorize(ask, parameters)
        unknown = tuple(action.unknown(ask.parameters))
        if not paths.is_understood(ask.resource) and self._reads_by_like(ask.action):
            unknown = ("resource", *unknown)
        matched = tuple(sorted(policy.terms.id for policy in policies))
        forbids = [policy.terms for policy in policies if isinstance(policy.terms, ForbidTerms)]
        if errors:
            answer = _forbidden(forbids) if forbids else answers.CANNOT_BE_CHECKED
            return blocked(answer, "evaluation-error", *errors, matched=matched, unknown=unknown)
        if forbids:
            return _by_forbids(forbids, unknown)
        permits = [policy.terms for policy in policies if isinstance(policy.terms, PermitTerms)]
        if decision is not cedarpy.Decision.Allow:
            return blocked(answers.NOT_OPEN, "not-permitted", unknown=unknown)
        if not permits:
            raise _CannotAsk("Cedar allows and names no permit")
        ruling = from_terms(sorted(permits, key=lambda terms: terms.id))
        if unknown:
            risk = max(ruling.risk, "high", key=RISKS.index)
            ruling = replace(ruling, unknown=unknown, risk_unknown=True, risk=risk)
        breach = floors(ruling, action, ask.level)
        if breach:
            return blocked(
                breach.answer, breach.cause, breach.why,
                matched=ruling.matched, risk=ruling.risk, risk_unknown=ruling.risk_unknown, unknown=unknown,
            )  # fmt: skip
        return ruling

    def _reads_by_like(self, action: str) -> bool:
        return any(
            policy.reads_resource_by_like
            for policy in self._policies.values()
            if policy.actions is None or action in policy.actions
        )

    def _authorize(self, ask: Ask, parameters: Any) -> tuple[cedarpy.Decision, list[Policy], list[str]]:
        """Cedar's decision, the policies that determined it, and every error on the way."""
        result = cedarpy.is_authorized(
            {
                "principal": {"type": "Agent", "id": ask.agent},
                "action": {"type": "Action", "id": ask.action},
                "resource": {"type": "Resource", "id": ask.resource},
                "context": _context(ask, parameters),
            },
            self._set,
            self._levels.with_added_json_str(json.dumps([_agent(ask)])),
        )
        errors = list(result.diagnostics.errors)
        if result.decision is cedarpy.Decision.NoDecision and not errors:
            errors.append("Cedar gave no decision")
        policies = [self._policies[handle] for handle in result.diagnostics.reasons]
        spoken = result.diagnostics.id_annotations_by_reason
        if any(spoken.get(policy.handle) != policy.terms.id for policy in policies):
            raise _CannotAsk("Cedar numbers the policies otherwise than they were read")
        return result.decision, policies, errors

    def _without_parameters(self, ask: Ask, action: Action, problems: Sequence[str]) -> Ruling:
        """The answer where parameters cannot be evaluated.

        What is forbidden whatever the parameters stays forbidden; and an agent to which the action is not
        open must not learn from a complaint about parameters that it exists.
        """
        asked = {"agent": ask.agent, "level": ask.level, "action": ask.action, "resource": ask.resource}
        covering = [policy for policy in self._policies.values() if policy.covers(**asked)]  # type: ignore[arg-type]  # the keys are the keywords
        forbids = [
            policy.terms for policy in covering if isinstance(policy.terms, ForbidTerms) and policy.unconditional
        ]
        if forbids:
            return _by_forbids(forbids, ())
        permitted = any(isinstance(policy.terms, PermitTerms) for policy in covering)
        if not permitted or ask.level < action.lowest_level:
            return blocked(answers.NOT_OPEN, "not-permitted", *problems)
        return blocked(answers.PARAMETERS_DO_NOT_FIT, "parameters", *problems)


def _by_forbids(forbids: Sequence[ForbidTerms], unknown: tuple[str, ...]) -> Ruling:
    ordered = sorted(forbids, key=lambda terms: terms.id)
    return blocked(
        _forbidden(ordered),
        "forbid",
        matched=tuple(terms.id for terms in ordered),
        unknown=unknown,
        because=tuple(terms.because for terms in ordered if terms.because),
        controls=tuple(dict.fromkeys(control for terms in ordered for control in terms.controls)),
    )


def _forbidden(forbids: Sequence[ForbidTerms]) -> Answer:
    tells = dict.fromkeys(terms.tell for terms in sorted(forbids, key=lambda t: t.id) if terms.tell)
    return Answer(" ".join(tells) or answers.FORBIDDEN.reason, answers.FORBIDDEN.retry)


def _context(ask: Ask, parameters: Any) -> dict[str, Any]:
    if set(ask.recent) != set(RECENT):
        raise _CannotAsk(f"recent must hold {', '.join(RECENT)}")
    return {
        "parameters": parameters,
        "resource": ask.resource,
        "lengths": values.lengths_of(ask.parameters),
        "sensitive": list(ask.sensitive),
        "level": ask.level,
        "phase": ask.phase,
        "hour": ask.hour,
        "weekday": ask.weekday,
        "meters": {name: int(total) for name, total in ask.meters.items()},
        "recent": {name: int(ask.recent[name]) for name in RECENT},
    }


def _level(n: int) -> dict[str, Any]:
    parents = [{"type": "Level", "id": str(n - 1)}] if n > 1 else []
    return {"uid": {"type": "Level", "id": str(n)}, "attrs": {}, "parents": parents}


def _agent(ask: Ask) -> dict[str, Any]:
    return {
        "uid": {"type": "Agent", "id": ask.agent},
        "attrs": {},
        "parents": [{"type": "Level", "id": str(ask.level)}],
    }
