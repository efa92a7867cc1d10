"""E-mail and chat: to those whose turn it is, gathered, critical at once, and only what may be said."""

from __future__ import annotations

import base64
import smtplib
import sys
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import transaction

from accounts import second_factor
from accounts.models import User
from approvals import outbox, queries
from approvals.models import Delivery, Event, Lane, Notice, Request
from approvals.notifications import addressing, messages, preferences, sending
from approvals.notifications.chat.transport import NOT_INSTALLED
from approvals.notifications.forgetting import forget_old
from audit import health
from tests.support import sealing as sealers
from tests.support import services
from tests.support.cast import Cast, decide, file_request, overdue
from tests.support.eventually import eventually
from tests.support.forging import forging
from tests.support.notifications import add_webhook, make_due, only_delivery, send_all
from tests.support.receiver import Receiver

pytestmark = pytest.mark.django_db(transaction=True)

# What each action asks for in the demo's policy stands in policies/demo: refunds up to $100 need one of support.


def letters() -> dict[str, list[str]]:
    """Subjects by receiver's name."""
    found: dict[str, list[str]] = {}
    for message in mail.outbox:
        found.setdefault(message.to[0].partition("@")[0], []).append(str(message.subject))
    return found


def waiting_for(person: User) -> Delivery:
    return Delivery.objects.get(person=person, state="waiting", attempts=0)


# ---- the outbox


def test_a_notice_commits_with_the_filing(cast: Cast) -> None:
    request = file_request(cast)
    notice = Notice.objects.get()
    assert (notice.event, notice.request_id, notice.addressed_at) == ("request.pending", request.pk, None)


