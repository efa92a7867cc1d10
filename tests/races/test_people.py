"""Changes of people's rights at the same moment, and against decisions: one effect, and an administrator is left."""

from __future__ import annotations

import threading
from datetime import time, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection

from accounts import delegations, departures, hours, invitations, two_people
from accounts.acting import Refused, administrators, changing, locked
from accounts.hours import Hours
from accounts.models import RightsChange, Role, RoleGrant, User
from accounts.people import leave_team, teams_and_roles_of
from agents import stops
from agents.models import Stop
from approvals import queries
from approvals.errors import DecisionRefused, NotYours
from approvals.models import Decision, Request
from audit.limits import Busy
from tests.support import sealing, services
from tests.support.cast import Cast, decide, file_request, make_person, open_page
from tests.support.colleagues import acting, make_house
from tests.support.eventually import eventually
from tests.support.forging import forging
from tests.support.leaves import entries
from tests.support.racing import race, split
from tests.support.times import away

WHY = "The board decided so."
LARGE = {"amount_cents": 20000, "currency": "usd"}  # 2 of finance
Kind = RightsChange.Kind


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    """Three administrators, two of finance, one of support."""
    return make_house(only=("support1", "finance1", "finance2"))


def propose(cast: Cast, by: str, whom: str, kind: RightsChange.Kind, role: Role | None = None) -> RightsChange:
    change = two_people.propose(by=acting(cast[by]), person_id=cast[whom].pk, kind=kind, role=role, reason=WHY)
    assert change is not None
    return change


def test_two_who_confirm_at_once_confirm_once(cast: Cast) -> None:
    change = propose(cast, "admin1", "support1", Kind.GIVE, Role.ADMINISTRATOR)
    given = len(entries("role.given"))
    done, refused = split(
        race(
            *(partial(two_people.confirm, by=acting(cast[name]), change_id=change.pk) for name in ("admin2", "admin3"))
        )
    )
    assert (len(done), [type(error) for error in refused]) == (1, [Refused])
    assert len(entries("role.given")) == given + 1
    assert RoleGrant.objects.filter(user=cast["support1"]).count() == 1


def test_two_administrators_who_deactivate_each_other_at_once_leave_one_of_them(cast: Cast) -> None:
    for _ in range(5):
        one = propose(cast, "admin3", "admin1", Kind.DEACTIVATE)
        two = propose(cast, "admin3", "admin2", Kind.DEACTIVATE)
        done, refused = split(
            race(
                partial(two_people.confirm, by=acting(cast["admin2"]), change_id=one.pk),
                partial(two_people.confirm, by=acting(cast["admin1"]), change_id=two.pk),
            )
        )
        assert (len(done), [type(error) for error in refused]) == (1, [Refused])
        left = administrators()
        assert len(left) == 2
        assert cast["admin3"].pk in left
        gone = done[0][0]
        with forging():
            User.objects.filter(pk=gone.pk).update(is_active=True)
            RoleGrant(user=gone, role=Role.ADMINISTRATOR).save()
            RightsChange.objects.all().delete()


def test_the_last_administrator_makes_one_second_alone_however_many_they_try_at_once(cast: Cast) -> None:
    with forging():
        RoleGrant.objects.filter(user__in=[cast["admin2"], cast["admin3"]]).delete()
    alone = acting(cast["admin1"])
    names = ("support1", "finance1", "finance2")
    made = race(
        *(
            partial(
                two_people.propose,
                by=alone,
                person_id=cast[name].pk,
                kind=Kind.GIVE,
                role=Role.ADMINISTRATOR,
                reason=WHY,
            )
            for name in names
        )
    )
    assert sorted(one is None for one in made) == [False, False, True]
    assert len(administrators()) == 2


def test_a_link_is_accepted_once(cast: Cast) -> None:
    _, token = invitations.invite(by=acting(cast["admin1"]), email="new@example.test", name="Nina New")
    passwords = [f"a wholly different passphrase {number}" for number in range(6)]
    done, refused = split(race(*(partial(invitations.accept, token=token, password=one) for one in passwords)))
    assert len(done) == 1
    assert {type(error) for error in refused} == {Refused}


def test_an_empty_house_set_up_twice_at_once_has_one_administrator(transactional_db: None) -> None:
    names = [f"first{number}@house.example" for number in range(4)]
    race(*(partial(invitations.set_up, email=name, name="First") for name in names))
    assert len(administrators()) == 1
    assert User.objects.filter(is_active=True).count() == 1


