"""The verbs of one-time links: invite somebody, let them in again, make the first administrator, accept.

A link is good once, for its hours, by the database's clock; its token is shown to whoever made it and kept nowhere.
Accepting signs nobody in.
"""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.urls import reverse

from accounts import people
from accounts.acting import Acting, Refused, administrators, all_seen, changing, locked, one_at_a_time
from accounts.addresses import whose
from accounts.departures import holds_a_role_of_two, void_open_link
from accounts.membership import AUDITOR_FOR
from accounts.models import TWO_PEOPLE, Invitation, Role, Team, User
from accounts.people import person_party
from accounts.rights import GOOD
from audit.canonical import timestamp
from audit.commitments import JSON
from audit.entries import Authentication, Draft, Party, record
from audit.limits import limited
from audit.types import EntryType

VALID = {
    Invitation.Kind.SETUP: timedelta(hours=1),
    Invitation.Kind.INVITATION: timedelta(hours=72),
    Invitation.Kind.RESET: timedelta(hours=24),
}


def link(token: str) -> str:
    """The address of a one-time link."""
    return settings.BASE_URL + reverse("one_time_link", args=[token])


def invite(
    *, by: Acting, email: str, name: str, teams: Collection[Team] = (), roles: Collection[Role] = ()
) -> tuple[User, str]:
    """Make a person and their one-time link; returns both, the token for this one time. No invitation gives a role
    that takes two people. An auditor's role has its usual end."""
    email, name = fit_email(email), fit_name(name)
    if set(roles) & TWO_PEOPLE:
        raise Refused("Administrators and activators are made by two people, once they have signed in.", "roles")
    with changing(by) as now:
        try:
            with transaction.atomic():
                person = people.create_person(by=by.party, email=email, name=name, auth=by.auth)
        except IntegrityError as error:
            said = "Somebody has this address already. One that only looks the same counts too."
            raise Refused(said, "email") from error
        for team in sorted(teams, key=lambda one: one.slug):
            people.join_team(by=by.party, user=person, team=team, auth=by.auth)
        for role in sorted(set(roles)):
            until = now + AUDITOR_FOR if role is Role.AUDITOR else None
            people.give_role(by=by.party, user=person, role=role, expires_at=until, auth=by.auth)
        return person, issue(by.party, person, Invitation.Kind.INVITATION, now, by.auth)


def invite_again(*, by: Acting, person_id: UUID) -> tuple[User, str]:
    """A new link for somebody: for their first password, or, where they had one, for who lost all they signed in with.
    Earlier links are void. For who holds a role of two people it takes two."""
    with changing(by) as now:
        person = locked(person_id)
        if not person.is_active:
            raise Refused("This person is deactivated. Reactivate them first.")
        if holds_a_role_of_two(person):
            raise Refused("A new sign-in for an administrator or activator takes two administrators.")
        first = not person.has_usable_password() and person.last_login is None
        kind = Invitation.Kind.INVITATION if first else Invitation.Kind.RESET
        return person, issue(by.party, person, kind, now, by.auth)


def set_up(*, email: str, name: str) -> str:
    """Make the first administrator, by the operator's command; returns the token.

    Refused once an administrator has ever been able to sign in. Before that the command may be given again: a lost
    link is replaced, and who was named by mistake is deactivated.
    """
    email, name, operator = fit_email(email), fit_name(name), Party("system", "operator")
    with one_at_a_time() as now:
        present = list(User.objects.filter(pk__in=administrators()))
        if any(person.has_usable_password() or person.last_login is not None for person in present):
            raise Refused("There is an administrator already. They invite people on /people/.")
        person = whose(email).select_for_update(no_key=True).first()
        for other in present:
            if person is None or other.pk != person.pk:
                _undo_mistake(operator, other)
        if person is None:
            person = people.create_person(by=operator, email=email, name=name)
        elif not person.is_active:
            raise Refused("The person with this address is deactivated. Name another.", "email")
        if Role.ADMINISTRATOR not in people.teams_and_roles_of(person)[1]:
            people.give_role(by=operator, user=person, role=Role.ADMINISTRATOR, facts={"bootstrap": True})
        return issue(operator, person, Invitation.Kind.SETUP, now, None)


