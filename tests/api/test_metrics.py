"""`/metrics`: gauges that may go down are gauges, and no scrape reads the whole table of requests."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from approvals.notifications import sending
from config import metrics
from tests.support import services
from tests.support.cast import decide, file_request, make_cast

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
    assert {kind for kind, _ in found.values()} == {"gauge"}
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
