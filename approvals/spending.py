"""Finds the allowance that a request falls under, and spends one use of it on that request. Granting is `allowances`'.

Asked only where policy itself asks people: an allowance stands in for their votes, never for policy.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db import connection
from django.db.models import F, OuterRef

from accounts import second_factor
from accounts.models import Membership
from approvals import access, grants, lifecycle, quorum
from approvals.models import Allowance, AllowanceAgreement, AllowanceUse, Request
from approvals.rules import answers, conditions
from approvals.rules.pack import Pack
from approvals.rules.ruling import Ask, Ruling
from approvals.rules.values import JSON
from approvals.states import Status
from audit.entries import Authentication, Draft, EvidenceUnavailable, Party, record_many
from audit.health import assert_log_is_live
from audit.limits import clock
from audit.types import EntryType


@dataclass(frozen=True, slots=True)
class Usable:
    """An allowance under its row lock, with a use left, and the seats that those who agreed to it fill."""

    allowance: Allowance
    seats: tuple[tuple[str, str], ...]


def agreements_of(allowance_ids: Collection[UUID]) -> dict[UUID, list[AllowanceAgreement]]:
    """Who agreed, by allowance, oldest first, with their people and the teams these sit in now (`teams_now`); one
    query."""
    teams = Membership.objects.filter(user=OuterRef("person")).values("team__slug")
    rows = (
        AllowanceAgreement.objects.filter(allowance__in=list(allowance_ids))
        .select_related("person")
        .annotate(teams_now=ArraySubquery(teams))
        .order_by("at", "id")
    )
    found: dict[UUID, list[AllowanceAgreement]] = {}
    for agreement in rows:
        found.setdefault(agreement.allowance_id, []).append(agreement)
    return found


def standing(ruling: Ruling, agreements: Collection[AllowanceAgreement], *, owner_id: UUID) -> quorum.Standing:
    """How far those who agreed fill what this ruling asks, each as they are now; `quorum.weigh`."""
    return quorum.weigh(
        ruling.requirement or quorum.NOBODY,
        [
            quorum.Vote(
                person=str(one.person_id),
                teams=frozenset(one.teams_now) & frozenset(one.teams),  # type: ignore[attr-defined]  # annotated above
                verdict="approve",
                barred=_barred(one, ruling),
                owner=one.person_id == owner_id,
            )
            for one in agreements
        ],
        floor_people=max(ruling.floor_people, 1),
    )


def _barred(agreement: AllowanceAgreement, ruling: Ruling) -> quorum.Uncounted | None:
    if not agreement.person.is_active:
        return "inactive"
    return None if _proved(agreement, ruling) else "no-proof"


def _proved(agreement: AllowanceAgreement, ruling: Ruling) -> bool:
    if not access.asks_stepup(ruling):
        return True
    proof = Authentication(agreement.auth_method, agreement.auth_at)
    return not second_factor.why_not_fresh(proof, at=agreement.at)


def state_of(allowance: Allowance, now: datetime) -> str:
    """`revoked`, `ended`, `used-up`, `waiting` for people to agree, or `active`, by the moment given."""
    if allowance.revoked_at is not None:
        return "revoked"
    if allowance.uses_left == 0:
        return "used-up"
    if allowance.ends_at <= now:
        return "ended"
    return "waiting" if allowance.active_at is None else "active"


def may_stand_in(ruling: Ruling) -> bool:
    """Whether an allowance may answer such a ruling at all: people are asked, it is understood, and not critical."""
    return ruling.outcome == "people" and ruling.risk != "critical" and not ruling.risk_unknown and not ruling.unknown


# Asked at every filing, and nearly always in vain: not worth composing anew each time.
_OPEN = """
SELECT id FROM approvals_allowance
 WHERE agent_id = %(agent)s AND action = %(action)s AND epoch = %(epoch)s AND active_at IS NOT NULL
   AND revoked_at IS NULL AND uses_left > 0 AND ends_at > statement_timestamp()
