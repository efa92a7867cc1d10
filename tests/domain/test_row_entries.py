"""Entries over people, teams, roles, links and keys name the row and what it holds, for guards and the replay."""

from __future__ import annotations

import hashlib
from datetime import time, timedelta
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.core.management import call_command
from django.db import transaction

from accounts import delegations, departures, hours, invitations, membership, people, two_people
from accounts.models import Delegation, Invitation, Membership, RightsChange, Role, RoleGrant, User
from agents import registration, stops, suspension
from agents.models import Credential, Scope, Stop
from approvals import queries
from audit.canonical import timestamp
from audit.entries import NotInTransaction
from tests.support.cast import PASSWORD, SETTING_UP, Cast
from tests.support.colleagues import acting, make_house
from tests.support.forging import forging
from tests.support.leaves import entries

WHY = "The board decided so."


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    """Three administrators, and two of support."""
    return make_house(only=("support1", "support2"))


def last(kind: str) -> dict[str, Any]:
    return dict(entries(kind)[-1]["facts"])


def held(kind: str, **facts: object) -> bool:
    """Whether the newest entry of that type says these facts."""
    return facts.items() <= last(kind).items()


def test_a_seat_is_named_as_it_comes_and_goes(cast: Cast) -> None:
    team = cast.teams["finance"]
    membership.seat(by=acting(cast["admin1"]), person_id=cast["support1"].pk, team=team)
    row = Membership.objects.get(user=cast["support1"], team=team)
    facts = {"person": str(row.user_id), "seat": str(row.pk)}
    assert held("team.joined", **facts)
    membership.unseat(by=acting(cast["admin1"]), person_id=cast["support1"].pk, team=team)
    assert held("team.left", **facts)


def test_a_role_given_again_names_the_ended_one_it_replaces(cast: Cast) -> None:
    ends = queries.clock() + timedelta(milliseconds=1)
    with transaction.atomic():
        old = people.give_role(by=SETTING_UP, user=cast["support1"], role=Role.AUDITOR, expires_at=ends)
    assert held("role.given", role_grant=str(old.pk), until=timestamp(ends), replaces=None)
    new = people.give_role(by=SETTING_UP, user=cast["support1"], role=Role.AUDITOR)
    assert held("role.given", role_grant=str(new.pk), until=None, replaces=str(old.pk))
    assert list(RoleGrant.objects.filter(user=cast["support1"])) == [new]
    membership.take(by=acting(cast["admin1"]), person_id=cast["support1"].pk, role=Role.AUDITOR)
    assert held("role.taken", role_grant=str(new.pk))


def test_a_link_is_named_as_it_is_made_void_and_used(cast: Cast) -> None:
    by = acting(cast["admin1"])
    person, _ = invitations.invite(by=by, email="new@example.test", name="New One")
    first = Invitation.objects.get(person=person)
    digest = hashlib.sha256(bytes(first.token_sha256)).hexdigest()
    assert held("person.invited", link=str(first.pk), token_digest=digest, until=timestamp(first.expires_at))
    _, token = invitations.invite_again(by=by, person_id=person.pk)
    second = Invitation.objects.get(person=person, voided_at__isnull=True)
    assert held("person.invited", link=str(second.pk), voids=str(first.pk))
    invitations.accept(token=token, password=PASSWORD)
    person.refresh_from_db()
    assert held("person.changed", link=str(second.pk), password_digest=people.password_digest(person))


def test_a_deactivation_names_the_link_it_ends(cast: Cast) -> None:
    by = acting(cast["admin1"])
    person, _ = invitations.invite(by=by, email="new@example.test", name="New One")
    assert held("person.created", active=True, password_digest=people.password_digest(person))
    departures.deactivate(by=by, person_id=person.pk, reason=WHY)
    assert held("person.deactivated", active=False, voids=str(Invitation.objects.get(person=person).pk))
    departures.reactivate(by=by, person_id=person.pk, reason=WHY)
    assert held("person.reactivated", active=True)


def test_a_change_of_two_people_says_how_it_ended_and_by_whom(cast: Cast) -> None:
    one, two, who = acting(cast["admin1"]), acting(cast["admin2"]), cast["support1"]
    give = RightsChange.Kind.GIVE
    change = two_people.propose(by=one, person_id=who.pk, kind=give, role=Role.ADMINISTRATOR, reason=WHY)
    assert change is not None
    assert held("rights.proposed", change=str(change.pk), proposed_by=str(one.person.pk))
    two_people.cancel(by=two, change_id=change.pk)
    assert held("rights.cancelled", change=str(change.pk), outcome="cancelled", ended_by=str(two.person.pk))
    change = two_people.propose(by=one, person_id=who.pk, kind=give, role=Role.ADMINISTRATOR, reason=WHY)
    assert change is not None
    two_people.confirm(by=two, change_id=change.pk)
    assert held("role.given", change=str(change.pk), confirmed_by=str(two.person.pk))


