"""Everything a reviewer must do, without JavaScript: plain forms, post and redirect."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from approvals.models import Request
from tests.support.cast import PASSWORD, Cast, decide, file_request

pytestmark = pytest.mark.django_db(transaction=True)
Browse = Callable[..., Page]


@pytest.mark.parametrize("width", [1280, 360])
def test_sign_in_approve_reject_and_read_the_history(cast: Cast, browse: Browse, width: int) -> None:
    approved, rejected = file_request(cast, timeout_seconds=400), file_request(cast, timeout_seconds=800)
    page = browse("", java_script_enabled=False, viewport={"width": width, "height": 800})
    page.goto("/")
    page.get_by_label("Email").fill("support1@example.test")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("2 requests need you")

    page.locator(".row-link").first.click()
    if width == 360:
        page.locator("#bar").get_by_role("link", name="Approve…").click()
    else:
        page.get_by_role("radio", name="Approve").check()
    page.locator(".commit").click()
    expect(page.get_by_role("heading", name="Not recorded yet")).to_be_visible()
    expect(page.get_by_role("radio", name="Approve")).to_be_checked()
    page.get_by_label("Reason code").select_option("routine")
    page.locator(".commit").click()
    expect(page).to_have_url(re.compile(f"/requests/{approved.pk}/$"))
    expect(page.get_by_text("Approved by Sam Porter").first).to_be_visible()

    page.goto("/queue/")
    page.locator(".row-link").first.click()
    if width == 360:
        page.locator("#bar").get_by_role("link", name="Reject…").click()
    else:
        page.get_by_role("radio", name="Reject").check()
    page.get_by_label("Why?").fill("The order was delivered.")
    page.locator(".commit").click()
    expect(page.get_by_text("Rejected by Sam Porter").first).to_be_visible()
    assert Request.objects.get(pk=rejected.pk).status == "rejected"

    page.goto("/history/")
    page.get_by_label("Status").select_option("rejected")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    with page.expect_download() as coming:
        page.get_by_role("link", name="JSONL").click()
    assert coming.value.path().read_text().count("\n") == 1


def test_what_was_typed_is_kept_when_somebody_was_faster(cast: Cast, browse: Browse) -> None:
    request = file_request(cast)
    page = browse("support1", java_script_enabled=False)
    page.goto(f"/requests/{request.pk}/decide/?verdict=approve")
    page.get_by_label("Why?").fill("I was just writing this.")
    decide(request, cast["support2"], "reject", rationale="No receipt was attached.")
    page.locator(".commit").click()
    expect(page.get_by_role("heading", name="Your decision was not recorded")).to_be_visible()
    expect(page.locator("#kept")).to_have_value(re.compile("I was just writing this."))


def test_the_raw_parameters_and_the_theme_need_no_script(cast: Cast, browse: Browse) -> None:
    request = file_request(cast)
    page = browse("support1", java_script_enabled=False)
    page.goto(f"/requests/{request.pk}/")
    page.locator("label", has_text="Raw").click()
    expect(page.locator("pre.raw")).to_be_visible()
    expect(page.locator("pre.raw")).to_contain_text(request.parameters_text)
    page.locator("#account-menu summary").click()
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page).to_have_url(re.compile(f"/requests/{request.pk}/$"))
