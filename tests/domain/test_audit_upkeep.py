"""Around the log: how it says that it stands, how floods of refusals are counted, how details are erased."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from audit import health, refusals
from audit.entries import Draft, EvidenceUnavailable, NotInTransaction, Party, Personal, record
from audit.models import Detail, Pending, RefusalWindow, SealerState
from audit.types import EntryType
from tests.support import sealing, services
from tests.support.database_roles import default_connection_as

pytestmark = pytest.mark.django_db(transaction=True)

AGENT, OTHER = Party("agent", "a1"), Party("agent", "a2")
KEY = Party("credential", "k1")


def as_owner(statement: str) -> None:
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        owner.execute(statement)


def write(subject: str = "r1") -> None:
    with transaction.atomic():
        record(Draft(EntryType.REQUEST_FILED, AGENT, Party("request", subject), personal={"x": Personal("y")}))


def facts(kind: EntryType) -> list[dict[str, Any]]:
    bodies = [json.loads(bytes(row.leaf)) for row in Pending.objects.order_by("position")]
    return [body["facts"] for body in bodies if body["type"] == str(kind)]


class TestHealth:
    """`health.status` and `assert_log_is_live`, one cause of refusal at a time."""

    @pytest.fixture(autouse=True)
    def _sealed_a_moment_ago(self) -> Iterator[None]:
        write()
        with sealing.started() as sealer:
            sealer.seal_batch()
            yield
        sealing.forget_outside_copies()

    def test_a_log_kept_right_now_is_live_and_nothing_is_degraded(self) -> None:
        with CaptureQueriesContext(connection) as queries:
            state = health.assert_log_is_live()
        assert len(queries) == 1
        assert state.degraded == []
        assert state.lag_seconds == 0
        assert (state.size, state.published_size, state.outside_size) == (3, 3, 3)

    def test_a_sealer_silent_for_over_ten_seconds_is_dead(self) -> None:
        as_owner("UPDATE audit_sealerstate SET alive_at = clock_timestamp() - interval '9 s'")
        assert health.status().unsafe is None
        as_owner("UPDATE audit_sealerstate SET alive_at = clock_timestamp() - interval '11 s'")
        assert health.status().degraded == ["sealing"]
        with pytest.raises(EvidenceUnavailable, match="not running"):
            health.assert_log_is_live()

    def test_a_lag_over_ten_seconds_is_degraded_and_over_sixty_unsafe(self) -> None:
        write()
        as_owner("UPDATE audit_pending SET recorded_at = clock_timestamp() - interval '11 s'")
        state = health.assert_log_is_live()
        assert state.degraded == ["sealing"]
        assert 11 <= state.lag_seconds < 60
        as_owner("UPDATE audit_pending SET recorded_at = clock_timestamp() - interval '61 s'")
        with pytest.raises(EvidenceUnavailable, match="behind"):
            health.assert_log_is_live()

    def test_a_database_older_than_the_outside_copy_is_unsafe_from_the_first_request(self) -> None:
        as_owner("UPDATE audit_sealerstate SET size = 2, published_size = 2")
        assert health.status().degraded == ["outside"]
        with pytest.raises(EvidenceUnavailable, match="older than what was published"):
            health.assert_log_is_live()

    def test_a_copy_that_is_gone_unreadable_or_not_ours_counts_as_behind(self) -> None:
        path = sealing.outside_path()
        for spoil in (lambda: path.write_text("x"), path.unlink, path.mkdir):
            spoil()
            assert health.status().degraded == ["outside"]
            with pytest.raises(EvidenceUnavailable, match="can't be read"):
                health.assert_log_is_live()
        path.rmdir()

    def test_without_a_place_for_the_copy_nothing_is_safe(self, settings: Any) -> None:
        settings.AUDIT_OUTSIDE_PATH = ""
        assert health.status().degraded == ["outside"]

    def test_roles_that_are_not_separated_are_said(self, settings: Any) -> None:
        settings.ROLES_SEPARATED = False
        assert health.assert_log_is_live().degraded == ["roles"]

    def test_a_database_that_cannot_answer_is_no_live_log(self) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            with services.connection("owner") as owner, owner.transaction():
                owner.execute("LOCK TABLE audit_sealerstate")
                cursor.execute("SET LOCAL lock_timeout = '50ms'")
                with pytest.raises(EvidenceUnavailable, match="can't be asked"):
                    health.assert_log_is_live()
            transaction.set_rollback(True)


def test_before_the_first_start_there_is_no_key_and_the_log_is_not_live() -> None:
    sealing.forget_outside_copies()
    assert health.verifier_key() is None
    assert health.fork_number() == 0
    assert health.status().degraded == ["sealing", "outside"]
    with pytest.raises(EvidenceUnavailable):
        health.assert_log_is_live()


def test_without_the_state_row_the_log_is_not_live() -> None:
    as_owner("DELETE FROM audit_sealerstate")
    assert health.status().unsafe is not None
    assert (health.fork_number(), health.verifier_key()) == (0, None)


def test_the_state_row_is_there_after_migrating_and_only_once() -> None:
    assert SealerState.objects.count() == 1


def refuse(times: int, *, actor: Party = AGENT, cause: str = "not-permitted") -> list[bool]:
    with transaction.atomic():
        return [
            refusals.record_refusal(actor=actor, subject=KEY, cause=cause, facts={"n": number})
            for number in range(times)
        ]


def minute_is_over() -> None:
    as_owner("UPDATE audit_refusalwindow SET started_at = started_at - interval '61 s'")


def test_ten_refusals_a_minute_are_entries_of_their_own_and_the_rest_one_with_a_count() -> None:
    assert refuse(25) == [True] * 10 + [False] * 15
    assert facts(EntryType.REFUSAL_RECORDED) == [{"n": number, "cause": "not-permitted"} for number in range(10)]
    assert refusals.close_windows() == 0
    minute_is_over()
    assert refusals.close_windows() == 1
    (counted,) = facts(EntryType.REFUSAL_COUNTED)
    assert (counted["cause"], counted["count"]) == ("not-permitted", 15)
    assert counted["from"] < counted["to"]
    assert refusals.close_windows() == 0


def test_another_actor_and_another_cause_are_counted_apart() -> None:
    assert refuse(10) == [True] * 10
    assert refuse(1) == [False]
    assert refuse(1, actor=OTHER) == [True]
    assert refuse(1, cause="grant-invalid") == [True]


def test_the_next_minute_begins_anew_and_what_was_not_counted_yet_is_not_lost() -> None:
    refuse(12)
    minute_is_over()
    assert refuse(11) == [True] * 10 + [False]
    minute_is_over()
    assert refusals.close_windows() == 1
    assert facts(EntryType.REFUSAL_COUNTED)[0]["count"] == 3
    assert RefusalWindow.objects.get().uncounted == 0


def test_many_windows_close_in_a_handful_of_statements() -> None:
    for number in range(5):
        refuse(11, actor=Party("agent", f"a{number}"))
    minute_is_over()
    with CaptureQueriesContext(connection) as queries:
        assert refusals.close_windows() == 5
    assert len([query for query in queries if "audit_" in query["sql"]]) == 4


def test_a_refusal_outside_a_transaction_and_one_that_cannot_be_written_say_so() -> None:
    with pytest.raises(NotInTransaction):
        refusals.record_refusal(actor=AGENT, subject=KEY, cause="x", facts={})
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("LOCK TABLE audit_refusalwindow")
        with pytest.raises(EvidenceUnavailable), transaction.atomic():
            impatient_refusal()


def impatient_refusal() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '50ms'")
    refusals.record_refusal(actor=AGENT, subject=KEY, cause="x", facts={})


def test_erasing_deletes_the_details_of_a_subject_and_says_who_and_why() -> None:
    write("r1")
    write("r1")
    write("r2")
    out = StringIO()
    with default_connection_as("eraser"):
        call_command("erase_details", subject=["request:r1"], basis="a person asked", by="alex", stdout=out)
    assert "2 entries' details are erased" in out.getvalue()
    assert [detail.subject_id for detail in Detail.objects.all()] == ["r2"]
    said = json.loads(bytes(Pending.objects.latest("position").leaf))
    assert (said["type"], said["subject"]) == ("erasure", {"kind": "request", "id": "r1"})
    assert said["actor"] == {"kind": "operator", "id": "alex"}
    assert said["facts"] == {"basis": "a person asked", "scope": "subject"}


@pytest.mark.parametrize(
    ("subject", "basis"), [("r1", "a person asked"), (":r1", "asked"), ("request:", "asked"), ("request:r1", " x ")]
)
def test_an_erasure_without_subject_or_basis_is_refused(subject: str, basis: str) -> None:
    with pytest.raises(CommandError):
        call_command("erase_details", subject=[subject], basis=basis)


def test_the_applications_role_cannot_erase_and_nothing_is_half_done() -> None:
    write("r1")
    with pytest.raises(CommandError, match="none were"):
        call_command("erase_details", subject=["request:r1"], basis="a person asked")
    assert (Detail.objects.count(), Pending.objects.count()) == (1, 1)
