"""The polls: nothing when nothing changed, and everything that did, whatever the order in which it was committed."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.support import services
from tests.support.cast import Cast, decide, file_request, held, overdue, sits_in
from tests.support.forms import said
from tests.web.test_queue import queue

pytestmark = pytest.mark.django_db(transaction=True)
SignedIn = Callable[..., Client]


def next_poll(answer: Any) -> str:
    """Where a page or an answer says to ask next."""
    found = re.search(r'hx-get="([^"]+/poll/[^"]*)"', answer.content.decode())
    assert found
    return html.unescape(found[1])


def test_a_poll_of_an_unchanged_queue_is_204_and_one_read_beyond_session_and_user(
    cast: Cast, signed_in: SignedIn
) -> None:
    for _ in range(5):
        file_request(cast)
    client = signed_in("support1")
    url = queue(client).news.poll_url
    with CaptureQueriesContext(
        connection,
    ) as asked:
        answer = client.get(url)
    assert (answer.status_code, answer.content) == (204, b"")
    assert int(answer["X-Now"]) > 0
    assert len(asked) == 3


def test_new_requests_are_counted_until_they_are_shown(cast: Cast, signed_in: SignedIn) -> None:
    sits_in(cast["support1"], cast.teams["privacy"])
    file_request(cast)
    client = signed_in("support1")
    url = queue(client).news.poll_url
    file_request(cast)
    file_request(cast, "customer.export")
    answer = client.get(url)
    assert "2 new, 1 critical: show" in said(answer)
    assert client.get(next_poll(answer)).status_code == 204
    file_request(cast)
    assert "3 new, 1 critical: show" in said(client.get(next_poll(answer)))
    assert client.get(queue(client).news.poll_url).status_code == 204


def test_a_request_that_becomes_visible_late_is_not_missed(cast: Cast, signed_in: SignedIn) -> None:
    """Ids and times are drawn before the commit, so one filed earlier may come to light after a later one."""
    client = signed_in("support1")
    late = file_request(cast)
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        owner.execute("UPDATE approvals_request SET teams = '{}' WHERE id = %s", [late.pk])
    file_request(cast)
    url = queue(client).news.poll_url
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        owner.execute("UPDATE approvals_request SET teams = '{support}' WHERE id = %s", [late.pk])
    assert "1 new: show" in said(client.get(url))


def test_a_row_that_was_decided_stays_with_how_it_ended(cast: Cast, signed_in: SignedIn) -> None:
    mine, stays = file_request(cast), file_request(cast)
    client = signed_in("support1")
    url = queue(client).news.poll_url
    decide(mine, cast["support2"], "reject", rationale="No receipt was attached.")
    answer = client.get(url)
    text = answer.content.decode()
    assert f'id="r-{mine.pk}"' in text
    assert 'hx-swap-oob="true"' in text
    assert "Rejected by Support2 Example" in said(answer)
    assert str(stays.pk) not in text
    assert "new" not in said(answer)
    assert client.get(next_poll(answer)).status_code == 204


def test_a_deadline_that_passes_is_told_by_the_clock_alone(cast: Cast, signed_in: SignedIn) -> None:
    request = file_request(cast)
    client = signed_in("support1")
    url = queue(client).news.poll_url
    overdue(request)
    answer = client.get(url)
    assert "Expired, denied by default" in said(answer)
    assert client.get(next_poll(answer)).status_code == 204


def test_many_ends_come_a_few_at_a_time_and_all_of_them(cast: Cast, signed_in: SignedIn) -> None:
    filed = [file_request(cast) for _ in range(13)]
    client = signed_in("support1")
    url, told = queue(client).news.poll_url, []
    for one in filed:
        decide(one, cast["support2"], "reject", rationale="Closed with the others.")
    for _ in range(10):
        answer = client.get(url)
        if answer.status_code == 204:
            break
        told += re.findall(r'id="r-([0-9a-f-]{36})"', answer.content.decode())
        url = next_poll(answer)
    assert sorted(told) == sorted(str(one.pk) for one in filed)


def test_a_vote_of_a_colleague_changes_the_mark(cast: Cast, signed_in: SignedIn, sealed: None) -> None:
    request = file_request(cast, parameters={"amount_cents": 20_000})
    client = signed_in("finance2")
    url = queue(client).news.poll_url
    decide(request, cast["finance1"])
    assert client.get(url).status_code == 200


def test_what_others_may_see_changes_nothing_for_me(cast: Cast, signed_in: SignedIn) -> None:
    client = signed_in("support1")
    url = queue(client).news.poll_url
    file_request(cast, parameters={"amount_cents": 20_000})
    assert client.get(url).status_code == 204


@pytest.mark.parametrize(
    "query", ["", "?mark=x&made=-1&knew=zz&ended=99999999999999&said=g", "?made=1&ended=1", "?mark=%00"]
)
def test_a_made_up_poll_is_answered_in_peace(cast: Cast, signed_in: SignedIn, query: str) -> None:
    file_request(cast)
    assert signed_in("support1").get(f"/queue/poll/{query}").status_code == 200


# ---- one request


def test_a_poll_of_an_unchanged_request_is_204_and_one_read_beyond_session_and_user(
    cast: Cast, signed_in: SignedIn
) -> None:
    request, client = file_request(cast), signed_in("support1")
    url = next_poll(client.get(f"/requests/{request.pk}/"))
    with CaptureQueriesContext(connection) as asked:
        answer = client.get(url)
    assert (answer.status_code, len(asked)) == (204, 3)


def test_a_decision_turns_the_rail_into_the_receipt_and_brings_no_form(cast: Cast, signed_in: SignedIn) -> None:
    request, client = file_request(cast), signed_in("support1")
    url = next_poll(client.get(f"/requests/{request.pk}/"))
    decide(request, cast["support2"], "reject", rationale="No receipt was attached.")
    answer = client.get(url)
    text = answer.content.decode()
    assert "Rejected by Support2 Example." in said(answer)
    assert "No receipt was attached." in said(answer)
    assert 'id="rail"' in text
    assert "<form" not in text
    assert "hx-get" not in text  # nothing more to ask


def test_a_first_vote_of_two_moves_the_standing_alone(cast: Cast, signed_in: SignedIn, sealed: None) -> None:
    request = file_request(cast, parameters={"amount_cents": 20_000})
    client = signed_in("finance2")
    url = next_poll(client.get(f"/requests/{request.pk}/"))
    decide(request, cast["finance1"])
    answer = client.get(url)
    assert "1 of 2 approvals: finance approved." in said(answer)
    assert 'id="standing"' in answer.content.decode()
    assert "<form" not in answer.content.decode()
    assert client.get(next_poll(answer)).status_code == 204


def test_a_deadline_that_passes_is_told_to_who_reads(cast: Cast, signed_in: SignedIn) -> None:
    request, client = file_request(cast), signed_in("support1")
    url = next_poll(client.get(f"/requests/{request.pk}/"))
    overdue(request)
    assert "denied by default" in said(client.get(url))


def test_while_somebody_decides_at_the_deadline_nothing_is_said_yet(cast: Cast, signed_in: SignedIn) -> None:
    request, client = file_request(cast), signed_in("support1")
    url = next_poll(client.get(f"/requests/{request.pk}/"))
    overdue(request)
    with held(request):
        assert client.get(url).status_code == 204
    assert client.get(url).status_code == 200


def test_polls_are_small(cast: Cast, signed_in: SignedIn, sealed: None) -> None:
    high = file_request(cast, parameters={"amount_cents": 20_000})
    client = signed_in("finance2")
    of_queue, of_request = queue(client).news.poll_url, next_poll(client.get(f"/requests/{high.pk}/"))
    decide(high, cast["finance1"])
    file_request(cast, parameters={"amount_cents": 20_000})
    for url in (of_queue, of_request):
        assert len(client.get(url).content) <= 1_500
    decide(high, cast["finance2"])
    assert len(client.get(of_queue).content) <= 1_500
