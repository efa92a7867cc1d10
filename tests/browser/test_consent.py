"""A choice is for what is shown: no browser brings one back, and no held key writes its reason."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from approvals.models import Request
from tests.support.cast import Cast, decide, file_request

pytestmark = pytest.mark.django_db(transaction=True)
Browse = Callable[..., Page]
LARGE = {"amount_cents": 20_000}


@pytest.mark.parametrize("scripts", [True, False])
def test_back_to_an_edited_request_restores_no_choice_and_no_reason(cast: Cast, browse: Browse, scripts: bool) -> None:
    request, page = file_request(cast, parameters=LARGE), browse("finance1", java_script_enabled=scripts)
    page.goto(f"/requests/{request.pk}/")
    page.locator('[name="verdict"][value="approve"]').check()
    page.locator("#id_rationale").fill("Two hundred is what was paid.")
    page.goto("/queue/")
    decide(request, cast["finance2"], parameters=json.dumps({**request.parameters, "amount_cents": 60_000}))
    page.go_back()
    expect(page.locator("#main")).to_contain_text("$600.00")
    assert page.locator('[name="verdict"]:checked').count() == 0
    expect(page.locator("#id_rationale")).to_have_value("")
    if scripts:
        expect(page.locator("#kept")).to_have_value("Two hundred is what was paid.")


def test_back_to_the_same_request_keeps_the_reason_and_no_choice(cast: Cast, browse: Browse) -> None:
    request, page = file_request(cast), browse("support1")
    page.goto(f"/requests/{request.pk}/")
    page.locator('[name="verdict"][value="approve"]').check()
    page.locator("#id_rationale").fill("The carrier confirmed it.")
    page.goto("/queue/")
    page.go_back()
    expect(page.locator("#id_rationale")).to_have_value("The carrier confirmed it.")
    assert page.locator('[name="verdict"]:checked').count() == 0


@pytest.mark.parametrize("key", ["a", "d"])
def test_a_held_key_arms_once_and_types_nothing(cast: Cast, browse: Browse, key: str) -> None:
    request, page = file_request(cast), browse("support1")
    page.goto(f"/requests/{request.pk}/")
    for _ in range(30):
        page.keyboard.down(key)
    page.keyboard.up(key)
    expect(page.locator("#id_rationale")).to_have_value("")
    expect(page.locator("#id_rationale")).to_be_focused()
    page.wait_for_timeout(450)  # the pause in which the arming key types nothing
    page.keyboard.type("a day late")
    expect(page.locator("#id_rationale")).to_have_value("a day late")


@pytest.mark.parametrize(("key", "code"), [("A", "KeyA"), ("ф", "KeyA"), ("α", "KeyA")])
def test_a_single_key_is_read_by_its_position(cast: Cast, browse: Browse, key: str, code: str) -> None:
    request, page = file_request(cast), browse("support1")
    page.goto(f"/requests/{request.pk}/")
    page.evaluate(
        "([key, code]) => document.body.dispatchEvent(new KeyboardEvent('keydown', {key, code, bubbles: true}))",
        [key, code],
    )
    expect(page.locator('[name="verdict"][value="approve"]')).to_be_checked()
    assert Request.objects.get().status == "pending"
