"""Changes of administrators and activators take two, through the pages: who may confirm, when, and the first second."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError
from django.test import Client

from accounts.models import RightsChange, Role, RoleGrant, User
from accounts.people import teams_and_roles_of
from tests.support import codes
from tests.support.cast import PASSWORD, Cast
from tests.support.colleagues import acting, answer, at, make_house, post
from tests.support.forging import forging
from tests.support.forms import said
from tests.support.leaves import entries

WHY = {"reason": "The board decided so."}


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    """Three administrators and one of support."""
    return make_house(only=("support1",), sign_in=("support1",))


def holds(person: User, role: Role) -> bool:
    return role in teams_and_roles_of(person)[1]


def proposed(client: Client, person: User, **fields: str) -> RightsChange:
    """What an administrator proposes about somebody's role."""
    told = post(client, person, "roles", **{"act": "give", "role": "administrator", **WHY, **fields})
    assert told.status_code == 303, said(told)
    return RightsChange.objects.get(outcome__isnull=True, person=person)


@pytest.mark.parametrize("role", ["administrator", "policy-activator"])
def test_a_role_of_two_is_held_once_a_second_administrator_confirms(cast: Cast, role: str) -> None:
    person = cast["support1"]
    change = proposed(at(cast["admin1"]), person, role=role)
    assert not holds(person, Role(role))
    assert answer(at(cast["admin2"]), change).status_code == 303
    assert holds(person, Role(role))
    given = [leaf for leaf in entries("role.given") if leaf["actor"]["id"] == str(cast["admin2"].pk)]
    assert [(leaf["facts"]["role"], leaf["facts"]["proposed_by"]) for leaf in given] == [(role, str(cast["admin1"].pk))]
    assert [leaf["facts"]["change"] for leaf in entries("rights.proposed")] == [str(change.pk)]


def test_taking_one_back_takes_two_as_well(cast: Cast) -> None:
    change = proposed(at(cast["admin1"]), cast["admin2"], act="take", role="policy-activator")
    assert holds(cast["admin2"], Role.POLICY_ACTIVATOR)
    assert answer(at(cast["admin3"]), change).status_code == 303
    assert not holds(cast["admin2"], Role.POLICY_ACTIVATOR)


def test_neither_who_proposed_nor_whom_it_is_about_confirms(cast: Cast) -> None:
    one, two = at(cast["admin1"]), at(cast["admin2"])
    change = proposed(one, cast["admin2"], act="take", role="administrator")
    for client in (one, two):
        refused = answer(client, change)
        assert refused.status_code == 422
        assert "another administrator confirms it" in said(refused)
    assert holds(cast["admin2"], Role.ADMINISTRATOR)
    assert answer(at(cast["admin3"]), change).status_code == 303
    assert not holds(cast["admin2"], Role.ADMINISTRATOR)


def test_the_database_too_refuses_a_confirmation_by_who_proposed_it(cast: Cast) -> None:
    change = proposed(at(cast["admin1"]), cast["support1"])
    for somebody in (cast["admin1"], cast["support1"]):
        with pytest.raises(IntegrityError):
            RightsChange.objects.filter(pk=change.pk).update(
                outcome="confirmed", ended_by=somebody, ended_at=datetime.now(UTC)
            )


def test_a_change_is_confirmed_once_dropped_for_good_and_lapses_after_seven_days(cast: Cast) -> None:
    one, two, person = at(cast["admin1"]), at(cast["admin2"]), cast["support1"]
    change = proposed(one, person)
    assert post(one, person, "roles", act="give", role="administrator", **WHY).status_code == 422  # proposed already
    assert answer(one, change, "cancel").status_code == 303
    assert answer(two, change).status_code == 422
    change = proposed(one, person)
    assert change.expires_at - change.proposed_at > timedelta(days=6, hours=23)
    with forging():
        RightsChange.objects.filter(pk=change.pk).update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    refused = answer(two, change)
    assert refused.status_code == 422
    assert "lapsed" in said(refused)
    assert not holds(person, Role.ADMINISTRATOR)
    assert answer(two, proposed(one, person)).status_code == 303
    assert holds(person, Role.ADMINISTRATOR)
    told = [(leaf["facts"]["kind"], leaf["facts"].get("why")) for leaf in entries("rights.cancelled")]
    assert told == [("give-role", None), ("give-role", "lapsed")]
    assert entries("rights.cancelled")[1]["facts"]["change"] == str(change.pk)


def test_a_proposal_falls_with_the_role_of_who_made_it(cast: Cast) -> None:
    change = proposed(at(cast["admin3"]), cast["support1"])
    with forging():
        RoleGrant.objects.filter(user=cast["admin3"]).delete()
    refused = answer(at(cast["admin1"]), change)
    assert refused.status_code == 422
    assert not holds(cast["support1"], Role.ADMINISTRATOR)


def test_a_reason_is_asked_for(cast: Cast) -> None:
    told = post(at(cast["admin1"]), cast["support1"], "roles", act="give", role="administrator")
    assert told.status_code == 422
    assert "Say why." in said(told)
    assert not RightsChange.objects.exists()


