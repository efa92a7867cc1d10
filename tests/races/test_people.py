"""Changes of people's rights at the same moment, and against decisions: one effect, and an administrator is left."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pytest
from django.db import connection

from accounts import departures, invitations, two_people
from accounts.acting import Refused, administrators, changing
from accounts.models import RightsChange, Role, RoleGrant, User
from accounts.people import teams_and_roles_of
from approvals.errors import DecisionRefused, NotYours
from approvals.models import Decision, Request
from tests.support import sealing, services
from tests.support.cast import Cast, decide, file_request, make_person, open_page
from tests.support.colleagues import acting, make_house
from tests.support.eventually import eventually
from tests.support.leaves import entries
from tests.support.racing import race, split

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
        User.objects.filter(pk=gone.pk).update(is_active=True)
        RoleGrant(user=gone, role=Role.ADMINISTRATOR).save()
        RightsChange.objects.all().delete()


def test_the_last_administrator_makes_one_second_alone_however_many_they_try_at_once(cast: Cast) -> None:
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
            departures.carry_out(acting(cast["admin1"]), User.objects.select_for_update().get(pk=person.pk), WHY)
        else:
            from accounts.acting import locked
            from accounts.people import leave_team

            leave_team(by=acting(cast["admin1"]).party, user=locked(person.pk), team=cast.teams["support"])
        thread, results = in_a_thread(partial(decide, request, person, opened=opened))
        eventually(somebody_waits_for_a_lock, within=10, what="the decision to wait")
    thread.join(15)
    assert [isinstance(one, DecisionRefused) for one in results] == [True], results
    assert Request.objects.get(pk=request.pk).status == "pending"
    assert not Decision.objects.exists()
    assert teams_and_roles_of(person)[0] == frozenset()
