"""Escalation: after its time, and its durable note, another team may fill any seat; and nothing else changes."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from approvals import access, escalation, marks, queries
from approvals.errors import NotYours
from approvals.models import Decision, Notice, Request
from approvals.rules.annotations import Escalation
from approvals.rules.ruling import Ruling
from approvals.tasks import escalate_due
from approvals.transactions import Guarded, time_limited
from audit.entries import EvidenceUnavailable
from tests.domain.test_approvals_guards import NO_QUORUM, approval, refused
from tests.support import services
from tests.support.cast import Cast, decide, file_request, held, leaves_teams, overdue, sits_in
from tests.support.forms import said
from tests.support.leaves import entries
from tests.support.notifications import send_all
from tests.support.racing import race
from tests.support.times import LARGE, activate, escalating, pass_time

LATER = timedelta(minutes=11)
SignedIn = Callable[[str], Client]


def large(cast: Cast, *, waited: timedelta = LATER, swept: bool = True) -> Request:
    """A large refund that escalates after ten minutes, `waited` ago."""
    escalating()
    request = pass_time(file_request(cast, parameters=LARGE), waited)
    if swept:
        assert escalate_due() == 1
        request.refresh_from_db()
    return request


# ---- who may decide


def test_the_other_team_decides_only_once_the_sweep_has_noted_it(cast: Cast) -> None:
    request = large(cast, swept=False)
    for verdict in ("approve", "reject"):
        with pytest.raises(NotYours):
            decide(request, cast["leader1"], verdict)
    assert escalate_due() == 1
    decide(request, cast["finance1"])
    assert decide(request, cast["leader1"]).status == "approved"


def test_the_other_team_fills_any_seat_and_each_person_one(cast: Cast) -> None:
    request = large(cast)
    assert decide(request, cast["leader1"]).status == "pending"
    assert decide(request, cast["finance2"]).status == "approved"
    assert sorted(request.seats.values_list("team", flat=True)) == ["finance", "finance"]


def test_the_other_team_may_reject(cast: Cast) -> None:
    assert decide(large(cast), cast["leader1"], "reject", rationale="Not like this.").status == "rejected"


def test_who_answers_for_the_agent_stays_barred_there_too(cast: Cast) -> None:
    sits_in(cast["owner1"], cast.teams["leadership"])
    with pytest.raises(NotYours, match="answer for this agent"):
        decide(large(cast), cast["owner1"])


def test_a_vote_given_before_does_not_become_a_wider_one(cast: Cast) -> None:
    sits_in(cast["finance1"], cast.teams["leadership"])
    activate(
        ('@id("refund-large")\n@require("2 of finance")',
         '@id("refund-large")\n@escalate("10m to leadership")\n@require("1 of finance, 1 of support")')
    )  # fmt: skip
    request = file_request(cast, parameters=LARGE)
    decide(request, cast["finance1"])
    pass_time(request, LATER)
    assert escalate_due() == 1
    assert decide(request, cast["finance2"]).status == "pending"  # finance1 would else have moved to support's seat
    assert decide(request, cast["leader1"]).status == "approved"
    assert sorted(request.seats.values_list("team", flat=True)) == ["finance", "support"]


def test_who_left_the_other_team_no_longer_counts(cast: Cast) -> None:
    request = large(cast)
    decide(request, cast["leader1"])
    leaves_teams(cast["leader1"])
    assert decide(request, cast["finance1"]).status == "pending"
    assert decide(request, cast["finance2"]).status == "approved"


# ---- the stricter of the two policies


def test_a_policy_in_force_without_it_takes_the_approval_back_and_leaves_the_rejection(cast: Cast) -> None:
    request = large(cast)
    activate()
    with pytest.raises(NotYours, match="does not open"):
        decide(request, cast["leader1"])
    assert decide(request, cast["leader1"], "reject", rationale="Not like this.").status == "rejected"


def test_a_vote_that_was_given_counts_no_more_when_policy_takes_the_escalation_back(cast: Cast) -> None:
    request = large(cast)
    decide(request, cast["leader1"])
    activate()
    assert decide(request, cast["finance1"]).status == "pending"
    assert decide(request, cast["finance2"]).status == "approved"


@pytest.mark.parametrize("what", ["20m to leadership", "10m to security"])
def test_a_later_time_or_another_team_of_the_policy_in_force_binds(cast: Cast, what: str) -> None:
    request = large(cast)
    escalating(what)
    with pytest.raises(NotYours, match="does not open"):
        decide(request, cast["leader1"])


def test_from_the_later_time_on_it_holds(cast: Cast) -> None:
    request = large(cast)
    escalating("20m to leadership")
    pass_time(request, timedelta(minutes=10))
    assert decide(request, cast["leader1"]).status == "pending"
    assert decide(request, cast["finance1"]).status == "approved"


def test_an_escalation_to_another_team_than_was_noted_widens_nothing(cast: Cast) -> None:
    request = large(cast)
    ruling = Ruling.from_json(request.ruling)
    assert access.widens(request, ruling, queries.clock())
    assert not access.widens(request, replace(ruling, escalate=Escalation(600, "security")), queries.clock())


# ---- the sweep


def test_it_is_noted_once_with_its_entry_and_its_notice(cast: Cast) -> None:
    request = large(cast)
    assert escalate_due() == 0
    (entry,) = entries("request.escalated")
    assert (entry["subject"]["id"], entry["actor"]["kind"]) == (str(request.pk), "system")
    assert entry["facts"] == {"team": "leadership", "after": 600}
    assert Notice.objects.filter(event="request.escalated").count() == 1


def test_what_is_too_early_ended_or_overdue_is_left_alone(cast: Cast) -> None:
    escalating()
    early = file_request(cast, parameters=LARGE)
    ended = file_request(cast, parameters=LARGE)
    decide(ended, cast["finance1"], "reject", rationale="No.")
    for request in (ended, late := file_request(cast, parameters=LARGE)):
        pass_time(request, timedelta(minutes=31))
    plain = overdue(file_request(cast))
    assert escalate_due() == 0
    rows = Request.objects.filter(pk__in=[early.pk, ended.pk, late.pk, plain.pk])
    assert not rows.filter(escalated_at__isnull=False).exists()


def test_an_escalation_at_or_after_the_deadline_is_none(cast: Cast) -> None:
    escalating("30m to leadership")
    request = file_request(cast, parameters=LARGE)
    assert (request.escalates_at, request.escalation_team) == (None, "")
    escalating()
    shortened = file_request(cast, parameters=LARGE, timeout_seconds=600)
    assert (shortened.escalates_at, shortened.escalation_team) == (None, "")


def test_the_sweep_passes_over_what_somebody_holds_and_takes_it_the_next_time(cast: Cast) -> None:
    request = large(cast, swept=False)
    with held(request):
        assert escalate_due() == 0
    assert escalate_due() == 1


def test_many_sweeps_at_once_escalate_each_request_once(cast: Cast) -> None:
    escalating()
    for _ in range(12):
        pass_time(file_request(cast, parameters=LARGE), LATER)
    assert sum(race(*([escalation.escalate_due] * 5))) == 12
    assert len(entries("request.escalated")) == 12


def test_a_batch_takes_the_same_few_statements_however_many_are_due(cast: Cast) -> None:
    escalating()
    counted = []
    for size in (2, 12):
        for _ in range(size):
            pass_time(file_request(cast, parameters=LARGE), LATER)
        with CaptureQueriesContext(connection) as asked:
            assert escalation.escalate_due() == size
        counted.append(len([one for one in asked if "SAVEPOINT" not in one["sql"]]))
    assert counted[0] == counted[1] <= 8


def test_without_its_evidence_nothing_is_escalated(cast: Cast) -> None:
    request = large(cast, swept=False)
    with services.connection("owner") as owner:
        owner.execute("REVOKE INSERT ON audit_pending FROM countersign_app")
        try:
            with pytest.raises(EvidenceUnavailable):
                escalate_due()
        finally:
            owner.execute("GRANT INSERT ON audit_pending TO countersign_app")
    request.refresh_from_db()
    assert request.escalated_at is None


# ---- who learns of it


def test_the_agent_learns_nothing(cast: Cast) -> None:
    client = Client(headers={"authorization": f"Bearer {cast.keys['agent']}"})
    request = large(cast, swept=False)
    before = client.get(f"/api/v1/requests/{request.pk}")
    assert escalate_due() == 1
    after = client.get(f"/api/v1/requests/{request.pk}")
    assert (after["ETag"], after.content) == (before["ETag"], before.content)
    assert b"leadership" not in after.content


def test_the_other_team_sees_it_from_then_on_and_is_told(cast: Cast, signed_in: SignedIn) -> None:
    request = large(cast, swept=False)
    client, url = signed_in("leader1"), f"/requests/{request.pk}/"
    assert client.get(url).status_code == 404
    assert marks.request_mark(cast["leader1"].pk, request.pk) is None
    assert str(request.pk) not in client.get("/queue/").content.decode()
    assert escalate_due() == 1
    assert "Opened to leadership" in said(client.get(url))
    queue = said(client.get("/queue/"))
    assert "1 request needs you" in queue
    assert "Escalated to leadership" in queue
    send_all()
    told = Notice.objects.filter(event="request.escalated", deliveries__person__isnull=False)
    assert {str(n) for n in told.values_list("deliveries__person__email", flat=True)} >= {"leader1@example.test"}


def test_an_open_page_is_told_by_its_poll_and_keeps_its_form(cast: Cast, signed_in: SignedIn) -> None:
    request = large(cast, swept=False)
    client = signed_in("finance1")
    mark = marks.request_mark(cast["finance1"].pk, request.pk)
    url = f"/requests/{request.pk}/poll/?mark={mark}"
    assert client.get(url).status_code == 204
    assert escalate_due() == 1
    answer = client.get(url)
    assert "Opened to leadership too." in said(answer)
    assert 'id="decide"' not in answer.content.decode()
    assert client.get(f"/requests/{request.pk}/poll/?mark={marks.request_mark(cast['finance1'].pk, request.pk)}"
                      ).status_code == 204  # fmt: skip


def test_an_open_queue_is_told_by_its_poll(cast: Cast) -> None:
    request = large(cast, swept=False)
    leader, finance = (marks.queue_mark(cast[name].pk).mark for name in ("leader1", "finance1"))
    assert escalate_due() == 1
    assert marks.queue_mark(cast["leader1"].pk).mark != leader
    assert marks.queue_mark(cast["finance1"].pk).mark != finance
    assert access.visible_to(access.viewer(cast["leader1"])).filter(pk=request.pk).exists()


# ---- the database's own promises


def test_the_database_lets_the_other_team_decide_only_after_the_note(cast: Cast) -> None:
    request = large(cast, swept=False)
    seats = ((cast["leader1"], "finance"), (cast["finance1"], "finance"))
    with services.connection("app") as app:
        assert refused(app, *approval(request, *seats)) == NO_QUORUM
        assert escalate_due() == 1
        assert refused(app, *approval(request, *seats)) is None
    assert Request.objects.get(pk=request.pk).status == "approved"
    assert Decision.objects.filter(request=request).count() == 2


@pytest.mark.parametrize(
    "change",
    [
        {"escalates_at": None, "escalation_team": ""},
        {"escalation_team": "support"},
        {"undecidable": []},
        {"escalated_at": None},
    ],
)
def test_what_was_set_at_filing_or_noted_does_not_change(cast: Cast, change: dict[str, object]) -> None:
    request = large(cast)
    with pytest.raises(Guarded), time_limited():
        Request.objects.filter(pk=request.pk).update(**change)


def test_nothing_is_noted_before_its_time_or_without_one(cast: Cast) -> None:
    escalating()
    early, plain = file_request(cast, parameters=LARGE), file_request(cast)
    for request in (early, plain):
        with pytest.raises(Guarded), time_limited():
            Request.objects.filter(pk=request.pk).update(escalated_at=queries.clock())


def test_a_run_is_skipped_while_another_is_at_work(cast: Cast) -> None:
    large(cast, swept=False)
    taken, done = threading.Event(), threading.Event()

    def other() -> None:
        with services.connection("app") as own:
            own.execute("SELECT pg_advisory_lock(%s)", [zlib.crc32(b"countersign.tasks.escalate_due")])
            taken.set()
            done.wait(30)

    thread = threading.Thread(target=other)
    thread.start()
    try:
        assert taken.wait(30)
        assert escalate_due() is None
    finally:
        done.set()
        thread.join()