def _undo_mistake(operator: Party, person: User) -> None:
    User.objects.filter(pk=person.pk).update(is_active=False)
    people.take_role(by=operator, user=person, role=Role.ADMINISTRATOR)
    facts: dict[str, JSON] = {"active": False, "voids": void_open_link(person)}
    record(Draft(type=EntryType.PERSON_DEACTIVATED, actor=operator, subject=person_party(person), facts=facts))


def issue(
    by: Party,
    person: User,
    kind: Invitation.Kind,
    now: datetime,
    auth: Authentication | None,
    *,
    reason: str = "",
    facts: Mapping[str, JSON] | None = None,
) -> str:
    """A fresh link for a locked person, inside the caller's transaction; earlier ones are void. `facts` and `reason`
    are the entry's, where it took two people."""
    voids = void_open_link(person)
    token = secrets.token_urlsafe(32)
    until = now + VALID[kind]
    made = Invitation(kind=kind, person=person, token_sha256=_digest(token), expires_at=until)
    made.save(force_insert=True)
    record(
        Draft(
            type=EntryType.PERSON_INVITED,
            actor=by,
            subject=person_party(person),
            facts={
                "kind": kind.value,
                "until": timestamp(until),
                "link": str(made.pk),
                # Of the stored hash of 256 random bits: nobody can guess either back.
                "token_digest": hashlib.sha256(made.token_sha256).hexdigest(),
                "voids": voids,
                **(facts or {}),
            },
            personal=people.why(reason),
            auth=auth,
        )
    )
    return token


def open_link(token: str) -> Invitation | None:
    """The link behind this token while it is good; None for one that was used, is void, too old, or never was."""
    return _open(token).select_related("person").first()


def has_open_link(person: User) -> bool:
    """Whether somebody may still choose a password for this person by a link."""
    return Invitation.objects.filter(GOOD, person=person).exists()


def accept(*, token: str, password: str) -> User:
    """Choose the password, once. A link for who lost all also removes their second factors and ends their sessions.

    Raises `Refused` where the link is not good any more, and Django's `ValidationError` for a password that is not.
    """
    with limited():
        # The person first, as whoever makes a link or deactivates locks them; then what the link says is read anew.
        whose = _open(token).values_list("person_id", flat=True).first()
        person = locked(whose) if whose is not None else None
        invitation = _open(token).select_for_update().first()
        if person is None or invitation is None or not person.is_active:
            raise Refused("This link was used already, or it is too old.")
        validate_password(password, person)
        person.set_password(password)
        person.save(update_fields=["password"])  # which ends the sessions that the old one began
        Invitation.objects.filter(pk=invitation.pk).update(accepted_at=Now())
        if invitation.kind == Invitation.Kind.RESET:
            for factor in Authenticator.objects.filter(user=person):
                factor.delete()  # one by one: each leaves its entry (`second_factor`)
        record(
            Draft(
                type=EntryType.PERSON_CHANGED,
                actor=person_party(person),
                subject=person_party(person),
                facts={
                    "what": f"{invitation.kind}-accepted",
                    "link": str(invitation.pk),
                    "password_digest": people.password_digest(person),
                },
            )
        )
        return person


def fit_email(email: str) -> str:
    """The address as it is kept; `Refused` where it is none."""
    email = email.strip()
    try:
        validate_email(email)
    except ValidationError as error:
        raise Refused("This is no e-mail address.", "email") from error
    if not email.rpartition("@")[0].isascii():
        raise Refused("The part before the @ may hold letters from a to z, digits and signs only.", "email")
    if len(email) > 254:
        raise Refused("This address is too long.", "email")
    return all_seen(email, "email")


def fit_name(name: str) -> str:
    """The name as it is kept; `Refused` where it is none."""
    name = " ".join(unicodedata.normalize("NFC", name).split())
    if not 1 <= len(name) <= 100:
        raise Refused("A name has 1 to 100 characters.", "name")
    return all_seen(name, "name")


def _open(token: str) -> QuerySet[Invitation]:
    return Invitation.objects.filter(GOOD, token_sha256=_digest(token))


def _digest(token: str) -> bytes:
    # 256 random bits: a slow hash would only cost
    return hashlib.sha256(token.encode()).digest()
