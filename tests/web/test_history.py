"""The history: each filter, paging, and a filter that cannot be used is an error and never a wider answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client

from agents import registration
from approvals import access, history
from approvals.models import Request
from tests.support import services
from tests.support.cast import SETTING_UP, Cast, decide, file_request, overdue
from tests.support.forms import said

pytestmark = pytest.mark.django_db(transaction=True)
SignedIn = Callable[..., Client]


def found(client: Client, query: str = "") -> list[Any]:
    answer = client.get(f"/history/{query}")
    assert answer.status_code == 200, said(answer)
    return [row.id for row in answer.context["page"].rows]


@pytest.fixture
def told(cast: Cast, sealed: None) -> dict[str, Request]:
    """One request of each kind, by a name."""
    made = {
        "pending": file_request(cast, resource="order/77", summary="Parcel lost near Bremen"),
        "approved": file_request(cast, parameters={"amount_cents": 4_100}),
        "rejected": file_request(cast, "email.send"),
        "expired": overdue(file_request(cast)),
        "blocked": file_request(cast, "backup.delete"),
        "unknown": file_request(cast, parameters={"more": 1}),
        "high": file_request(cast, parameters={"amount_cents": 20_000}),
        "critical": file_request(cast, "customer.export"),
        "allowed": file_request(cast, "docs.read"),
    }
    decide(made["approved"], cast["support1"])
    decide(made["rejected"], cast["support2"], "reject", rationale="No letter is needed here.")
    return made


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("?status=pending", {"pending", "unknown", "high", "critical"}),
        ("?status=approved", {"approved", "allowed"}),
        ("?status=rejected", {"rejected"}),
        ("?status=expired", {"expired"}),
        ("?status=blocked", {"blocked"}),
        ("?status=withdrawn", set()),
        ("?action=email.send", {"rejected"}),
        ("?agent=helpdesk&status=blocked", {"blocked"}),
        ("?agent=somebody", set()),
        ("?risk=critical", {"critical"}),
        ("?risk=unknown", {"unknown"}),
        ("?risk=high", {"high", "blocked"}),
        ("?risk=low", {"allowed"}),
        ("?person=SUPPORT1@example.test", {"approved"}),
        ("?person=support2@example.test", {"rejected"}),
        ("?person=nobody@example.test", set()),
        ("?q=order/77", {"pending"}),
        ("?q=77", {"pending"}),  # a part of an address is a word
        ("?q=customer.exp", {"critical"}),
        ("?q=email.send+mail", set()),
        ("?from=2000-01-01&to=2001-01-01", set()),
    ],
)
def test_each_filter_finds_exactly_its_own(
    cast: Cast, signed_in: SignedIn, told: dict[str, Request], query: str, names: set[str]
) -> None:
    assert set(found(signed_in("auditor1"), query)) == {told[name].pk for name in names}


def test_words_match_from_their_beginning_in_action_resource_and_summary(
    cast: Cast, signed_in: SignedIn, told: dict[str, Request]
) -> None:
    client = signed_in("support1")
    assert found(client, "?q=breme+parc") == [told["pending"].pk]
    assert found(client, "?q=BREMEN") == [told["pending"].pk]
    assert found(client, "?q=bremen+order/78") == []


@pytest.mark.parametrize("q", ["'", "\\", "a & | !( :*", "''':*", "\u202e", "%", "<->", "x" * 300])
def test_any_words_can_be_asked_for(cast: Cast, signed_in: SignedIn, q: str) -> None:
    assert signed_in("support1").get("/history/", {"q": q}).status_code == 200


def test_words_are_looked_up_in_the_index(cast: Cast) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        plan = history.matching(access.viewer(cast["support1"]), history.Filter(words="bremen/77")).explain()
    assert "requests_by_words" in plan


def test_days_are_whole_days_of_utc(cast: Cast, signed_in: SignedIn) -> None:
    request = file_request(cast)
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        owner.execute(
            "UPDATE approvals_request SET created_at = %s, expires_at = %s WHERE id = %s",
            [datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC), datetime.now(UTC) + timedelta(days=1), request.pk],
        )
    client = signed_in("support1")
    assert found(client, "?from=2026-03-01&to=2026-03-01") == [request.pk]
    assert found(client, "?to=2026-02-28") == found(client, "?from=2026-03-02") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?status=open", "status"),
        ("?risk=dangerous", "risk"),
        ("?from=yesterday", "from"),
        ("?to=2026-02-30", "to"),
        ("?from=2026-02-02&to=2026-02-01", "to"),
        ("?state=pending", "q"),
        ("?status=pending&status=expired", "status"),
        ("?person=" + "x" * 400, "person"),
    ],
)
def test_a_filter_that_cannot_be_used_is_422_with_no_rows_and_no_export(
    cast: Cast, signed_in: SignedIn, query: str, field: str
) -> None:
    file_request(cast)
    client = signed_in("support1")
    for page in ("/history/", "/history/export.csv", "/history/export.jsonl"):
        answer = client.get(f"{page}{query}")
        assert answer.status_code == 422
        assert list(answer.context["page"].errors) == [field]
        assert answer.context["page"].rows == []
    assert said(answer).startswith("Error:")


def test_pages_hold_every_row_once_and_keep_the_filter(cast: Cast, signed_in: SignedIn) -> None:
    filed = [file_request(cast).pk for _ in range(120)]
    file_request(cast, "email.send")
    client, seen, url = signed_in("support1"), [], "/history/?action=refund.create"
    while url:
        page = client.get(url).context["page"]
        seen += [row.id for row in page.rows]
        url = page.older_url
    assert seen == sorted(filed, reverse=True)
    assert page.first_url == "/history/?action=refund.create"


def test_a_row_says_who_decided_and_why(cast: Cast, signed_in: SignedIn, told: dict[str, Request]) -> None:
    page = said(signed_in("support1").get("/history/?status=rejected"))
    assert "Support2 Example" in page
    assert "“No letter is needed here.”" in page
    assert "Times are UTC." in page


def test_another_agent_of_another_owner_is_none_of_an_owners_business(cast: Cast, signed_in: SignedIn) -> None:
    other = registration.register_agent(by=SETTING_UP, slug="other", purpose="Else.", owner=cast["finance1"], level=3)
    request = file_request(cast, "customer.export", agent=other)
    assert found(signed_in("owner1"), "?agent=other") == []
    assert found(signed_in("finance1"), "?agent=other") == [request.pk]


def test_two_empty_states_are_told_apart(cast: Cast, signed_in: SignedIn) -> None:
    client = signed_in("support1")
    assert "No request has been filed yet" in said(client.get("/history/"))
    assert "No request matches this filter" in said(client.get("/history/?status=expired"))
