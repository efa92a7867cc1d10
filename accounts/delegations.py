"""The verbs of absence: name a delegate for a period, end that early; and who holds whose seats now.

What a delegation is worth on a request is the gates' and the quorum's to say. It is not passed on: a delegate passes on
their own seats alone.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db import connection
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce, Least, Now

from accounts import reasons
from accounts.absence import LONGEST, PLANNED_AT_MOST, REASON_AT_MOST, SHORTEST, Delegation
from accounts.acting import Acting, Refused, one_at_a_time
from accounts.models import Role, User
from accounts.people import person_party, teams_and_roles_of
from audit.canonical import timestamp
from audit.entries import Authentication, Draft, Party, Personal, record
from audit.limits import clock
from audit.types import EntryType

AHEAD_AT_MOST = timedelta(days=90)


# ---- who holds whose seats


@dataclass(frozen=True, slots=True)
class Held:
    """Somebody's seats as their delegate holds them now: `teams` the delegator sits in now, from when, until when."""

    id: UUID
    person_id: UUID  # the delegator
    name: str
    teams: frozenset[str]
    since: datetime
    until: datetime


_STANDING = """
SELECT ARRAY(SELECT t.slug FROM accounts_membership m JOIN accounts_team t ON t.id = m.team_id
              WHERE m.user_id = %(user)s),
       ARRAY(SELECT role FROM accounts_rolegrant WHERE user_id = %(user)s
                AND (expires_at IS NULL OR expires_at > statement_timestamp())),
       ARRAY(SELECT jsonb_build_array(d.id, d.delegator_id, u.name, extract(epoch FROM d.starts_at),
                      extract(epoch FROM least(d.ends_at, d.ended_at)),
                      ARRAY(SELECT t.slug FROM accounts_membership m JOIN accounts_team t ON t.id = m.team_id
                             WHERE m.user_id = d.delegator_id))::text
               FROM accounts_delegation d JOIN accounts_user u ON u.id = d.delegator_id AND u.is_active
              WHERE d.delegate_id = %(user)s AND d.starts_at <= statement_timestamp()
                AND least(d.ends_at, d.ended_at) > statement_timestamp()
              ORDER BY d.id)
"""


def standing_of(user: User) -> tuple[frozenset[str], frozenset[Role], tuple[Held, ...]]:
    """`teams_and_roles_of`, and what this person holds for others at this moment; one query."""
    with connection.cursor() as cursor:
        cursor.execute(_STANDING, {"user": user.pk})
        teams, roles, rows = cursor.fetchone()
    held = tuple(
        Held(UUID(pk), UUID(delegator), name, frozenset(seats), _moment(since), _moment(until))
        for pk, delegator, name, since, until, seats in map(json.loads, rows)
    )
    user.roles_seen = frozenset(Role(role) for role in roles)
    return frozenset(teams), user.roles_seen, held


def _moment(epoch: float) -> datetime:
    return datetime.fromtimestamp(epoch, UTC)


def running() -> QuerySet[Delegation]:
    """Delegations in force at this moment, between people who are both active, with both at hand."""
    found: QuerySet[Delegation] = Delegation.objects.select_related("delegator", "delegate").filter(
        Q(ended_at__isnull=True) | Q(ended_at__gt=Now()),
        starts_at__lte=Now(),
        ends_at__gt=Now(),
        delegator__is_active=True,
        delegate__is_active=True,
    )
    return found.order_by("id")


def given_by(people: Collection[UUID]) -> dict[UUID, UUID]:
    """Delegate by delegator, of those delegations of these people that are in force now; one query."""
    return dict(running().filter(delegator__in=people).values_list("delegator_id", "delegate_id"))


def covering(teams: Collection[str]) -> list[Delegation]:
    """Delegations in force now of people who sit in one of these teams; one query."""
    return list(running().filter(delegator__memberships__team__slug__in=teams).distinct()) if teams else []


