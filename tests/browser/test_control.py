"""The pages of agents, allowances and the kill switch in a real browser: nothing axe finds, and no script needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from agents import stops
from approvals import allowances
from approvals.allowances import Wanted
from tests.support.cast import Cast, file_request, password_proof

pytestmark = pytest.mark.django_db(transaction=True)
Browse = Callable[..., Page]
WHY = "Parcels of that carrier are lost each week, small amounts."


def violations(page: Page) -> list[Any]:
    """What axe finds, and whether the page scrolls sideways."""
    found: list[Any] = [
        (page.url, one["id"], [node["target"] for node in one["nodes"]][:3])
        for one in Axe().run(page).response["violations"]
    ]
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        found.append((page.url, "scrolls sideways"))
    return found


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark"), (320, "light")])
def test_axe_finds_nothing_and_nothing_scrolls_sideways(cast: Cast, browse: Browse, scheme: str, width: int) -> None:
    request = file_request(cast)
    made = allowances.propose(
        person=cast["support1"],
        request_id=request.pk,
        wanted=Wanted('context.parameters.currency == "USD" && context.parameters.amount_cents <= 5000', 3, 24, WHY),
        auth=password_proof(),
    )
    used = file_request(cast)
    options: dict[str, Any] = {
        "viewport": {"width": width, "height": 800},
        "color_scheme": scheme,
        "reduced_motion": "reduce",
    }
    support, admin = browse("support1", **options), browse("admin1", **options)
    found: list[Any] = []
    new = f"/allowances/new/?request={request.pk}"
    for page, url in (
        (support, "/allowances/"), (support, f"/allowances/{made.pk}/"), (support, new),
        (support, f"/requests/{used.pk}/"), (admin, "/agents/"), (admin, "/agents/helpdesk/"), (admin, "/stop/"),
    ):  # fmt: skip
        page.goto(url)
        found += violations(page)
    support.goto(new)
    support.fill("[name=uses]", "many")
    support.fill("[name=condition]", "true")
    support.get_by_role("button", name="Allow it to helpdesk").click()
    expect(support.get_by_role("heading", name="Nothing was allowed")).to_be_visible()
    found += violations(support)
    stops.begin(by=cast["leader1"], reason="Keys have leaked.")
    for page, url in ((support, "/queue/"), (support, f"/requests/{request.pk}/"), (admin, "/stop/")):
        page.goto(url)
        found += violations(page)
    assert found == []


def test_an_allowance_and_the_switch_without_javascript(cast: Cast, browse: Browse) -> None:
    request = file_request(cast)
    page = browse("support1", java_script_enabled=False)
    page.goto(f"/requests/{request.pk}/")
    page.get_by_role("link", name="Allow the next ones like this").click()
    page.fill("[name=uses]", "1")
    page.fill("[name=rationale]", WHY)
    page.get_by_role("button", name="Allow it to helpdesk").click()
    expect(page.get_by_text("1 of 1 uses left")).to_be_visible()
    assert file_request(cast).status == "approved"
    admin = browse("admin1", java_script_enabled=False)
    admin.goto("/stop/")
    admin.fill("[name=reason]", "Keys have leaked.")
    admin.fill("[name=confirm]", "STOP")
    admin.get_by_role("button", name="Stop all agents").click()
    expect(admin.get_by_role("heading", name="All agents are stopped")).to_be_visible()
    page.goto("/queue/")
    expect(page.get_by_text("Keys have leaked.")).to_be_visible()
    leader = browse("leader1", java_script_enabled=False)
    leader.goto("/stop/")
    leader.fill("[name=reason]", "Keys were rotated.")
    leader.get_by_role("button", name="Lift the stop").click()
    expect(leader.get_by_role("heading", name="Stops before")).to_be_visible()
    assert file_request(cast, "docs.read").status == "approved"
