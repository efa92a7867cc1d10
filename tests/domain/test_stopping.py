"""Suspending one agent, and stopping all: what waits is withdrawn, what was granted is void, nothing new begins."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest
from django.db import connection

from agents import registration, stops, suspension
from agents.models import Agent, Stop
from agents.problems import Problem
from agents.stops import StopRefused
from agents.suspension import SuspensionRefused
from approvals import redemption, requests, stopping
from approvals.api.documents import request_document
from approvals.errors import DecisionRefused, Stopped
from approvals.models import Grant, Request
from approvals.queries import read
from approvals.queries import requests as annotated
from approvals.tasks import withdraw_stopped
from audit.entries import Party
from tests.support import sealing, services
from tests.support.cast import SETTING_UP, Cast, decide, file_request, make_cast, open_page, overdue
from tests.support.forging import forge, forging
from tests.support.leaves import entries

WHY = "It sends mail to strangers."


@pytest.fixture
def cast(transactional_db: None) -> Iterator[Cast]:
    """Everybody who stops agents or decides, and a log that is being sealed."""
    made = make_cast(only=("support1", "support2", "finance1", "admin1", "admin2", "leader1"))
    with sealing.running():
        yield made


def suspend(cast: Cast, by: str = "admin1") -> Agent:
    return suspension.suspend(agent_id=cast.agent.pk, by=Party("person", str(cast[by].pk)), reason=WHY)


def token_of(request: Request) -> str | None:
    seen = read(annotated(), request.pk)
    assert seen is not None
    token: str | None = request_document(seen)["grant"]
    return token


def redeem(cast: Cast, token: str, request: Request) -> redemption.Redeemed:
    return redemption.redeem(
        credential=cast.credentials["executor"], token=token, parameters=request.parameters, action=None, resource=None
    )


def another_agent(cast: Cast) -> Agent:
    return registration.register_agent(by=SETTING_UP, slug="other", purpose="-", owner=cast["owner1"], level=3)


# ---- one agent
def test_suspending_withdraws_what_is_pending_with_an_entry_each_and_says_stop(cast: Cast) -> None:
    waiting = [file_request(cast) for _ in range(3)]
    other = file_request(cast, agent=another_agent(cast))
    suspend(cast)
    for request in Request.objects.filter(pk__in=[one.pk for one in waiting]):
        assert (request.status, request.retry, request.stop) == ("withdrawn", "never", True)
        assert request.reason == "Withdrawn: the permission to ask has ended."
        assert request.version == 2
    left = entries("request.withdrawn")
    assert {leaf["subject"]["id"] for leaf in left} == {str(request.pk) for request in waiting}
    assert {leaf["facts"]["cause"] for leaf in left} == {"agent-suspended"}
    (said,) = entries("agent.suspended")
    assert said["actor"] == {"kind": "person", "id": str(cast["admin1"].pk)}
    assert Request.objects.get(pk=other.pk).status == "pending"


def test_suspending_voids_the_grants_with_an_entry_each(cast: Cast) -> None:
    by_people = decide(file_request(cast), cast["support1"])
    by_policy = file_request(cast, "docs.read")
    token = token_of(by_people)
    assert token
    suspend(cast)
    assert Grant.objects.filter(voided_at__isnull=False).count() == 2
    assert {leaf["subject"]["id"] for leaf in entries("grant.voided")} == {str(by_people.pk), str(by_policy.pk)}
    assert token_of(by_people) is None
    with pytest.raises(Problem) as lapsed:
        redeem(cast, token, by_people)
    assert lapsed.value.slug == "grant-lapsed"


def test_a_redeemed_grant_and_a_final_request_stay_as_they_are(cast: Cast) -> None:
    done = file_request(cast, "docs.read")
    redeem(cast, token_of(done) or "", done)
    rejected = decide(file_request(cast), cast["support1"], "reject", rationale="Not this one.")
    suspend(cast)
    assert Grant.objects.get(request=done).voided_at is None
    assert Request.objects.get(pk=done.pk).status == "approved"
    assert Request.objects.get(pk=rejected.pk).status == "rejected"


def test_what_is_past_its_deadline_expires_and_is_never_told_withdrawn(cast: Cast) -> None:
    late = overdue(file_request(cast))
    suspend(cast)
    stops.begin(by=cast["admin1"], reason=WHY)
    withdraw_stopped()
    assert Request.objects.get(pk=late.pk).status == "pending"


def test_a_suspended_agent_files_into_nothing_and_its_waiting_requests_cannot_be_decided(cast: Cast) -> None:
    waiting = file_request(cast)
    opened = open_page(waiting, cast["support1"])
    suspend(cast)
    filed = file_request(cast, "docs.read")
    assert (filed.status, filed.retry, filed.stop, filed.reason) == ("blocked", "never", True, "This agent is stopped.")
    for verdict in ("approve", "reject"):
        with pytest.raises(DecisionRefused) as refused:
            decide(waiting, cast["support1"], verdict, opened=opened)
        assert refused.value.status == 409


def test_where_an_entry_cannot_be_written_nobody_is_suspended(cast: Cast) -> None:
    waiting = file_request(cast)
    with services.connection("owner") as owner:
        owner.execute("REVOKE INSERT ON audit_pending FROM countersign_app")
        try:
            with pytest.raises(Exception, match="evidence"):
                suspend(cast)
        finally:
            owner.execute("GRANT INSERT ON audit_pending TO countersign_app")
    assert Agent.objects.get(pk=cast.agent.pk).state == "active"
    assert Request.objects.get(pk=waiting.pk).status == "pending"


def test_a_suspension_needs_a_reason_and_happens_once(cast: Cast) -> None:
    with pytest.raises(SuspensionRefused):
        suspension.suspend(agent_id=cast.agent.pk, by=SETTING_UP, reason="  ")
    suspend(cast)
    with pytest.raises(SuspensionRefused):
        suspend(cast)


def test_resuming_takes_somebody_else_than_the_owner_and_brings_nothing_back(cast: Cast) -> None:
    waiting, granted = file_request(cast), decide(file_request(cast), cast["support1"])
    token = token_of(granted) or ""
    suspend(cast, by="owner1")
    with pytest.raises(SuspensionRefused):
        suspension.resume(agent_id=cast.agent.pk, by=cast["owner1"], reason="Mended.")
    with pytest.raises(SuspensionRefused):
        suspension.resume(agent_id=cast.agent.pk, by=cast["admin1"], reason="")
    suspension.resume(agent_id=cast.agent.pk, by=cast["admin1"], reason="Mended.")
    with pytest.raises(SuspensionRefused):
        suspension.resume(agent_id=cast.agent.pk, by=cast["admin1"], reason="Once more.")
    assert file_request(cast).status == "pending"
    assert Request.objects.get(pk=waiting.pk).status == "withdrawn"
    with pytest.raises(Problem):
        redeem(cast, token, granted)
    assert len(entries("agent.resumed")) == 1


def test_ten_thousand_pending_requests_are_withdrawn_in_one_transaction_within_its_time(cast: Cast) -> None:
    pattern = file_request(cast)
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        columns = ", ".join(f.column for f in Request._meta.concrete_fields if f.column != "id" and not f.generated)
        owner.execute(
            f"INSERT INTO approvals_request (id, {columns}) SELECT gen_random_uuid(), {columns}"
            " FROM approvals_request, generate_series(1, 9999) WHERE approvals_request.id = %s",
            [pattern.pk],
        )
    began = time.monotonic()
    suspend(cast)
    took = time.monotonic() - began
    assert Request.objects.filter(status="withdrawn").count() == 10_000
    assert took < 20, f"{took:.1f} s"


# ---- all agents
def test_a_stop_is_one_write_that_waits_for_nobody(cast: Cast) -> None:
    request = file_request(cast)
    with services.connection("app") as other, other.transaction():
        other.execute("SELECT 1 FROM agents_agent FOR UPDATE")
        other.execute("SELECT 1 FROM approvals_request FOR UPDATE")
        other.execute("SELECT pg_advisory_xact_lock_shared(%s, hashtext(%s))", [0x5EED, str(cast.agent.pk)])
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '200ms'")
        try:
            stop = stops.begin(by=cast["leader1"], reason=WHY)
        finally:
            with connection.cursor() as cursor:
                cursor.execute("RESET lock_timeout")
    assert (stop.number, stops.newest()) == (1, 1)
    assert Request.objects.get(pk=request.pk).status == "pending", "the sweep withdraws it, not the stop"
    assert len(entries("stop.begun")) == 1


def test_from_a_stop_on_nothing_is_filed_decided_or_redeemed(cast: Cast) -> None:
    waiting = file_request(cast)
    granted = file_request(cast, "docs.read")
    token, opened = token_of(granted) or "", open_page(waiting, cast["support1"])
    stops.begin(by=cast["admin1"], reason=WHY)
    for action in ("docs.read", "refund.create"):
        filed = file_request(cast, action)
        assert (filed.status, filed.retry, filed.stop) == ("blocked", "never", True)
    for verdict in ("approve", "reject"):
        with pytest.raises(Stopped):
            decide(waiting, cast["support1"], verdict, opened=opened)
    assert token_of(granted) is None
    with pytest.raises(Problem) as lapsed:
        redeem(cast, token, granted)
    assert lapsed.value.slug == "grant-lapsed"


def test_a_stop_filed_into_answers_byte_for_byte_as_a_suspension(cast: Cast) -> None:
    stops.begin(by=cast["admin1"], reason=WHY)
    stopped = file_request(cast, agent=another_agent(cast))
    stops.lift(number=1, by=cast["admin2"], reason="Over.")
    suspend(cast)
    suspended = file_request(cast)
    assert (stopped.reason, stopped.retry, stopped.stop) == (suspended.reason, suspended.retry, suspended.stop)


def test_the_sweep_withdraws_and_voids_afterwards_once_and_again_harmlessly(cast: Cast) -> None:
    waiting, granted = file_request(cast), file_request(cast, "docs.read")
    stops.begin(by=None, reason=WHY)
    assert withdraw_stopped() == 2
    request = Request.objects.get(pk=waiting.pk)
    assert (request.status, request.retry, request.stop) == ("withdrawn", "never", True)
    assert Grant.objects.get(request=granted).voided_at is not None
    assert [leaf["facts"]["stop"] for leaf in entries("request.withdrawn") + entries("grant.voided")] == [1, 1]
    assert withdraw_stopped() == 0
    assert len(entries("request.withdrawn")) == 1


def test_what_was_asked_or_granted_before_a_stop_stays_stopped_after_it_is_lifted(cast: Cast) -> None:
    waiting, granted = file_request(cast), file_request(cast, "docs.read")
    token, opened = token_of(granted) or "", open_page(waiting, cast["support1"])
    stops.begin(by=cast["admin1"], reason=WHY)
    stops.lift(number=1, by=cast["admin2"], reason="A false alarm.")
    with pytest.raises(Stopped):  # no sweep has come by yet
        decide(waiting, cast["support1"], opened=opened)
    with pytest.raises(Problem) as lapsed:
        redeem(cast, token, granted)
    assert lapsed.value.slug == "grant-lapsed"
    assert token_of(granted) is None
    new = file_request(cast)
    assert decide(new, cast["support1"]).status == "approved"
    assert redeem(cast, token_of(new) or "", new).redeemed_at
    assert withdraw_stopped() == 2


def test_a_stop_is_lifted_by_somebody_else_with_a_reason(cast: Cast) -> None:
    stop = stops.begin(by=cast["admin1"], reason=WHY)
    with pytest.raises(StopRefused):
        stops.lift(number=stop.number, by=cast["admin1"], reason="Mine again.")
    with pytest.raises(StopRefused):
        stops.lift(number=stop.number, by=cast["leader1"], reason=" ")
    with pytest.raises(StopRefused):
        stops.begin(by=cast["admin2"], reason="Once more.")
    stops.lift(number=stop.number, by=cast["leader1"], reason="Looked into it.")
    with pytest.raises(StopRefused):
        stops.lift(number=stop.number, by=cast["leader1"], reason="Again.")
    assert stops.begin(by=cast["admin1"], reason=WHY).number == 2
    assert [len(entries(kind)) for kind in ("stop.begun", "stop.lifted")] == [2, 1]


# ---- the database's own word
def refused(query: str, *parameters: object) -> str | None:
    """The SQLSTATE that the app role is refused with; None where it may."""
    with services.connection("app") as app:
        try:
            with app.transaction():
                app.execute(query, parameters)
        except psycopg.Error as error:
            return error.sqlstate
    return None


def test_the_database_refuses_to_unmake_renumber_or_lift_a_stop_alone(cast: Cast) -> None:
    stops.begin(by=cast["admin1"], reason=WHY)
    assert refused("DELETE FROM agents_stop") == "CS409"
    assert refused("UPDATE agents_stop SET number = 7") == "CS409"
    assert refused("INSERT INTO agents_stop (number, reason, lift_reason) VALUES (9, 'x', '')") == "CS409"
    alone = "UPDATE agents_stop SET lifted_at = now(), lifted_by_id = started_by_id, lift_reason = 'x'"
    assert refused(alone) == "23514"
    stops.lift(number=1, by=cast["admin2"], reason="Over.")
    assert refused("UPDATE agents_stop SET lifted_at = NULL, lifted_by_id = NULL, lift_reason = ''") == "CS409"


def test_the_database_refuses_a_redemption_after_a_stop_and_of_a_suspended_agent(cast: Cast) -> None:
    request = file_request(cast, "docs.read")
    spend = "UPDATE approvals_grant SET redeemed_at = clock_timestamp(), redeemed_by_id = %s WHERE request_id = %s"
    executor = cast.credentials["executor"].pk
    stops.begin(by=cast["admin1"], reason=WHY)
    assert refused(spend, executor, request.pk) == "CS411"
    stops.lift(number=1, by=cast["admin2"], reason="Over.")
    assert refused(spend, executor, request.pk) == "CS411"
    newer = file_request(cast, "docs.read")
    with forging():
        Agent.objects.filter(pk=cast.agent.pk).update(state="suspended")  # without the verb, so nothing was voided
    assert refused(spend, executor, newer.pk) == "CS411"


def test_the_database_refuses_a_redemption_while_a_stop_is_in_force_whenever_it_was_granted(cast: Cast) -> None:
    stops.begin(by=cast["admin1"], reason=WHY)
    stops.lift(number=1, by=cast["admin2"], reason="Over.")
    request = file_request(cast, "docs.read")
    assert Grant.objects.get(request=request).epoch == 1
    with services.connection("owner") as owner, owner.transaction():  # as if it had been granted during the stop
        owner.execute("SET LOCAL session_replication_role = replica")
        owner.execute("UPDATE agents_stop SET lifted_at = NULL, lifted_by_id = NULL, lift_reason = ''")
    spend = "UPDATE approvals_grant SET redeemed_at = clock_timestamp(), redeemed_by_id = %s WHERE request_id = %s"
    assert refused(spend, cast.credentials["executor"].pk, request.pk) == "CS411"


def test_an_epoch_is_neither_changed_nor_from_the_future(cast: Cast) -> None:
    request = file_request(cast, "docs.read")
    stops.begin(by=cast["admin1"], reason=WHY)
    assert refused("UPDATE approvals_request SET epoch = 1 WHERE id = %s", request.pk) == "CS409"
    assert refused("UPDATE approvals_grant SET epoch = 1 WHERE request_id = %s", request.pk) == "CS409"
    columns = ", ".join(
        f.column for f in Request._meta.concrete_fields if f.column not in ("id", "epoch") and not f.generated
    )
    again = f"INSERT INTO approvals_request (id, epoch, {columns}) SELECT gen_random_uuid(), 2, {columns}"
    assert refused(f"{again} FROM approvals_request WHERE id = %s", request.pk) == "CS409"


def test_a_stop_between_the_check_and_the_commit_is_seen_as_the_last_thing_before_it(cast: Cast) -> None:
    """The verb has checked, and reads what it needs for its entry; meanwhile somebody stops all agents."""

    class StopsMeanwhile:
        """Stands where the answer is remembered: after the verb's work, before the commit."""

        def claim(self) -> None:
            return None

        def keep(self, result: object) -> None:
            forge("INSERT INTO agents_stop (number, reason, lift_reason) VALUES (1, 'meanwhile', '')")

        def keep_refusal(self, problem: Problem) -> None:
            raise AssertionError(problem)

    filing = requests.Filing("docs.read", "handbook", {"path": "/a"}, "Read", "To answer a ticket.", {}, None)
    verb = requests.file.under(StopsMeanwhile())
    with pytest.raises(Problem) as busy:
        verb(agent=cast.agent, credential=cast.credentials["agent"], filing=filing)
    assert busy.value.status == 503
    assert not Request.objects.exists()
    assert Stop.objects.count() == 1


def test_the_sweep_passes_over_what_somebody_holds_and_comes_back(cast: Cast) -> None:
    one, other = file_request(cast), file_request(cast)
    stops.begin(by=cast["admin1"], reason=WHY)
    with services.connection("app") as somebody, somebody.transaction():
        somebody.execute("SELECT 1 FROM approvals_request WHERE id = %s FOR NO KEY UPDATE", [one.pk])
        assert stopping.withdraw_stopped() == 1
    assert Request.objects.get(pk=other.pk).status == "withdrawn"
    assert stopping.withdraw_stopped() == 1


def test_a_suspension_waits_no_longer_than_its_limit_and_then_says_busy(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suspension, "WAIT_SECONDS", 1)
    with services.connection("app") as other, other.transaction():
        other.execute("SELECT pg_advisory_xact_lock_shared(%s, hashtext(%s))", [0x5EED, str(cast.agent.pk)])
        with pytest.raises(Problem) as busy:
            suspend(cast)
    assert busy.value.slug == "busy"
    assert Agent.objects.get(pk=cast.agent.pk).state == "active"
