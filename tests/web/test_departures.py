"""Deactivating through the pages: sessions end, rights end, open votes are void, and nothing comes back by itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.test import Client

from accounts import delegations
from accounts.models import Invitation, Membership, RightsChange, Role, RoleGrant, User
from accounts.people import teams_and_roles_of
from agents import registration
from agents.authentication import credential_for
from agents.models import Credential, Scope
from agents.problems import Problem
from approvals import access, queries
from approvals.errors import NotYours
from approvals.models import Decision
from tests.support import codes, sealing
from tests.support.cast import SETTING_UP, Cast, decide, file_request
from tests.support.colleagues import answer, at, make_house, post
from tests.support.forging import forging
from tests.support.forms import said
from tests.support.leaves import entries
from tests.support.times import away

WHY = {"reason": "Left the company."}
LARGE = {"amount_cents": 20000, "currency": "usd"}  # 2 of finance


@pytest.fixture
def cast(transactional_db: None) -> Iterator[Cast]:
    """Three administrators, two of finance, one of support, an auditor; and a log that is being sealed."""
    with sealing.running():
        yield make_house(only=("finance1", "finance2", "support1", "auditor1"), sign_in=("finance1",))


def test_who_is_deactivated_is_signed_out_at_once_has_no_right_left_and_their_open_votes_are_void(cast: Cast) -> None:
    person, theirs = cast["finance1"], at(cast["finance1"])
    request = file_request(cast, parameters=LARGE)
    decide(request, person, "approve")
    assert post(at(cast["admin1"]), person, "deactivate", **WHY).status_code == 303
    assert theirs.get("/queue/").status_code == 302
    assert not User.objects.get(pk=person.pk).is_active
    assert teams_and_roles_of(person) == (frozenset(), frozenset())
    vote = Decision.objects.get(request=request)
    assert vote.voided_at is not None
    assert decide(request, cast["finance2"], "approve").status == "pending"
    subjects = [leaf["subject"]["id"] for leaf in entries("person.deactivated")]
    assert subjects == [str(person.pk)]
    assert [leaf["facts"]["slug"] for leaf in entries("team.left")] == ["finance"]
    assert [leaf["facts"]["decision"] for leaf in entries("decision.void")] == [str(vote.pk)]
    page = at(cast["admin2"]).get(f"/requests/{request.pk}/")
    assert page.status_code == 200
    assert Client().post("/accounts/login/", {"login": person.email, "password": "wrong"}).status_code == 200


def test_a_reason_is_asked_for_and_nobody_deactivates_themselves_or_anybody_twice(cast: Cast) -> None:
    admin, person = at(cast["admin1"]), cast["finance1"]
    assert post(admin, person, "deactivate").status_code == 422
    assert User.objects.get(pk=person.pk).is_active
    assert post(admin, person, "deactivate", **WHY).status_code == 303
    assert post(admin, person, "deactivate", **WHY).status_code == 422
    assert post(admin, person, "teams", act="seat", team="finance").status_code == 422
    assert post(admin, person, "roles", act="give", role="leadership").status_code == 422
    assert post(admin, person, "link").status_code == 422
    assert post(admin, person, "sign-out").status_code == 303


def test_who_comes_back_comes_without_teams_roles_or_sessions(cast: Cast) -> None:
    person, theirs, admin = cast["finance1"], at(cast["finance1"]), at(cast["admin1"])
    post(admin, person, "roles", act="give", role="leadership")
    post(admin, person, "deactivate", **WHY)
    assert post(admin, person, "reactivate", reason="Hired again.").status_code == 303
    assert theirs.get("/queue/").status_code == 302  # the session of before is not good again
    assert teams_and_roles_of(person) == (frozenset(), frozenset())
    assert at(person).get("/queue/").status_code == 200
    assert [leaf["subject"]["id"] for leaf in entries("person.reactivated")] == [str(person.pk)]


def test_delegations_given_and_held_end_with_who_leaves_and_do_not_come_back_with_them(cast: Cast) -> None:
    person, other, admin = cast["finance1"], cast["finance2"], at(cast["admin1"])
    held = away(other, person)
    given = away(person, cast["support1"])
    planned = away(other, person, starts_in=timedelta(days=10))
    untouched = away(cast["admin2"], cast["admin3"])
    post(admin, person, "deactivate", **WHY)
    ended = {leaf["subject"]["id"]: leaf for leaf in entries("delegation.ended")}
    assert set(ended) == {str(one.pk) for one in (held, given, planned)}
    assert {leaf["facts"]["why"] for leaf in ended.values()} == {"deactivated"}
    assert {leaf["actor"]["id"] for leaf in ended.values()} == {str(cast["admin1"].pk)}
    assert {leaf["auth"]["method"] for leaf in ended.values()} == {"password"}
    post(admin, person, "reactivate", reason="Hired again.")
    assert access.viewer(person).held == ()
    assert access.viewer(cast["support1"]).held == ()
    assert {one.pk for one in delegations.running()} == {untouched.pk}
    theirs = Client()
    theirs.force_login(other)
    assert "planned" not in said(theirs.get("/preferences/delegation/"))
    request = file_request(cast, parameters=LARGE)
    with pytest.raises(NotYours):
        decide(request, person, "approve")


def test_rights_that_were_left_behind_by_another_way_are_not_given_back(cast: Cast) -> None:
    person = cast["finance1"]
    with forging():
        User.objects.filter(pk=person.pk).update(is_active=False)
        RoleGrant(user=person, role=Role.POLICY_ACTIVATOR).save()
    one = at(cast["admin1"])
    assert post(one, person, "reactivate", reason="Hired again.").status_code == 303
    assert not User.objects.get(pk=person.pk).is_active  # held a role of two: proposed
    assert answer(at(cast["admin2"]), RightsChange.objects.get()).status_code == 303
    assert User.objects.get(pk=person.pk).is_active
    assert teams_and_roles_of(person) == (frozenset(), frozenset())


def test_deactivating_an_administrator_takes_two_and_drops_what_was_proposed_about_them(cast: Cast) -> None:
    one, gone = at(cast["admin1"]), at(cast["admin3"])
    assert post(one, cast["admin3"], "roles", act="give", role="policy-activator", **WHY).status_code == 303
    assert post(one, cast["admin3"], "deactivate", **WHY).status_code == 303
    assert User.objects.get(pk=cast["admin3"].pk).is_active
    change = RightsChange.objects.get(kind="deactivate")
    assert answer(one, change).status_code == 422
    assert answer(gone, change).status_code == 422
    assert answer(at(cast["admin2"]), change).status_code == 303
    assert gone.get("/people/").status_code == 302
    assert not User.objects.get(pk=cast["admin3"].pk).is_active
    assert not RightsChange.objects.filter(outcome__isnull=True).exists()
    assert [leaf["facts"].get("proposed_by") for leaf in entries("person.deactivated")] == [str(cast["admin1"].pk)]


def test_signing_somebody_out_everywhere_takes_one_administrator_whoever_it_is(cast: Cast) -> None:
    theirs = at(cast["admin2"])
    assert post(at(cast["admin1"]), cast["admin2"], "sign-out").status_code == 303
    assert theirs.get("/queue/").status_code == 302
    assert at(cast["admin2"]).get("/queue/").status_code == 200
    assert [leaf["subject"]["id"] for leaf in entries("session.ended")] == [str(cast["admin2"].pk)]


def test_with_a_seat_go_the_open_votes_that_stood_on_it_alone_and_no_other(cast: Cast) -> None:
    person, admin = cast["finance1"], at(cast["admin1"])
    with forging():
        Membership(user=person, team=cast.teams["support"]).save()
    of_finance = file_request(cast, parameters=LARGE)
    decide(of_finance, person, "approve")
    assert post(admin, person, "teams", act="unseat", team="support").status_code == 303
    assert Decision.objects.get(request=of_finance).voided_at is None
    assert post(admin, person, "teams", act="unseat", team="finance").status_code == 303
    assert Decision.objects.get(request=of_finance).voided_at is not None
    assert post(admin, person, "teams", act="seat", team="finance").status_code == 303
    assert (
        decide(of_finance, cast["finance2"], "approve").status == "pending"
    )  # coming back does not bring the vote back
    assert decide(of_finance, person, "approve").status == "approved"


def test_an_open_link_ends_with_the_person(cast: Cast) -> None:
    admin = at(cast["admin1"])
    post(admin, cast["finance1"], "link")
    post(admin, cast["finance1"], "deactivate", **WHY)
    assert not Invitation.objects.filter(voided_at__isnull=True).exists()


def test_who_is_no_auditor_any_more_reads_nothing_by_key_either(cast: Cast) -> None:
    admin, auditor = at(cast["admin1"]), cast["auditor1"]
    key = Credential.objects.get(auditor=auditor)
    assert post(admin, auditor, "roles", act="take", role="auditor").status_code == 303
    key.refresh_from_db()
    assert key.revoked_at is not None
    other, _ = registration.issue_credential(by=SETTING_UP, holder=auditor, scopes=(Scope.AUDIT,))
    assert post(admin, auditor, "deactivate", **WHY).status_code == 303
    other.refresh_from_db()
    assert other.revoked_at is not None
    assert len(entries("credential.revoked")) == 2


def test_the_list_says_whose_agents_nobody_answers_for(cast: Cast) -> None:
    admin = at(cast["admin1"])
    assert "Nobody answers for" not in said(admin.get("/people/"))
    assert "Nobody will answer for helpdesk" in said(admin.get(f"/people/{cast['owner1'].pk}/"))
    post(admin, cast["owner1"], "deactivate", **WHY)
    told = said(admin.get("/people/"))
    assert "Nobody answers for these agents" in told
    assert "helpdesk" in told


def test_an_auditors_key_ends_with_the_day_the_role_was_given_for(cast: Cast) -> None:
    header = f"Bearer {cast.keys['auditor']}"
    assert credential_for(header).auditor == cast["auditor1"]
    with forging():
        RoleGrant.objects.filter(user=cast["auditor1"]).update(expires_at=queries.clock() - timedelta(seconds=1))
    with pytest.raises(Problem):
        credential_for(header)
    assert credential_for(f"Bearer {cast.keys['agent']}").agent == cast.agent


def test_who_has_no_way_to_confirm_signs_in_anew_for_what_takes_two(cast: Cast) -> None:
    admin = at(cast["admin1"])
    codes.move(admin, at=-301)
    with forging():
        User.objects.filter(pk=cast["admin1"].pk).update(password="!no way")
    admin.force_login(User.objects.get(pk=cast["admin1"].pk))  # as through a provider, by a proof that is old
    told = post(admin, cast["admin3"], "deactivate", **WHY)
    assert told.status_code == 422
    assert "less than 5 minutes old" in said(told)
    assert not RightsChange.objects.exists()
