"""The pages of allowances: proposing one from a request, agreeing, seeing its uses, revoking."""

from __future__ import annotations

from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from approvals.models import Allowance, Request
from tests.support.cast import Cast, file_request, leaves_teams
from tests.support.forms import said

pytestmark = pytest.mark.django_db(transaction=True)
SignedIn = Callable[..., Client]
WHY = "Parcels of that carrier are lost each week, small amounts."
SMALL = 'context.parameters.amount_cents <= 5000 && context.parameters.currency == "USD"'


def form(request: Request, **fields: str) -> dict[str, str]:
    return {"request": str(request.pk), "condition": SMALL, "uses": "3", "hours": "24", "rationale": WHY, **fields}


def made(client: Client, request: Request, **fields: str) -> str:
    """The address of an allowance that was proposed."""
    answer = client.post("/allowances/new/", form(request, **fields))
    assert answer.status_code == 303, said(answer)
    return str(answer["Location"])


def test_from_a_requests_page_to_an_allowance_that_is_used_up(cast: Cast, signed_in: SignedIn, sealed: None) -> None:
    request = file_request(cast, resource="order/1187")
    client = signed_in("support1")
    assert f"/allowances/new/?request={request.pk}" in client.get(f"/requests/{request.pk}/").content.decode()
    page = client.get(f"/allowances/new/?request={request.pk}")
    shown = unescape(page.content.decode())
    assert "context.parameters.amount_cents <= 4200" in shown
    assert 'context.resource like "order/*"' in shown
    assert "1 of the newest 1 request would have fallen under it" in said(page)
    url = made(client, request)
    assert "3 of 3 uses left" in said(client.get(url))
    used = [file_request(cast) for _ in range(4)]
    assert [one.status for one in used] == ["approved", "approved", "approved", "pending"]
    after = said(client.get(url))
    assert "0 of 3 uses left" in after
    assert "Used up" in after
    receipt = said(client.get(f"/requests/{used[1].pk}/"))
    assert "Approved under an allowance" in receipt
    assert "Use 2 of 3 of an allowance" in receipt
    assert "allowed ahead by Sam Porter" in receipt
    assert "Approved under an allowance" in said(client.get("/queue/"))


def test_bounds_are_tried_on_real_requests_and_nothing_is_made(cast: Cast, signed_in: SignedIn) -> None:
    for cents in (1000, 4000, 9000):
        file_request(cast, parameters={"amount_cents": cents})
    request = file_request(cast)
    answer = signed_in("support1").post("/allowances/new/", form(request, rationale="") | {"try": "1"})
    assert answer.status_code == 200
    assert "3 of the newest 4 requests would have fallen under it" in said(answer)
    assert "Free: /order, /reason" in said(answer)
    assert not Allowance.objects.exists()


@pytest.mark.parametrize(
    ("field", "typed"),
    [
        ("condition", "true }; permit (principal, action, resource) when { true"),
        ("condition", "context.parameters.amount_cents <= 1"),
        ("uses", "1001"),
        ("uses", "many"),
        ("hours", "999"),
        ("rationale", "ok"),
    ],
)
def test_what_is_unbounded_is_422_with_the_text_kept(cast: Cast, signed_in: SignedIn, field: str, typed: str) -> None:
    answer = signed_in("support1").post("/allowances/new/", form(file_request(cast), **{field: typed}))
    assert answer.status_code == 422
    assert f'href="#id_{field}"' in answer.content.decode()
    assert typed in unescape(answer.content.decode())
    assert not Allowance.objects.exists()


@pytest.mark.parametrize(("name", "status"), [("owner1", 403), ("finance1", 404), ("admin1", 404), ("auditor1", 404)])
def test_who_may_not_agree_cannot_propose(cast: Cast, signed_in: SignedIn, name: str, status: int) -> None:
    request = file_request(cast)
    client = signed_in(name)
    assert client.post("/allowances/new/", form(request)).status_code == status
    assert "/allowances/new/" not in client.get(f"/requests/{request.pk}/").content.decode()
    assert not Allowance.objects.exists()


def test_nothing_critical_is_offered_and_the_page_says_why(cast: Cast, signed_in: SignedIn) -> None:
    request = file_request(cast, "customer.export")
    client = signed_in("privacy1")
    assert "/allowances/new/" not in client.get(f"/requests/{request.pk}/").content.decode()
    assert "Nothing critical is allowed ahead" in said(client.get(f"/allowances/new/?request={request.pk}"))


