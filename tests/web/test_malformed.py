"""What no form sends, in each field of people's and absence's pages: refused or not found, never an error of ours."""

from __future__ import annotations

from itertools import product

import pytest
from django.test import Client

from accounts import two_people
from accounts.models import AccessLine, RightsChange
from tests.support.cast import Cast
from tests.support.colleagues import acting, at, make_house
from tests.support.times import away

NONSENSE = ("\x00", "a\x00b", "'\"\\", "%00", "\ufffe\u202e", "٣", "9" * 400, "not-an-id", "{}", "-1", "10000-01-01")
GOOD = {"reason": "Because.", "team": "finance", "role": "leadership", "email": "new@example.test", "name": "Nina"}
DELEGATION = {"delegator": "support1@example.test", "delegate": "finance1@example.test", "starts_at": "",
              "ends_at": "2999-01-01T10:00", "reason": "Leave"}  # fmt: skip
HOURS = {"weekdays": "1", "opens": "09:00", "closes": "17:00", "timezone": "UTC"}


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    """Three administrators, one of finance, one of support."""
    return make_house(only=("support1", "finance1"))


def forms(cast: Cast) -> list[tuple[str, dict[str, str], tuple[str, ...]]]:
    """Each address, what a form there would send, and the fields to spoil one after another."""
    person = f"/people/{cast['support1'].pk}"
    change = two_people.propose(
        by=acting(cast["admin2"]), person_id=cast["admin3"].pk, kind=RightsChange.Kind.DEACTIVATE, reason="Left."
    )
    assert change is not None
    lent = away(cast["finance1"], cast["support1"])
    line = AccessLine.objects.get(person=cast["support1"])
    return [
        (f"{person}/teams/", {"act": "seat", **GOOD}, ("act", "team", "reason")),
        (f"{person}/teams/", {"act": "unseat", **GOOD}, ("team", "reason")),
        (f"{person}/roles/", {"act": "give", "until": "", **GOOD}, ("act", "role", "until", "reason")),
        (f"{person}/roles/", {"act": "take", **GOOD}, ("role", "reason")),
        (f"/people/{cast['admin3'].pk}/deactivate/", {}, ("reason",)),
        (f"/people/{cast['admin3'].pk}/reactivate/", {}, ("reason",)),
        (f"/people/{cast['admin3'].pk}/link/", {}, ("reason",)),
        (f"{person}/deactivate/", {}, ("reason",)),
        (f"/people/changes/{change.pk}/", {"act": "cancel", "person": str(cast["admin3"].pk)}, ("act", "person")),
        ("/people/invite/", {"teams": "finance", "roles": "auditor", **GOOD}, ("email", "name", "teams", "roles")),
        ("/teams/", {"slug": "night", "name": "Night"}, ("slug", "name")),
        ("/teams/finance/", {"act": "seat", "email": "support1@example.test"}, ("act", "email", "reason")),
        ("/teams/finance/", {"act": "unseat", "person": str(cast["support1"].pk)}, ("person", "reason")),
        ("/teams/finance/hours/", HOURS, tuple(HOURS)),
        ("/reviews/access/", {"act": "answer"}, ("act", f"line-{line.pk}", f"seen-{line.pk}")),
        ("/preferences/delegation/", DELEGATION, tuple(DELEGATION)),
        (f"/preferences/delegation/{lent.pk}/end/", {}, ("reason",)),
    ]


def test_what_no_form_sends_is_never_an_error_of_ours(cast: Cast) -> None:
    client = at(cast["admin1"])
    client.raise_request_exception = False
    client.post("/reviews/access/", {"act": "begin"})
    for address, sent, spoilt in forms(cast):
        for name, nonsense in product(spoilt, NONSENSE):
            status = client.post(address, {**sent, name: nonsense}).status_code
            assert status < 500, (address, name, nonsense)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/people/", "q"), ("/people/", "state"), ("/people/", "after"), ("/teams/", "after"),
        ("/teams/finance/", "after"), ("/preferences/delegation/", "before"), ("/reviews/access/", "after"),
    ],
)  # fmt: skip
def test_an_address_with_nonsense_after_it_is_answered(cast: Cast, address: str, name: str) -> None:
    client = at(cast["admin1"])
    for nonsense in NONSENSE:
        assert client.get(address, {name: nonsense}).status_code == 200, nonsense


def test_an_id_that_is_none_is_not_found(cast: Cast) -> None:
    client = at(cast["admin1"])
    for nonsense in ("%00", "not-an-id", "a%00b"):
        for address in (
            f"/people/{nonsense}/",
            f"/people/{nonsense}/teams/",
            f"/people/changes/{nonsense}/",
            f"/teams/{nonsense}/",
            f"/teams/{nonsense}/hours/",
            f"/preferences/delegation/{nonsense}/end/",
        ):
            assert client.post(address, GOOD).status_code == 404, address


@pytest.mark.parametrize("what", ["teams", "roles", "deactivate", "reactivate", "sign-out", "link"])
def test_who_may_not_change_people_learns_not_even_whether_there_is_such_a_person(cast: Cast, what: str) -> None:
    client = Client()
    client.force_login(cast["support1"])
    nobody = "0190a0a0-0000-7000-8000-000000000000"
    for person in (str(cast["finance1"].pk), nobody):
        for fields in ({}, {"act": "nonsense"}, {"act": "seat", "team": "finance"}, {"act": "give", "role": "auditor"}):
            assert client.post(f"/people/{person}/{what}/", fields).status_code == 404
    assert client.post(f"/people/changes/{nobody}/", {"act": "nonsense"}).status_code == 404
