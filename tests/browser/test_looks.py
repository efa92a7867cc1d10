"""Every page for everybody: axe finds nothing, in light or dark, at three widths; no page scrolls sideways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from approvals import questions
from approvals.models import Request
from tests.support.cast import Cast, decide, file_request, overdue, password_proof

pytestmark = pytest.mark.django_db(transaction=True)
Browse = Callable[..., Page]
# A scheme has the same colours at each width, and a width the same places in each scheme: not each with each.
LOOKS = ((1280, "light"), (1280, "dark"), (360, "light"), (320, "dark"))


@pytest.fixture
def house(cast: Cast) -> dict[str, Request]:
    """Requests of every kind that a page can show."""
    made = {
        "medium": file_request(cast, resource="order/5", parameters={"reason": "a\nb"}),
        "unknown": file_request(
            cast, parameters={"wire_to": "DE\u202e07", "p\u0430ypal": True}, rationale="a\u200bb " * 40
        ),
        "critical": file_request(cast, "customer.export", timeout_seconds=90),
        "high": file_request(cast, parameters={"amount_cents": 20_000, "more": "b" * 5_000}),
        "approved": file_request(cast),
        "rejected": file_request(cast, resource="order/9", parameters={"amount_cents": 7_000}),
        "expired": overdue(file_request(cast)),
        "blocked": file_request(cast, "backup.delete"),
    }
    decide(made["approved"], cast["support1"])
    decide(made["rejected"], cast["support2"], "reject", rationale="No receipt was attached.", note="Seen.")
    made["edited"] = file_request(cast, parameters={"amount_cents": 50_000, "order": 7})
    decide(made["edited"], cast["finance1"])
    decide(made["edited"], cast["finance2"], parameters='{"amount_cents": 40000, "currency": "USD"}')
    made["asked"] = file_request(cast, resource="order/6")
    for text in ("Which parcel\nwas lost?", "And when?"):
        asked = questions.ask(person=cast["support1"], request_id=made["asked"].pk, text=text, auth=password_proof())
        if "parcel" in text:
            words = "Parcel \u202e7. " * 40
            questions.answer(agent=cast.agent, request_id=made["asked"].pk, question=str(asked.pk), text=words)
    made["again"] = file_request(cast, resource="order/9", parameters={"amount_cents": 6_900})
    return made


def pages_of(house: dict[str, Request]) -> list[tuple[str, str]]:
    """Who opens what."""
    at = {name: f"/requests/{request.pk}/" for name, request in house.items()}
    return [
        ("support1", "/queue/"),
        ("auditor1", "/queue/"),
        ("support1", at["medium"]),
        ("support1", at["unknown"]),
        ("support1", at["again"]),
        ("privacy1", at["critical"]),
        ("finance1", at["high"]),
        ("finance1", at["edited"]),
        ("auditor1", at["edited"]),
        ("support2", at["asked"]),
        ("support1", at["approved"]),
        ("support1", at["rejected"]),
        ("support1", at["expired"]),
        ("auditor1", at["blocked"]),
        ("auditor1", at["medium"]),
        ("support1", f"{at['medium']}decide/?verdict=reject"),
        ("privacy1", f"{at['critical']}decide/"),
        ("auditor1", f"{at['medium']}decide/"),
        ("support1", f"{at['approved']}decide/"),
        ("support1", "/history/"),
        ("support1", "/history/?status=nothing"),
        ("support1", "/history/?q=nothing"),
        ("support1", "/requests/none/"),
        ("admin1", "/people/"),
        ("admin1", "/people/invite/"),
        ("admin1", "/teams/"),
        ("admin1", "/teams/support/"),
        ("admin1", "/reviews/access/"),
        ("finance1", "/preferences/delegation/"),
        ("admin1", "/preferences/delegation/"),
        ("admin1", "/teams/finance/hours/"),
        ("admin1", "/queue/"),
        ("", "/accounts/login/"),
    ]


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_axe_finds_nothing_and_nothing_scrolls_sideways(
    cast: Cast, browse: Browse, house: dict[str, Request], scheme: str, width: int
) -> None:
    people: dict[str, Page] = {}
    found: list[Any] = []
    for name, url in pages_of(house):
        page = people.get(name) or browse(
            name, viewport={"width": width, "height": 800}, color_scheme=scheme, reduced_motion="reduce"
        )
        people[name] = page
        page.goto(url)
        found += [
            (url, violation["id"], [node["target"] for node in violation["nodes"]][:3])
            for violation in Axe().run(page).response["violations"]
        ]
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found.append((url, "scrolls sideways", width))
    assert found == []


def test_a_form_error_is_announced_and_accessible(cast: Cast, browse: Browse, house: dict[str, Request]) -> None:
    page = browse("support1")
    page.goto(f"/requests/{house['medium'].pk}/decide/?verdict=reject")
    page.locator(".commit").click()
    heading = page.get_by_role("heading", name="Not recorded yet")
    expect(heading).to_be_visible()
    assert page.evaluate("document.activeElement.contains(document.querySelector('#errors'))")
    assert Axe().run(page).response["violations"] == []


def test_the_keyboard_reaches_the_decision_and_every_focus_is_seen(
    cast: Cast, browse: Browse, house: dict[str, Request]
) -> None:
    page = browse("support1")
    page.goto(f"/requests/{house['medium'].pk}/")
    reached: list[str] = []
    for _ in range(60):
        page.keyboard.press("Tab")
        seen = page.evaluate(
            "() => { const el = document.activeElement, box = el.getBoundingClientRect(), style = getComputedStyle(el);"
            " const label = el.closest('label'); const ring = [el, label].filter(Boolean).some(one => {"
            "   const s = getComputedStyle(one); return s.outlineStyle !== 'none' || s.boxShadow !== 'none' });"
            " const name = el.name || el.id || el.textContent.trim().slice(0, 40);"
            " return { name, ring: ring || el === document.body,"
            "   shown: el === document.body || (box.bottom > 0 && box.top < innerHeight) } }"
        )
        assert seen["ring"], seen
        assert seen["shown"], seen
        reached.append(seen["name"])
    assert "verdict" in reached
    assert "rationale" in reached
    assert any(name.startswith("Choose reject or approve") for name in reached)


@pytest.mark.parametrize("url", ["/queue/", "request", "/history/"])
def test_a_cold_page_is_small_and_asks_for_little(
    cast: Cast, browse: Browse, house: dict[str, Request], url: str
) -> None:
    page = browse("support1")
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    received: dict[str, float] = {}
    session.on(
        "Network.loadingFinished", lambda event: received.update({event["requestId"]: event["encodedDataLength"]})
    )
    page.goto(f"/requests/{house['medium'].pk}/" if url == "request" else url, wait_until="networkidle")
    assert len(received) <= 8
    assert sum(received.values()) <= 60_000
