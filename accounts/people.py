"""The verbs over people: create, seat in a team, give a role, and take these back. Each is one transaction with its
entry.

Who may do so is for those who call to ask: pages go through `membership`, `two_people` and `departures`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime

from django.db import connection, transaction

from accounts.models import Membership, Role, RoleGrant, Team, User
from audit.canonical import timestamp
from audit.commitments import JSON
from audit.entries import Authentication, Draft, Party, Personal, record
from audit.types import EntryType


def person_party(user: User) -> Party:
    """How a person is named in entries."""
    return Party("person", str(user.pk))


def password_digest(user: User) -> str:
    """What entries say of a password: a digest of the stored hash, whose random salt is in no entry, so that nobody can
    guess the password by it."""
    return hashlib.sha256(user.password.encode()).hexdigest()


def why(reason: str) -> dict[str, Personal]:
    """A reason as entries keep it: people write names into it. Nothing where none was given."""
    return {"reason": Personal(reason)} if reason else {}


@transaction.atomic
def create_person(
    *, by: Party, email: str, name: str, password: str | None = None, auth: Authentication | None = None
) -> User:
    """Make a person who may sign in; raises `IntegrityError` when the address is taken in any case."""
    user = User(email=email, name=name)
    user.set_password(password)  # None: cannot sign in by password until one is set
    user.save(force_insert=True)
    record(
        Draft(
            type=EntryType.PERSON_CREATED,
            actor=by,
            subject=person_party(user),
            facts={"active": user.is_active, "password_digest": password_digest(user)},
            personal={"email": Personal(email), "name": Personal(name)},
            auth=auth,
        )
    )
    return user


@transaction.atomic
def create_team(*, by: Party, slug: str, name: str, auth: Authentication | None = None) -> Team:
    """Make a team that policy may name."""
    team = Team(slug=slug, name=name)
    team.save(force_insert=True)
    record(
        Draft(
            type=EntryType.TEAM_CREATED,
            actor=by,
            subject=Party("team", str(team.pk)),
            facts={"slug": slug, "name": name},
            auth=auth,
        )
    )
    return team


@transaction.atomic
def join_team(*, by: Party, user: User, team: Team, reason: str = "", auth: Authentication | None = None) -> Membership:
    """Seat a person in a team, where they then review."""
    membership = Membership(user=user, team=team)
    membership.save(force_insert=True)
    _record_seat(EntryType.TEAM_JOINED, by, membership, team, reason, auth)
    return membership


@transaction.atomic
def leave_team(*, by: Party, user: User, team: Team, reason: str = "", auth: Authentication | None = None) -> bool:
    """Take a person's seat in a team; False where they had none. What they voted there is for the caller to see to."""
    seat = Membership.objects.select_for_update().filter(user=user, team=team).first()
    if seat is None:
        return False
    _record_seat(EntryType.TEAM_LEFT, by, seat, team, reason, auth)
    seat.delete()
    return True


def _record_seat(
    kind: EntryType, by: Party, seat: Membership, team: Team, reason: str, auth: Authentication | None
) -> None:
    record(
        Draft(
            type=kind,
            actor=by,
            subject=Party("team", str(team.pk)),
            facts={"person": str(seat.user_id), "slug": team.slug, "seat": str(seat.pk)},
            personal=why(reason),
            auth=auth,
        )
    )


@transaction.atomic
def give_role(
    *,
    by: Party,
    user: User,
    role: Role,
    expires_at: datetime | None = None,
    reason: str = "",
    facts: Mapping[str, JSON] | None = None,
    auth: Authentication | None = None,
) -> RoleGrant:
    """Give a person a role, time-boxed where `expires_at` is given; one that has run out is replaced."""
    ended = (
        RoleGrant.objects.select_for_update().filter(user=user, role=role, expires_at__lte=transaction_clock()).first()
    )
    replaces = str(ended.pk) if ended is not None else None
    if ended is not None:
        ended.delete()
    grant = RoleGrant(user=user, role=role, expires_at=expires_at)
    grant.save(force_insert=True)
    until = timestamp(expires_at) if expires_at else None
    given = {"until": until, "replaces": replaces, **(facts or {})}
    _record_role(EntryType.ROLE_GIVEN, by, grant, given, reason, auth)
    return grant


@transaction.atomic
def take_role(
    *,
    by: Party,
    user: User,
    role: Role,
    reason: str = "",
    facts: Mapping[str, JSON] | None = None,
    auth: Authentication | None = None,
) -> bool:
    """Take a role back; False where they held none, not even one that has run out."""
    grant = RoleGrant.objects.select_for_update().filter(user=user, role=role).first()
    if grant is None:
        return False
    _record_role(EntryType.ROLE_TAKEN, by, grant, facts or {}, reason, auth)
    grant.delete()
    return True


def _record_role(
    kind: EntryType,
    by: Party,
    grant: RoleGrant,
    facts: Mapping[str, JSON],
    reason: str,
    auth: Authentication | None,
) -> None:
    record(
        Draft(
            type=kind,
            actor=by,
            subject=Party("person", str(grant.user_id)),
            facts={"role": str(grant.role), "role_grant": str(grant.pk), **facts},
            personal=why(reason),
            auth=auth,
        )
    )


def transaction_clock() -> datetime:
    """When this transaction began, by the database's clock: what roles are measured by."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        moment: datetime = cursor.fetchone()[0]
    return moment


def teams_and_roles_of(user: User) -> tuple[frozenset[str], frozenset[Role]]:
    """The slugs of the teams this person sits in and the roles they hold now, by the database's clock; one query."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT ARRAY(SELECT t.slug FROM accounts_membership m JOIN accounts_team t ON t.id = m.team_id"
            " WHERE m.user_id = %(user)s),"
            " ARRAY(SELECT role FROM accounts_rolegrant WHERE user_id = %(user)s"
            " AND (expires_at IS NULL OR expires_at > now()))",
            {"user": user.pk},
        )
        teams, roles = cursor.fetchone()
    user.roles_seen = frozenset(Role(role) for role in roles)
    return frozenset(teams), user.roles_seen
