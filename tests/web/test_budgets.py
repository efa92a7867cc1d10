"""What pages may cost: queries that do not grow with the data, and bytes on the wire."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.support.cast import Cast, decide, file_request, overdue

pytestmark = pytest.mark.django_db(transaction=True)
SignedIn = Callable[..., Client]
LIST, ONE, HTML = 12, 20, 20_000


def cost(client: Client, url: str) -> tuple[int, int]:
    """Queries (the words that begin and end a transaction are none), and compressed bytes, of a page opened before."""
    client.get(url)
    with CaptureQueriesContext(connection) as asked:
        answer = client.get(url)
    assert answer.status_code == 200
    queries = [one["sql"] for one in asked if one["sql"] not in ("BEGIN", "COMMIT")]
    return len(queries), len(gzip.compress(answer.content))


def fill(cast: Cast, many: int) -> None:
    for n in range(many):
        file_request(cast, parameters={"order": 5_000 + n})
        high = file_request(cast, parameters={"amount_cents": 20_000 + n})
        if n % 3 == 0:
            decide(high, cast["finance1"])
        if n % 4 == 0:
            decide(file_request(cast, parameters={"order": n}), cast["support1"])
            decide(file_request(cast), cast["support2"], "reject", rationale="Not needed here.")


@pytest.mark.parametrize("name", ["support1", "finance1", "owner1", "auditor1"])
def test_lists_keep_their_budget_and_do_not_grow(cast: Cast, signed_in: SignedIn, sealed: None, name: str) -> None:
    client = signed_in(name)
    fill(cast, 10)
    few = {url: cost(client, url)[0] for url in ("/queue/", "/history/", "/history/?q=order&status=pending")}
    fill(cast, 50)
    for url, before in few.items():
        queries, size = cost(client, url)
        assert queries == before, url
        assert queries <= LIST, url
        assert size <= HTML, url


def test_overdue_rows_cost_a_list_no_more_than_its_budget(cast: Cast, signed_in: SignedIn) -> None:
    for _ in range(4):
        overdue(file_request(cast))
        file_request(cast)
    for url in ("/queue/", "/history/", "/history/?status=expired"):
        assert cost(signed_in("support1"), url)[0] <= LIST, url


@pytest.mark.parametrize("name", ["finance2", "owner1", "auditor1"])
def test_a_request_keeps_its_budget_whatever_surrounds_it(
    cast: Cast, signed_in: SignedIn, sealed: None, name: str
) -> None:
    decide(file_request(cast, resource="order/5", parameters={"amount_cents": 20_000}), cast["finance1"], "reject",
           rationale="Too much for it.")  # fmt: skip
    request = file_request(cast, resource="order/5", parameters={"amount_cents": 21_000})
    client, url = signed_in(name), f"/requests/{request.pk}/"
    before = cost(client, url)[0]
    decide(request, cast["finance1"])
    fill(cast, 20)
    queries, size = cost(client, url)
    assert queries == before
    assert queries <= ONE
    assert size <= HTML
    done = decide(request, cast["finance2"])
    assert done.status == "approved"
    assert cost(client, url)[0] <= ONE


def test_the_largest_payload_stays_a_page(cast: Cast, signed_in: SignedIn) -> None:
    request = file_request(cast, "email.send", {"body": "All work and no play. " * 10_000})
    assert cost(signed_in("support1"), f"/requests/{request.pk}/")[1] <= HTML