def test_a_verb_that_is_rolled_back_leaves_none(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    from approvals import requests

    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(requests, "_record_filing", full)  # a later step of the verb: the notice was written before
    with pytest.raises(OSError, match="disk full"):
        file_request(cast)
    assert (Request.objects.count(), Notice.objects.count()) == (0, 0)


def test_a_notice_written_in_a_transaction_that_fails_is_gone(cast: Cast) -> None:
    request = file_request(cast)
    with transaction.atomic():
        outbox.tell(Event.REMINDER, [request.pk])
        transaction.set_rollback(True)
    assert list(Notice.objects.values_list("event", flat=True)) == ["request.pending"]


def test_what_only_webhooks_hear_leaves_no_row_while_none_asks(cast: Cast, receiver: Receiver) -> None:
    decide(file_request(cast), cast["support1"])
    assert not Notice.objects.filter(event="request.approved").exists()
    add_webhook(cast, receiver.url, "request.approved")
    decide(file_request(cast), cast["support1"])
    assert Notice.objects.filter(event="request.approved").count() == 1


def test_nothing_is_sent_inside_the_verb(cast: Cast) -> None:
    file_request(cast)
    assert (mail.outbox, Delivery.objects.count()) == ([], 0)


# ---- whose turn


def test_team_members_are_told_and_nobody_else(cast: Cast) -> None:
    file_request(cast)
    send_all()
    make_due()
    send_all()
    assert set(letters()) == {"support1", "support2"}, "owner1 sits in support too, and is barred"


def test_who_has_voted_is_not_told_again(cast: Cast) -> None:
    request = file_request(cast, parameters={"amount_cents": 50_000})  # two of finance
    with sealers.running():  # high risk is approved only while the log is alive
        eventually(lambda: not health.status().degraded, what="a live log")
        assert decide(request, cast["finance1"]).status == "pending"
    send_all()
    make_due()
    send_all()
    assert set(letters()) == {"finance2"}


def test_each_team_of_a_requirement_is_told(cast: Cast) -> None:
    for name in ("privacy1", "security1"):  # who could decide a critical request at all
        second_factor.give_totp(user=cast[name], secret=base64.b32encode(b"x" * 20).decode())
    file_request(cast, "customer.export")
    send_all()
    assert set(letters()) == {"privacy1", "security1"}


def test_who_was_deactivated_is_not_told(cast: Cast) -> None:
    with forging():
        User.objects.filter(pk=cast["support2"].pk).update(is_active=False)
    file_request(cast)
    send_all()
    make_due()
    send_all()
    assert set(letters()) == {"support1"}


def test_what_was_decided_meanwhile_is_not_told_any_more(cast: Cast) -> None:
    request = file_request(cast)
    send_all()
    decide(request, cast["support1"])
    make_due()
    send_all()
    assert mail.outbox == []
    assert set(Delivery.objects.values_list("state", flat=True)) == {"overtaken"}


def test_what_expired_before_it_was_addressed_tells_nobody(cast: Cast) -> None:
    overdue(file_request(cast))
    send_all()
    assert not Delivery.objects.exists()


def test_decided_and_expired_are_told_to_no_person(cast: Cast, receiver: Receiver) -> None:
    add_webhook(cast, receiver.url, "request.approved")
    request = file_request(cast)
    addressing.address()
    Delivery.objects.all().delete()
    decide(request, cast["support1"])
    send_all()
    assert (len(receiver.got), mail.outbox) == (1, [])


def test_an_escalation_speaks_to_those_who_were_not_told_before(cast: Cast) -> None:
    request = file_request(cast)
    addressing.address()
    Delivery.objects.filter(person=cast["support2"]).delete()
    outbox.tell(Event.ESCALATED, [request.pk])
    addressing.address()
    assert set(Delivery.objects.filter(notices__event="request.escalated").values_list("person", flat=True)) == {
        cast["support2"].pk
    }


def test_a_reminder_speaks_to_all_whose_turn_it_is(cast: Cast) -> None:
    request = file_request(cast)
    send_all()
    make_due()
    send_all()
    mail.outbox.clear()
    outbox.tell(Event.REMINDER, [request.pk])
    send_all()
    make_due()
    send_all()
    assert set(letters()) == {"support1", "support2"}


# ---- gathered


def test_what_comes_within_the_window_goes_in_one_letter_a_person(cast: Cast) -> None:
    for _ in range(3):
        file_request(cast)
        send_all()
    assert mail.outbox == []
    make_due()
    send_all()
    assert letters() == {
        "support1": ["[Countersign] 3 requests wait for you"],
        "support2": ["[Countersign] 3 requests wait for you"],
    }
    assert mail.outbox[0].body.count("http://localhost:8000/requests/") == 3


def test_the_window_is_the_persons_own_and_never_eats_most_of_the_time_left(cast: Cast) -> None:
    preferences.choose(person=cast["support2"], email=True, window_seconds=0)
    request = file_request(cast)
    addressing.address()
    first, second = waiting_for(cast["support1"]), waiting_for(cast["support2"])
    assert timedelta(minutes=4) < first.due_at - request.created_at < timedelta(minutes=6)
    assert second.due_at - request.created_at < timedelta(minutes=1)
    file_request(cast, timeout_seconds=80)
    addressing.address()
    moved = waiting_for(cast["support1"])
    assert moved.pk == first.pk
    assert moved.due_at - request.created_at < timedelta(seconds=60)


def test_critical_goes_at_once_and_takes_along_what_waits(cast: Cast) -> None:
    security = cast["security1"]
    request = file_request(cast, "customer.export")
    assert request.risk == "critical"
    send_all()
    assert [one for one in letters() if one == "security1"] == ["security1"]
    assert letters()["security1"][0].startswith("[Countersign] Critical: ")
    assert not Delivery.objects.filter(person=security, state="waiting").exists()


def test_who_switched_mail_off_gets_none(cast: Cast) -> None:
    preferences.choose(person=cast["support1"], email=False, window_seconds=0)
    file_request(cast)
    send_all()
    make_due()
    send_all()
    assert set(letters()) == {"support2"}


def test_a_letter_that_was_tried_takes_nothing_more_along(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    file_request(cast)
    send_all()
    make_due()
    claimed = sending.claim()
    assert claimed is not None
    assert claimed.person is not None
    file_request(cast)
    addressing.address()
    assert claimed.notices.count() == 1
    assert waiting_for(claimed.person).pk != claimed.pk


# ---- what is said


def test_a_letter_says_title_risk_deadline_and_link_and_nothing_of_the_agents(cast: Cast) -> None:
    request = file_request(
        cast,
        "email.send",
        {"body": "SECRET-BODY"},
        summary="SECRET-SUMMARY",
        rationale="SECRET-RATIONALE",
        context={"session": "SECRET-SESSION"},
    )
    assert request.status == "pending"
    send_all()
    make_due()
    send_all()
    message = mail.outbox[0]
    assert "SECRET" not in f"{message.body}{message.subject}"
    (link,) = [line for line in message.body.splitlines() if line.startswith("http")]
    assert link == f"http://localhost:8000/requests/{request.pk}/"
    assert f"{request.expires_at:%Y-%m-%d %H:%M} UTC" in message.body
    assert message.extra_headers["Auto-Submitted"] == "auto-generated"


def test_hostile_text_in_a_title_is_visible_and_makes_no_link(cast: Cast) -> None:
    request = file_request(cast, resource="order\u202e/1\r\nBcc: x@evil.example https://evil.example www.evil.example")
    (line,) = messages.lines_of([queries.requests().get(pk=request.pk)])
    assert "\u202e" not in line.title
    assert "[U+202E]" in line.title
    assert "\n" not in line.title
    assert "://" not in line.title
    assert "www." not in line.title


# ---- a channel that is down


class _Down:
    """A mail server that refuses, as smtplib tells it."""

    def __init__(self, error: Exception) -> None:
        self.error, self.tries = error, 0

    def __call__(self, *_: object, **__: object) -> int:
        self.tries += 1
        raise self.error


def test_a_dead_mail_server_delays_no_decision_and_is_tried_once_a_pause(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    down = _Down(ConnectionRefusedError())
    monkeypatch.setattr("django.core.mail.EmailMessage.send", down)
    request = file_request(cast)
    send_all()
    make_due()
    send_all()
    assert down.tries == 1, "two letters are due, and one attempt tells that the server is away"
    assert decide(request, cast["support1"]).status == "approved"
    assert Lane.objects.get().name == "email"


def test_the_same_letter_goes_out_once_the_server_is_back(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    file_request(cast)
    send_all()
    make_due()
    with monkeypatch.context() as patch:
        patch.setattr("django.core.mail.EmailMessage.send", _Down(smtplib.SMTPServerDisconnected("away")))
        send_all()
    make_due()
    send_all()
    assert {name: len(found) for name, found in letters().items()} == {"support1": 1, "support2": 1}
    ids = {message.extra_headers["Message-ID"] for message in mail.outbox}
    assert ids == {f"<{pk}@localhost>" for pk in Delivery.objects.values_list("pk", flat=True)}


def test_a_refused_receiver_fails_alone_and_at_once(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    file_request(cast)
    send_all()
    make_due()
    refused = smtplib.SMTPRecipientsRefused({"support1@example.test": (550, b"no such user")})
    with monkeypatch.context() as patch:
        patch.setattr("django.core.mail.EmailMessage.send", _Down(refused))
        sending.attempt(_claimed())
    failed = Delivery.objects.get(state="failed")
    assert failed.last_code == 550
    assert "example.test" not in failed.last_error
    send_all()
    assert len(mail.outbox) == 1, "the other letter's lane is not quiet"


def _claimed() -> Delivery:
    found = sending.claim()
    assert found is not None
    return found


def test_a_fault_of_ours_stops_nobody_elses_message(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    file_request(cast)
    send_all()
    make_due()
    real = sending.email.send
    tries: list[str] = []

    def faulty(delivery_id: Any, to: str, lines: Any) -> int | None:
        tries.append(to)
        if len(tries) == 1:
            raise KeyError("a fault")
        return real(delivery_id, to, lines)

    monkeypatch.setattr(sending.email, "send", faulty)
    send_all()
    assert sorted(tries) == ["support1@example.test", "support2@example.test"]
    assert len(mail.outbox) == 1


# ---- chat


def test_a_teams_room_is_told_by_apprise(cast: Cast, receiver: Receiver, settings: Any) -> None:
    settings.CHAT_URLS = {
        "support": receiver.url.replace("http://", "json://"),
        "privacy": receiver.url.replace("http://", "json://") + "/privacy",
    }
    request = file_request(cast, resource="order/<!channel> @everyone")
    send_all()
    assert receiver.got == []
    make_due()
    send_all()
    (got,) = receiver.got
    assert f"/requests/{request.pk}/".encode() in got.body
    assert b"<!" not in got.body
    assert b"@everyone" not in got.body
    assert only_delivery("chat").state == "sent"


def test_the_room_for_everything_hears_of_critical_at_once(cast: Cast, receiver: Receiver, settings: Any) -> None:
    settings.CHAT_URLS = {"*": receiver.url.replace("http://", "json://")}
    file_request(cast, "customer.export")
    send_all()
    assert b"Critical" in receiver.got[0].body


def test_a_room_that_does_not_answer_is_tried_again(cast: Cast, receiver: Receiver, settings: Any) -> None:
    settings.CHAT_URLS = {"support": receiver.url.replace("http://", "json://")}
    receiver.answers.append(500)
    file_request(cast)
    send_all()
    make_due()
    send_all()
    assert only_delivery("chat").state == "waiting"
    make_due()
    send_all()
    assert (only_delivery("chat").state, len(receiver.got)) == ("sent", 2)


def test_without_the_extra_a_room_says_how_to_install_it(
    cast: Cast, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CHAT_URLS = {"support": "json://127.0.0.1:9/"}
    monkeypatch.setitem(sys.modules, "apprise", None)
    file_request(cast)
    send_all()
    make_due()
    send_all()
    assert only_delivery("chat").last_error == NOT_INSTALLED[:300]


# ---- afterwards


def test_what_ended_a_month_ago_is_forgotten_and_what_waits_is_not(cast: Cast) -> None:
    file_request(cast)
    send_all()
    make_due()
    send_all()
    file_request(cast)
    send_all()
    with services.connection("app") as app:
        app.execute("UPDATE approvals_delivery SET ended_at = ended_at - interval '31 days' WHERE state = 'sent'")
        app.execute("UPDATE approvals_notice SET addressed_at = addressed_at - interval '31 days'")
    assert forget_old() == 2
    assert set(Delivery.objects.values_list("state", flat=True)) == {"waiting"}
    assert Notice.objects.count() == 1


def test_the_schedule_runs_it_each_second_and_a_message_in_the_broker_carries_nothing() -> None:
    from config.celery import app

    (entry,) = [one for one in app.conf.beat_schedule.values() if one["task"] == "approvals.tasks.send_notifications"]
    assert entry["schedule"] == 1
    assert not entry.get("args")
    assert app.conf.task_acks_late
