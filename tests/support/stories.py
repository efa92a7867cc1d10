"""A request's entries made up by hand, true or false ones: what `replay.story` is told in tests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from audit.leaves import Leaf, Party, build, parse

BEGAN = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
REQUEST = Party("request", str(UUID(int=7)))
HELPDESK = Party("agent", "helpdesk")
SYSTEM = Party("system", "countersign")
OWNER = "olga"
Told = tuple[str, Party, dict[str, Any], float]  # type, actor, facts, minutes after the filing


def leaves(*told: Told) -> list[Leaf]:
    """Those entries as leaves of one request, in order."""
    return [
        parse(
            build(
                entry_id=uuid7(),
                type=kind,
                at=BEGAN + timedelta(minutes=minutes),
                actor=actor,
                subject=REQUEST,
                ordinal=ordinal,
                previous=None,
                auth=facts.get("auth"),
                digests={},
                facts={name: value for name, value in facts.items() if name != "auth"},
                commitments={},
            )
        )
        for ordinal, (kind, actor, facts, minutes) in enumerate(told, start=1)
    ]


def person(name: str) -> Party:
    return Party("person", name)


def filed(
    *, quorum: Sequence[Sequence[tuple[str, int]]] = ((("finance", 2),),), floor: int = 1, status: str = "pending"
) -> Told:
    asked = [[{"team": team, "count": count} for team, count in alternative] for alternative in quorum]
    facts = {
        "action": "refund.create",
        "status": status,
        "expires_at": "2026-11-21T09:30:00.000000Z",
        "quorum": asked,
        "people_floor": floor,
    }
    return ("request.filed", HELPDESK, facts, 0)


def voted(name: str, verdict: str = "approve", *, team: str = "finance", at: float = 1) -> Told:
    facts = {"decision": f"of {name} at {at}", "verdict": verdict, "teams": [team]}
    return ("decision.recorded", person(name), facts, at)


def proved(name: str, *, method: str = "mfa:totp", age: float = 1, at: float = 1) -> Told:
    """A vote by somebody who confirmed with that method so many minutes before."""
    kind, actor, facts, _ = voted(name, at=at)
    when = (BEGAN + timedelta(minutes=at - age)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return (kind, actor, {**facts, "auth": {"method": method, "at": when, "assertion": None}}, at)


def asking(told: Told, **more: Any) -> Told:
    """The same, with more facts."""
    kind, actor, facts, at = told
    return (kind, actor, {**facts, **more}, at)


def voided(name: str, *, of: float = 1, at: float = 2) -> Told:
    return ("decision.void", SYSTEM, {"decision": f"of {name} at {of}", "person": name}, at)


def amended(name: str = "fina", *, team: str = "support", count: int = 1, at: float = 2) -> Told:
    asked = [[{"team": team, "count": count}]] if count else []
    return ("request.amended", person(name), {"decision": f"of {name} at {at}", "quorum": asked, "people_floor": 0}, at)


def asked(question: str = "q", at: float = 1) -> Told:
    return ("question.asked", person("fina"), {"question": question}, at)


def answered(question: str = "q", at: float = 2) -> Told:
    return ("question.answered", HELPDESK, {"question": question}, at)


def granted(at: float = 3) -> Told:
    return ("grant.issued", SYSTEM, {"grant": "g", "valid_until": "2026-11-21T10:00:00.000000Z"}, at)


def approved(*seats: tuple[str, str], at: float = 3) -> Told:
    return ("request.approved", SYSTEM, {"seats": [{"team": team, "person": name} for team, name in seats]}, at)


def redeemed(at: float = 5) -> Told:
    return ("grant.redeemed", Party("executor", "payments"), {"grant": "g"}, at)


def ended(status: str, at: float = 30) -> Told:
    return (f"request.{status}", SYSTEM, {}, at)


BOTH = (voted("fina"), voted("finn"))
SEATS = (("finance", "fina"), ("finance", "finn"))
