"""A request's status moves in one place: the row, the object, the entry, the notice and the wake-up say the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.db import IntegrityError, connection, transaction
from uuid_utils.compat import uuid7

from approvals import lifecycle, queries
from approvals.lifecycle import IllegalTransition
from approvals.models import Notice, Request
from approvals.models.notification import Webhook
from approvals.rules import answers
from approvals.states import Retry, Status
from approvals.waking import CHANNEL
from audit.entries import Authentication, Party, Personal
from tests.support.cast import Cast, file_request, make_cast, overdue
from tests.support.forging import forging
from tests.support.leaves import entries

BY = Party("system", "test")


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    """helpdesk, one of support, and a webhook that asks for everything that ends."""
    Webhook.objects.create(url="https://hooks.example/x", events=[f"request.{status.value}" for status in Status])
    return make_cast(only=("support1",))


@contextmanager
def waiting() -> Iterator[Any]:
    """Somebody listens as waiting readers do; call it for the next message, None where there is none."""
    client = redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)
    with client.pubsub() as heard:
        heard.subscribe(CHANNEL)
        assert heard.get_message(timeout=5)["type"] == "subscribe"

        def told() -> str | None:
            # Redis has one set of channels for all of its databases: other workers of the suite are heard here too.
            while (message := heard.get_message(timeout=0.2)) is not None:
                if Request.objects.filter(pk__in=message["data"].split()).exists():
                    return str(message["data"])
            return None

        yield told
    client.close()


def another(request: Request) -> Request:
    """The same request under an id of its own, not saved."""
    copied = Request.objects.get(pk=request.pk)
    copied.pk = uuid7()
    return copied


def noticed(request: Request) -> list[str]:
    """What is to be told of the request, in order."""
    return list(Notice.objects.filter(request=request).order_by("id").values_list("event", flat=True))


def moved(request: Request, to: Status, **more: Any) -> Request:
    """The request moved by the lifecycle, with what an ordinary move says."""
    given: dict[str, Any] = {"by": BY, "at": queries.clock(), "reason": "Because.", "retry": Retry.CHANGED, **more}
    with transaction.atomic():
        lifecycle.transition(request, to, **given)
    return request


class TestBeginning:
    @pytest.mark.parametrize("status", [Status.REJECTED, Status.EXPIRED, Status.WITHDRAWN])
    def test_a_request_begins_as_the_table_says_or_not_at_all(self, cast: Cast, status: Status) -> None:
        request = another(file_request(cast))
        with pytest.raises(IllegalTransition, match=f"cannot begin as {status.value}"):
            lifecycle.begin(request, status)
        assert not Request.objects.filter(pk=request.pk).exists()

    def test_what_people_decide_begins_without_an_end(self, cast: Cast) -> None:
        request = another(file_request(cast))
        with forging():
            lifecycle.begin(request, Status.PENDING, reason="Not said.", retry="later", stop=True)
        saved = Request.objects.get(pk=request.pk)
        assert (saved.status, saved.version, saved.decided_at, saved.valid_until) == ("pending", 1, None, None)
        assert (saved.reason, saved.retry, saved.stop) == ("", None, False)
        assert noticed(request) == ["request.pending"]

    def test_what_policy_allows_ends_as_it_begins_and_holds_for_as_long_as_policy_says(self, cast: Cast) -> None:
        saved = Request.objects.get(pk=file_request(cast, "docs.read").pk)
        assert (saved.status, saved.reason, saved.retry, saved.stop) == ("approved", "Allowed.", None, False)
        assert saved.decided_at == saved.created_at
        assert saved.valid_until == saved.created_at + timedelta(seconds=saved.valid_seconds)
        assert noticed(saved) == ["request.approved"]

    def test_what_policy_blocks_says_why_and_no_more_holds(self, cast: Cast) -> None:
        request = another(file_request(cast))
        with forging():
            lifecycle.begin(request, Status.BLOCKED, reason="Stopped.", retry="never", stop=True)
        saved = Request.objects.get(pk=request.pk)
        assert (saved.status, saved.reason, saved.retry, saved.stop) == ("blocked", "Stopped.", "never", True)
        assert (saved.decided_at, saved.valid_until) == (saved.created_at, None)
        assert noticed(request) == ["request.blocked"]

    def test_nothing_ends_a_run_unless_it_is_said(self, cast: Cast) -> None:
        request = another(file_request(cast))
        with forging():
            lifecycle.begin(request, Status.BLOCKED, reason="No.")
        saved = Request.objects.get(pk=request.pk)
        assert (saved.stop, saved.retry) == (False, None)

    def test_a_final_beginning_without_a_reason_is_refused_by_the_database(self, cast: Cast) -> None:
        with pytest.raises(IntegrityError):
            lifecycle.begin(another(file_request(cast)), Status.BLOCKED)

    def test_a_beginning_overwrites_no_request_that_is_there(self, cast: Cast) -> None:
        request = file_request(cast)
        with pytest.raises(IntegrityError):
            lifecycle.begin(Request.objects.get(pk=request.pk), Status.BLOCKED, reason="No.")
        assert Request.objects.get(pk=request.pk).status == "pending"


class TestMoving:
    @pytest.mark.parametrize("to", [Status.REJECTED, Status.WITHDRAWN, Status.BLOCKED, Status.EXPIRED])
    def test_the_row_and_the_object_say_the_same_afterwards(self, cast: Cast, to: Status) -> None:
        at, waits = queries.clock(), file_request(cast)
        request = moved(overdue(waits) if to is Status.EXPIRED else waits, to, at=at, stop=True)
        for told in (request, Request.objects.get(pk=request.pk)):
            assert (told.status, told.version, told.decided_at, told.valid_until) == (to.value, 2, at, None)
            assert (told.reason, told.retry, told.stop) == ("Because.", "changed", True)
        assert noticed(request) == ["request.pending", f"request.{to.value}"]

    def test_without_a_word_on_it_nothing_may_be_retried_differently_and_no_run_ends(self, cast: Cast) -> None:
        request = moved(file_request(cast), Status.WITHDRAWN, retry=None)
        for told in (request, Request.objects.get(pk=request.pk)):
            assert (told.retry, told.stop) == (None, False)

    @pytest.mark.parametrize(("asked", "held"), [(None, 3600), (60, 60), (0, 0)])
    def test_a_yes_holds_as_long_as_it_is_told_to_or_as_was_filed(
        self, cast: Cast, asked: int | None, held: int
    ) -> None:
        request, at = file_request(cast), queries.clock()
        with transaction.atomic():
            lifecycle.transition(
                request, Status.APPROVED, by=BY, at=at, reason="Approved.", retry=None, valid_seconds=asked
            )
            assert (request.status, request.valid_until) == ("approved", at + timedelta(seconds=held))
            transaction.set_rollback(True)  # the database asks for its quorum and its grant at the commit

    def test_its_entry_says_who_what_and_how_and_keeps_what_is_personal_apart(self, cast: Cast) -> None:
        request = file_request(cast)
        moved(
            request,
            Status.REJECTED,
            by=Party("user", "42"),
            auth=Authentication("mfa:totp", queries.clock()),
            facts={"more": 1},
            personal={"rationale": Personal("It is not theirs.", b"0" * 16)},
        )
        (entry,) = entries("request.rejected")
        assert entry["actor"] == {"kind": "user", "id": "42"}
        assert entry["subject"] == {"kind": "request", "id": str(request.pk)}
        facts = {"action": "refund.create", "status": "rejected", "risk": "medium", "more": 1}
        assert {name: entry["facts"][name] for name in facts} == facts
        assert "It is not theirs." not in str(entry)
        assert "rationale" in str(entry)
        assert "mfa:totp" in str(entry)

    def test_its_entry_says_no_more_than_it_was_told(self, cast: Cast) -> None:
        moved(file_request(cast), Status.WITHDRAWN)
        (entry,) = entries("request.withdrawn")
        assert entry["facts"] == {"action": "refund.create", "status": "withdrawn", "risk": "medium"}

    @pytest.mark.parametrize("to", list(Status))
    def test_what_has_ended_moves_no_more(self, cast: Cast, to: Status) -> None:
        request = moved(file_request(cast), Status.WITHDRAWN)
        with pytest.raises(IllegalTransition, match=f"that is withdrawn cannot become {to.value}"):
            moved(request, to)
        assert Request.objects.get(pk=request.pk).version == 2

    def test_what_was_moved_meanwhile_is_left_as_it_is_and_no_entry_says_otherwise(self, cast: Cast) -> None:
        request = file_request(cast)
        stale = Request.objects.get(pk=request.pk)
        moved(request, Status.WITHDRAWN)
        with pytest.raises(IllegalTransition, match="was moved meanwhile"):
            moved(stale, Status.REJECTED)
        assert Request.objects.get(pk=request.pk).status == "withdrawn"
        assert entries("request.rejected") == []

    def test_only_the_one_request_moves(self, cast: Cast) -> None:
        one, other = file_request(cast), file_request(cast)
        moved(one, Status.WITHDRAWN)
        assert Request.objects.get(pk=other.pk).status == "pending"

    def test_who_waits_is_told_after_the_commit_and_not_before(self, cast: Cast) -> None:
        request = file_request(cast)
        with waiting() as told:
            with transaction.atomic():
                lifecycle.transition(
                    request, Status.WITHDRAWN, by=BY, at=queries.clock(), reason="No.", retry=Retry.NEVER
                )
                assert told() is None
            assert told() == str(request.pk)


class TestTouching:
    def test_the_version_grows_and_nothing_else_is_saved(self, cast: Cast) -> None:
        request = file_request(cast)
        request.summary = "Something else"
        with waiting() as told:
            with transaction.atomic():
                lifecycle.touch(request)
            assert told() == str(request.pk)
        saved = Request.objects.get(pk=request.pk)
        assert (saved.version, request.version) == (2, 2)
        assert saved.summary != "Something else"


class TestExpiring:
    def test_what_is_due_expires_at_its_deadline_and_what_is_not_stays(self, cast: Cast) -> None:
        late, early = overdue(file_request(cast)), file_request(cast)
        gone = moved(overdue(file_request(cast)), Status.WITHDRAWN)
        unasked = overdue(file_request(cast))
        with waiting() as told:
            with transaction.atomic():
                assert lifecycle.expire_batch([late.pk, early.pk, gone.pk]) == 1
                assert told() is None
            assert told() == str(late.pk)
        expired = Request.objects.get(pk=late.pk)
        assert (expired.status, expired.reason, expired.retry) == ("expired", answers.EXPIRED.reason, "later")
        assert (expired.decided_at, expired.version, expired.stop) == (late.expires_at, 2, False)
        for request, status in ((early, "pending"), (gone, "withdrawn"), (unasked, "pending")):
            assert Request.objects.get(pk=request.pk).status == status
        assert noticed(late) == ["request.pending", "request.expired"]
        assert noticed(early) == ["request.pending"]

    def test_each_leaves_an_entry_of_its_own_by_the_system(self, cast: Cast) -> None:
        late = [overdue(file_request(cast)), overdue(file_request(cast, "email.send"))]
        with waiting() as told:
            with transaction.atomic():
                assert lifecycle.expire_batch([request.pk for request in late]) == 2
            assert sorted((told() or "").split()) == sorted(str(request.pk) for request in late)
        found = {entry["subject"]["id"]: entry for entry in entries("request.expired")}
        for request in late:
            entry = found.pop(str(request.pk))
            assert entry["actor"] == {"kind": "system", "id": "countersign"}
            assert entry["subject"]["kind"] == "request"
            assert entry["facts"] == {"action": request.action, "status": "expired", "risk": request.risk}
        assert found == {}

    def test_where_nothing_is_due_nothing_is_written_and_nobody_woken(self, cast: Cast) -> None:
        early = file_request(cast)
        with waiting() as told:
            with transaction.atomic():
                assert lifecycle.expire_batch([early.pk]) == 0
            assert told() is None
        assert entries("request.expired") == []

    def test_the_entries_and_the_move_are_one(self, cast: Cast) -> None:
        late = overdue(file_request(cast))
        with transaction.atomic():
            lifecycle.expire_batch([late.pk])
            transaction.set_rollback(True)
        assert Request.objects.get(pk=late.pk).status == "pending"
        assert entries("request.expired") == []
        assert not connection.in_atomic_block


class TestWithdrawing:
    def test_what_is_overdue_or_has_ended_is_left_as_it_is(self, cast: Cast) -> None:
        waits, late = file_request(cast), overdue(file_request(cast))
        gone = moved(file_request(cast), Status.REJECTED)
        with transaction.atomic():
            assert lifecycle.withdraw_batch([waits.pk, late.pk, gone.pk], by=BY, facts={"cause": "test"}) == 1
        statuses = [Request.objects.get(pk=one.pk).status for one in (waits, late, gone)]
        assert statuses == ["withdrawn", "pending", "rejected"]
        assert [leaf["subject"]["id"] for leaf in entries("request.withdrawn")] == [str(waits.pk)]
