"""The verbs of changes that take two administrators: propose, confirm, cancel. Each is one transaction with its entry.

The second is neither who proposed nor whom it is about, and everything is asked again under the lock. Since whoever
confirms is an administrator and is not the subject, there is never none left. What one administrator may do alone is
`membership`'s and `departures`'.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.db.models.functions import Now

from accounts import departures, people, reasons
from accounts.acting import Acting, Refused, administrators, changing, locked, one_at_a_time
from accounts.addresses import whose
from accounts.identities import link, linked
from accounts.invitations import has_open_link, issue
from accounts.models import TWO_PEOPLE, Invitation, RightsChange, Role, User
from accounts.people import person_party, teams_and_roles_of, why
from audit.canonical import timestamp
from audit.commitments import JSON
from audit.entries import Authentication, Draft, Party, Personal, record
from audit.types import EntryType

WAITS = timedelta(days=7)
Kind = RightsChange.Kind


def propose(
    *, by: Acting, person_id: UUID, kind: RightsChange.Kind, role: Role | None = None, reason: str
) -> RightsChange | None:
    """Propose a change; None where it took effect at once: while there is one administrator only, that one makes the
    second alone, which is recorded as such."""
    with changing(by) as now:
        person = locked(person_id)
        reason = reasons.clean(reason)
        _still_makes_sense(person, kind, role)
        if kind == Kind.GIVE and role is Role.ADMINISTRATOR and administrators() == {by.person.pk}:
            people.give_role(
                by=by.party, user=person, role=role, reason=reason, facts={"bootstrap": True}, auth=by.auth
            )
            return None
        return put_forward(by, person, kind, role, reason, now)


def put_forward(
    by: Acting,
    person: User,
    kind: RightsChange.Kind,
    role: Role | None,
    reason: str,
    now: datetime,
    *,
    identity: dict[str, str] | None = None,
) -> RightsChange:
    """Write a proposal down, inside the caller's `changing`; the same one twice is refused."""
    same = RightsChange.objects.filter(person=person, kind=kind, role=role or "", outcome__isnull=True)
    for late in same.filter(expires_at__lte=now).select_for_update():
        _lapse(by, late)
    if same.exists():
        raise Refused("This is proposed already; it waits for another administrator.")
    change = RightsChange(
        kind=kind,
        role=role or "",
        person=person,
        reason=reason,
        identity=identity,
        proposed_by=by.person,
        expires_at=now + WAITS,
    )
    change.save(force_insert=True)
    record(
        Draft(
            type=EntryType.RIGHTS_PROPOSED,
            actor=by.party,
            subject=person_party(person),
            facts={
                **_facts(change),
                "until": timestamp(change.expires_at),
                "proposed_by": str(change.proposed_by_id),
            },
            personal={**why(reason), **({"identity": Personal(identity)} if identity else {})},
            auth=by.auth,
        )
    )
    return change


def ask_to_link(*, person_id: UUID, issuer: str, subject: str) -> RightsChange:
    """Write down that a user of the provider's says to be this person, who holds a role of two.

    Another administrator confirms it. What is asked for first stands until it is confirmed, cancelled or lapsed: a
    second user of the provider's cannot take its place.
    """
    with one_at_a_time() as now:
        person = locked(person_id)
        reason = reasons.clean(f"Sign-in through {issuer} as {subject}")
        asking = Acting(person, Authentication(method="oidc", at=now))
        if linked(person):
            raise Refused("One of the provider's users is this person already.")
        identity = {"issuer": issuer, "sub": subject}
        return put_forward(asking, person, Kind.LINK, None, reason, now, identity=identity)


def confirm_link_alone(*, email: str) -> User:
    """Confirm, as the operator, the link that an only administrator asked for: nobody else could."""
    operator = Party("system", "operator")
    with one_at_a_time() as now:
        person = whose(email).select_for_update(no_key=True).first()
        if person is None or administrators() != {person.pk}:
            raise Refused("Only the link of the one active administrator is confirmed here; others confirm theirs.")
        waiting = RightsChange.objects.filter(person=person, kind=Kind.LINK, outcome__isnull=True).first()
        if waiting is None:
            raise Refused("No sign-in through the provider waits for this person. Let them try to sign in first.")
        change = _open(waiting.pk, now)
        facts: dict[str, JSON] = {"change": str(change.pk), "bootstrap": True}
        _link(operator, person, change, facts, None)
        RightsChange.objects.filter(pk=change.pk).update(outcome=RightsChange.Outcome.BOOTSTRAP, ended_at=Now())
        return person


def _link(by: Party, person: User, change: RightsChange, facts: dict[str, JSON], auth: Authentication | None) -> None:
    identity = change.identity or {}
    if linked(person):
        raise Refused("One of the provider's users is this person already.")
    link(by=by, person=person, issuer=identity["issuer"], subject=identity["sub"], facts=facts, auth=auth)