"""


def find(ask: Ask, ruling: Ruling, pack: Pack | None, *, agent_id: UUID, owner_id: UUID, epoch: int) -> Usable | None:
    """The first allowance to end that this request falls under, its row locked to the commit; None where there is
    none that holds, and wherever it cannot be told."""
    action = pack.catalogue.get(ask.action) if pack is not None else None
    if action is None or not may_stand_in(ruling):
        return None
    asked: dict[str, UUID | str | int] = {"agent": agent_id, "action": ask.action, "epoch": epoch}
    with connection.cursor() as cursor:
        cursor.execute(f"{_OPEN} ORDER BY ends_at, id", asked)
        ids = [row[0] for row in cursor.fetchall()]
    if not ids or not _could_be_approved(ruling):
        return None
    found = Allowance.objects.in_bulk(ids)
    candidates = [found[pk] for pk in ids if pk in found]
    agreements = agreements_of([allowance.pk for allowance in candidates])
    for allowance in candidates:
        try:
            condition = conditions.read(allowance.condition, action)
        except conditions.BadCondition as error:  # what may be a bound, or its action's catalogue, has changed since
            _end(
                _OPEN_ONE,
                allowance.pk,
                1,
                by=lifecycle.SYSTEM,
                reason=f"Its bounds are no longer accepted: {error}"[:500],
                facts={},
            )
            continue
        if not condition.holds(agent=ask.agent, resource=ask.resource, parameters=ask.parameters):
            continue
        stands = standing(ruling, agreements.get(allowance.pk, []), owner_id=owner_id)
        if not stands.reached:
            continue
        # Locked, and asked again: who waited here may find the last use gone, or the allowance revoked.
        with connection.cursor() as cursor:
            cursor.execute(f"{_OPEN} AND id = %(id)s FOR UPDATE", {**asked, "id": allowance.pk})
            if cursor.fetchone() is not None:
                allowance.refresh_from_db()
                return Usable(allowance, stands.seats)
    return None


def _could_be_approved(ruling: Ruling) -> bool:
    """As for a person's approval: high risk needs a log that is live, and every grant a key. Else it waits."""
    try:
        grants.assert_can_sign(clock())
        if ruling.risk == "high":
            assert_log_is_live()
    except (grants.CannotSign, EvidenceUnavailable):
        return False
    return True


def spend(usable: Usable, request: Request, ruling: Ruling, *, at: datetime) -> None:
    """Approve a request that was just filed by one use of the allowance: its record, its grant, its entry."""
    allowance = usable.allowance
    number = allowance.uses_total - allowance.uses_left + 1
    Allowance.objects.filter(pk=allowance.pk).update(uses_left=F("uses_left") - 1)
    seats = [{"team": team, "person": person} for team, person in usable.seats]
    AllowanceUse(request=request, allowance=allowance, number=number, seats=seats, at=at).save(force_insert=True)
    grants.issue(request, ruling, at=at, by=lifecycle.SYSTEM)
    lifecycle.transition(
        request,
        Status.APPROVED,
        by=lifecycle.SYSTEM,
        at=at,
        reason=answers.APPROVED.reason,
        retry=None,
        valid_seconds=ruling.valid_seconds,
        facts={"allowance": str(allowance.pk), "use": number, "of": allowance.uses_total, "seats": seats},
    )


_OPEN_OF_AGENT = (
    "SELECT id FROM approvals_allowance WHERE agent_id = %s AND revoked_at IS NULL AND uses_left > 0"
    " AND ends_at > clock_timestamp() ORDER BY id LIMIT %s FOR UPDATE"
)
_OPEN_ONE = (
    "SELECT id FROM approvals_allowance WHERE id = %s AND revoked_at IS NULL AND uses_left > 0"
    " AND ends_at > clock_timestamp() LIMIT %s FOR UPDATE SKIP LOCKED"
)
_OPEN_BEFORE = (
    "SELECT id FROM approvals_allowance WHERE epoch < %s AND revoked_at IS NULL AND uses_left > 0"
    " AND ends_at > clock_timestamp() ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED"
)


def end_of_agent(agent_id: UUID, limit: int, *, by: Party, reason: str, facts: Mapping[str, JSON]) -> int:
    """End up to `limit` allowances of one agent, each with its entry; how many."""
    return _end(_OPEN_OF_AGENT, agent_id, limit, by=by, reason=reason, facts=facts)


def end_before(epoch: int, limit: int, *, by: Party, reason: str, facts: Mapping[str, JSON]) -> int:
    """End up to `limit` allowances from before that stop of all agents, each with its entry, passing over those that
    somebody holds; how many."""
    return _end(_OPEN_BEFORE, epoch, limit, by=by, reason=reason, facts=facts)


def _end(query: str, key: UUID | int, limit: int, *, by: Party, reason: str, facts: Mapping[str, JSON]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(query, [key, limit])
        cursor.execute(
            "UPDATE approvals_allowance SET revoked_at = clock_timestamp(), revoke_reason = %s WHERE id = ANY(%s)"
            " RETURNING id, agent_id, uses_left",
            [reason, [row[0] for row in cursor.fetchall()]],
        )
        ended = cursor.fetchall()
    record_many(
        [
            Draft(
                type=EntryType.ALLOWANCE_REVOKED,
                actor=by,
                subject=Party("allowance", str(allowance_id)),
                facts={"agent": str(agent), "uses_left": left, **facts},
            )
            for allowance_id, agent, left in ended
        ]
    )
    return len(ended)
