"""A critical approval in a real browser: the second factor is set up, asked for, and what was typed survives it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from approvals.models import Decision, Request
from tests.support.cast import PASSWORD, Cast, file_request
from tests.support.codes import App, equip

pytestmark = pytest.mark.django_db(transaction=True)
Browse = Callable[..., Page]
WHY = "The contract of May names this segment."
COMMIT = re.compile("^Approve: export 1,204")


def sign_in(page: Page, name: str) -> None:
    """By password, as far as the page that follows."""
    page.goto("/accounts/login/")
    page.get_by_label("Email").fill(f"{name}@example.test")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def give_code(page: Page, app: App, button: str) -> None:
    page.locator("#id_code").fill(app.code())  # by its label it could be the reason code of the page before
    page.get_by_role("button", name=button, exact=True).click()


def stands(request: Request) -> tuple[str, int]:
    """Its status, and how many decided."""
    return Request.objects.values_list("status", flat=True).get(pk=request.pk), Decision.objects.count()


@pytest.mark.parametrize("scripts", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_two_people_approve_with_their_apps_and_the_draft_survives_the_detour(
    cast: Cast, browse: Browse, scripts: bool
) -> None:
    apps = equip(cast["privacy1"], cast["security1"])
    request = file_request(cast, "customer.export")

    first = browse("privacy1", java_script_enabled=scripts)
    first.goto(f"/requests/{request.pk}/")
    first.get_by_role("radio", name="Approve").check()
    first.get_by_label("Why?").fill(WHY)
    first.get_by_label("Note for colleagues").fill("See the contract.")
    expect(first.locator("#step-up")).to_contain_text("You have not confirmed with a second factor in this session.")
    first.get_by_role("button", name="Confirm it's you").click()
    expect(first.get_by_role("heading", level=1)).to_have_text("Confirm it is you")
    give_code(first, apps["privacy1"], "Confirm")
    expect(first).to_have_url(re.compile(f"/requests/{request.pk}/decide/\\?verdict=approve$"))
    expect(first.get_by_role("radio", name="Approve")).to_be_checked()
    expect(first.get_by_label("Why?")).to_have_value(WHY)
    expect(first.get_by_label("Note for colleagues")).to_have_value("See the contract.")
    expect(first.locator("#step-up")).to_contain_text("with an authenticator app; that counts for an approval until")
    first.get_by_label("Type it again").fill("1204")
    first.get_by_role("button", name=COMMIT).click()
    expect(first).to_have_url(re.compile(f"/requests/{request.pk}/$"))
    expect(first.locator("#standing")).to_contain_text("1 of 2 approvals")
    assert stands(request) == ("pending", 1)

    second = browse("", java_script_enabled=scripts)
    sign_in(second, "security1")
    expect(second.get_by_role("heading", level=1)).to_have_text("Second factor")
    expect(second.get_by_role("button", name="Use a passkey")).to_have_count(0)  # they have none
    give_code(second, apps["security1"], "Sign in")
    expect(second).to_have_url(re.compile("/queue/$"))
    second.goto(f"/requests/{request.pk}/")
    expect(second.get_by_role("button", name="Confirm it's you")).to_have_count(0)  # signing in so has done it
    second.get_by_role("radio", name="Approve").check()
    second.get_by_label("Why?").fill(WHY)
    second.get_by_label("Type it again").fill("1204")
    second.get_by_role("button", name=COMMIT).click()
    expect(second.locator("#rail")).to_contain_text("Approved by")
    assert stands(request) == ("approved", 2)
    assert set(Decision.objects.values_list("auth_method", flat=True)) == {"mfa:totp"}


def test_sent_without_confirming_it_is_refused_with_the_text_kept_and_a_way_on(cast: Cast, browse: Browse) -> None:
    apps = equip(cast["privacy1"])
    request = file_request(cast, "customer.export")
    page = browse("privacy1")
    page.goto(f"/requests/{request.pk}/")
    page.get_by_role("radio", name="Approve").check()
    page.get_by_label("Why?").fill(WHY)
    page.get_by_label("Type it again").fill("1204")
    page.get_by_role("button", name=COMMIT).click()
    expect(page.get_by_role("heading", name="Confirm it's you")).to_be_visible()
    expect(page.get_by_label("Why?")).to_have_value(WHY)
    assert stands(request) == ("pending", 0)
    page.get_by_role("link", name="Confirm it's you").click()
    give_code(page, apps["privacy1"], "Confirm")
    expect(page.get_by_label("Why?")).to_have_value(WHY)
    page.get_by_label("Type it again").fill("1204")
    page.get_by_role("button", name=COMMIT).click()
    expect(page.locator("#standing")).to_contain_text("1 of 2 approvals")
    page.goto(f"/requests/{request.pk}/decide/")
    assert page.evaluate("Object.keys(sessionStorage).filter(key => key.startsWith('draft:'))") == []


def test_an_app_is_set_up_from_the_picture_by_who_had_none(cast: Cast, browse: Browse) -> None:
    request = file_request(cast, "customer.export")
    page = browse("privacy1")
    page.goto(f"/requests/{request.pk}/")
    page.locator("#approve-why-not").get_by_role("link", name="Set one up").click()
    page.get_by_role("link", name="Set up an app").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    picture = page.get_by_role("img", name="QR code of the secret below")
    expect(picture).to_be_visible()
    assert picture.evaluate("async el => { await el.decode(); return el.naturalWidth }") > 0
    app = App(page.get_by_label("Secret").input_value())
    page.get_by_label("Authenticator code").fill(app.code())
    page.get_by_role("button", name="Turn it on").click()
    expect(page.get_by_label("10 codes, not used yet")).to_be_visible()
    page.goto(f"/requests/{request.pk}/")
    page.get_by_role("radio", name="Approve").check()
    page.get_by_role("button", name="Confirm it's you").click()
    give_code(page, app, "Confirm")
    expect(page.locator("#step-up")).to_contain_text("with an authenticator app")


def with_passkey(page: Page) -> None:
    """A passkey device of the browser's own, as its developers' protocol offers."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options: dict[str, Any] = {
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
        "isUserVerified": True, "automaticPresenceSimulation": True,
    }  # fmt: skip
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def test_a_passkey_is_added_confirms_an_approval_and_signs_in(cast: Cast, browse: Browse) -> None:
    request = file_request(cast, "customer.export")
    page = browse("")
    with_passkey(page)
    sign_in(page, "privacy1")
    expect(page).to_have_url(re.compile("/queue/$"))
    page.goto("/accounts/2fa/webauthn/add/")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    page.get_by_label("A name to tell it by").fill("My laptop")
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_label("10 codes, not used yet")).to_be_visible()

    page.goto(f"/requests/{request.pk}/")
    page.get_by_role("radio", name="Approve").check()
    page.get_by_label("Why?").fill(WHY)
    page.get_by_role("button", name="Confirm it's you").click()
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_label("Why?")).to_have_value(WHY)
    expect(page.locator("#step-up")).to_contain_text("with a passkey")
    page.get_by_label("Type it again").fill("1204")
    page.get_by_role("button", name=COMMIT).click()
    expect(page.locator("#standing")).to_contain_text("1 of 2 approvals")
    assert Decision.objects.get().auth_method == "mfa:webauthn"

    page.locator("#account-menu summary").click()
    page.get_by_role("button", name="Sign out").click()
    sign_in(page, "privacy1")
    expect(page.get_by_role("heading", level=1)).to_have_text("Second factor")
    page.evaluate("() => { navigator.credentials.get = () => Promise.reject(new Error('cancelled')) }")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.locator("[data-failed]")).to_be_visible()
    expect(page.locator("#alert")).to_contain_text("That did not work")
    page.reload()
    page.get_by_role("button", name="Use a passkey").click()
    expect(page).to_have_url(re.compile("/queue/$"))
    page.goto("/accounts/2fa/webauthn/")
    expect(page.get_by_text("My laptop").first).to_be_visible()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (320, "dark")])
