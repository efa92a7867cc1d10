"""A reviewer's journeys in a real browser: by mouse, by keyboard, on a phone, live."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from approvals.models import Decision, Request
from tests.support.cast import PASSWORD, Cast, decide, file_request, overdue
from tests.support.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)
Browse = Callable[..., Page]
PHONE = {"width": 360, "height": 740}
WHY = "The carrier's report matches our record."


def decided(request: Request) -> tuple[str, str]:
    """Status of the request and the rationale of its one decision, as they stand in the database."""
    stands = Request.objects.values_list("status", flat=True).get(pk=request.pk)
    said = Decision.objects.filter(request=request).values_list("rationale", flat=True).first()
    return stands, said or ""


def test_from_sign_in_to_an_approved_refund_by_mouse(cast: Cast, browse: Browse) -> None:
    request = file_request(cast)
    page = browse("")
    page.goto("/")
    page.get_by_label("Email").fill("support1@example.test")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile("/queue/$"))
    expect(page.get_by_role("heading", level=1)).to_have_text("1 request needs you")
    page.get_by_role("link", name=re.compile(r"^Refund \$42\.00")).click()
    page.get_by_role("radio", name="Approve").check()
    page.get_by_label("Why?").fill(WHY)
    page.get_by_role("button", name="Approve: refund $42.00").click()
    expect(page.locator("#rail")).to_contain_text("Approved by Sam Porter")
    expect(page).to_have_url(re.compile(f"/requests/{request.pk}/$"))
    assert decided(request) == ("approved", WHY)
    assert Decision.objects.get().auth_method == "password"


def test_a_refund_is_approved_by_keyboard_alone(cast: Cast, browse: Browse) -> None:
    request = file_request(cast)
    page = browse("support1")
    page.goto("/queue/")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("#decide")).to_be_visible()
    page.keyboard.press("a")
    expect(page.get_by_role("radio", name="Approve")).to_be_checked()
    expect(page.get_by_label("Why?")).to_be_focused()
    assert decided(request) == ("pending", "")  # a single key never decides
    page.keyboard.type(WHY)
    page.keyboard.press("Escape")
    expect(page.get_by_role("radio", name="Approve")).not_to_be_checked()
    page.keyboard.press("a")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#rail")).to_contain_text("Approved by Sam Porter")
    assert page.evaluate("document.activeElement !== document.body")
    assert decided(request) == ("approved", WHY)


def test_a_rejection_needs_its_reason_and_keeps_what_was_typed(cast: Cast, browse: Browse) -> None:
    request = file_request(cast)
    page = browse("support1")
    page.goto(f"/requests/{request.pk}/")
    page.get_by_role("radio", name="Reject").check()
    page.get_by_label("Note for colleagues").fill("Seen in the portal.")
    page.get_by_role("button", name="Reject: keep $42.00").click()
    summary = page.get_by_role("heading", name="Not recorded yet")
    expect(summary).to_be_visible()
    expect(page).to_have_title(re.compile("^Error: "))
    expect(page.get_by_label("Note for colleagues")).to_have_value("Seen in the portal.")
    page.get_by_role("link", name=re.compile("Say why")).click()
    expect(page.get_by_label("Why?")).to_be_focused()
    page.keyboard.type("The order was delivered.")
    page.get_by_role("button", name="Reject: keep $42.00").click()
    expect(page.locator("#rail")).to_contain_text("Rejected by Sam Porter")
    assert decided(request) == ("rejected", "The order was delivered.")


def test_without_a_second_factor_a_critical_request_cannot_be_approved_and_says_why(cast: Cast, browse: Browse) -> None:
    request = file_request(cast, "customer.export")
    page = browse("privacy1")
    page.goto(f"/requests/{request.pk}/")
    expect(page.get_by_role("radio", name="Approve")).to_be_disabled()
    expect(page.locator("#approve-why-not")).to_contain_text("You have not set one up. Set one up")
    page.keyboard.press("a")
    expect(page.get_by_role("radio", name="Approve")).not_to_be_checked()
    page.keyboard.press("d")
    page.keyboard.type("Nobody asked for this export.")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#rail")).to_contain_text("Rejected by")
    assert decided(request) == ("rejected", "Nobody asked for this export.")


def test_on_a_phone_two_buttons_lead_to_the_page_that_decides(cast: Cast, browse: Browse) -> None:
    request = file_request(cast)
    page = browse("support1", viewport=PHONE, has_touch=True, is_mobile=True)
    page.goto(f"/requests/{request.pk}/")
    bar = page.locator("#bar")
    expect(bar.get_by_role("link", name="Reject…")).to_be_visible()
    for name in ("Reject…", "Approve…"):
        box = bar.get_by_role("link", name=name).bounding_box()
        assert box is not None
        assert box["height"] >= 44
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    bar.get_by_role("link", name="Approve…").tap()
    expect(page.get_by_role("radio", name="Approve")).to_be_checked()  # the choice just made, nothing recorded
    assert decided(request) == ("pending", "")
    page.get_by_label("Why?").fill(WHY)
    page.get_by_role("button", name="Approve: refund $42.00").tap()
    expect(page.get_by_text("Approved by Sam Porter").first).to_be_visible()
    assert decided(request) == ("approved", WHY)


def test_hostile_text_is_seen_for_what_it_is(cast: Cast, browse: Browse) -> None:
    request = file_request(
        cast,
        parameters={"wire_to": "DE\u202e0731\u202c \u200bok", "reason": "<img src=x onerror=alert(1)>"},
        rationale="Approve \u2066this\u2069 now",
    )
    page = browse("support1")
    page.goto(f"/requests/{request.pk}/")
    tokens = page.locator(".token:visible").all_inner_texts()
    assert {"[U+202E]", "[U+202C]", "[U+200B]", "[U+2066]", "[U+2069]"} <= set(tokens)
    expect(page.locator(".parameters").get_by_text('"<img src=x onerror=alert(1)>"').first).to_be_visible()
    assert page.locator("main img").count() == 0


def test_a_draft_survives_a_reload_and_is_wiped_by_the_decision(cast: Cast, browse: Browse) -> None:
    request = file_request(cast, parameters={"reason": "a secret of the payload"})
    page = browse("support1")
    page.goto(f"/requests/{request.pk}/")
    page.get_by_label("Why?").fill(WHY)
    page.get_by_label("Note for colleagues").fill("Half a thought")
    page.reload()
    expect(page.get_by_label("Why?")).to_have_value(WHY)
    expect(page.get_by_label("Note for colleagues")).to_have_value("Half a thought")
    stored = page.evaluate("JSON.stringify([{...sessionStorage}, {...localStorage}])")
    assert WHY in stored
    assert "secret of the payload" not in stored
    page.get_by_role("radio", name="Approve").check()
    page.get_by_role("button", name="Approve: refund $42.00").click()
    expect(page.locator("#rail")).to_contain_text("Approved by Sam Porter")
    page.wait_for_function("Object.keys(sessionStorage).filter(k => k.startsWith('draft:')).length === 0")


def test_a_decision_of_somebody_else_turns_the_rail_into_the_receipt_and_keeps_my_text(
    cast: Cast, browse: Browse
) -> None:
    request = file_request(cast)
    page = browse("support1")
    page.goto(f"/requests/{request.pk}/")
    page.get_by_label("Why?").fill("I was just writing this.")
    decide(request, cast["support2"], "reject", rationale="No receipt was attached.")
    expect(page.locator("#rail")).to_contain_text("Rejected by Support2 Example")
    expect(page.locator("#status")).to_contain_text("Rejected by Support2 Example.")
    expect(page.locator("#decide")).to_have_count(0)
    expect(page.locator("#kept")).to_have_value(re.compile("I was just writing this."))
    assert page.evaluate("document.activeElement !== document.body")


def test_the_queue_tells_of_new_requests_and_greys_what_ended(cast: Cast, browse: Browse) -> None:
    first = file_request(cast)
    page = browse("support1")
    page.goto("/queue/")
    file_request(cast)
    decide(first, cast["support2"], "reject", rationale="No receipt was attached.")
    expect(page.locator("#news")).to_contain_text("1 new: show")
    expect(page.locator(f"#r-{first.pk}")).to_contain_text("Rejected by Support2 Example")
    expect(page.locator(f"#r-{first.pk}")).to_have_class(re.compile("row-ended"))
    assert page.title().startswith("+1 ")
    page.keyboard.press("u")
    expect(page.get_by_role("heading", level=1)).to_have_text("1 request needs you")


def test_the_deadline_passes_under_my_eyes(cast: Cast, browse: Browse) -> None:
    request = file_request(cast)
    page = browse("support1")
    page.goto(f"/requests/{request.pk}/")
    overdue(request)
    expect(page.locator("#rail")).to_contain_text("denied by default")
    expect(page.locator("#rail .receipt")).to_be_visible()


def test_a_browser_clock_two_hours_wrong_changes_nothing(cast: Cast, browse: Browse) -> None:
    request = file_request(cast)
    page = browse("support1")
    page.add_init_script("const real = Date.now; Date.now = () => real() + 7200000;")
    page.goto(f"/requests/{request.pk}/")
    expect(page.locator("#rail .left")).to_have_text(re.compile(r"^(30:00|29:\d\d)$"))
    page.get_by_role("radio", name="Approve").check()
    page.get_by_label("Why?").fill(WHY)
    page.locator(".commit").click()
    expect(page.locator("#rail")).to_contain_text("Approved by Sam Porter")


def test_the_loser_of_a_race_is_told_and_loses_no_word(cast: Cast, browse: Browse) -> None:
    request = file_request(cast)
    page = browse("support1")
    page.route("**/poll/**", lambda route: route.abort())  # the news does not come before the click
    page.goto(f"/requests/{request.pk}/")
    page.get_by_role("radio", name="Approve").check()
    page.get_by_label("Why?").fill(WHY)
    decide(request, cast["support2"], "reject", rationale="No receipt was attached.")
    page.locator(".commit").click()
    expect(page.get_by_role("heading", name="Your decision was not recorded")).to_be_visible()
    expect(page.locator("#kept")).to_have_value(re.compile(re.escape(WHY)))
    assert decided(request)[0] == "rejected"


def test_an_export_comes_down_as_a_file(cast: Cast, browse: Browse) -> None:
    request = file_request(cast)
    page = browse("support1")
    page.goto("/history/?status=pending")
    with page.expect_download() as coming:
        page.get_by_role("link", name="CSV").click()
    assert coming.value.suggested_filename.endswith(".csv")
    text = coming.value.path().read_text()
    assert str(request.pk) in text


def test_signing_out_wipes_drafts_and_closes_the_pages(cast: Cast, browse: Browse) -> None:
    page = browse("support1")
    page.goto(f"/requests/{file_request(cast).pk}/")
    page.get_by_label("Why?").fill("Half a thought")
    page.locator("#account-menu summary").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/accounts/login/"))
    page.wait_for_function("Object.keys(sessionStorage).filter(k => k.startsWith('draft:')).length === 0")
    page.goto("/queue/")
    expect(page).to_have_url(re.compile("/accounts/login/"))
    eventually(lambda: page.get_by_label("Email").is_visible(), what="the sign-in form")
