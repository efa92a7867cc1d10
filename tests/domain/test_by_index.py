"""What is asked at each filing, and every second, is found by an index that ends where time does.

A window by `clock_timestamp()` cannot be: that clock moves within a statement, so PostgreSQL looks through all that the
agent ever filed, or all that is pending.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from agents.models import Agent
from approvals import escalation, expiry, queries, reminders
from bench.seeding import copies
from tests.support import services
from tests.support.cast import file_request, make_cast

pytestmark = pytest.mark.django_db(transaction=True)


def history() -> None:
    agent = Agent.objects.get(slug="helpdesk")
    queries.history_of(
        agent.pk, owner_id=agent.owner_id, action="a.b", resource="c", parameters_digest="0" * 64, likeness="0" * 64
    )


@pytest.fixture
def _filed() -> None:
    """As many requests as make an index worth its while, and PostgreSQL's own idea of them."""
    for _ in copies(file_request(make_cast()), 500):
        pass
    with services.connection("owner") as owner:
        owner.execute("ANALYZE approvals_request")


@pytest.mark.parametrize(
    ("asks", "conditions"),
    [
        (history, ["decided_at >", "created_at >", "decided_at >"]),
        (expiry.expire_due, ["expires_at <="]),
        (escalation.escalate_due, ["escalates_at <="]),
        (reminders.remind_due, ["remind_at <="]),
    ],
    ids=["what an agent did lately", "the sweep", "escalations", "reminders"],
)
@pytest.mark.usefixtures("_filed")
def test_an_index_ends_at_the_time_asked_for(asks: Callable[[], object], conditions: list[str]) -> None:
    with CaptureQueriesContext(connection) as captured:
        asks()
    [statement] = [one["sql"] for one in captured if "FROM approvals_request" in one["sql"]]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # with so few rows an index would not be worth it
        cursor.execute(f"EXPLAIN {statement}")
        plan = [line for (line,) in cursor.fetchall()]
    found = [line for line in plan if "Index Cond" in line]
    for condition in conditions:
        assert any(condition in line for line in found), "\n".join(plan)
        found.remove(next(line for line in found if condition in line))
