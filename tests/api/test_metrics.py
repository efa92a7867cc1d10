"""`/metrics`: the state of the house, how long a process takes, how tasks end; what is left where a part is away."""

from __future__ import annotations

import sys
import time

import httpx
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from prometheus_client.parser import text_string_to_metric_families

from agents.redis_link import link
from approvals import tasks as periodic
from approvals.models import Request
from approvals.notifications import sending
from config import celery, measures, metrics, task_outcomes
from tests.api.test_waiting import Waiting
from tests.support import services
from tests.support.cast import Cast, decide, file_request, make_cast, overdue
from tests.support.eventually import eventually
from tests.support.live import Caller, Server, process, web

pytestmark = pytest.mark.django_db(transaction=True)


def scrape() -> dict[str, tuple[str, dict[str, float]]]:
    """Family → (type, {label's value or '': sample})."""
    response = Client().get("/metrics")
    assert response.status_code == 200
    return {
        family.name: (family.type, {"".join(sample.labels.values()): sample.value for sample in family.samples})
        for family in text_string_to_metric_families(response.content.decode())
    }


def test_requests_are_told_by_gauges_those_that_ended_by_the_hour() -> None:
    cast = make_cast(only=("support1",))
    file_request(cast)
    decide(file_request(cast), cast["support1"], "reject", rationale="Not this one, please.")
    with services.connection("owner") as owner:
        owner.execute("ANALYZE approvals_request")
    found = scrape()
    assert {kind for name, (kind, _) in found.items() if name.startswith("countersign_requests")} == {"gauge"}
    assert found["countersign_requests"][1] == {"": 2.0}
    ended = found["countersign_requests_ended_last_hour"][1]
    assert ended == {"approved": 0, "rejected": 1, "expired": 0, "blocked": 0, "withdrawn": 0}
    assert sum(found["countersign_pending_requests"][1].values()) == 1
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        owner.execute("UPDATE approvals_request SET decided_at = decided_at - interval '2 hours'")
    assert scrape()["countersign_requests_ended_last_hour"][1]["rejected"] == 0


def test_what_nobody_was_told_of_ages_until_it_is_addressed() -> None:
    cast = make_cast(only=("support1",))
    assert scrape()["countersign_outbox_oldest_seconds"][1] == {"": 0.0}
    file_request(cast)
    assert scrape()["countersign_outbox_oldest_seconds"][1][""] > 0
    sending.run()
    assert scrape()["countersign_outbox_oldest_seconds"][1] == {"": 0.0}
    assert set(scrape()["countersign_deliveries_failed_last_hour"][1]) == {"email", "webhook", "chat"}


