"""Own requests, newest first: filters as a reader sees them, pages that lose and repeat nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from approvals.models import Request
from approvals.tasks import expire_due
from tests.support import contract
from tests.support.cast import Cast, decide, file_request, held, overdue
from tests.support.live import Caller


def ids(agent: Caller, **query: Any) -> list[str]:
    """The ids of one page."""
    response = agent.get("requests", **query)
    assert response.status_code == 200, response.text
    assert list(response.json()) == ["results", "next"]
    return [one["id"] for one in response.json()["results"]]


def test_a_list_is_newest_first_and_each_row_is_the_request_as_it_is_read(agent: Caller) -> None:
    filed = [agent.file(action).json()["id"] for action in ("docs.read", "refund.create", "backup.delete")]
    assert ids(agent) == filed[::-1]
    for document in agent.get("requests").json()["results"]:
        assert document == agent.read(document["id"])


@pytest.mark.parametrize("limit", [1, 3, 5, 100])
def test_pages_lose_nothing_and_repeat_nothing(agent: Caller, cast: Cast, limit: int) -> None:
    filed = [str(file_request(cast).pk) for _ in range(5)]
    found: list[str] = []
    query: dict[str, Any] = {"limit": limit}
    for _ in range(7):
        page = agent.get("requests", **query).json()
        assert len(page["results"]) <= limit
        found += [one["id"] for one in page["results"]]
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
        newer = file_request(cast)  # what is filed meanwhile stands before the first page
        assert str(newer.pk) not in found
    assert [one for one in found if one in filed] == filed[::-1]
    assert len(found) == len(set(found))


def test_a_page_holds_50_unless_told_otherwise_and_at_most_100(agent: Caller, cast: Cast) -> None:
    for _ in range(51):
        file_request(cast)
    page = agent.get("requests").json()
    assert len(page["results"]) == 50
    assert ids(agent, cursor=page["next"]) == ids(agent, limit=100)[50:]


def test_a_status_is_the_one_a_reader_sees(agent: Caller, cast: Cast) -> None:
    made = {
        "approved": file_request(cast, "docs.read"),
        "blocked": file_request(cast, "backup.delete"),
        "rejected": decide(file_request(cast), cast["support1"], "reject", rationale="Not this one."),
        "withdrawn": file_request(cast),
        "pending": file_request(cast),
    }
    agent.post(f"requests/{made['withdrawn'].pk}/withdraw", {})
    unswept = overdue(file_request(cast))
    swept = overdue(file_request(cast))
    with held(unswept):
        assert expire_due() == 1
    for status, request in made.items():
        assert ids(agent, status=status) == [str(request.pk)], status
    assert ids(agent, status="expired") == [str(swept.pk), str(unswept.pk)]
    assert Request.objects.get(pk=unswept.pk).status == "pending"


def test_an_overdue_request_that_is_held_is_listed_as_pending_and_never_under_another_status(
    agent: Caller, cast: Cast
) -> None:
    request = overdue(file_request(cast))
    with held(request):
        assert [one["status"] for one in agent.get("requests").json()["results"]] == ["pending"]
        assert ids(agent, status="expired") == []
    assert ids(agent, status="expired") == [str(request.pk)]
    assert ids(agent, status="pending") == []


def test_pages_of_a_status_pass_over_what_a_reader_sees_otherwise(agent: Caller, cast: Cast) -> None:
    made = [file_request(cast) for _ in range(6)]
    for request in made[::2]:
        overdue(request)
    for status, rows in (("pending", made[1::2]), ("expired", made[::2])):
        found, cursor = [], None
        for _ in range(9):
            query: dict[str, Any] = {"status": status, "limit": 1, **({"cursor": cursor} if cursor else {})}
            page = agent.get("requests", **query).json()
            found += [one["id"] for one in page["results"]]
            cursor = page["next"]
            if cursor is None:
                break
        assert found == [str(request.pk) for request in rows[::-1]], status


def test_the_filters_by_action_and_time_hold_together(agent: Caller) -> None:
    first, second, third = (agent.file(action).json() for action in ("docs.read", "refund.create", "docs.read"))
    assert ids(agent, action="docs.read") == [third["id"], first["id"]]
    assert ids(agent, action="docs") == []
    assert ids(agent, created_after=second["created_at"]) == [third["id"], second["id"]]  # inclusive
    assert ids(agent, created_before=second["created_at"]) == [first["id"]]  # exclusive
    assert ids(agent, action="docs.read", created_after=second["created_at"]) == [third["id"]]
    assert ids(agent, created_after=second["created_at"], created_before=third["created_at"]) == [second["id"]]


def test_a_time_may_carry_any_offset_and_nought_to_six_digits(agent: Caller) -> None:
    document = agent.file().json()
    at = contract.moment(document["created_at"]).replace(microsecond=0)
    before, after = at - timedelta(seconds=1), at + timedelta(seconds=2)
    for text in (
        before.strftime("%Y-%m-%dT%H:%M:%SZ"), before.strftime("%Y-%m-%dT%H:%M:%S.1Z"),
        before.strftime("%Y-%m-%dT%H:%M:%S.123456Z"), before.strftime("%Y-%m-%dT%H:%M:%S+00:00"),
        (before + timedelta(hours=5, minutes=30)).strftime("%Y-%m-%dT%H:%M:%S.000+05:30"),
        (before - timedelta(hours=8)).strftime("%Y-%m-%dT%H:%M:%S-08:00"),
    ):  # fmt: skip
        assert ids(agent, created_after=text) == [document["id"]], text
    assert ids(agent, created_after=after.strftime("%Y-%m-%dT%H:%M:%S.000001Z")) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "overdue"), ("status", "PENDING"), ("limit", "0"), ("limit", "101"), ("limit", "ten"),
        ("created_after", "yesterday"), ("created_before", "2026-13-01T00:00:00Z"), ("cursor", "x"),
    ],
)  # fmt: skip
def test_a_filter_that_cannot_be_read_is_422_and_named(agent: Caller, name: str, value: str) -> None:
    assert contract.pointers(agent.get(f"requests?{name}={quote(value)}")) == [f"/{name}"]


def test_a_list_of_thousands_is_never_answered_whole(agent: Caller, cast: Cast) -> None:
    file_request(cast)
    contract.problem(agent.get("requests", limit=10_000), "invalid")
