"""One agent cannot bury the reviewers: so many of its requests wait for people at once, and no more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection, transaction

from agents import registration
from approvals import queries
from approvals.models import Request
from bench.seeding import copies
from tests.support import contract, services
from tests.support.cast import SETTING_UP, Cast, file_request, overdue
from tests.support.leaves import entries
from tests.support.live import Caller, Server, filing, web

CAP = 3


@pytest.fixture
def crowded(cast: Cast) -> Iterator[Server]:
    """A web process with a small cap."""
    with web(PENDING_PER_AGENT=str(CAP)) as started:
        yield started


def test_file_beyond_the_cap_is_429_recorded_and_files_nothing(crowded: Server, cast: Cast) -> None:
    agent = Caller(crowded.url, cast.keys["agent"])
    filed = [agent.post("requests", filing(), key=f"k{n}").json()["id"] for n in range(CAP)]
    refused = agent.post("requests", filing(), key="more")
    contract.problem(refused, "too-many-requests")
    assert refused.headers["retry-after"] == "60"
    assert Request.objects.count() == CAP
    (entry,) = [leaf for leaf in entries("refusal.recorded") if leaf["facts"]["cause"] == "too-many-pending"]
    assert entry["actor"]["id"] == str(cast.agent.pk)
    # What does not wait for people is filed all the same, and so is an answer that was given before.
    assert agent.file("docs.read").status_code == 201
    assert agent.post(f"requests/{filed[0]}/withdraw", {}).status_code == 200
    assert agent.post("requests", filing(), key="more").status_code == 201  # a 429 is not remembered


def test_file_while_others_are_overdue_is_taken(crowded: Server, cast: Cast) -> None:
    for _ in range(CAP):
        overdue(file_request(cast))
    assert Caller(crowded.url, cast.keys["agent"]).file().status_code == 201


@pytest.mark.django_db(transaction=True)
def test_pending_of_an_agent_is_counted_by_its_index_up_to_the_cap(cast: Cast) -> None:
    other = registration.register_agent(
        by=SETTING_UP, slug="other", purpose="Another agent.", owner=cast["owner1"], level=3
    )
    for agent, many in ((cast.agent, 300), (other, 3_000)):
        for _ in copies(file_request(cast, agent=agent), many):
            pass
    with services.connection("owner") as owner:
        owner.execute("ANALYZE approvals_request")
    assert queries.has_pending(cast.agent.pk, at_least=200)
    assert not queries.has_pending(cast.agent.pk, at_least=302)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # so few rows would be read in any order
        cursor.execute(
            "EXPLAIN (ANALYZE, COSTS off, TIMING off) SELECT count(*) FROM (SELECT FROM approvals_request"
            " WHERE agent_id = %s AND status = 'pending' AND expires_at > statement_timestamp() LIMIT 200) AS p",
            [cast.agent.pk],
        )
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "pending_of_an_agent" in plan, plan
    assert "rows=200" in plan