@pytest.mark.parametrize("query", [metrics._ENDED, metrics._PENDING, metrics._OUTBOX, metrics._UNSENT])
def test_no_query_of_a_scrape_needs_the_whole_table(query: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")  # what is left is whether an index can serve
        try:
            cursor.execute(f"EXPLAIN {query}")
            plan = "\n".join(line for (line,) in cursor.fetchall())
        finally:
            cursor.execute("RESET enable_seqscan")
    assert "Seq Scan" not in plan, plan


def test_before_the_first_analyze_requests_are_counted_and_afterwards_estimated() -> None:
    cast = make_cast(only=())
    with services.connection("owner") as owner:
        owner.execute("ANALYZE approvals_request")
    file_request(cast)
    assert scrape()["countersign_requests"][1][""] in (0.0, 1.0)  # autovacuum may have come by


# ---- what a process measures of itself
Samples = dict[tuple[str, ...], float]


def samples(url: str, name: str) -> Samples:
    """The samples of that name that the process at `url` exports, by their labels' values in the labels' order."""
    text = httpx.get(f"{url}/metrics", trust_env=False).raise_for_status().text
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def test_every_answer_is_measured_by_what_was_asked_and_how_it_ended(server: Server, agent: Caller) -> None:
    def answered() -> Samples:
        return samples(server.url, "countersign_http_duration_seconds_count")

    before = answered()
    filed = agent.file().json()["id"]
    agent.post("requests", {"action": "refund.create"}, key="no")
    agent.read(filed)
    agent.get(f"requests/{filed}", wait=1)
    agent.http.get("/queue/")
    agent.http.get("/healthz")
    now = answered()
    grown = {labels: count - before.get(labels, 0) for labels, count in now.items() if count != before.get(labels, 0)}
    # A wait of a second is two reads, and no latency of ours: it is held in front of what is measured.
    assert grown == {("file", "2xx"): 1, ("file", "4xx"): 1, ("read", "2xx"): 3, ("queue", "3xx"): 1}
    spent = samples(server.url, "countersign_http_duration_seconds_sum")
    assert all(spent[labels] > 0 for labels in grown)
    assert set(spent) == set(now)


def test_a_wait_is_no_latency(server: Server, agent: Caller) -> None:
    def spent() -> float:
        return samples(server.url, "countersign_http_duration_seconds_sum").get(("read", "2xx"), 0.0)

    filed = agent.file().json()["id"]
    before = spent()
    began = time.monotonic()
    agent.get(f"requests/{filed}", wait=3)
    assert time.monotonic() - began >= 3
    assert spent() - before < 2.5


def test_who_waits_is_counted_and_how_late_they_hear_is_measured_from_the_decision(
    server: Server, agent: Caller, cast: Cast
) -> None:
    def waiters() -> Samples:
        return samples(server.url, "countersign_waiters")

    def wakes() -> Samples:
        return samples(server.url, "countersign_wake_seconds_count")

    before = wakes().get(("rejected",), 0.0)
    filed = agent.file().json()["id"]
    waiting = Waiting(agent, f"requests/{filed}", wait=30)
    eventually(lambda: waiters().get(("wait",)) == 1, what="the wait to be counted")
    decide(Request.objects.get(pk=filed), cast["support1"], "reject", rationale="Not this one, please.")
    assert waiting.answer().json()["status"] == "rejected"
    eventually(lambda: waiters().get(("wait",)) == 0, what="the wait to be over")
    assert wakes()[("rejected",)] == before + 1
    # Who knows it already and waits for a change, as of a redemption, is not woken by what was before.
    known = agent.get(f"requests/{filed}").headers["ETag"]
    assert agent.get(f"requests/{filed}", wait=1, headers={"If-None-Match": known}).status_code == 304
    assert wakes()[("rejected",)] == before + 1


def test_an_expiry_is_heard_of_from_its_deadline_on(server: Server, agent: Caller) -> None:
    def wakes(kind: str) -> float:
        return samples(server.url, f"countersign_wake_seconds_{kind}").get(("expired",), 0.0)

    count, total = wakes("count"), wakes("sum")
    filed = agent.file(timeout_seconds=2).json()["id"]
    assert agent.get(f"requests/{filed}", wait=30).json()["status"] == "expired"
    assert wakes("count") == count + 1
    assert 0 < wakes("sum") - total < 2  # from the deadline and not from the filing, which was two seconds before


def test_labels_are_few_whatever_is_asked(server: Server, agent: Caller) -> None:
    known = {name for _, _, name in measures._OPERATIONS} | {"other_page"}
    odd = ("/%00", "/%0A", "/x%0Ay", "/api/v1/%0A", "/static/%0A.css")
    for path in ("/api/v1/requests/1", "/api/v9/%2e%2e/x", "/nothing/" + "x" * 500, "/static/none.css", *odd):
        for method in ("GET", "POST", "BREW"):
            assert agent.http.request(method, path).status_code < 500, (method, path)
    found = {operation for operation, _ in samples(server.url, "countersign_http_duration_seconds_count")}
    assert found <= known
    assert measures.operation("POST", "/api/v1/requests") == "file"
    assert measures.operation("POST", "/api/v1/requests/") == "file"
    assert measures.operation("GET", "/metrics") is None
    assert measures.operation("GET", "/static/\n.css") is None
    assert measures.operation("GET", "/api/v1/\n") == "other_api"
    assert measures.operation("GET", "/x\ny") == "other_page"


# ---- how tasks end
def ends() -> dict[tuple[str, ...], float]:
    text = Client().get("/metrics").content.decode()
    return {
        (sample.labels["task"], sample.labels["outcome"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "countersign_tasks_total"
    }


CELERY = [sys.executable, "-m", "celery", "--quiet", "--app", "config.celery"]
WORKER = [*CELERY, "worker", "--loglevel", "WARNING", "--concurrency", "1", "--without-gossip", "--without-mingle"]


def test_ends_of_tasks_are_counted_good_and_bad(cast: Cast) -> None:
    sweep = celery.app.tasks[periodic.expire_due.name]
    overdue(file_request(cast))
    with process(WORKER, "worker"):
        sweep.delay()
        eventually(lambda: ends().get((sweep.name, "success")) == 1, within=30, what="the sweep to be counted")
        assert ends()[sweep.name, "failure"] == 0
        with services.connection("owner") as owner:
            owner.execute("ALTER TABLE approvals_request RENAME TO gone")
            try:
                sweep.delay()
                eventually(lambda: ends().get((sweep.name, "failure")) == 1, within=30, what="the failure")
            finally:
                owner.execute("ALTER TABLE gone RENAME TO approvals_request")
        sweep.apply_async(expires=-1)
        eventually(lambda: ends().get((sweep.name, "expired")) == 1, within=30, what="the overtaken one")
    assert ends()[sweep.name, "success"] == 1


def test_every_scheduled_task_is_exported_at_nought_before_it_has_ended_once(cast: Cast) -> None:
    """An alert on a rise, or on none, is blind where the series begins with the first end, or never."""
    link().call(lambda client: client.delete(task_outcomes.KEY))
    found = ends()
    scheduled = {entry["task"] for entry in celery.app.conf.beat_schedule.values()}
    assert periodic.expire_due.name in scheduled
    assert found == {(task, outcome): 0 for task in scheduled for outcome in ("success", "failure", "revoked")}


# ---- a part is away
def test_without_redis_tasks_are_absent_and_the_rest_is_there(cast: Cast) -> None:
    with web(REDIS_URL="redis://127.0.0.1:1/0") as alone:
        assert samples(alone.url, "countersign_redis_up") == {(): 0.0}
        assert samples(alone.url, "countersign_tasks_total") == {}
        assert samples(alone.url, "countersign_database_up") == {(): 1.0}
        assert samples(alone.url, "countersign_log_size")


def test_without_the_database_a_process_still_says_what_it_measured(cast: Cast) -> None:
    nowhere = services.url("app", "no_such_database")
    with web(DATABASE_URL=nowhere) as alone:
        Caller(alone.url, cast.keys["agent"]).get("requests")
        assert samples(alone.url, "countersign_database_up") == {(): 0.0}
        assert samples(alone.url, "countersign_http_duration_seconds_count")[("other_api", "5xx")] == 1
        assert samples(alone.url, "countersign_pending_requests") == {}
        assert samples(alone.url, "countersign_redis_up") == {(): 1.0}


def test_a_table_that_is_held_does_not_hold_the_scrape(cast: Cast) -> None:
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("LOCK TABLE approvals_request IN ACCESS EXCLUSIVE MODE")
        found = scrape()
        assert found["countersign_database_up"][1] == {"": 0.0}
        assert "countersign_pending_requests" not in found
        assert found["countersign_redis_up"][1] == {"": 1.0}
    assert scrape()["countersign_database_up"][1] == {"": 1.0}


def test_a_scrape_asks_the_database_the_same_few_questions_however_many_wait(cast: Cast) -> None:
    scrape()  # which also publishes the grant keys, once
    with CaptureQueriesContext(connection) as few:
        scrape()
    for _ in range(5):
        file_request(cast)
    with CaptureQueriesContext(connection) as more:
        scrape()
    assert len(few) == len(more) <= 10
