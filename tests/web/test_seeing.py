"""Who sees what: anything else is not found, in pages, fragments, searches, counts and exports alike."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import Role
from approvals.models import Request
from tests.support.cast import Cast, decide, file_request, leaves_teams, make_person
from tests.support.forms import said

pytestmark = pytest.mark.django_db(transaction=True)
SignedIn = Callable[..., Client]
SECRET = "ada@private.example"


@pytest.fixture
def request_of_support(cast: Cast) -> Request:
    """An e-mail that support decides, with something private in its parameters and words."""
    return file_request(
        cast,
        "email.send",
        {"to": SECRET},
        resource="mail/7",
        summary=f"Write to {SECRET} quickly",
        rationale=f"The person {SECRET} has asked for it.",
    )


def everything_of(request: Request) -> list[str]:
    return [
        f"/requests/{request.pk}/{end}" for end in ("", "poll/", "poll/?mark=1", "parameters/", "decide/", "?whole=1")
    ]


def exported(client: Client, query: str = "", form: str = "jsonl") -> str:
    return b"".join(client.get(f"/history/export.{form}{query}").streaming_content).decode()  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["finance1", "privacy1", "leader1", "author1"])
def test_a_request_of_other_teams_is_not_found_anywhere(
    cast: Cast, signed_in: SignedIn, request_of_support: Request, name: str
) -> None:
    client = signed_in(name)
    for page in everything_of(request_of_support):
        assert client.get(page).status_code == 404, page
    for page in ("/queue/", "/history/", "/history/?q=private", "/history/?action=email.send", "/queue/poll/"):
        assert str(request_of_support.pk) not in client.get(page).content.decode(), page
    assert exported(client) == ""
    assert "mail/7" not in exported(client, form="csv")


@pytest.mark.parametrize("name", ["support1", "owner1"])
def test_reviewers_and_the_owner_see_it_as_it_is(
    cast: Cast, signed_in: SignedIn, request_of_support: Request, name: str
) -> None:
    client = signed_in(name)
    assert SECRET in said(client.get(f"/requests/{request_of_support.pk}/"))
    assert SECRET in said(client.get("/history/"))
    answer = client.get(f"/requests/{request_of_support.pk}/parameters/")
    assert (answer.content.decode(), answer["Content-Type"]) == (
        request_of_support.parameters_text,
        "application/json",
    )


@pytest.mark.parametrize("name", ["auditor1", "admin1"])
def test_who_sees_all_sees_payloads_and_the_agents_words_masked(
    cast: Cast, signed_in: SignedIn, request_of_support: Request, name: str
) -> None:
    client = signed_in(name)
    for page in (f"/requests/{request_of_support.pk}/", f"/requests/{request_of_support.pk}/?whole=1", "/history/"):
        answer = client.get(page)
        assert answer.status_code == 200
        assert SECRET not in answer.content.decode()
        assert request_of_support.parameters_digest not in answer.content.decode()
        assert "email.send on mail/7" in said(answer)
    assert client.get(f"/requests/{request_of_support.pk}/parameters/").status_code == 404
    one = json.loads(exported(client))
    assert (one["details_masked"], one["parameters"], one["summary"], one["agent_rationale"]) == (
        True, None, None, None,
    )  # fmt: skip
    for form in ("csv", "jsonl"):
        text = exported(client, form=form)
        assert SECRET not in text
        assert request_of_support.parameters_digest not in text


def test_a_masked_summary_cannot_be_searched_either(
    cast: Cast, signed_in: SignedIn, request_of_support: Request
) -> None:
    assert str(request_of_support.pk) in signed_in("support1").get("/history/?q=quickly").content.decode()
    auditor = signed_in("auditor1")
    assert str(request_of_support.pk) not in auditor.get("/history/?q=quickly").content.decode()
    assert str(request_of_support.pk) in auditor.get("/history/?q=email.send").content.decode()
    assert exported(auditor, "?q=quickly") == ""


def test_who_decided_sees_it_still_after_leaving_the_team(
    cast: Cast, signed_in: SignedIn, request_of_support: Request
) -> None:
    decide(request_of_support, cast["support1"])
    leaves_teams(cast["support1"])
    client = signed_in("support1")
    assert SECRET in said(client.get(f"/requests/{request_of_support.pk}/"))
    assert SECRET in said(client.get("/history/"))


def test_an_administrator_in_a_team_sees_that_teams_requests_unmasked(
    cast: Cast, signed_in: SignedIn, request_of_support: Request
) -> None:
    both = make_person("both", teams=[cast.teams["support"]], roles=[Role.ADMINISTRATOR])
    client = Client()
    client.force_login(both)
    assert SECRET in said(client.get(f"/requests/{request_of_support.pk}/"))
    other = file_request(cast, parameters={"amount_cents": 20_000, "reason": "privately told"})
    assert "privately told" not in said(client.get(f"/requests/{other.pk}/"))


def test_notes_are_read_by_colleagues_and_auditors_and_not_by_the_owner_as_such(
    cast: Cast, signed_in: SignedIn
) -> None:
    request = file_request(cast, parameters={"amount_cents": 20_000})
    decide(request, cast["finance1"], "reject", note="Called the bank about this.")
    for name, reads in (("finance2", True), ("auditor1", True), ("owner1", False)):
        page = said(signed_in(name).get(f"/requests/{request.pk}/"))
        assert ("Called the bank" in page) is reads, name


def test_the_denial_of_somebody_elses_request_is_not_told(cast: Cast, signed_in: SignedIn) -> None:
    denied = file_request(cast, parameters={"amount_cents": 20_000}, resource="order/5")
    decide(denied, cast["finance1"], "reject", rationale="Too much for one order.")
    again = file_request(cast, parameters={"amount_cents": 9_000}, resource="order/5")
    assert "Too much for one order" not in said(signed_in("support1").get(f"/requests/{again.pk}/"))
    assert "Too much for one order" in said(signed_in("owner1").get(f"/requests/{again.pk}/"))


def test_a_page_says_where_it_may_be_kept_and_by_what_it_varies(
    cast: Cast, signed_in: SignedIn, request_of_support: Request
) -> None:
    client = signed_in("support1")
    for page in ("/queue/", "/history/", *everything_of(request_of_support)):
        answer = client.get(page)
        assert "no-store" in answer["Cache-Control"], page
        assert "HX-Request" in answer["Vary"], page
        assert "script-src 'self'" in answer["Content-Security-Policy"], page