def test_while_there_is_one_administrator_that_one_makes_the_second_alone_and_no_third(cast: Cast) -> None:
    with forging():
        RoleGrant.objects.filter(user__in=[cast["admin2"], cast["admin3"]]).delete()
    alone = at(cast["admin1"])
    assert post(alone, cast["support1"], "roles", act="give", role="policy-activator", **WHY).status_code == 303
    assert not holds(cast["support1"], Role.POLICY_ACTIVATOR)  # only an administrator, and only the second
    assert post(alone, cast["support1"], "roles", act="give", role="administrator", **WHY).status_code == 303
    assert holds(cast["support1"], Role.ADMINISTRATOR)
    given = [leaf for leaf in entries("role.given") if leaf["actor"]["id"] == str(cast["admin1"].pk)]
    assert [leaf["facts"].get("bootstrap") for leaf in given] == [True]
    assert post(alone, cast["admin3"], "roles", act="give", role="administrator", **WHY).status_code == 303
    assert not holds(cast["admin3"], Role.ADMINISTRATOR)


def test_a_role_of_two_is_not_given_while_somebody_may_still_choose_the_password_by_a_link(cast: Cast) -> None:
    one = at(cast["admin1"])
    change = proposed(one, cast["support1"])
    assert post(one, cast["support1"], "link").status_code == 200  # admin1 now holds a way to be support1
    refused = answer(at(cast["admin2"]), change)
    assert refused.status_code == 422
    assert not holds(cast["support1"], Role.ADMINISTRATOR)


def test_one_administrator_alone_makes_no_new_sign_in_for_another(cast: Cast) -> None:
    one = at(cast["admin1"])
    told = post(one, cast["admin2"], "link", **WHY)
    assert told.status_code == 303
    assert "/accounts/setup/" not in one.get(f"/people/{cast['admin2'].pk}/").content.decode()
    change = RightsChange.objects.get()
    assert answer(one, change).status_code == 422
    shown = answer(at(cast["admin3"]), change)
    assert shown.status_code == 200
    assert "/accounts/setup/" in shown.content.decode()


def test_what_takes_two_asks_for_a_sign_in_less_than_five_minutes_old_and_is_then_taken_up_again(cast: Cast) -> None:
    client, person = at(cast["admin1"]), cast["support1"]
    codes.move(client, at=-301)
    asked: Any = post(client, person, "roles", act="give", role="administrator", **WHY)
    assert asked.status_code == 302
    assert asked["Location"].startswith("/accounts/reauthenticate/")
    assert not RightsChange.objects.exists()
    done = client.post(asked["Location"], {"password": PASSWORD})
    assert (done.status_code, done["Location"]) == (303, f"/people/{person.pk}/")
    change = RightsChange.objects.get()
    second = at(cast["admin2"])
    codes.move(second, at=-301)
    assert answer(second, change).status_code == 302
    assert not holds(person, Role.ADMINISTRATOR)
    assert (
        post(second, person, "teams", act="seat", team="finance").status_code == 303
    )  # one suffices: no such question


def test_a_role_of_two_has_no_end_that_would_go_unseen(cast: Cast) -> None:
    fields = {"act": "give", "role": "administrator", "until": "2999-12-31", **WHY}
    assert post(at(cast["admin1"]), cast["support1"], "roles", **fields).status_code == 422
    assert not RightsChange.objects.exists()


def test_the_verbs_for_one_administrator_refuse_what_takes_two(cast: Cast) -> None:
    from accounts import departures, invitations, membership
    from accounts.acting import Refused

    by, other = acting(cast["admin1"]), cast["admin2"]
    for act in (
        lambda: membership.give(by=by, person_id=cast["support1"].pk, role=Role.ADMINISTRATOR, reason="x"),
        lambda: membership.take(by=by, person_id=other.pk, role=Role.POLICY_ACTIVATOR, reason="x"),
        lambda: departures.deactivate(by=by, person_id=other.pk, reason="x"),
        lambda: invitations.invite_again(by=by, person_id=other.pk),
    ):
        with pytest.raises(Refused):
            act()
    assert holds(other, Role.POLICY_ACTIVATOR)
    assert User.objects.get(pk=other.pk).is_active
    assert not holds(cast["support1"], Role.ADMINISTRATOR)


def test_the_entry_of_a_new_sign_in_that_took_two_names_the_change_and_who_proposed_it(cast: Cast) -> None:
    assert post(at(cast["admin1"]), cast["admin3"], "link", **WHY).status_code == 303
    change = RightsChange.objects.get()
    assert answer(at(cast["admin2"]), change).status_code == 200
    (entry,) = entries("person.invited")
    assert entry["actor"]["id"] == str(cast["admin2"].pk)
    assert entry["facts"]["change"] == str(change.pk)
    assert entry["facts"]["proposed_by"] == str(cast["admin1"].pk)
    assert "reason" in entry["commitments"]
