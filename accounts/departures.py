"""The verbs of going and coming back: deactivate, reactivate, sign out everywhere. Each is one transaction.

Who holds a role of two people is deactivated by two (`two_people`, which calls `carry_out` here). Rights end with the
entry that says so and never come back by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from django.db.models import F
from django.db.models.functions import Now

from accounts import delegations, membership, people, reasons
from accounts.acting import Acting, Refused, changing, locked
from accounts.models import TWO_PEOPLE, Invitation, RightsChange, Role, RoleGrant, User
from accounts.rights import UNUSED
from audit.commitments import JSON
from audit.entries import Draft, record
from audit.types import EntryType


def holds_a_role_of_two(person: User) -> bool:
    """Whether two administrators are needed to deactivate this person. Only roles of two are looked at, and even one
    that has run out counts: in doubt two."""
    return RoleGrant.objects.filter(user=person, role__in=TWO_PEOPLE).exists()


def deactivate(*, by: Acting, person_id: UUID, reason: str) -> None:
    """Deactivate somebody at once: signed out everywhere, out of every team and role, open votes void."""
    with changing(by):
        person = locked(person_id)
        if person.pk == by.person.pk:
            raise Refused("Another administrator deactivates you.")
        if holds_a_role_of_two(person):
            raise Refused("Deactivating an administrator or activator takes two administrators.")
        carry_out(by, person, reasons.clean(reason))


def carry_out(by: Acting, person: User, reason: str, *, facts: Mapping[str, JSON] | None = None) -> None:
    """The deactivation itself, of a locked person, inside the caller's `changing`."""
    if not person.is_active:
        raise Refused("This person is deactivated already.")
    person.is_active = False
    person.sessions_epoch = F("sessions_epoch") + 1
    person.save(update_fields=["is_active", "sessions_epoch"])
    person.refresh_from_db(fields=["sessions_epoch"])
    _take_everything(by, person, "deactivated")
    voids = void_open_link(person)
    _lapse_changes_of(by, person)
    record(
        Draft(
            type=EntryType.PERSON_DEACTIVATED,
            actor=by.party,
            subject=people.person_party(person),
            facts={"active": False, "voids": voids, **(facts or {})},
            personal=people.why(reason),
            auth=by.auth,
        )
    )
    membership.shrank(by, person, "was deactivated.")


def void_open_link(person: User) -> str | None:
    """End the open link of a locked person; gives the link's id for the entry, None where there is none."""
    link = Invitation.objects.select_for_update().filter(UNUSED, person=person).first()
    if link is None:
        return None
    Invitation.objects.filter(pk=link.pk).update(voided_at=Now())
    return str(link.pk)


def _take_everything(by: Acting, person: User, reason: str) -> None:
    membership.take_all(by, person, reason)
    for grant in RoleGrant.objects.filter(user=person).order_by("role"):
        people.take_role(by=by.party, user=person, role=Role(grant.role), reason=reason, auth=by.auth)
    delegations.end_all_of(by, person, reason)


def _lapse_changes_of(by: Acting, person: User) -> None:
    for change in RightsChange.objects.select_for_update().filter(person=person, outcome__isnull=True):
        if change.kind == RightsChange.Kind.DEACTIVATE:
            continue  # the very change that is being carried out
        RightsChange.objects.filter(pk=change.pk).update(outcome=RightsChange.Outcome.LAPSED, ended_at=Now())
        record(
            Draft(
                type=EntryType.RIGHTS_CANCELLED,
                actor=by.party,
                subject=people.person_party(person),
                facts={
                    "change": str(change.pk),
                    "why": "deactivated",
                    "outcome": str(RightsChange.Outcome.LAPSED),
                    "ended_by": None,
                },
                auth=by.auth,
            )
        )


def reactivate(*, by: Acting, person_id: UUID, reason: str) -> None:
    """Let somebody sign in again. They come back without a team or a role: each is given anew."""
    with changing(by):
        person = locked(person_id)
        if holds_a_role_of_two(person):
            raise Refused("Reactivating an administrator or activator takes two administrators.")
        bring_back(by, person, reasons.clean(reason))


def bring_back(by: Acting, person: User, reason: str, *, facts: Mapping[str, JSON] | None = None) -> None:
    """The reactivation itself, of a locked person, inside the caller's `changing`."""
    if person.is_active:
        raise Refused("This person is active already.")
    _take_everything(by, person, "reactivated")  # nothing is left since the deactivation, unless by another way
    person.is_active = True
    person.save(update_fields=["is_active"])
    record(
        Draft(
            type=EntryType.PERSON_REACTIVATED,
            actor=by.party,
            subject=people.person_party(person),
            facts={"active": True, **(facts or {})},
            personal=people.why(reason),
            auth=by.auth,
        )
    )


def end_sessions(*, by: Acting, person_id: UUID) -> None:
    """Sign somebody out everywhere, at once: one administrator suffices, for anybody, because no right changes."""
    with changing(by):
        person = locked(person_id)
        User.objects.filter(pk=person.pk).update(sessions_epoch=F("sessions_epoch") + 1)
        record(
            Draft(
                type=EntryType.SESSION_ENDED,
                actor=by.party,
                subject=people.person_party(person),
                facts={},
                auth=by.auth,
            )
        )