# ---- naming and ending


@dataclass(frozen=True, slots=True)
class Span:
    """Who stands for whom, from when until when."""

    delegator: UUID
    delegate: UUID
    starts_at: datetime
    ends_at: datetime


def closes_a_circle(new: Span, others: Iterable[Span]) -> bool:
    """Whether at some moment of `new` its delegator would, by way of the others, stand for themself."""
    by_delegator: dict[UUID, list[Span]] = {}
    for span in others:
        by_delegator.setdefault(span.delegator, []).append(span)

    def reaches(person: UUID, starts_at: datetime, ends_at: datetime, met: frozenset[UUID]) -> bool:
        if person == new.delegator:
            return True
        if person in met:
            return False
        return any(
            reaches(span.delegate, max(starts_at, span.starts_at), min(ends_at, span.ends_at), met | {person})
            for span in by_delegator.get(person, ())
            if max(starts_at, span.starts_at) < min(ends_at, span.ends_at)
        )

    return reaches(new.delegate, new.starts_at, new.ends_at, frozenset())


def name(
    *,
    by: User,
    delegator: User,
    delegate: User,
    starts_at: datetime | None,
    ends_at: datetime,
    reason: str,
    auth: Authentication | None = None,
) -> Delegation:
    """Let `delegate` hold the seats of `delegator` for a period; without `starts_at` from now on.

    People name their own delegate; an administrator may name one for somebody else, and not themselves. Raises
    `Refused`. Changes of rights are made one after another: a circle, or a second delegate, may close from either side,
    and one of the two may be leaving.
    """
    with one_at_a_time() as now:
        starts_at = max(starts_at or now, now)
        _refuse_people(by, delegator, delegate)
        _refuse_period(starts_at, ends_at, now)
        said = reasons.clean(reason, why="Say why: colleagues and auditors read it.", at_most=REASON_AT_MOST)
        _refuse_others(Span(delegator.pk, delegate.pk, starts_at, ends_at))
        made = Delegation(
            delegator=delegator, delegate=delegate, starts_at=starts_at, ends_at=ends_at, reason=said, named_by=by
        )
        made.save(force_insert=True)
        record(
            Draft(
                type=EntryType.DELEGATION_MADE,
                actor=person_party(by),
                subject=Party("delegation", str(made.pk)),
                facts={
                    "delegator": str(delegator.pk),
                    "delegate": str(delegate.pk),
                    "starts_at": timestamp(starts_at),
                    "ends_at": timestamp(ends_at),
                    "named_by": str(by.pk),
                },
                personal={"reason": Personal(said)},
                auth=auth,
            )
        )
        return made


def end(*, by: User, delegation_id: UUID, auth: Authentication | None = None) -> Delegation:
    """End a delegation at once: the delegator, or an administrator. Raises `Refused`, `Delegation.DoesNotExist`."""
    with one_at_a_time() as now:
        found = Delegation.objects.select_related("delegator", "delegate").get(pk=delegation_id)
        if by.pk != found.delegator_id and not _is_administrator(by):
            raise Delegation.DoesNotExist
        if found.until <= now:
            raise Refused("This delegation has ended already.")
        _end(found, by, now, auth)
        return found


def end_all_of(by: Acting, person: User, why: str) -> None:
    """End what this person has given and holds, running or planned, inside the caller's change of rights: `why` is
    told in the entries. What has ended does not come back with them."""
    now = clock()
    for given_or_held in of(person):
        for found in given_or_held:
            _end(found, by.person, now, by.auth, why=why)


def _end(found: Delegation, by: User, now: datetime, auth: Authentication | None, *, why: str = "") -> None:
    found.ended_at, found.ended_by = now, by
    found.save(update_fields=["ended_at", "ended_by"])
    told = {"why": why} if why else {}
    record(
        Draft(
            type=EntryType.DELEGATION_ENDED,
            actor=person_party(by),
            subject=Party("delegation", str(found.pk)),
            facts={
                "delegator": str(found.delegator_id),
                "delegate": str(found.delegate_id),
                "ended_at": timestamp(now),
                "ended_by": str(by.pk),
                **told,
            },
            auth=auth,
        )
    )


