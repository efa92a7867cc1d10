"""The nightly replay knows delegations and escalations: no fault where they ran, one where they had ended."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from accounts import delegations
from approvals.models import Request
from approvals.replay.story import Story, tell
from approvals.replay.tables import replay
from approvals.tasks import escalate_due
from audit.leaves import Leaf, parse
from tests.support import services
from tests.support.cast import Cast, decide, file_request
from tests.support.eventually import eventually
from tests.support.times import LARGE, activate, away


def leaves_of(request: Request) -> list[Leaf]:
    """The request's leaves in the order of their ordinals."""
    with services.connection("app") as app:
        rows = app.execute(
            "SELECT leaf FROM (SELECT leaf, ordinal FROM audit_leaf WHERE subject_id = %(id)s UNION"
            " SELECT leaf, ordinal FROM audit_pending WHERE subject_id = %(id)s) told ORDER BY ordinal",
            {"id": str(request.pk)},
        ).fetchall()
    return [parse(bytes(leaf)) for (leaf,) in rows]


def told(request: Request, *, ran: bool = True, owner: str | None = None) -> Story:
    return tell(str(request.pk), leaves_of(request), lambda agent, moment: owner, ran_at=lambda delegation, moment: ran)


def test_what_was_lent_and_taken_back_is_told_without_a_fault(cast: Cast) -> None:
    lent = away(cast["finance1"], cast["support2"])
    by_delegate, voted, ended = (file_request(cast, parameters=LARGE) for _ in range(3))
    for name in ("support2", "finance2"):
        decide(by_delegate, cast[name])
    for name in ("support2", "finance1", "finance2"):
        decide(voted, cast[name])
    decide(ended, cast["support2"])
    delegations.end(by=cast["finance1"], delegation_id=lent.pk)
    away(cast["finance1"], cast["support1"])  # the seats go to somebody else: the first vote carries them no more
    for name in ("support1", "finance2"):
        decide(ended, cast[name])
    assert {request.status for request in Request.objects.all()} == {"approved"}
    assert replay().faults == []


def test_what_was_opened_to_another_team_is_told_without_a_fault(cast: Cast) -> None:
    activate(('@id("refund-large")', '@id("refund-large")\n@escalate("1s to leadership")'))
    request = file_request(cast, parameters=LARGE)
    eventually(lambda: escalate_due() == 1, what="a second to pass")
    for name in ("leader1", "finance1"):
        decide(request, cast[name])
    assert replay().faults == []
    unopened = [leaf for leaf in leaves_of(request) if leaf.type != "request.escalated"]
    story = tell(str(request.pk), _renumbered(unopened), lambda agent, moment: None)
    assert any("without its quorum" in fault for fault in story.faults)


def test_a_seat_lent_by_a_delegation_that_had_ended_is_a_fault(cast: Cast) -> None:
    away(cast["finance1"], cast["support2"])
    request = file_request(cast, parameters=LARGE)
    for name in ("support2", "finance2"):
        decide(request, cast[name])
    assert told(request).faults == []
    assert any("without its quorum" in fault for fault in told(request, ran=False).faults)
    assert told(request, owner=str(cast["finance1"].pk)).faults != []


def _renumbered(leaves: list[Leaf]) -> list[Leaf]:
    return [replace(leaf, ordinal=place) for place, leaf in enumerate(leaves, start=1)]


def test_times_in_entries_are_those_of_the_rows(cast: Cast) -> None:
    activate(('@id("refund-large")', '@id("refund-large")\n@escalate("10m to leadership")'))
    request = file_request(cast, parameters=LARGE)
    facts = leaves_of(request)[0].facts
    assert facts["escalation_team"] == "leadership"
    assert datetime.fromisoformat(facts["escalates_at"]) - request.created_at == timedelta(minutes=10)