def test_a_delegation_says_who_named_and_who_ended_it(cast: Cast) -> None:
    one, other = cast["support1"], cast["support2"]
    ends = queries.clock() + timedelta(days=1)
    made = delegations.name(by=one, delegator=one, delegate=other, starts_at=None, ends_at=ends, reason=WHY)
    assert held("delegation.made", named_by=str(one.pk), ends_at=timestamp(ends))
    delegations.end(by=one, delegation_id=made.pk)
    row = Delegation.objects.get()
    assert row.ended_at is not None
    assert held("delegation.ended", ended_at=timestamp(row.ended_at), ended_by=str(one.pk))


def test_a_teams_hours_are_told_as_the_row_has_them(cast: Cast) -> None:
    of_the_team = hours.Hours(frozenset({1, 5}), time(9), time(17, 30), "Europe/Berlin")
    hours.keep(by=cast["admin1"], team=cast.teams["support"], hours=of_the_team)
    assert held("team.hours", weekdays=[1, 5], opens="09:00:00.000000", closes="17:30:00.000000")
    hours.keep(by=cast["admin1"], team=cast.teams["support"], hours=None)
    assert held("team.hours", hours=None)


def test_a_key_is_told_by_a_digest_of_what_is_stored(cast: Cast) -> None:
    key, _ = registration.issue_credential(by=SETTING_UP, holder=cast.executor, scopes=[Scope.REDEEM])
    assert held("credential.issued", secret_digest=hashlib.sha256(bytes(key.secret_sha256)).hexdigest())
    registration.revoke_credential(by=SETTING_UP, credential=key)
    revoked_at = Credential.objects.get(pk=key.pk).revoked_at
    assert revoked_at is not None
    assert held("credential.revoked", revoked_at=timestamp(revoked_at))


def test_an_agents_state_and_a_stop_are_told(cast: Cast) -> None:
    assert held("agent.registered", slug="payments")
    assert entries("agent.registered")[0]["facts"]["state"] == "active"
    suspension.suspend(agent_id=cast.agent.pk, by=SETTING_UP, reason=WHY)
    assert held("agent.suspended", state="suspended")
    suspension.resume(agent_id=cast.agent.pk, by=cast["admin1"], reason=WHY)
    assert held("agent.resumed", state="active")
    stop = stops.begin(by=None, reason=WHY)
    assert held("stop.begun", number=1, by=None)
    stops.lift(number=stop.number, by=cast["admin1"], reason=WHY)
    lifted_at = Stop.objects.get().lifted_at
    assert lifted_at is not None
    assert held("stop.lifted", by=str(cast["admin1"].pk), lifted_at=timestamp(lifted_at))


def test_a_password_hashed_anew_at_sign_in_leaves_its_entry(cast: Cast) -> None:
    person = cast["support1"]
    weaker = Argon2PasswordHasher()
    weaker.time_cost = 1
    with forging():
        User.objects.filter(pk=person.pk).update(password=weaker.encode(PASSWORD, "a-salt-of-the-test"))
    person.refresh_from_db()
    before = person.password
    assert person.check_password(PASSWORD)
    person.refresh_from_db()
    assert person.password != before
    assert held("person.changed", what="password-rehashed", password_digest=people.password_digest(person))


def test_factors_sealed_anew_leave_their_entries(cast: Cast, settings: Any) -> None:
    with transaction.atomic():
        row = TOTP.activate(cast["support1"], "JBSWY3DPEHPK3PXP").instance
    before = last("person.changed")
    assert (before["change"], before["authenticator"]) == ("second-factor-added", str(row.pk))
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "n" * 50, [settings.SECRET_KEY]
    call_command("reseal_secrets")
    after = last("person.changed")
    assert (after["change"], after["authenticator"]) == ("second-factor-resealed", str(row.pk))
    assert after["factor_digest"] != before["factor_digest"]


def test_a_factor_added_outside_a_transaction_is_not_there(cast: Cast) -> None:
    with pytest.raises(NotInTransaction):
        TOTP.activate(cast["support1"], "JBSWY3DPEHPK3PXP")
    assert not Authenticator.objects.exists()
