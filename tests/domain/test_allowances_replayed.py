"""What was approved under an allowance, and what was stopped, is told once more from the log and holds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agents import stops
from approvals import allowances
from approvals.allowances import Wanted
from approvals.models import Allowance, AllowanceUse
from approvals.replay.tables import replay
from approvals.tasks import withdraw_stopped
from tests.support import sealing, services
from tests.support.cast import Cast, file_request, make_cast, password_proof

WHY = "Parcels of that carrier are lost each week, small amounts."


@pytest.fixture
def cast(transactional_db: None) -> Iterator[Cast]:
    """Those who decide refunds, and a log that is being sealed."""
    made = make_cast(only=("support1", "admin1", "admin2"))
    with sealing.running():
        yield made


def allowed(cast: Cast) -> Allowance:
    return allowances.propose(
        person=cast["support1"],
        request_id=file_request(cast).pk,
        wanted=Wanted("context.parameters.amount_cents <= 5000", 5, 24, WHY),
        auth=password_proof(),
    )


def test_uses_revocations_and_stops_replay_without_a_fault(cast: Cast) -> None:
    first = allowed(cast)
    file_request(cast)
    allowances.revoke(person=cast["support1"], allowance_id=first.pk, reason="Enough.", auth=password_proof())
    allowed(cast)
    file_request(cast)
    file_request(cast, "docs.read")
    stops.begin(by=cast["admin1"], reason="Odd.")
    withdraw_stopped()
    stops.lift(number=1, by=cast["admin2"], reason="Over.")
    assert AllowanceUse.objects.count() == 2
    assert replay().faults == []


def test_a_use_whose_allowance_the_log_does_not_know_is_a_fault(cast: Cast) -> None:
    allowance = allowed(cast)
    request = file_request(cast)
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        for table in ("audit_pending", "audit_leaf", "audit_head"):
            owner.execute(f"DELETE FROM {table} WHERE subject_kind = 'allowance'")
    found = replay().faults
    assert any("an allowance that nobody proposed" in fault for fault in found), (found, allowance.pk)
    assert all(str(request.pk) in fault for fault in found)
