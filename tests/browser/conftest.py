"""What the browser's journeys share: one web process, a cast with a live log, and people's signed-in browsers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import Browser, BrowserContext, Page

from tests.support import sealing
from tests.support.cast import Cast, make_cast
from tests.support.web import serving, session_cookie


@pytest.fixture(scope="session")
def address(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the house answers."""
    with serving(tmp_path_factory.mktemp("web") / "web.log") as url:
        yield url


@pytest.fixture
def cast(transactional_db: None) -> Iterator[Cast]:
    """Everybody, and a log that is being sealed, as approvals of high risk need."""
    with sealing.running():
        yield make_cast(sign_in=["support1", "privacy1", "security1"])


@pytest.fixture
def browse(browser: Browser, address: str, cast: Cast) -> Iterator[Callable[..., Page]]:
    """`browse("support1")` is a page of a browser in which that person is signed in; `""` is nobody.

    Further arguments are the browser context's (`viewport`, `color_scheme`, `java_script_enabled` …). What the
    console says of refused content, or of an error in a script, fails the test at its end.
    """
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_as(name: str, **options: Any) -> Page:
        context = browser.new_context(base_url=address, **{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        if name:
            context.add_cookies(
                [{"name": settings.SESSION_COOKIE_NAME, "value": session_cookie(cast[name]), "url": address}]
            )
        page = context.new_page()
        page.on("console", lambda message: _note(message.type, message.text, complaints))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.set_default_timeout(10_000)
        return page

    yield open_as
    for context in contexts:
        context.close()
    assert not complaints, f"the console complained: {complaints}"


def _note(kind: str, text: str, complaints: list[str]) -> None:
    # A refusal's status (409 …) is logged by the browser as an error too; pages with one are what tests ask for.
    if "Content Security Policy" in text or (kind == "error" and "Failed to load resource" not in text):
        complaints.append(text)
