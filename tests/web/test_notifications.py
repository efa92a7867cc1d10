"""Preferences for everybody; webhooks and deliveries for administrators, and not there for anyone else."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import pytest
from django.core import mail
from django.test import Client

from approvals.models import Delivery, Preference, Webhook
from tests.support.cast import Cast, file_request, make_cast
from tests.support.notifications import make_due, only_delivery, send_all
from tests.support.receiver import Receiver, receiving

pytestmark = pytest.mark.django_db(transaction=True)

EVENTS = ["request.pending"]


@pytest.fixture
def cast() -> Cast:
    """Everybody, and no request."""
    return make_cast()


@pytest.fixture
def receiver(settings: Any) -> Any:
    """A webhook's other end, reachable as in the demo."""
    settings.DEMO = settings.WEBHOOKS_ALLOW_LOOPBACK = True
    with receiving() as opened:
        yield opened


def signed_in(cast: Cast, name: str) -> Client:
    client = Client()
    client.force_login(cast[name])
    return client


def added(client: Client, receiver: Receiver) -> tuple[Webhook, str]:
    """A webhook added on the page, and the secret that it showed."""
    response = client.post("/preferences/webhooks/", {"url": receiver.url, "events": EVENTS})
    assert response.status_code == 201
    found = re.search(r'value="(whsec_[^"]+)"', response.content.decode())
    assert found is not None
    return Webhook.objects.get(), found[1].replace("&#x27;", "'")


def test_a_person_switches_mail_off_and_on_again(cast: Cast) -> None:
    client = signed_in(cast, "support1")
    assert b"support1@example.test" in client.get("/preferences/").content
    response = client.post("/preferences/", {"window_seconds": "900"})
    assert (response.status_code, response["Location"]) == (303, "/preferences/")
    kept = Preference.objects.get(person=cast["support1"])
    assert (kept.email, kept.window_seconds) == (False, 900)
    client.post("/preferences/", {"email": "on", "window_seconds": "0"})
    kept.refresh_from_db()
    assert (kept.email, kept.window_seconds) == (True, 0)


@pytest.mark.parametrize("window", ["", "7", "-1", "x"])
def test_a_window_that_is_not_offered_is_a_form_error(cast: Cast, window: str) -> None:
    response = signed_in(cast, "support1").post("/preferences/", {"email": "on", "window_seconds": window})
    assert response.status_code == 422
    assert b"Error:" in response.content
    assert not Preference.objects.exists()


@pytest.mark.parametrize("name", ["support1", "auditor1", "leader1", "owner1"])
def test_only_administrators_find_webhooks_and_deliveries(cast: Cast, name: str, receiver: Receiver) -> None:
    webhook, _ = added(signed_in(cast, "admin1"), receiver)
    file_request(cast)
    send_all()
    client = signed_in(cast, name)
    one = f"/preferences/webhooks/{webhook.pk}/"
    assert [client.get(url).status_code for url in ("/preferences/webhooks/", one, "/preferences/deliveries/")] == [
        404
    ] * 3
    for url in (
        "/preferences/webhooks/",
        one,
        f"{one}rotate/",
        f"/preferences/deliveries/{only_delivery().pk}/resend/",
    ):
        assert client.post(url, {"url": receiver.url, "events": EVENTS}).status_code == 404
    assert "Webhooks" not in client.get("/preferences/").content.decode()
    assert webhook.secrets.count() == 1


def test_the_secret_is_shown_once_and_verifies(cast: Cast, receiver: Receiver) -> None:
    client = signed_in(cast, "admin1")
    webhook, secret = added(client, receiver)
    assert secret.encode() not in client.get(f"/preferences/webhooks/{webhook.pk}/").content
    file_request(cast)
    send_all()
    receiver.got[0].verified(secret)


