"""The outbox held against the tables: nothing to say while notices are addressed and sent, a fault for each orphan."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from approvals.models import Delivery, Notice, Request
from approvals.notifications import sending
from approvals.replay.outbox import orphans
from approvals.replay.tables import replay
from tests.support import sealing, services
from tests.support.cast import Cast, decide, file_request, make_cast
from tests.support.notifications import make_due, send_all

LARGE = {"amount_cents": 20_000}
AT_ONCE = timedelta()


@pytest.fixture
def cast(transactional_db: None) -> Iterator[Cast]:
    """helpdesk, two of finance, one of support; a log that is being sealed."""
    with sealing.running():
        yield make_cast(only=("support1", "finance1", "finance2"))


@pytest.fixture
def told(cast: Cast) -> dict[str, Request]:
    """One that waits for two people, one that was rejected, and everything about them addressed and due."""
    made = {"pending": file_request(cast, parameters=LARGE), "rejected": file_request(cast)}
    send_all()
    decide(made["rejected"], cast["support1"], "reject", rationale="No such parcel is known here.")
    send_all()
    return made


def touched(sql: str, *parameters: Any) -> list[str]:
    """What the replay says, at once strict, after somebody who owns the database changed rows."""
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        assert owner.execute(sql, parameters).rowcount >= 1
    return replay(late=AT_ONCE).faults


def test_what_is_addressed_and_not_due_is_no_fault(told: dict[str, Request]) -> None:
    assert Delivery.objects.filter(state="waiting").exists()  # letters are gathered for a while
    assert replay(late=AT_ONCE).faults == []


def test_a_notice_that_nobody_addressed_is_a_fault_once_it_is_late(cast: Cast, told: dict[str, Request]) -> None:
    fresh = file_request(cast)
    notice = Notice.objects.get(request=fresh)
    assert replay().faults == []
    assert replay(late=AT_ONCE).faults == [f"notice {notice.pk}: request.pending was never addressed"]
    assert replay(late=None).faults == []  # a restored copy is not late
    sending.run()
    assert replay(late=AT_ONCE).faults == []


def test_a_delivery_that_waits_though_due_is_a_fault_unless_somebody_has_it_or_its_lane_is_quiet(
    told: dict[str, Request],
) -> None:
    make_due()
    waiting = Delivery.objects.filter(state="waiting")
    faults = {f"delivery {one.pk}: it waits though it is due" for one in waiting}
    assert faults
    assert set(replay(late=AT_ONCE).faults) == faults
    assert replay(late=None).faults == []
    assert replay().faults == []
    assert touched("UPDATE approvals_delivery SET claimed_until = now() + interval '1 h' WHERE state = 'waiting'") == []
    waiting.update(claimed_until=None)
    quiet = "INSERT INTO approvals_lane (name, failures, quiet_until) VALUES ('email', 1, now() + interval '1 h')"
    assert touched(quiet) == []
    # past its last moment it is to be given up, however quiet its lane is
    assert set(touched("UPDATE approvals_delivery SET give_up_at = now() WHERE state = 'waiting'")) == faults


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        (
            "INSERT INTO approvals_notice (id, event, request_id, addressed_at)"
            " SELECT gen_random_uuid(), 'request.approved', id, now() FROM approvals_request WHERE status = 'pending'",
            "somebody is told request.approved, which it is not",
        ),
        (
            "INSERT INTO approvals_notice (id, event, request_id, addressed_at)"
            " SELECT gen_random_uuid(), 'request.escalated', id, now() FROM approvals_request WHERE status = 'pending'",
            "somebody is told request.escalated, which it is not",
        ),
        (
            "INSERT INTO approvals_notice (id, event, request_id, addressed_at)"
            " SELECT gen_random_uuid(), 'request.rejected', id, now() FROM approvals_request, generate_series(1, 2)"
            " WHERE status = 'rejected'",
            "request.rejected was left 2 times",
        ),
        (
            "INSERT INTO approvals_notice (id, event, request_id, addressed_at)"
            " VALUES (gen_random_uuid(), 'request.pending', gen_random_uuid(), now())",
            "request.pending is about what is not there",
        ),
        (
            "INSERT INTO approvals_notice (id, event, agent_id, addressed_at)"
            " VALUES (gen_random_uuid(), 'agent.suspended', gen_random_uuid(), now())",
            "agent.suspended is about what is not there",
        ),
        (
            "WITH theirs AS (DELETE FROM approvals_notice n USING approvals_request r"
            " WHERE r.id = n.request_id AND r.status = 'pending' RETURNING n.id)"
            " DELETE FROM approvals_delivery_notices l USING theirs WHERE l.notice_id = theirs.id",
            "it waits, and nobody was to be told",
        ),
        (
            "WITH one AS (INSERT INTO approvals_delivery (id, channel, lane, room, state, due_at, give_up_at, attempts,"
            " last_error) VALUES (gen_random_uuid(), 'chat', 'chat:x', 'x', 'waiting', now() + interval '1 h',"
            " now() + interval '1 day', 0, '') RETURNING id) SELECT id FROM one",
            "it tells of nothing",
        ),
        (
            "WITH twin AS (INSERT INTO approvals_delivery (id, channel, lane, person_id, room, state, due_at, ended_at,"
            " give_up_at, attempts, last_error) SELECT gen_random_uuid(), channel, lane, person_id, room, 'sent',"
            " now(), now(), now(), 1, '' FROM approvals_delivery d WHERE EXISTS (SELECT FROM"
            " approvals_delivery_notices l JOIN approvals_notice n ON n.id = l.notice_id JOIN approvals_request r"
            " ON r.id = n.request_id WHERE l.delivery_id = d.id AND r.status = 'pending') LIMIT 1"
            " RETURNING id, person_id)"
            " INSERT INTO approvals_delivery_notices (delivery_id, notice_id) SELECT twin.id, l.notice_id FROM twin"
            " JOIN approvals_delivery d ON d.person_id = twin.person_id JOIN approvals_delivery_notices l"
            " ON l.delivery_id = d.id",
            "2 deliveries of it to one receiver",
        ),
    ],
)
def test_an_orphan_and_a_double_are_faults(told: dict[str, Request], sql: str, said: str) -> None:
    faults = touched(sql)
    assert any(fault.endswith(said) for fault in faults), faults
    assert any(fault.endswith(said) for fault in replay(late=None).faults)  # in a restored copy too


def test_sending_what_is_due_leaves_no_orphan(told: dict[str, Request]) -> None:
    make_due()
    sending.run()
    assert list(orphans(late=AT_ONCE)) == []
