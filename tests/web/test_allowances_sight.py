"""What the pages of agents and allowances show to whom: nothing of a request that the reader may not open or reads
masked, and first what is in force.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from accounts import delegations, people
from agents import registration
from approvals import allowances, queries
from approvals.allowances import Wanted
from approvals.models import Allowance, Request
from tests.support.cast import SETTING_UP, Cast, file_request, leaves_teams, password_proof
from tests.support.forms import said

pytestmark = pytest.mark.django_db(transaction=True)
SignedIn = Callable[..., Client]
WHY = "Parcels of that carrier are lost each week, small amounts."
SMALL = "context.parameters.amount_cents <= 5000"
HELPDESK = "/agents/helpdesk/"
TITLE = "$42.00"


def allowed(cast: Cast, basis: Request | None = None) -> Allowance:
    """In force by the yes of support1."""
    return allowances.propose(
        person=cast["support1"],
        request_id=(basis or file_request(cast)).pk,
        wanted=Wanted(SMALL, 3, 24, WHY),
        auth=password_proof(),
    )


def revoke(cast: Cast, allowance: Allowance) -> None:
    allowances.revoke(person=cast["support1"], allowance_id=allowance.pk, reason="Enough.", auth=password_proof())


def requests_linked(page: Any) -> set[str]:
    return set(re.findall(r'href="(/requests/[^"#?]*)', page.content.decode()))


# ---- trying bounds
@pytest.mark.parametrize("administers", [False, True])
def test_bounds_are_tried_only_on_requests_whose_parameters_the_reader_sees(
    cast: Cast, signed_in: SignedIn, administers: bool
) -> None:
    large = file_request(cast, parameters={"amount_cents": 20_000})  # asks finance, and nobody of support
    basis = file_request(cast)
    if administers:  # sees every request, its parameters masked
        people.join_team(by=SETTING_UP, user=cast["admin1"], team=cast.teams["support"])
    client = signed_in("admin1" if administers else "support1")
    oracle = "context.parameters.amount_cents == 20000 || context.parameters.amount_cents == 4200"
    fields = {"request": str(basis.pk), "condition": oracle, "uses": "3", "hours": "24", "rationale": WHY, "try": "1"}
    page = client.post("/allowances/new/", fields)
    assert "1 of the newest 1 request would have fallen under it" in said(page)
    assert f"/requests/{large.pk}/" not in requests_linked(page)


# ---- masks
@pytest.mark.parametrize("name", ["auditor1", "admin1", "leader1"])
def test_bounds_and_reasons_are_masked_for_who_reads_payloads_masked(
    cast: Cast, signed_in: SignedIn, sealed: None, name: str
) -> None:
    allowance = allowed(cast)
    file_request(cast)
    for path in ("/allowances/", f"/allowances/{allowance.pk}/", HELPDESK):
        page = said(signed_in(name).get(path))
        assert "[masked]" in page, path
        for hidden in ("amount_cents", WHY, TITLE, "Free:"):
            assert hidden not in page, path


@pytest.mark.parametrize("name", ["support1", "support2", "owner1"])
def test_bounds_and_reasons_are_plain_to_who_may_agree_or_answers_for_the_agent(
    cast: Cast, signed_in: SignedIn, sealed: None, name: str
) -> None:
    allowance = allowed(cast)
    file_request(cast)
    assert SMALL in said(signed_in(name).get("/allowances/"))
    page = said(signed_in(name).get(f"/allowances/{allowance.pk}/"))
    for shown in (SMALL, WHY, TITLE, "Free:"):
        assert shown in page


def test_who_agreed_reads_what_they_agreed_to_after_they_left_the_team(
    cast: Cast, signed_in: SignedIn, sealed: None
) -> None:
    allowance = allowed(cast)
    leaves_teams(cast["support1"])
    page = said(signed_in("support1").get(f"/allowances/{allowance.pk}/"))
    assert SMALL in page
    assert WHY in page


def test_a_delegate_reads_the_uses_that_they_may_decide_and_no_others(
    cast: Cast, signed_in: SignedIn, sealed: None
) -> None:
    allowance = allowed(cast)
    before = file_request(cast)
    support = cast["support1"]
    until = queries.clock() + timedelta(days=1)
    delegations.name(
        by=support, delegator=support, delegate=cast["auditor1"], starts_at=None, ends_at=until, reason="Away."
    )
    since = file_request(cast)
    assert (before.status, since.status) == ("approved", "approved")
    page = said(signed_in("auditor1").get(f"/allowances/{allowance.pk}/"))
    assert page.count(TITLE) == 1
    assert f"refund.create on {before.resource}" in page


# ---- links
@pytest.mark.parametrize("name", ["admin1", "auditor1", "leader1", "owner1", "support1"])
def test_no_page_links_to_a_request_that_is_not_there_for_its_reader(
    cast: Cast, signed_in: SignedIn, sealed: None, name: str
) -> None:
    allowance = allowed(cast)
    made = [
        file_request(cast),
        file_request(cast, parameters={"amount_cents": 20_000}),
        file_request(cast, "email.send"),
    ]
    client = signed_in(name)
    for path in (HELPDESK, f"/allowances/{allowance.pk}/"):
        page = client.get(path)
        if name == "support1" and path == HELPDESK:
            assert page.status_code == 404
            continue
        assert page.status_code == 200
        for url in requests_linked(page):
            assert client.get(url).status_code == 200, (path, url)
        if name == "leader1":
            assert not any(one.resource in said(page) for one in made), "nothing of what they may not open"


# ---- what is in force comes first
def test_the_agents_page_shows_what_is_in_force_before_what_ended_and_leads_to_all(
    cast: Cast, signed_in: SignedIn, sealed: None
) -> None:
    basis = file_request(cast)
    first = allowed(cast, basis)
    for _ in range(20):
        revoke(cast, allowed(cast, basis))
    page = signed_in("owner1").get(HELPDESK)
    assert f"/allowances/{first.pk}/" in page.content.decode()
    assert "/allowances/?agent=helpdesk" in page.content.decode()
    assert said(page).index("In force") < said(page).index("Revoked")


def test_the_list_of_allowances_is_narrowed_to_one_agent(cast: Cast, signed_in: SignedIn, sealed: None) -> None:
    other = registration.register_agent(by=SETTING_UP, slug="other", purpose="-", owner=cast["owner1"], level=3)
    ours = allowed(cast)
    theirs = allowed(cast, file_request(cast, agent=other))
    page = signed_in("owner1").get("/allowances/?agent=other").content.decode()
    assert str(theirs.pk) in page
    assert str(ours.pk) not in page