def test_two_of_finance_agree_on_a_page(cast: Cast, signed_in: SignedIn, sealed: None) -> None:
    request = file_request(cast, parameters={"amount_cents": 20_000})
    bounds = "context.parameters.amount_cents <= 20000"
    url = made(signed_in("finance1"), request, condition=bounds)
    assert "In force once 1 more of finance agreed" in said(signed_in("finance1").get(url))
    assert "Agree to this allowance" not in said(signed_in("finance1").get(url))
    second = signed_in("finance2")
    refused = second.post(f"{url}agree/", {"rationale": "ok <b>"})
    assert refused.status_code == 422
    assert "ok <b>" in unescape(refused.content.decode())
    assert second.post(f"{url}agree/", {"rationale": WHY}).status_code == 303
    assert second.post(f"{url}agree/", {"rationale": WHY}).status_code == 409
    assert file_request(cast, parameters={"amount_cents": 20_000}).status == "approved"


@pytest.mark.parametrize(
    ("name", "status"), [("support2", 303), ("owner1", 303), ("admin1", 303), ("leader1", 303), ("auditor1", 404)]
)
def test_taking_back_needs_less_than_giving(
    cast: Cast, signed_in: SignedIn, sealed: None, name: str, status: int
) -> None:
    url = made(signed_in("support1"), file_request(cast))
    client = signed_in(name)
    assert client.get(url).status_code == 200
    if status == 303:
        assert client.post(f"{url}revoke/", {"reason": ""}).status_code == 422
    assert client.post(f"{url}revoke/", {"reason": "Enough \u3164of it."}).status_code == status
    assert file_request(cast).status == ("pending" if status == 303 else "approved")
    if status == 303:
        page = said(client.get(url))
        assert "Revoked" in page
        assert "[U+3164]" in page
        assert client.post(f"{url}revoke/", {"reason": "Again."}).status_code == 409


@pytest.mark.parametrize("name", ["finance1", "privacy1", "author1"])
def test_for_others_an_allowance_is_not_there(cast: Cast, signed_in: SignedIn, sealed: None, name: str) -> None:
    url = made(signed_in("support1"), file_request(cast))
    client = signed_in(name)
    assert client.get(url).status_code == 404
    assert client.post(f"{url}agree/", {"rationale": WHY}).status_code == 404
    assert client.post(f"{url}revoke/", {"reason": WHY}).status_code == 404
    assert "refund.create" not in said(client.get("/allowances/"))


def test_get_and_a_post_without_its_token_change_nothing(cast: Cast, signed_in: SignedIn, sealed: None) -> None:
    url = made(signed_in("support1"), file_request(cast))
    strict = signed_in("support1", enforce_csrf_checks=True)
    for path, fields in (("revoke/", {"reason": "x"}), ("agree/", {"rationale": WHY})):
        assert strict.get(f"{url}{path}").status_code == 405
        assert strict.post(f"{url}{path}", fields).status_code == 403
    assert strict.post("/allowances/new/", form(file_request(cast))).status_code == 403
    assert Allowance.objects.get().revoked_at is None


def test_the_agents_page_lists_it_with_what_is_left(cast: Cast, signed_in: SignedIn, sealed: None) -> None:
    made(signed_in("support1"), file_request(cast))
    file_request(cast)
    page = said(signed_in("owner1").get("/agents/helpdesk/"))
    assert "2 of 3" in page
    assert "In force" in page


def test_it_says_when_those_who_agreed_no_longer_may(cast: Cast, signed_in: SignedIn, sealed: None) -> None:
    url = made(signed_in("support1"), file_request(cast))
    leaves_teams(cast["support1"])
    assert "Not usable" in said(signed_in("support2").get(url))


def test_pages_of_allowances_keep_their_budget(cast: Cast, signed_in: SignedIn, sealed: None) -> None:
    client = signed_in("support1")
    request = file_request(cast)
    url = made(client, request, uses="50")

    def cost(path: str) -> int:
        client.get(path)
        with CaptureQueriesContext(connection) as asked:
            answer: Any = client.get(path)
        assert answer.status_code == 200
        return len([one for one in asked if one["sql"] not in ("BEGIN", "COMMIT")])

    used = file_request(cast)
    paths = ("/allowances/", url, f"/allowances/new/?request={request.pk}", f"/requests/{used.pk}/")
    before = [cost(path) for path in paths]
    for _ in range(10):
        file_request(cast)
        made(client, request)
    assert [cost(path) for path in paths] == before
    assert before[0] <= 12
    assert max(before) <= 20


def test_a_form_sent_twice_makes_one_allowance_and_is_good_for_nobody_else(
    cast: Cast, signed_in: SignedIn, sealed: None
) -> None:
    request = file_request(cast)
    client = signed_in("support1")
    page = client.get(f"/allowances/new/?request={request.pk}").content.decode()
    once = page.partition('name="once" value="')[2].partition('"')[0]
    first, second = (made(client, request, once=once) for _ in range(2))
    assert first == second
    assert Allowance.objects.count() == 1
    other = signed_in("support2").post("/allowances/new/", form(request, once=once))
    assert other.status_code == 403
    assert "Open the form anew" in said(other)
    assert Allowance.objects.count() == 1