def test_an_unfit_address_keeps_what_was_typed(cast: Cast) -> None:
    response = signed_in(cast, "admin1").post(
        "/preferences/webhooks/", {"url": "https://169.254.169.254/latest", "events": EVENTS}
    )
    text = response.content.decode()
    assert response.status_code == 422
    assert "169.254.169.254 is not a public address." in text
    assert 'value="https://169.254.169.254/latest"' in text
    assert not Webhook.objects.exists()


def test_without_an_event_nothing_is_added(cast: Cast) -> None:
    response = signed_in(cast, "admin1").post("/preferences/webhooks/", {"url": "https://hooks.example.com/"})
    assert response.status_code == 422
    response = signed_in(cast, "admin1").post(
        "/preferences/webhooks/", {"url": "https://hooks.example.com/", "events": ["request.invented"]}
    )
    assert response.status_code == 422


def test_a_webhook_is_switched_off_and_rotated(cast: Cast, receiver: Receiver) -> None:
    client = signed_in(cast, "admin1")
    webhook, secret = added(client, receiver)
    one = f"/preferences/webhooks/{webhook.pk}/"
    assert client.post(one, {"events": ["request.expired"]}).status_code == 303
    webhook.refresh_from_db()
    assert (webhook.active, webhook.events) == (False, ["request.expired"])
    rotated = client.post(f"{one}rotate/")
    assert rotated.status_code == 200
    assert b"whsec_" in rotated.content
    assert secret.encode() not in rotated.content
    assert b"Two secrets sign now" in rotated.content


def test_a_failed_delivery_is_visible_and_sent_again_by_a_click(cast: Cast, receiver: Receiver) -> None:
    client = signed_in(cast, "admin1")
    webhook, _ = added(client, receiver)
    receiver.answers.append(410)
    file_request(cast)
    send_all()
    page = client.get("/preferences/deliveries/?failed=1").content.decode()
    assert "The receiver answered that it is gone." in page
    assert "410" in page
    client.post(f"/preferences/webhooks/{webhook.pk}/", {"events": EVENTS, "active": "on"})
    response = client.post(f"/preferences/deliveries/{only_delivery().pk}/resend/")
    assert (response.status_code, response["Location"]) == (303, f"/preferences/webhooks/{webhook.pk}/")
    send_all()
    assert (only_delivery().state, len(receiver.got)) == ("sent", 2)


def test_a_get_sends_nothing_again(cast: Cast, receiver: Receiver) -> None:
    client = signed_in(cast, "admin1")
    added(client, receiver)
    file_request(cast)
    send_all()
    url = f"/preferences/deliveries/{only_delivery().pk}/resend/"
    assert client.get(url).status_code == 405
    assert client.post(f"/preferences/deliveries/{uuid4()}/resend/").status_code == 404
    assert only_delivery().state == "sent"


def test_the_list_is_paged_and_takes_no_more_queries_for_more_rows(
    cast: Cast, receiver: Receiver, django_assert_max_num_queries: Any
) -> None:
    client = signed_in(cast, "admin1")
    added(client, receiver)
    for _ in range(51):
        file_request(cast)
    while send_all():
        pass
    assert Delivery.objects.count() == 53  # and a letter for each of support
    with django_assert_max_num_queries(12):
        page = client.get("/preferences/deliveries/").content.decode()
    older = re.search(r'href="(/preferences/deliveries/\?before=[^"]+)"', page)
    assert older is not None
    assert len(re.findall("Send (?:again|now):", client.get(older[1]).content.decode())) == 3


def test_opening_the_link_of_a_letter_changes_nothing(cast: Cast) -> None:
    request = file_request(cast)
    send_all()
    make_due()
    send_all()
    link = re.search(r"http://localhost:8000(/requests/\S+)", str(mail.outbox[0].body))
    assert link is not None
    for client in (Client(), signed_in(cast, "support1")):
        client.get(link[1])
        client.head(link[1])
    request.refresh_from_db()
    assert (request.status, request.decisions.count()) == ("pending", 0)
