"""Webhooks through a real receiver, verified by the public library: signed, retried, sent once, given up, revived."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import threading
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.conf import settings
from standardwebhooks import WebhookVerificationError

from approvals import queries
from approvals.models import Delivery, Lane, Webhook, WebhookSecret
from approvals.notifications import endpoints, guard, sending
from approvals.notifications.webhook.secrets import unseal
from approvals.notifications.webhook.transport import rules
from approvals.tasks import send_notifications
from audit.models import Detail, Pending
from tests.support import services
from tests.support.cast import Cast, decide, file_request, overdue, password_proof
from tests.support.eventually import eventually
from tests.support.notifications import (
    a_day_passes,
    add_webhook,
    make_due,
    only_delivery,
    send_all,
    the_sender_died,
)
from tests.support.receiver import Receiver

pytestmark = pytest.mark.django_db(transaction=True)


def leaves(kind: str) -> list[dict[str, object]]:
    """The entries of one type, oldest first."""
    rows = [json.loads(bytes(row.leaf)) for row in Pending.objects.order_by("position")]
    return [row for row in rows if row["type"] == kind]


def test_a_subscribed_webhook_is_told_with_a_signature_the_public_library_accepts(
    cast: Cast, receiver: Receiver
) -> None:
    _, secret = add_webhook(cast, receiver.url, "request.pending")
    request = file_request(cast)
    send_all()
    (got,) = receiver.got
    body = got.verified(secret)
    assert body["type"] == "request.pending"
    assert got.headers["webhook-id"] == f"msg_{only_delivery().pk.hex}"
    assert got.headers["content-type"] == "application/json"
    assert body["data"] == {
        "title": f"Refund $42.00 on {request.resource}",
        "risk": "medium",
        "deadline": request.expires_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "link": f"http://localhost:8000/requests/{request.pk}/",
    }


def test_another_secret_does_not_verify(cast: Cast, receiver: Receiver) -> None:
    add_webhook(cast, receiver.url)
    file_request(cast)
    send_all()
    with pytest.raises(WebhookVerificationError):
        receiver.got[0].verified("whsec_" + base64.b64encode(b"x" * 32).decode())


def test_it_carries_nothing_the_agent_wrote(cast: Cast, receiver: Receiver) -> None:
    add_webhook(cast, receiver.url)
    file_request(
        cast,
        "email.send",
        {"body": "SECRET-BODY"},
        resource="SECRET-RESOURCE",
        summary="SECRET-SUMMARY",
        rationale="SECRET-RATIONALE",
        context={"session": "SECRET-SESSION"},
    )
    send_all()
    assert b"SECRET" not in receiver.got[0].body
    assert set(json.loads(receiver.got[0].body)["data"]) == {"title", "risk", "deadline", "link"}


def test_how_a_request_ended_is_told_to_those_who_asked_for_it_alone(cast: Cast, receiver: Receiver) -> None:
    add_webhook(cast, receiver.url, "request.approved", "request.rejected")
    decide(file_request(cast), cast["support1"])
    decide(file_request(cast), cast["support1"], "reject")
    file_request(cast, "backup.delete")  # blocked
    while send_all():
        pass
    assert [json.loads(one.body)["type"] for one in receiver.got] == ["request.approved", "request.rejected"]


def test_an_expiry_is_told_once_it_was_swept(cast: Cast, receiver: Receiver) -> None:
    from approvals.expiry import expire_due

    add_webhook(cast, receiver.url, "request.expired")
    overdue(file_request(cast))
    assert expire_due() == 1
    send_all()
    assert json.loads(receiver.got[0].body)["type"] == "request.expired"


def test_a_success_is_delivered_exactly_once(cast: Cast, receiver: Receiver) -> None:
    add_webhook(cast, receiver.url, "request.pending")
    file_request(cast)
    for _ in range(3):
        send_all()
        make_due()
    delivery = only_delivery()
    assert len(receiver.got) == 1
    assert (delivery.state, delivery.attempts, delivery.last_code) == ("sent", 1, 204)


def test_two_senders_at_once_send_each_message_once(cast: Cast, receiver: Receiver) -> None:
    from django.db import connection

    add_webhook(cast, receiver.url, "request.pending")
    for _ in range(12):
        file_request(cast)

    def another() -> None:
        try:
            sending.run()
        finally:
            connection.close()

    threads = [threading.Thread(target=another) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    send_all()
    ids = [one.headers["webhook-id"] for one in receiver.got]
    assert len(ids) == len(set(ids)) == 12


@pytest.mark.parametrize("answer", [500, 503, 404, 429])
def test_a_refusal_is_tried_again_later_under_the_same_id(cast: Cast, receiver: Receiver, answer: int) -> None:
    _, secret = add_webhook(cast, receiver.url, "request.pending")
    receiver.answers.append(answer)
    file_request(cast)
    send_all()
    delivery = only_delivery()
    assert (delivery.state, delivery.attempts, delivery.last_code) == ("waiting", 1, answer)
    assert delivery.tried_at is not None
    assert timedelta(seconds=3) < delivery.due_at - delivery.tried_at < timedelta(seconds=8)
    assert send_all() == 0, "not before its time"
    make_due()
    send_all()
    first, second = receiver.got
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert second.verified(secret) == first.verified(secret)
    assert only_delivery().state == "sent"


def test_the_pause_grows_with_each_failure_and_a_success_ends_the_lanes_silence(cast: Cast, receiver: Receiver) -> None:
    webhook, _ = add_webhook(cast, receiver.url, "request.pending")
    receiver.answers.extend([500, 500, 500, 500])
    file_request(cast)
    pauses = []
    for _ in range(4):
        send_all()
        delivery = only_delivery()
        assert delivery.tried_at is not None
        pauses.append(round((delivery.due_at - delivery.tried_at).total_seconds()))
        make_due()
    assert pauses == [5, 30, 120, 300]
    assert Lane.objects.get(name=f"webhook:{webhook.pk}").failures == 4
    send_all()
    assert not Lane.objects.exists()


def test_a_receiver_that_hangs_up_or_talks_nonsense_is_tried_again(cast: Cast, receiver: Receiver) -> None:
    add_webhook(cast, receiver.url, "request.pending")
    receiver.answers.append(b"no http at all\r\n\r\n")
    file_request(cast)
    send_all()
    assert only_delivery().state == "waiting"
    assert only_delivery().last_error


def test_a_receiver_that_is_not_there_is_tried_again(cast: Cast, loopback: None) -> None:
    add_webhook(cast, "http://127.0.0.1:9/hooks", "request.pending")
    file_request(cast)
    send_all()
    assert (only_delivery().state, only_delivery().last_error) == ("waiting", "The connection failed or broke off.")


def test_a_dead_receiver_holds_up_no_other(cast: Cast, receiver: Receiver) -> None:
    dead, _ = add_webhook(cast, "http://127.0.0.1:9/hooks", "request.pending")
    add_webhook(cast, receiver.url, "request.pending")
    for _ in range(5):
        file_request(cast)
    send_all()
    assert len(receiver.got) == 5
    tried = Delivery.objects.filter(webhook=dead, attempts__gt=0)
    assert tried.count() == 1, "after one failure the lane is quiet"


def test_a_receiver_that_drips_is_left_at_the_end_of_the_time_for_a_whole_answer(loopback: None) -> None:
    import socket

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        stop = threading.Event()

        def drip() -> None:
            client, _ = listening.accept()
            with client:
                client.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                while not stop.wait(0.05):
                    try:
                        client.sendall(b"z")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            with pytest.raises(guard.Unreachable, match="in time"):
                guard.post(
                    f"http://127.0.0.1:{listening.getsockname()[1]}/",
                    content=b"{}",
                    headers={},
                    rules=guard.Rules(http=True, loopback=True),
                    whole_seconds=0.5,
                )
        finally:
            stop.set()
            thread.join(5)


def test_a_redirect_is_refused_and_not_followed(cast: Cast, receiver: Receiver) -> None:
    add_webhook(cast, receiver.url, "request.pending")
    receiver.answers.append(307)
    file_request(cast)
    send_all()
    assert [one.path for one in receiver.got] == ["/hooks"]
    assert only_delivery().last_error == "The receiver answered 307. Redirects are not followed."


def test_after_a_day_it_is_failed_with_an_entry_and_can_be_sent_again_under_its_id(
    cast: Cast, receiver: Receiver
) -> None:
    add_webhook(cast, receiver.url, "request.pending")
    receiver.answers.append(500)
    file_request(cast)
    send_all()
    a_day_passes()
    make_due()
    send_all()
    failed = only_delivery()
    assert (failed.state, failed.last_code, len(receiver.got)) == ("failed", 500, 1)
    facts = [entry["facts"] for entry in leaves("notification.failed")]
    assert {"channel": "webhook", "attempts": 1, "code": 500} in facts
    assert len(facts) == Delivery.objects.filter(state="failed").count()
    endpoints.send_again(delivery_id=failed.pk)
    send_all()
    assert only_delivery().state == "sent"
    assert {one.headers["webhook-id"] for one in receiver.got} == {f"msg_{failed.pk.hex}"}


def test_the_last_attempt_does_not_wait_past_the_day(cast: Cast, receiver: Receiver) -> None:
    add_webhook(cast, receiver.url, "request.pending")
    receiver.answers.append(500)
    file_request(cast)
    sending.addressing.address()
    with services.connection("app") as app:
        app.execute(
            "UPDATE approvals_delivery SET give_up_at = clock_timestamp() + interval '3 s' WHERE channel = 'webhook'"
        )
    send_all()
    assert only_delivery().state == "failed"
    assert len(leaves("notification.failed")) == 1


def test_killed_between_sending_and_noting_it_goes_again_under_the_same_id(cast: Cast, receiver: Receiver) -> None:
    add_webhook(cast, receiver.url, "request.pending")
    file_request(cast)
    sending.addressing.address()
    claimed = sending.claim()
    assert claimed is not None
    sending._send(claimed)  # and here the process dies
    assert sending.claim() is None, "the claim holds while it may still be at work"
    the_sender_died()
    send_all()
    first, second = receiver.got
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert (only_delivery().state, only_delivery().attempts) == ("sent", 2)


def test_a_worker_killed_while_it_waits_for_the_answer_leaves_a_message_that_goes_again(
    cast: Cast, receiver: Receiver
) -> None:
    _, secret = add_webhook(cast, receiver.url, "request.pending")
    file_request(cast)
    receiver.hang = threading.Event()
    worker = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import django; django.setup(); from approvals.tasks import send_notifications; send_notifications()",
        ],
        cwd=settings.BASE_DIR,
        env=services.process_environment(
            DJANGO_SETTINGS_MODULE="config.settings", DEMO="1", WEBHOOKS_ALLOW_LOOPBACK="1"
        ),
    )
    try:
        eventually(lambda: receiver.got, within=30, what="the message to arrive")
    finally:
        worker.kill()
        worker.wait(15)
    receiver.hang.set()
    assert (only_delivery().state, only_delivery().claimed_until is not None) == ("waiting", True)
    the_sender_died()
    send_notifications()
    first, second = receiver.got
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert second.verified(secret) == first.verified(secret)
    assert (only_delivery().state, only_delivery().attempts) == ("sent", 2)


def test_who_lost_the_claim_does_not_note_over_who_took_it(cast: Cast, receiver: Receiver) -> None:
    add_webhook(cast, receiver.url, "request.pending")
    file_request(cast)
    sending.addressing.address()
    late = sending.claim()
    assert late is not None
    the_sender_died()
    current = sending.claim()
    assert current is not None
    sending._not_sent(late, sending.NotSent("too late", permanent=True))
    assert only_delivery().state == "waiting"
    sending.attempt(current)
    assert only_delivery().state == "sent"
    assert leaves("notification.failed") == []


def test_what_waits_for_a_webhook_that_was_switched_off_is_not_sent(cast: Cast, receiver: Receiver) -> None:
    webhook, _ = add_webhook(cast, receiver.url, "request.pending")
    file_request(cast)
    sending.addressing.address()
    endpoints.change(
        by=cast["admin1"], webhook_id=webhook.pk, events=["request.pending"], active=False, auth=password_proof()
    )
    send_all()
    assert (only_delivery().state, receiver.got) == ("overtaken", [])


def test_a_gone_receiver_is_switched_off_and_the_log_says_so(cast: Cast, receiver: Receiver) -> None:
    webhook, _ = add_webhook(cast, receiver.url, "request.pending")
    receiver.answers.append(410)
    file_request(cast)
    send_all()
    webhook.refresh_from_db()
    assert (webhook.active, only_delivery().state) == (False, "failed")
    assert [row["facts"]["change"] for row in leaves("webhook.changed")] == ["added", "gone"]  # type: ignore[index]
    file_request(cast)
    send_all()
    assert len(receiver.got) == 1


def test_while_a_rotation_lasts_both_secrets_verify_and_then_the_new_one_alone(cast: Cast, receiver: Receiver) -> None:
    webhook, old = add_webhook(cast, receiver.url, "request.pending")
    _, new = endpoints.rotate(by=cast["admin1"], webhook_id=webhook.pk, auth=password_proof())
    file_request(cast)
    send_all()
    assert receiver.got[0].headers["webhook-signature"].count("v1,") == 2
    assert receiver.got[0].verified(old) == receiver.got[0].verified(new)
    WebhookSecret.objects.filter(expires_at__isnull=False).update(expires_at=queries.clock())
    file_request(cast)
    send_all()
    receiver.got[1].verified(new)
    with pytest.raises(WebhookVerificationError):
        receiver.got[1].verified(old)


def test_never_more_than_two_secrets_sign(cast: Cast, receiver: Receiver) -> None:
    webhook, oldest = add_webhook(cast, receiver.url, "request.pending")
    for _ in range(3):
        endpoints.rotate(by=cast["admin1"], webhook_id=webhook.pk, auth=password_proof())
    file_request(cast)
    send_all()
    assert receiver.got[0].headers["webhook-signature"].count("v1,") == 2
    with pytest.raises(WebhookVerificationError):
        receiver.got[0].verified(oldest)


def test_a_secret_is_not_stored_as_it_is(cast: Cast, receiver: Receiver) -> None:
    _, secret = add_webhook(cast, receiver.url)
    stored = WebhookSecret.objects.get().sealed
    assert secret.removeprefix("whsec_") not in stored
    assert unseal(stored) == secret
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32


def test_a_secret_sealed_under_a_lost_key_fails_visibly(cast: Cast, receiver: Receiver, settings: Any) -> None:
    add_webhook(cast, receiver.url, "request.pending")
    settings.SECRET_KEY = "another"
    file_request(cast)
    send_all()
    assert (only_delivery().state, len(receiver.got)) == ("failed", 0)
    assert "rotate" in only_delivery().last_error


def test_outside_the_demo_an_address_that_became_private_is_refused_when_it_is_sent_to(
    cast: Cast, receiver: Receiver, settings: Any
) -> None:
    add_webhook(cast, receiver.url, "request.pending")
    settings.DEMO = False
    file_request(cast)
    send_all()
    assert (only_delivery().state, len(receiver.got)) == ("failed", 0)


@pytest.mark.parametrize("url", ["http://hooks.example.com/", "https://127.0.0.1/", "https://me:pw@example.com/"])
def test_an_unfit_address_is_not_even_kept(cast: Cast, url: str) -> None:
    with pytest.raises(endpoints.Unfit):
        add_webhook(cast, url)
    assert not Webhook.objects.exists()


def test_every_change_is_evidence_and_the_address_is_personal(cast: Cast, receiver: Receiver) -> None:
    webhook, _ = add_webhook(cast, receiver.url, "request.pending")
    admin, proof = cast["admin1"], password_proof()
    endpoints.change(by=admin, webhook_id=webhook.pk, events=["request.expired"], active=True, auth=proof)
    endpoints.change(by=admin, webhook_id=webhook.pk, events=["request.expired"], active=True, auth=proof)  # no change
    endpoints.rotate(by=admin, webhook_id=webhook.pk, auth=proof)
    rows = leaves("webhook.changed")
    assert [row["facts"]["change"] for row in rows] == ["added", "changed", "rotated"]  # type: ignore[index]
    assert {row["actor"]["id"] for row in rows} == {str(admin.pk)}  # type: ignore[index]
    assert all(receiver.url not in json.dumps(row) for row in rows)
    assert Detail.objects.filter(subject_kind="webhook").count() == 3


def test_an_unfollowed_redirects_target_stays_unread(receiver: Receiver) -> None:
    receiver.answers.append(302)
    code = guard.post(receiver.url, content=b"{}", headers={}, rules=guard.Rules(http=True, loopback=True))
    assert (code, len(receiver.got)) == (302, 1)
    assert httpx.get(receiver.url).status_code == 204  # it is there, and was not asked


def test_outside_the_demo_no_setting_opens_anything(settings: Any) -> None:
    settings.DEMO, settings.WEBHOOKS_ALLOW_LOOPBACK = False, True
    assert rules() == guard.Rules(http=False, loopback=False)
    settings.DEMO, settings.WEBHOOKS_ALLOW_LOOPBACK = True, False
    assert rules() == guard.Rules(http=True, loopback=False)
