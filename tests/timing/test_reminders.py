"""Reminders: at half and nine tenths of the time to decide, from rows, once each; and what an agent may ask of time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.core import mail
from hypothesis import given
from hypothesis import strategies as st

from approvals import reminders
from approvals.models import Delivery, Notice, Request
from approvals.reminders import APART, next_after
from approvals.tasks import escalate_due, expire_due, remind_due, send_notifications
from tests.support import services
from tests.support.cast import Cast, decide, file_request, held
from tests.support.eventually import eventually
from tests.support.live import worker_and_beat
from tests.support.notifications import make_due, send_all
from tests.support.racing import race
from tests.support.times import LARGE, activate, escalating, pass_time

T0 = datetime(2026, 11, 21, 12, tzinfo=UTC)


def minutes(n: float) -> timedelta:
    return timedelta(minutes=n)


def reminded() -> int:
    return Notice.objects.filter(event="request.reminder").count()


# ---- when


def test_at_half_and_at_nine_tenths() -> None:
    end = T0 + minutes(100)
    assert next_after(T0, T0, end) == T0 + minutes(50)
    assert next_after(T0 + minutes(50), T0, end) == T0 + minutes(90)
    assert next_after(T0 + minutes(90), T0, end) is None


@pytest.mark.parametrize(("seconds", "told"), [(59, 0), (60, 1), (299, 1), (300, 2), (604_800, 2)])
def test_a_short_time_has_fewer(seconds: int, told: int) -> None:
    at, end, found = T0, T0 + timedelta(seconds=seconds), 0
    while (following := next_after(at, T0, end)) is not None:
        at, found = following, found + 1
    assert found == told


@given(st.integers(1, 604_800), st.floats(0, 1))
def test_none_is_near_the_filing_another_one_or_the_deadline(seconds: int, part: float) -> None:
    span = timedelta(seconds=seconds)
    told = T0 + span * part
    at = next_after(told, T0, T0 + span)
    assert at is None or (at - told >= APART and T0 + span - at >= APART)


# ---- the sweep


def test_each_is_told_once_to_whose_turn_it_is(cast: Cast) -> None:
    request = file_request(cast, parameters=LARGE)  # 30 minutes
    decide(request, cast["finance1"])
    assert remind_due() == 0
    pass_time(request, minutes(15.1))
    assert (remind_due(), remind_due(), reminded()) == (1, 0, 1)
    pass_time(request, minutes(12))
    assert (remind_due(), remind_due(), reminded()) == (1, 0, 2)
    send_all()
    people = Delivery.objects.filter(notices__event="request.reminder").values_list("person__email", flat=True)
    assert set(people) == {"finance2@example.test"}


def test_after_an_outage_the_latest_alone_is_told(cast: Cast) -> None:
    request = pass_time(file_request(cast, parameters=LARGE), minutes(28))
    assert (remind_due(), remind_due(), reminded()) == (1, 0, 1)
    request.refresh_from_db()
    assert request.remind_at is None


def test_what_ended_or_ran_out_is_not_reminded_of(cast: Cast) -> None:
    ended, late = file_request(cast, parameters=LARGE), file_request(cast, parameters=LARGE)
    decide(ended, cast["finance1"], "reject", rationale="No.")
    pass_time(ended, minutes(16))
    pass_time(late, minutes(31))
    file_request(cast, "docs.read")
    assert (remind_due(), reminded()) == (0, 0)


def test_what_somebody_holds_is_told_the_next_time_and_many_sweeps_tell_once(cast: Cast) -> None:
    rows = [pass_time(file_request(cast, parameters=LARGE), minutes(16)) for _ in range(6)]
    with held(rows[0]):
        assert sum(race(*([reminders.remind_due] * 4))) == 5
    assert remind_due() == 1
    assert reminded() == 6


def test_a_decided_request_is_not_mailed_of_though_its_reminder_was_due(cast: Cast) -> None:
    request = pass_time(file_request(cast), minutes(16))
    assert remind_due() == 1
    decide(request, cast["support1"])
    mail.outbox.clear()
    send_all()
    make_due()
    send_all()
    assert mail.outbox == []


# ---- nothing of it lies in the broker


def test_a_flush_of_redis_loses_no_deadline_no_escalation_and_no_reminder(cast: Cast) -> None:
    escalating()
    late = pass_time(file_request(cast), minutes(31))
    waiting = pass_time(file_request(cast, parameters=LARGE), minutes(16))
    services.empty_redis()
    assert (expire_due(), escalate_due(), remind_due()) == (1, 1, 1)
    assert send_notifications() is not None
    late.refresh_from_db()
    waiting.refresh_from_db()
    assert (late.status, waiting.escalated_at is not None) == ("expired", True)


def test_a_worker_and_a_beat_do_it_though_redis_is_flushed_meanwhile(cast: Cast) -> None:
    escalating()
    waiting = pass_time(file_request(cast, parameters=LARGE), minutes(16))

    def told() -> bool:
        services.empty_redis()
        return reminded() == 1 and Request.objects.filter(pk=waiting.pk, escalated_at__isnull=False).exists()

    with worker_and_beat():
        eventually(told, within=60, every=0.7, what="escalation and reminder by a real worker")
    assert Notice.objects.filter(event="request.escalated").count() == 1


# ---- how long


def test_the_agent_shortens_the_time_and_never_lengthens_it(cast: Cast) -> None:
    for asked, given_seconds in ((60, 60), (1800, 1800), (604_800, 1800), (None, 1800)):
        request = file_request(cast, timeout_seconds=asked)
        assert request.expires_at - request.created_at == timedelta(seconds=given_seconds)


def test_of_several_permits_the_shortest_time_holds(cast: Cast) -> None:
    activate(
        ('@id("docs-read")',
         '@id("refund-any")\n@require("1 of support")\n@risk("low")\n@timeout("7m")\n'
         'permit (principal in Level::"3", action == Action::"refund.create", resource);\n\n@id("docs-read")')
    )  # fmt: skip
    request = file_request(cast, timeout_seconds=3600)
    assert request.expires_at - request.created_at == minutes(7)