def confirm(*, by: Acting, change_id: UUID) -> tuple[User, str]:
    """Confirm as the second administrator, and carry the change out; returns whom it is about, and the token of the
    link where the change was a new sign-in."""
    with changing(by) as now:
        change = _open(change_id, now)
        person = locked(change.person_id)
        if by.person.pk == change.proposed_by_id:
            raise Refused("You proposed this; another administrator confirms it.")
        if by.person.pk == person.pk:
            raise Refused("This is about you; another administrator confirms it.")
        if change.kind != Kind.LINK and change.proposed_by_id not in administrators():
            raise Refused("Who proposed this is no administrator any more. Propose it anew.")
        role = Role(change.role) if change.role else None
        _still_makes_sense(person, Kind(change.kind), role)
        token = _carry_out(by, person, change, role, now)
        _end(change, RightsChange.Outcome.CONFIRMED, by)
        return person, token


def _carry_out(by: Acting, person: User, change: RightsChange, role: Role | None, now: datetime) -> str:
    facts: dict[str, JSON] = {
        "change": str(change.pk),
        "proposed_by": str(change.proposed_by_id),
        "confirmed_by": str(by.person.pk),
    }
    if change.kind == Kind.GIVE and role is not None:
        people.give_role(by=by.party, user=person, role=role, reason=change.reason, facts=facts, auth=by.auth)
    elif change.kind == Kind.TAKE and role is not None:
        people.take_role(by=by.party, user=person, role=role, reason=change.reason, facts=facts, auth=by.auth)
    elif change.kind == Kind.DEACTIVATE:
        departures.carry_out(by, person, change.reason, facts=facts)
    elif change.kind == Kind.REACTIVATE:
        departures.bring_back(by, person, change.reason, facts=facts)
    elif change.kind == Kind.LINK:
        _link(by.party, person, change, facts, by.auth)
    else:
        return issue(by.party, person, Invitation.Kind.RESET, now, by.auth, reason=change.reason, facts=facts)
    return ""


def cancel(*, by: Acting, change_id: UUID) -> User:
    """Drop a proposed change; any administrator may."""
    with changing(by) as now:
        change = _open(change_id, now)
        _end(change, RightsChange.Outcome.CANCELLED, by)
        record(
            Draft(
                type=EntryType.RIGHTS_CANCELLED,
                actor=by.party,
                subject=person_party(change.person),
                facts={
                    **_facts(change),
                    "outcome": str(RightsChange.Outcome.CANCELLED),
                    "ended_by": str(by.person.pk),
                },
                auth=by.auth,
            )
        )
        return change.person


def _open(change_id: UUID, now: datetime) -> RightsChange:
    change = RightsChange.objects.select_for_update(of=("self",)).select_related("person").filter(pk=change_id).first()
    if change is None:
        raise Refused("There is no such change.")
    if change.outcome is not None:
        raise Refused(f"This change was {change.outcome} already.")
    if change.expires_at <= now:
        raise Refused("This change waited too long and has lapsed. Propose it anew.")
    return change


def _end(change: RightsChange, outcome: RightsChange.Outcome, by: Acting) -> None:
    RightsChange.objects.filter(pk=change.pk).update(outcome=outcome, ended_by=by.person, ended_at=Now())


def _lapse(by: Acting, change: RightsChange) -> None:
    """Note that a change waited too long, when the same is proposed anew: from its end on nobody could confirm it."""
    RightsChange.objects.filter(pk=change.pk).update(outcome=RightsChange.Outcome.LAPSED, ended_at=Now())
    record(
        Draft(
            type=EntryType.RIGHTS_CANCELLED,
            actor=by.party,
            subject=Party("person", str(change.person_id)),
            facts={
                **_facts(change),
                "why": "lapsed",
                "outcome": str(RightsChange.Outcome.LAPSED),
                "ended_by": None,
            },
            auth=by.auth,
        )
    )


def _facts(change: RightsChange) -> dict[str, JSON]:
    return {"change": str(change.pk), "kind": change.kind, "role": change.role or None}


def _still_makes_sense(person: User, kind: RightsChange.Kind, role: Role | None) -> None:
    """Refuse what would change nothing, what takes no second person, and a link that could be misused."""
    if kind == Kind.REACTIVATE:
        if person.is_active:
            raise Refused("This person is active already.")
        return
    if not person.is_active:
        raise Refused("This person is deactivated.")
    if kind not in (Kind.GIVE, Kind.TAKE):
        if not departures.holds_a_role_of_two(person):
            raise Refused("This takes one administrator only.")
        return
    if role not in TWO_PEOPLE:
        raise Refused("This role takes one administrator only.", "role")
    held = role in teams_and_roles_of(person)[1]
    if kind == Kind.GIVE and held:
        raise Refused("They hold this role already.", "role")
    if kind == Kind.TAKE and not held:
        raise Refused("They do not hold this role any more.")
    if kind == Kind.GIVE and has_open_link(person):
        # Whoever made the link could open it, and be two administrators.
        raise Refused("A link to choose their password is still open. Give this role when they have signed in.")
