"""That nobody can decide a request is told when it is filed: to those who can mend it, and never to the agent."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import time, timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from structlog.testing import capture_logs

from accounts import hours, second_factor
from accounts.hours import Hours
from accounts.models import User
from approvals import marks, queries
from approvals.models import Notice, Request
from tests.support.cast import Cast, decide, file_request
from tests.support.forging import forging
from tests.support.forms import said
from tests.support.leaves import entries
from tests.support.notifications import send_all
from tests.support.times import LARGE, away, escalating

SignedIn = Callable[[str], Client]


def with_apps(cast: Cast, *names: str) -> None:
    for name in names:
        second_factor.give_totp(user=cast[name], secret=base64.b32encode(name.encode().ljust(20)).decode())


def gaps(request: Request) -> Any:
    request.refresh_from_db()
    return request.undecidable


def gone(cast: Cast, *names: str) -> None:
    with forging():
        User.objects.filter(pk__in=[cast[name].pk for name in names]).update(is_active=False)


def elsewhere() -> Hours:
    """Hours that today and tomorrow have none of."""
    today = queries.clock().isoweekday()
    return Hours(frozenset({(today + 2) % 7 + 1}), time(9), time(17), "UTC")


# ---- when


def test_what_somebody_can_decide_raises_nothing(cast: Cast) -> None:
    assert gaps(file_request(cast)) is None
    assert gaps(file_request(cast, parameters=LARGE)) is None
    assert gaps(file_request(cast, "docs.read")) is None
    with_apps(cast, "privacy1", "security1")
    assert gaps(file_request(cast, "customer.export")) is None
    assert entries("request.undecidable") == []


def test_without_a_second_factor_nobody_can_prove_themselves(cast: Cast) -> None:
    with_apps(cast, "privacy1")
    assert gaps(file_request(cast, "customer.export")) == [
        {"team": "security", "lacking": 1, "members": 1, "why": {"no-proof": 1}}
    ]


def test_too_few_active_people_who_are_not_the_owner(cast: Cast) -> None:
    gone(cast, "finance2", "support1", "support2")
    assert gaps(file_request(cast, parameters=LARGE)) == [{"team": "finance", "lacking": 1, "members": 1, "why": {}}]
    assert gaps(file_request(cast)) == [{"team": "support", "lacking": 1, "members": 1, "why": {"owner": 1}}]


def test_a_delegate_stands_in_and_one_who_cannot_does_not(cast: Cast) -> None:
    made = away(cast["finance1"], cast["support2"])
    assert gaps(file_request(cast, parameters=LARGE)) is None
    gone(cast, "support2")
    assert gaps(file_request(cast, parameters=LARGE)) == [
        {"team": "finance", "lacking": 1, "members": 2, "why": {"away": 1}}
    ]
    assert made.ended_at is None


def test_hours_outside_the_time_to_decide(cast: Cast) -> None:
    hours.keep(by=cast["admin1"], team=cast.teams["finance"], hours=elsewhere())
    request = file_request(cast, parameters=LARGE)
    assert gaps(request) == [{"team": "finance", "lacking": 2, "members": 2, "why": {"hours": 2}}]
    assert gaps(file_request(cast)) is None
    decide(request, cast["finance1"])  # they keep nobody from deciding
    assert decide(request, cast["finance2"]).status == "approved"


def test_whom_it_escalates_to_is_counted_from_that_time_on(cast: Cast) -> None:
    gone(cast, "finance2")
    escalating()
    assert gaps(file_request(cast, parameters=LARGE)) is None
    assert gaps(file_request(cast, parameters=LARGE, timeout_seconds=500)) is not None


# ---- what follows


@pytest.fixture
def lonely(cast: Cast) -> Request:
    """A large refund that one person is too few for."""
    gone(cast, "finance2")
    return file_request(cast, parameters=LARGE, resource="order/77")


def test_it_is_an_entry_a_line_in_the_log_and_a_notice_and_the_request_is_filed_all_the_same(cast: Cast) -> None:
    gone(cast, "finance2")
    with capture_logs() as logs:
        request = file_request(cast, parameters=LARGE)
    assert request.status == "pending"
    (entry,) = entries("request.undecidable")
    assert entry["subject"]["id"] == str(request.pk)
    assert entry["facts"]["gaps"] == [{"team": "finance", "lacking": 1, "members": 1, "why": {}}]
    assert [log["event"] for log in logs] == ["request.undecidable"]
    assert Notice.objects.filter(event="request.undecidable", request=request).count() == 1


def test_administrators_and_leadership_are_told_at_once_without_the_parameters(cast: Cast, lonely: Request) -> None:
    send_all()
    told = {message.to[0].partition("@")[0]: message for message in mail.outbox}
    assert set(told) == {"admin1", "admin2", "leader1"}
    letter = told["leader1"]
    assert letter.subject == "[Countersign] Nobody can decide: refund.create on order/77"
    assert "200" not in str(letter.subject)
    assert "$200" not in str(letter.body)
    assert f"/requests/{lonely.pk}/" in str(letter.body)


def test_nobody_is_told_of_what_was_decided_meanwhile(cast: Cast, lonely: Request) -> None:
    decide(lonely, cast["finance1"], "reject", rationale="No.")
    send_all()
    assert mail.outbox == []


def test_the_page_and_the_queue_of_those_who_can_mend_it_say_so(
    cast: Cast, signed_in: SignedIn, lonely: Request
) -> None:
    for name in ("admin1", "leader1", "finance1", "owner1"):
        page = signed_in(name).get(f"/requests/{lonely.pk}/")
        assert page.status_code == 200
        assert "No one can decide this before its deadline. Found at filing: 1 more of finance: 1 member." in said(page)
    assert "$200" not in said(signed_in("leader1").get(f"/requests/{lonely.pk}/"))
    for name in ("admin1", "leader1"):
        assert "Nobody can decide" in said(signed_in(name).get("/queue/"))
    assert "Nobody can decide" not in said(signed_in("finance1").get("/queue/"))


def test_leadership_cannot_search_in_what_they_see_masked(cast: Cast, signed_in: SignedIn, lonely: Request) -> None:
    client, path = signed_in("leader1"), f"/requests/{lonely.pk}/"
    assert path in client.get("/history/?q=refund.create").content.decode()
    assert path not in client.get("/history/?q=parcel").content.decode()  # a word of the agent's summary
    assert path in signed_in("finance1").get("/history/?q=parcel").content.decode()
    assert "$200" not in said(client.get("/history/"))
    assert b"parcel" not in b"".join(client.get("/history/export.jsonl"))


def test_leadership_sees_no_other_request_by_it(cast: Cast, signed_in: SignedIn, lonely: Request) -> None:
    other = file_request(cast)
    assert signed_in("leader1").get(f"/requests/{other.pk}/").status_code == 404
    assert marks.request_mark(cast["leader1"].pk, other.pk) is None
    assert marks.request_mark(cast["leader1"].pk, lonely.pk) is not None
    assert signed_in("support1").get(f"/requests/{lonely.pk}/").status_code == 404


def test_the_agent_learns_nothing_of_it(cast: Cast) -> None:
    client = Client(headers={"authorization": f"Bearer {cast.keys['agent']}"})
    answered = client.get(f"/api/v1/requests/{file_request(cast, parameters=LARGE).pk}").json()
    gone(cast, "finance2")
    alone = client.get(f"/api/v1/requests/{file_request(cast, parameters=LARGE).pk}").json()
    assert {name for name, value in answered.items() if value is None} == {
        name for name, value in alone.items() if value is None
    }
    assert answered.keys() == alone.keys()
    assert (answered["status"], alone["status"]) == ("pending", "pending")


def test_looking_costs_a_filing_one_query_and_one_that_asks_nobody_none(cast: Cast) -> None:
    def looks(action: str) -> int:
        with CaptureQueriesContext(connection) as asked:
            file_request(cast, action)
        return sum("accounts_delegation" in one["sql"] for one in asked)

    assert (looks("refund.create"), looks("docs.read"), looks("backup.delete")) == (1, 0, 0)


def test_it_stays_as_it_was_found_though_people_come(cast: Cast, lonely: Request) -> None:
    with forging():
        User.objects.filter(pk=cast["finance2"].pk).update(is_active=True)
    decide(lonely, cast["finance1"])
    assert decide(lonely, cast["finance2"]).status == "approved"
    assert lonely.expires_at - lonely.created_at == timedelta(minutes=30)
