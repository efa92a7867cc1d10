"""The queue: whose turn it is, in which order, and what became of the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from tests.support.cast import Cast, decide, file_request, held, overdue, sits_in, totp_proof
from tests.support.forms import said

pytestmark = pytest.mark.django_db(transaction=True)
SignedIn = Callable[..., Client]


def queue(client: Client, query: str = "") -> Any:
    return client.get(f"/queue/{query}").context["page"]


def ids(rows: Any) -> list[Any]:
    return [row.id for row in rows]


def test_my_turn_is_what_my_teams_may_decide_and_nothing_else(cast: Cast, signed_in: SignedIn) -> None:
    mine, others = file_request(cast), file_request(cast, parameters={"amount_cents": 20_000})
    assert ids(queue(signed_in("support1")).your_turn) == [mine.pk]
    assert ids(queue(signed_in("finance1")).your_turn) == [others.pk]
    assert queue(signed_in("leader1")).your_turn == []


def test_the_most_urgent_stands_first_by_risk_then_deadline(cast: Cast, signed_in: SignedIn) -> None:
    sits_in(cast["support1"], cast.teams["finance"])
    sits_in(cast["support1"], cast.teams["privacy"])
    late = file_request(cast)
    soon = file_request(cast, timeout_seconds=300)
    high = file_request(cast, parameters={"amount_cents": 20_000})
    unknown = file_request(cast, parameters={"wire_to": "elsewhere"})
    critical = file_request(cast, "customer.export")
    page = queue(signed_in("support1"))
    assert ids(page.your_turn) == [one.pk for one in (critical, unknown, high, soon, late)]
    assert [row.risk for row in page.your_turn] == ["critical", "unknown", "high", "medium", "medium"]
    assert page.your_turn[3].deadline.urgency == "soon"
    assert page.your_turn[0].progress == "0 of 2 approvals"
    assert page.your_turn[4].progress == ""


def test_after_my_vote_it_waits_for_others_and_says_for_whom(cast: Cast, signed_in: SignedIn, sealed: None) -> None:
    request = file_request(cast, parameters={"amount_cents": 20_000})
    decide(request, cast["finance1"])
    page = queue(signed_in("finance1"))
    assert (ids(page.your_turn), ids(page.waiting)) == ([], [request.pk])
    said_why = "".join(run.text for run in page.waiting[0].why)
    assert said_why.startswith("You approved ")
    assert said_why.endswith("waits for finance")
    assert page.waiting[0].progress == "1 of 2 approvals"
    assert ids(queue(signed_in("finance2")).your_turn) == [request.pk]


def test_where_my_teams_seat_is_taken_it_is_the_others_turn(cast: Cast, signed_in: SignedIn, sealed: None) -> None:
    privacy2 = cast["support2"]
    sits_in(privacy2, cast.teams["privacy"])
    request = file_request(cast, "customer.export")
    decide(request, cast["privacy1"], confirm="1204", auth=totp_proof())
    page = queue(signed_in("support2"))
    assert (ids(page.your_turn), ids(page.waiting), page.count) == ([], [request.pk], 0)
    assert "waits for security" in "".join(run.text for run in page.waiting[0].why)
    assert ids(queue(signed_in("security1")).your_turn) == [request.pk]


def test_the_owner_waits_for_others_and_may_only_reject(cast: Cast, signed_in: SignedIn) -> None:
    request = file_request(cast)
    page = queue(signed_in("owner1"))
    assert (ids(page.your_turn), ids(page.waiting)) == ([], [request.pk])
    assert "you may only reject" in "".join(run.text for run in page.waiting[0].why)


def test_what_ended_is_listed_with_how(cast: Cast, signed_in: SignedIn) -> None:
    approved, rejected, expired = (file_request(cast) for _ in range(3))
    decide(approved, cast["support1"])
    decide(rejected, cast["support2"], "reject", rationale="No receipt was attached.")
    overdue(expired)
    told = {row.id: "".join(run.text for run in row.result) for row in queue(signed_in("support1")).recent}
    assert told == {
        approved.pk: "Approved by Sam Porter",
        rejected.pk: "Rejected by Support2 Example",
        expired.pk: "Expired, denied by default",
    }


def test_an_overdue_request_is_never_shown_as_pending(cast: Cast, signed_in: SignedIn) -> None:
    request = overdue(file_request(cast))
    page = queue(signed_in("support1"))
    assert (page.your_turn, page.count) == ([], 0)
    assert [(row.id, row.status) for row in page.recent] == [(request.pk, "expired")]


def test_nobody_is_told_it_expired_while_somebody_decides_it_at_its_deadline(cast: Cast, signed_in: SignedIn) -> None:
    request = overdue(file_request(cast))
    with held(request):
        page = queue(signed_in("support1"))
    assert (page.your_turn, page.recent) == ([], [])
    assert ids(queue(signed_in("support1")).recent) == [request.pk]


def test_a_request_like_one_that_was_denied_says_so(cast: Cast, signed_in: SignedIn) -> None:
    decide(file_request(cast, resource="order/5"), cast["support1"], "reject", rationale="Not needed.")
    again = file_request(cast, parameters={"amount_cents": 4_300}, resource="order/5")
    other = file_request(cast, resource="order/6")
    rows = {row.id: row.after_denial for row in queue(signed_in("support1")).your_turn}
    assert rows == {again.pk: True, other.pk: False}


@pytest.mark.parametrize("name", ["auditor1", "admin1", "author1"])
def test_who_decides_nothing_gets_a_sentence(cast: Cast, signed_in: SignedIn, name: str) -> None:
    file_request(cast)
    answer = signed_in(name).get("/queue/")
    assert answer.status_code == 200
    assert "You sit in no team that decides" in said(answer)


def test_an_empty_queue_says_that_silence_denies(cast: Cast, signed_in: SignedIn) -> None:
    assert "Nothing needs you" in said(signed_in("support1").get("/queue/"))
    assert "whatever nobody decides in time is denied" in said(signed_in("support1").get("/queue/"))


def test_pages_hold_each_row_once_in_order_and_count_them_all(cast: Cast, signed_in: SignedIn) -> None:
    filed = [file_request(cast, timeout_seconds=1_000 - n // 3) for n in range(65)]
    expected = sorted(filed, key=lambda one: (one.expires_at, one.pk))
    client, found, query = signed_in("support1"), [], ""
    for size in (30, 30, 5):
        page = queue(client, query)
        assert (len(page.your_turn), page.count) == (size, 65)
        found += ids(page.your_turn)
        query = page.older_url.removeprefix("/queue/")
    assert (found, query) == ([one.pk for one in expected], "")
    assert page.first_url == "/queue/"


@pytest.mark.parametrize("after", ["x", "9.1.2", "3.9999999999999999." + "f" * 32, "%00", "3." + "1" * 16 + ".zz"])
def test_a_made_up_place_begins_at_the_most_urgent(cast: Cast, signed_in: SignedIn, after: str) -> None:
    request = file_request(cast)
    assert ids(queue(signed_in("support1"), f"?after={after}").your_turn) in ([request.pk], [])
    assert signed_in("support1").get(f"/queue/?after={after}").status_code == 200


def test_the_address_of_the_house_leads_to_the_queue_and_strangers_to_sign_in(cast: Cast, signed_in: SignedIn) -> None:
    assert signed_in("support1").get("/")["Location"] == "/queue/"
    assert Client().get("/queue/")["Location"] == "/accounts/login/?next=/queue/"
