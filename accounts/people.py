"""The verbs over people: create, seat in a team, give a role. Each is one transaction with its entry.

Who may do so is the door's gate to ask; pages for it come with the people pages.
"""

from __future__ import annotations

from datetime import datetime

from django.db import connection, transaction

from accounts.models import Membership, Role, RoleGrant, Team, User
from audit.canonical import timestamp
from audit.entries import Draft, Party, Personal, record
from audit.types import EntryType


def person_party(user: User) -> Party:
    """How a person is named in entries."""
    return Party("person", str(user.pk))


@transaction.atomic
def create_person(*, by: Party, email: str, name: str, password: str | None = None) -> User:
    """Make a person who may sign in; raises `IntegrityError` when the address is taken in any case."""
    user = User(email=email, name=name)
    user.set_password(password)  # None: cannot sign in by password until one is set
    user.save(force_insert=True)
    record(
        Draft(
            type=EntryType.PERSON_CREATED,
            actor=by,
            subject=person_party(user),
            facts={},
            personal={"email": Personal(email), "name": Personal(name)},
        )
    )
    return user


@transaction.atomic
def create_team(*, by: Party, slug: str, name: str) -> Team:
    """Make a team that policy may name."""
    team = Team(slug=slug, name=name)
    team.save(force_insert=True)
    record(Draft(type=EntryType.TEAM_CREATED, actor=by, subject=Party("team", str(team.pk)), facts={"slug": slug}))
    return team


@transaction.atomic
def join_team(*, by: Party, user: User, team: Team) -> Membership:
    """Seat a person in a team, where they then review."""
    membership = Membership(user=user, team=team)
    membership.save(force_insert=True)
    record(
        Draft(
            type=EntryType.TEAM_JOINED,
            actor=by,
            subject=Party("team", str(team.pk)),
            facts={"person": str(user.pk), "slug": team.slug},
        )
    )
    return membership


@transaction.atomic
def give_role(*, by: Party, user: User, role: Role, expires_at: datetime | None = None) -> RoleGrant:
    """Give a person a role, time-boxed where `expires_at` is given."""
    grant = RoleGrant(user=user, role=role, expires_at=expires_at)
    grant.save(force_insert=True)
    record(
        Draft(
            type=EntryType.ROLE_GIVEN,
            actor=by,
            subject=person_party(user),
            facts={"role": role.value, "until": timestamp(expires_at) if expires_at else None},
        )
    )
    return grant


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
    return frozenset(teams), frozenset(Role(role) for role in roles)
