"""Preferences, webhooks and deliveries in a real browser: axe finds nothing, nothing scrolls sideways, forms work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from approvals.models import Delivery, Preference, Webhook
from tests.support.cast import Cast, file_request
from tests.support.notifications import EVERY_EVENT, add_webhook, make_due, send_all
from tests.support.receiver import receiving

pytestmark = pytest.mark.django_db(transaction=True)
Browse = Callable[..., Page]


@pytest.fixture
def told(cast: Cast, settings: Any) -> Webhook:
    """A webhook with a delivery in each state, and letters beside it."""
    settings.DEMO = settings.WEBHOOKS_ALLOW_LOOPBACK = True
    with receiving(path="/hooks/" + "long-and-unbroken-" * 8) as receiver:
        webhook, _ = add_webhook(cast, receiver.url)
        add_webhook(cast, "https://hooks.example.com/countersign", "request.pending")
        Webhook.objects.exclude(pk=webhook.pk).update(active=False)
        receiver.answers.extend([204, 500])
        file_request(cast)
        send_all()
        make_due()
        send_all()
        file_request(cast)
        send_all()
        file_request(cast)
        send_all()
    Delivery.objects.filter(state="waiting", attempts=0, channel="webhook").update(
        state="failed", ended_at="2026-01-01T00:00:00Z", last_error="The certificate could not be verified.", attempts=9
    )
    return webhook


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark"), (320, "light")])
def test_axe_finds_nothing_and_nothing_scrolls_sideways(
    cast: Cast, browse: Browse, told: Webhook, scheme: str, width: int
) -> None:
    page = browse("admin1", viewport={"width": width, "height": 800}, color_scheme=scheme, reduced_motion="reduce")
    found: list[Any] = []
    for url in (
        "/preferences/",
        "/preferences/webhooks/",
        f"/preferences/webhooks/{told.pk}/",
        "/preferences/deliveries/",
        "/preferences/deliveries/?failed=1",
    ):
        page.goto(url)
        found += [
            (url, violation["id"], [node["target"] for node in violation["nodes"]][:3])
            for violation in Axe().run(page).response["violations"]
        ]
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found.append((url, "scrolls sideways", width))
    assert found == []


def test_a_person_finds_the_preferences_in_the_menu_and_keeps_them(cast: Cast, browse: Browse) -> None:
    page = browse("support1")
    page.goto("/queue/")
    page.locator("#account-menu summary").click()
    page.get_by_role("link", name="Preferences").click()
    page.get_by_label("E-mail to support1@example.test").uncheck()
    page.get_by_label("Gather messages").select_option("3600")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Your preferences are kept.")).to_be_visible()
    kept = Preference.objects.get()
    assert (kept.email, kept.window_seconds) == (False, 3600)
    expect(page.get_by_label("E-mail to support1@example.test")).not_to_be_checked()


def test_an_administrator_adds_a_webhook_after_a_slip_and_sees_its_secret_once(cast: Cast, browse: Browse) -> None:
    page = browse("admin1")
    page.goto("/preferences/webhooks/")
    page.get_by_label("Address").fill("https://10.0.0.1/hooks")
    page.get_by_role("button", name="Add and show its secret").click()
    expect(page.get_by_role("heading", name="The webhook was not added")).to_be_visible()
    assert page.evaluate("document.activeElement.contains(document.querySelector('#errors'))")
    assert Axe().run(page).response["violations"] == []
    page.get_by_label("Address").fill("https://hooks.example.com/countersign")
    page.get_by_role("button", name="Add and show its secret").click()
    assert page.get_by_label("Give it to the receiver").input_value().startswith("whsec_")
    assert Axe().run(page).response["violations"] == []
    page.get_by_role("link", name="I have kept it").click()
    assert "whsec_" not in page.content()
    assert Webhook.objects.get().events == ["request.pending"]
    assert set(EVERY_EVENT) >= {"request.pending"}