def _is_administrator(person: User) -> bool:
    return Role.ADMINISTRATOR in teams_and_roles_of(person)[1]


def _refuse_people(by: User, delegator: User, delegate: User) -> None:
    if by.pk != delegator.pk:
        if not _is_administrator(by):
            raise Refused("Only an administrator names a delegate for somebody else.", "delegator")
        if by.pk == delegate.pk:
            raise Refused("Nobody gives themselves the seats of somebody else: ask another administrator.", "delegate")
    if delegator.pk == delegate.pk:
        raise Refused("Nobody stands for themselves.", "delegate")
    active = set(User.objects.filter(pk__in=[delegator.pk, delegate.pk], is_active=True).values_list("pk", flat=True))
    if delegator.pk not in active:
        raise Refused("This account is not active.", "delegator")
    if delegate.pk not in active:
        raise Refused("This account is not active.", "delegate")


def _refuse_period(starts_at: datetime, ends_at: datetime, now: datetime) -> None:
    if ends_at <= starts_at:
        raise Refused("It ends before it begins." if ends_at > now else "It ends in the past.", "ends_at")
    if ends_at - starts_at < SHORTEST:
        raise Refused(f"A delegation lasts {SHORTEST.seconds // 60} minutes at least.", "ends_at")
    if ends_at - starts_at > LONGEST:
        raise Refused(f"A delegation lasts {LONGEST.days} days at most.", "ends_at")
    if starts_at - now > AHEAD_AT_MOST:
        raise Refused(f"It begins within {AHEAD_AT_MOST.days} days.", "starts_at")


def _refuse_others(new: Span) -> None:
    until = Least("ends_at", Coalesce("ended_at", "ends_at"))
    rows = Delegation.objects.annotate(until_then=until).filter(
        Q(until_then__gt=F("starts_at")), starts_at__lt=new.ends_at, until_then__gt=new.starts_at
    )
    others = [Span(*row) for row in rows.values_list("delegator_id", "delegate_id", "starts_at", "until_then")]
    planned = Delegation.objects.filter(delegator=new.delegator, ends_at__gt=Now(), ended_at__isnull=True).count()
    if planned >= PLANNED_AT_MOST:
        raise Refused(f"There are {planned} delegations planned already; end one first.", "starts_at")
    if any(other.delegator == new.delegator for other in others):
        raise Refused("There is a delegate for a part of that time already; end that first.", "starts_at")
    if closes_a_circle(new, others):
        raise Refused("That would close a circle: their own seats are passed on, and come back to you.", "delegate")


# ---- for pages


def of(person: User) -> tuple[list[Delegation], list[Delegation]]:
    """What this person has given and holds that has not ended, soonest first; two queries."""
    rows = Delegation.objects.select_related("delegator", "delegate").filter(
        Q(ended_at__isnull=True) | Q(ended_at__gt=Now()), ends_at__gt=Now()
    )
    ordered = rows.order_by("starts_at", "id")
    return list(ordered.filter(delegator=person)), list(ordered.filter(delegate=person))


def newest(limit: int, before: UUID | None = None) -> list[Delegation]:
    """All delegations, ended or not, newest first; one query."""
    rows = Delegation.objects.select_related("delegator", "delegate", "named_by", "ended_by").order_by("-id")
    return list((rows.filter(pk__lt=before) if before else rows)[:limit])


def colleagues(person: User, limit: int = 500) -> list[str]:
    """Addresses of active people, to choose a delegate from; one query."""
    rows = User.objects.filter(is_active=True).exclude(pk=person.pk).order_by("email")
    return list(rows.values_list("email", flat=True)[:limit])