def test_a_vote_given_while_its_voter_is_deactivated_never_stands(cast: Cast) -> None:
    with sealing.running():
        for number in range(8):
            person = make_person(f"leaver{number}", teams=[cast.teams["finance"]])
            request = file_request(cast, parameters=LARGE)
            opened = open_page(request, person)
            voted, _ = race(
                partial(decide, request, person, opened=opened),
                partial(departures.deactivate, by=acting(cast["admin1"]), person_id=person.pk, reason=WHY),
            )
            assert isinstance(voted, Request | NotYours), voted
            assert not Decision.objects.filter(person=person, voided_at__isnull=True).exists()
            assert not User.objects.get(pk=person.pk).is_active


def in_a_thread(act: Any) -> tuple[threading.Thread, list[Any]]:
    """Something begun beside the test, and what came of it."""
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(act())
        except Exception as error:
            results.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread, results


def somebody_waits_for_a_lock() -> bool:
    with services.connection("app") as app:
        row = app.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ).fetchone()
    return bool(row and row[0])


@pytest.mark.parametrize("what", ["deactivated", "unseated"])
def test_a_decision_waits_for_who_is_changing_its_persons_rights_and_finds_them_changed(cast: Cast, what: str) -> None:
    person, request = cast["support1"], file_request(cast)
    opened = open_page(request, person)
    with changing(acting(cast["admin1"])) as _:
        if what == "deactivated":
            departures.carry_out(acting(cast["admin1"]), locked(person.pk), WHY)
        else:
            leave_team(by=acting(cast["admin1"]).party, user=locked(person.pk), team=cast.teams["support"])
        thread, results = in_a_thread(partial(decide, request, person, opened=opened))
        eventually(somebody_waits_for_a_lock, within=10, what="the decision to wait")
    thread.join(15)
    assert [isinstance(one, DecisionRefused) for one in results] == [True], results
    assert Request.objects.get(pk=request.pk).status == "pending"
    assert not Decision.objects.exists()
    assert teams_and_roles_of(person)[0] == frozenset()


def test_a_link_that_is_accepted_while_its_person_is_deactivated_waits_and_is_refused(cast: Cast) -> None:
    admin = acting(cast["admin1"])
    person, token = invitations.invite(by=admin, email="new@example.test", name="Nina New")
    with changing(admin):
        held = locked(person.pk)
        thread, results = in_a_thread(partial(invitations.accept, token=token, password="a wholly different phrase"))
        eventually(somebody_waits_for_a_lock, within=10, what="who accepts to wait")
        departures.carry_out(admin, held, WHY)  # takes the link: neither waits for what the other holds
    thread.join(15)
    assert [type(one) for one in results] == [Refused], results
    assert not User.objects.get(pk=person.pk).has_usable_password()


def test_accepting_and_deactivating_at_once_end_without_a_deadlock(cast: Cast) -> None:
    admin = acting(cast["admin1"])
    for number in range(6):
        person, token = invitations.invite(by=admin, email=f"new{number}@example.test", name="Nina New")
        accepted, deactivated = race(
            partial(invitations.accept, token=token, password="a wholly different phrase"),
            partial(departures.deactivate, by=admin, person_id=person.pk, reason=WHY),
        )
        assert isinstance(accepted, User | Refused), accepted
        assert deactivated is None
        assert not User.objects.get(pk=person.pk).is_active


def test_all_agents_are_stopped_while_the_rights_of_who_stops_them_are_being_changed(cast: Cast) -> None:
    with changing(acting(cast["admin2"])):
        locked(cast["admin1"].pk)
        thread, results = in_a_thread(partial(stops.begin, by=cast["admin1"], reason="Something is wrong."))
        thread.join(3)
        assert [isinstance(one, Stop) for one in results] == [True], results


def test_what_people_wait_for_gives_up_as_busy(cast: Cast) -> None:
    finance1, finance2, admin = cast["finance1"], cast["finance2"], cast["admin1"]
    _, token = invitations.invite(by=acting(admin), email="new@example.test", name="Nina New")
    mornings = Hours(frozenset({1}), time(9), time(12), "UTC")
    lent, tomorrow = away(finance2, cast["support1"]), queries.clock() + timedelta(days=1)
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("LOCK TABLE accounts_user, accounts_team")
        results = race(
            partial(
                delegations.name, by=finance1, delegator=finance1, delegate=finance2, starts_at=None,
                ends_at=tomorrow, reason=WHY,
            ),
            partial(delegations.end, by=finance2, delegation_id=lent.pk),
            partial(hours.keep, by=admin, team=cast.teams["support"], hours=mornings),
            partial(invitations.accept, token=token, password="a wholly different phrase"),
            partial(stops.begin, by=admin, reason="Something is wrong."),
        )  # fmt: skip
    assert [type(one) for one in results] == [Busy] * 5, results
    number = stops.begin(by=admin, reason="Something is wrong.").number
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("LOCK TABLE accounts_user")
        (lifted,) = race(partial(stops.lift, number=number, by=cast["admin2"], reason="It was nothing."))
    assert isinstance(lifted, Busy), lifted
