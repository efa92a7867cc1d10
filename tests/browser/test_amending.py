"""Approve with changes at a real browser: what the button says, what is kept where, and the same without scripts."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from approvals.models import Request
from tests.support.cast import Cast, file_request

pytestmark = pytest.mark.django_db(transaction=True)
Browse = Callable[..., Page]
LESS = '{"amount_cents": 4100, "currency": "USD"}'


def test_the_button_names_the_act_only_while_what_was_shown_is_what_would_be_approved(
    cast: Cast, browse: Browse
) -> None:
    request, page = file_request(cast), browse("support1")
    page.goto(f"/requests/{request.pk}/")
    page.keyboard.press("a")
    commit, field = page.locator(".commit"), page.locator("#id_parameters")
    expect(commit).to_contain_text("Approve: refund $42.00")
    page.get_by_text("Approve with changes", exact=True).click()
    expect(commit).to_contain_text("Approve with your changes")
    field.fill(LESS)
    page.locator("#id_rationale").fill("Shipping is not refunded.")
    page.get_by_text("Approve with changes", exact=True).click()  # closed again: it would still be sent
    expect(field).to_be_hidden()
    expect(commit).to_contain_text("Approve with your changes")
    kept = page.evaluate("JSON.stringify(Object.values({...sessionStorage}))")
    assert "Shipping" in kept
    assert "4100" not in kept
    commit.click()
    expect(page.get_by_text("Changed by a reviewer")).to_be_visible()
    assert json.loads(Request.objects.get().effective_text) == json.loads(LESS)


def test_without_scripts_it_is_edited_and_asked_all_the_same(cast: Cast, browse: Browse) -> None:
    request, page = file_request(cast), browse("support1", java_script_enabled=False)
    page.goto(f"/requests/{request.pk}/")
    page.locator("#id_text").fill("Which parcel?")
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_text("Not answered yet.")).to_be_visible()
    page.locator('[name="verdict"][value="approve"]').check()
    page.get_by_text("Approve with changes", exact=True).click()
    page.locator("#id_parameters").fill("{")
    page.locator("#id_rationale").fill("Shipping is not refunded.")
    page.locator(".commit").click()
    expect(page.locator("#parameters-error")).to_be_visible()
    expect(page.locator("#id_parameters")).to_have_value("{")
    page.locator("#id_parameters").fill(LESS)
    page.locator(".commit").click()
    expect(page.get_by_text("Changed by a reviewer")).to_be_visible()
    assert Request.objects.get().status == "approved"
