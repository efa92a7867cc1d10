"""The verbs of one administrator: seats in teams, and roles that one person may give. Each is a transaction with its
entries; nobody changes their own.

The administrator's and the activator's role are `two_people`'s; whoever loses a seat loses the votes that stood on it
alone, which those above hear of by `signals`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError, transaction

from accounts import people, reasons
from accounts.acting import Acting, Refused, changing, locked
from accounts.models import TWO_PEOPLE, Membership, Role, RoleGrant, Team, User
from accounts.signals import rights_shrank

AUDITOR_FOR = timedelta(days=90)  # unless another end is given


def new_team(*, by: Acting, slug: str, name: str) -> Team:
    """Make a team. The slug is what policy calls it, so it never changes."""
    with changing(by):
        try:
            with transaction.atomic():
                return people.create_team(by=by.party, slug=slug, name=name, auth=by.auth)
        except IntegrityError as error:
            raise Refused(f"There is a team called {slug} already.", "slug") from error


def seat(*, by: Acting, person_id: UUID, team: Team, reason: str = "") -> None:
    """Seat somebody in a team, where they then review."""
    with changing(by):
        person = _another(by, person_id)
        if Membership.objects.filter(user=person, team=team).exists():
            raise Refused(f"They sit in {team.slug} already.")
        people.join_team(by=by.party, user=person, team=team, reason=_said(reason), auth=by.auth)


def unseat(*, by: Acting, person_id: UUID, team: Team, reason: str = "") -> None:
    """Take somebody's seat in a team, and with it the open votes that stood on it alone."""
    with changing(by):
        person = _another(by, person_id)
        if not people.leave_team(by=by.party, user=person, team=team, reason=_said(reason), auth=by.auth):
            raise Refused(f"They do not sit in {team.slug} any more.")
        shrank(by, person, f"left the team {team.slug}.")


def give(*, by: Acting, person_id: UUID, role: Role, until: datetime | None = None, reason: str = "") -> None:
    """Give a role that one administrator may give; `until` boxes it in time. An auditor's has an end, or a reason."""
    with changing(by) as now:
        person = _another(by, person_id)
        _one_suffices(role)
        if until is not None and until <= now:
            raise Refused("The end must lie in the future.", "until")
        if role is Role.AUDITOR and until is None and not _said(reason):
            raise Refused("An auditor without an end needs a reason.", "reason")
        if role in people.teams_and_roles_of(person)[1]:
            raise Refused("They hold this role already.", "role")
        people.give_role(by=by.party, user=person, role=role, expires_at=until, reason=_said(reason), auth=by.auth)


def take(*, by: Acting, person_id: UUID, role: Role, reason: str = "") -> None:
    """Take back a role that one administrator may take."""
    with changing(by):
        person = _another(by, person_id)
        _one_suffices(role)
        if not people.take_role(by=by.party, user=person, role=role, reason=_said(reason), auth=by.auth):
            raise Refused("They do not hold this role any more.")
        shrank(by, person, f"lost the role {role.value}.")


def take_all(by: Acting, person: User, reason: str) -> None:
    """Every seat, and every role that one administrator may take, inside the caller's `changing`."""
    for team in Team.objects.filter(memberships__user=person).order_by("slug"):
        people.leave_team(by=by.party, user=person, team=team, reason=reason, auth=by.auth)
    for grant in RoleGrant.objects.filter(user=person).exclude(role__in=TWO_PEOPLE).order_by("role"):
        people.take_role(by=by.party, user=person, role=Role(grant.role), reason=reason, auth=by.auth)


def shrank(by: Acting, person: User, what: str) -> None:
    """Let those above know what is left of this person's rights, inside the transaction that took from them; `what`
    befell them, as after "The voter"."""
    teams, roles = people.teams_and_roles_of(person)
    rights_shrank.send(
        sender=User, person=person, by=by.party, active=person.is_active, teams=teams, roles=roles, what=what
    )


def _said(reason: str) -> str:
    """Most changes of seats and roles ask for no reason, and keep one that is given."""
    return reasons.clean(reason, asked=False)


def _another(by: Acting, person_id: UUID) -> User:
    """The locked person, active, and not who acts: an administrator could else become a reviewer alone."""
    person = locked(person_id)
    if person.pk == by.person.pk:
        raise Refused("Your own teams and roles are another administrator's to change.")
    if not person.is_active:
        raise Refused("This person is deactivated. Reactivate them first.")
    return person


def _one_suffices(role: Role) -> None:
    if role in TWO_PEOPLE:
        raise Refused("This role takes two administrators.", "role")