def test_axe_finds_nothing_on_the_pages_of_second_factors_and_of_the_detour(
    cast: Cast, browse: Browse, scheme: str, width: int
) -> None:
    request = file_request(cast, "customer.export")
    options: dict[str, Any] = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    new, app = browse("security1", **options), equip(cast["privacy1"])["privacy1"]
    found: list[Any] = []

    def look(page: Page) -> None:
        found.extend((page.url, one["id"]) for one in Axe().run(page).response["violations"])
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found.append((page.url, "scrolls sideways"))

    new.goto("/accounts/2fa/totp/activate/")
    look(new)
    new.get_by_label("Password").fill(PASSWORD)
    new.get_by_role("button", name="Confirm").click()
    look(new)
    for path in ("/accounts/2fa/", f"/requests/{request.pk}/decide/"):
        new.goto(path)
        look(new)

    page = browse("", **options)
    sign_in(page, "privacy1")
    look(page)
    give_code(page, app, "Sign in")
    expect(page).to_have_url(re.compile("/queue/$"))
    page.goto("/accounts/2fa/reauthenticate/")
    look(page)
    give_code(page, app, "Confirm")
    expect(page).to_have_url(re.compile("/queue/$"))
    for path in ("", "totp/deactivate/", "webauthn/", "webauthn/add/", "recovery-codes/generate/"):
        page.goto(f"/accounts/2fa/{path}")
        look(page)
    page.get_by_role("button", name="Make new ones").click()
    look(page)
    page.goto(f"/requests/{request.pk}/decide/?verdict=approve")
    look(page)
    assert found == []
