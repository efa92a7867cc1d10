"""Whatever is typed into the pages of agents, allowances and the kill switch gets a page, never an error of ours."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import pytest
from django.test import Client

from agents import stops
from approvals import allowances
from approvals.allowances import Wanted
from approvals.models import Allowance
from tests.support.cast import Cast, file_request, password_proof

pytestmark = pytest.mark.django_db(transaction=True)
SignedIn = Callable[..., Client]
WHY = "Parcels of that carrier are lost each week, small amounts."
FORM = "application/x-www-form-urlencoded"
# As sent: percent-encoded. Half a surrogate pair as bytes that are no UTF-8, and as an escape that a parser may read.
HOSTILE = {
    "nul": "%00",
    "nul-inside": "a%00b",
    "surrogate": "%ED%A0%80",
    "escape": quote("\\ud800 \\u{d800}"),
    "no-utf8": "%FF%FE",
    "long": "x" * 100_000,
    "digits": "9" * 100_000,
    "hidden": quote("\u202e\u200b"),
}
GETS = {
    "/agents/": ["after"],
    "/allowances/": ["before", "agent"],
    "/allowances/new/": ["request"],
}


@pytest.fixture
def allowance(cast: Cast, sealed: None) -> Allowance:
    """One that waits for a second yes of finance."""
    return allowances.propose(
        person=cast["finance1"],
        request_id=file_request(cast, parameters={"amount_cents": 20_000}).pk,
        wanted=Wanted("context.parameters.amount_cents <= 20000", 3, 24, WHY),
        auth=password_proof(),
    )


def posted(client: Client, path: str, fields: dict[str, str]) -> int:
    """The status of a form whose values are encoded already."""
    body = "&".join(f"{name}={value}" for name, value in fields.items())
    return client.post(path, body, content_type=FORM).status_code


@pytest.mark.parametrize("sent", HOSTILE.values(), ids=HOSTILE)
def test_whatever_is_asked_in_an_address_is_answered(cast: Cast, signed_in: SignedIn, sent: str) -> None:
    client = signed_in("admin1")
    for path, names in GETS.items():
        for name in names:
            assert client.get(f"{path}?{name}={sent}").status_code in (200, 404), (path, name)
    for path in (f"/agents/{sent}/", f"/allowances/{sent}/"):
        assert client.get(path).status_code == 404, path


@pytest.mark.parametrize("sent", HOSTILE.values(), ids=HOSTILE)
def test_whatever_is_typed_into_a_form_is_answered(
    cast: Cast, signed_in: SignedIn, allowance: Allowance, sent: str
) -> None:
    reviewer, admin = signed_in("finance2"), signed_in("admin1")
    good = {
        "request": str(allowance.basis_id),
        "condition": quote("context.parameters.amount_cents <= 20000"),
        "uses": "3",
        "hours": "24",
        "rationale": quote(WHY),
    }
    for name in good:
        for trying in ({}, {"try": "1"}):
            assert posted(reviewer, "/allowances/new/", {**good, name: sent, **trying}) < 500, name
    url = f"/allowances/{allowance.pk}/"
    assert posted(reviewer, f"{url}agree/", {"rationale": sent}) < 500
    assert posted(reviewer, f"{url}revoke/", {"reason": sent}) < 500
    assert posted(admin, "/agents/helpdesk/suspend/", {"reason": sent}) < 500
    assert posted(admin, "/agents/helpdesk/resume/", {"reason": sent}) < 500
    assert posted(admin, "/stop/", {"reason": sent, "confirm": "STOP"}) < 500
    assert posted(admin, "/stop/", {"reason": "Odd.", "confirm": sent}) < 500
    if stops.in_force() is None:
        stops.begin(by=cast["admin1"], reason="Odd.")
    other = signed_in("leader1")
    assert posted(other, "/stop/lift/", {"number": sent, "reason": "Over."}) < 500
    assert posted(other, "/stop/lift/", {"number": str(stops.newest()), "reason": sent}) < 500
