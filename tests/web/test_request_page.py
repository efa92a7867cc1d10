"""The page of one request: what stands on it, in which order, and what hostile text looks like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from tests.support.cast import Cast, decide, file_request, overdue
from tests.support.forging import forging
from tests.support.forms import said

pytestmark = pytest.mark.django_db(transaction=True)
SignedIn = Callable[..., Client]


def test_the_order_is_consequences_denial_parameters_rules_the_agent_history(cast: Cast, signed_in: SignedIn) -> None:
    decide(file_request(cast, resource="order/5"), cast["support1"], "reject", rationale="Not needed.")
    again = file_request(cast, parameters={"amount_cents": 4_300}, resource="order/5")
    page = said(signed_in("support1").get(f"/requests/{again.pk}/"))
    headings = [
        "What happens if you approve",
        "Changed since it was last denied",
        "Exactly what would run",
        "Why people are asked",
        "The agent says unverified",
        "What has happened",
    ]
    places = [page.index(heading) for heading in headings]
    assert places == sorted(places)


def test_the_consequences_are_the_servers_words(cast: Cast, signed_in: SignedIn) -> None:
    request = file_request(
        cast, "customer.export", {"destination": "them@outside.example"}, summary="A harmless look-up"
    )
    page = said(signed_in("privacy1").get(f"/requests/{request.pk}/"))
    block = page[page.index("What happens if you approve") : page.index("Exactly what would run")]
    for words in (
        "1,204 customer records leave the company",
        "them@outside.example (outside)",
        "Can be undone No",
        "Environment Production",
    ):
        assert words in block
    assert "harmless" not in block


def test_the_commit_button_names_the_act(cast: Cast, signed_in: SignedIn) -> None:
    page = said(signed_in("support1").get(f"/requests/{file_request(cast).pk}/"))
    assert "Approve: refund $42.00" in page
    assert "Reject: keep $42.00" in page


def test_every_pointer_is_on_the_page_and_what_nobody_understands_says_so(cast: Cast, signed_in: SignedIn) -> None:
    request = file_request(cast, parameters={"extra": {"deep": [1, {"a/b": True}]}})
    page = said(signed_in("support1").get(f"/requests/{request.pk}/"))
    for pointer in ("/amount_cents", "/currency", "/extra", "/extra/deep", "/extra/deep/0", "/extra/deep/1/a~1b"):
        assert pointer in page
    assert "Not understood" in page
    assert "How far this reaches is unknown, so it is treated as high risk." in page
    assert "Unknown" in page


HOSTILE = "pay \u202e0001\u202c now\u200b <script>alert(1)</script> [x](javascript:1)"


@pytest.mark.parametrize("where", ["parameters", "summary", "rationale", "resource"])
def test_hostile_text_is_spelt_out_wherever_it_comes_from(cast: Cast, signed_in: SignedIn, where: str) -> None:
    plain: dict[str, Any] = {"summary": "s", "rationale": "r", "resource": "order/9"}
    parameters = {"reason": HOSTILE} if where == "parameters" else {}
    if where != "parameters":
        plain[where] = HOSTILE
    request = file_request(cast, parameters=parameters, **plain)
    for page in (f"/requests/{request.pk}/", "/queue/", "/history/", f"/requests/{request.pk}/decide/"):
        text = signed_in("support1").get(page).content.decode()
        for raw in ("\u202e", "\u202c", "\u200b", "<script>alert", 'href="javascript'):
            assert raw not in text, page
    page = said(signed_in("support1").get(f"/requests/{request.pk}/"))
    assert "[U+202E]0001[U+202C]" in page
    assert "[U+200B]" in page


def test_a_reordered_command_cannot_hide_in_a_name_or_a_rationale(cast: Cast, signed_in: SignedIn) -> None:
    cast["support2"].name = "Sam\u202e retroP"
    with forging():
        cast["support2"].save()
    request = file_request(cast)
    decide(request, cast["support2"], "reject", rationale="No\u2066 proof was given.")
    text = signed_in("support1").get(f"/requests/{request.pk}/").content.decode()
    assert "\u202e" not in text
    assert "\u2066" not in text
    assert "[U+202E]" in text


def test_mixed_scripts_are_flagged(cast: Cast, signed_in: SignedIn) -> None:
    request = file_request(cast, parameters={"reason": "to p\u0430ypal"})
    assert "mix letters of different scripts" in said(signed_in("support1").get(f"/requests/{request.pk}/"))


def test_nothing_is_cut_in_silence(cast: Cast, signed_in: SignedIn) -> None:
    request = file_request(cast, "email.send", {"body": "b" * 61_334})
    client = signed_in("support1")
    cut = said(client.get(f"/requests/{request.pk}/"))
    assert "showing 2,000 of 61,334 characters" in cut
    assert "Show everything" in cut
    whole = client.get(f"/requests/{request.pk}/?whole=1")
    assert "b" * 61_334 in whole.content.decode()
    assert "nothing hidden, nothing shortened" in said(whole)


def test_the_last_denial_is_compared_by_pointer(cast: Cast, signed_in: SignedIn) -> None:
    first = file_request(cast, parameters={"reason": "twice charged"}, resource="order/5")
    decide(first, cast["support2"], "reject", rationale="The bank shows one charge only.")
    again = file_request(cast, parameters={"amount_cents": 4_100, "reason": "twice charged"}, resource="order/5")
    answer = signed_in("support1").get(f"/requests/{again.pk}/")
    denial = answer.context["page"].denial
    assert [(line.kind, line.pointer[0].text, line.value[0].text) for line in denial.lines] == [
        ("removed", "/amount_cents", "4200"),
        ("added", "/amount_cents", "4100"),
        ("same", "/currency", '"USD"'),
        ("same", "/reason", '"twice charged"'),
    ]
    assert not denial.identical
    assert "The bank shows one charge only." in said(answer)
    assert f"/requests/{first.pk}/" in answer.content.decode()


def test_the_page_says_which_rules_matched_and_who_may_decide(cast: Cast, signed_in: SignedIn) -> None:
    page = said(signed_in("finance1").get(f"/requests/{file_request(cast, parameters={'amount_cents': 20_000}).pk}/"))
    assert "refund-large: 2 of finance" in page
    assert "Refunds over $100 moved money wrongly in 2025-11." in page
    assert "SOC2:CC6.1" in page
    assert "finance: you" in page
    assert "0 of 2 approvals" in page


def test_an_approved_request_shows_its_receipt_with_the_grants_end(cast: Cast, signed_in: SignedIn) -> None:
    request = file_request(cast)
    decide(request, cast["support1"], note="Looked at the photo.")
    answer = signed_in("support1").get(f"/requests/{request.pk}/")
    page = said(answer)
    assert "Approved by Sam Porter" in page
    assert "You approved this." in page
    assert "not yet redeemed" in page
    assert "Looked at the photo." in page
    assert b'id="decide"' not in answer.content
    assert f"draft:{cast['support1'].pk}:{request.pk}".encode() in answer.content  # the draft is wiped


def test_an_expired_request_says_so_in_utc_before_any_sweep(cast: Cast, signed_in: SignedIn) -> None:
    request = overdue(file_request(cast))
    page = said(signed_in("support1").get(f"/requests/{request.pk}/"))
    assert f"Expired {request.expires_at:%H:%M:%S}, denied by default" in page
    assert "UTC" in page
    assert "Nobody decided in time; this is not a refusal." in page


@pytest.mark.parametrize(
    ("action", "told"), [("backup.delete", "Backups are not deleted by agents."), ("docs.read", "without people")]
)
def test_what_policy_answered_by_itself_is_seen_by_auditors(
    cast: Cast, signed_in: SignedIn, action: str, told: str
) -> None:
    page = said(signed_in("auditor1").get(f"/requests/{file_request(cast, action).pk}/"))
    assert told in page
    assert "policy answered by itself" in page


def test_next_and_previous_walk_my_queue(cast: Cast, signed_in: SignedIn) -> None:
    first, second, third = (file_request(cast, timeout_seconds=300 * n) for n in (1, 2, 3))
    client = signed_in("support1")
    around = [client.get(f"/requests/{one.pk}/").context["page"] for one in (first, second, third)]
    assert [(page.previous_url, page.next_url) for page in around] == [
        ("", f"/requests/{second.pk}/"),
        (f"/requests/{first.pk}/", f"/requests/{third.pk}/"),
        (f"/requests/{second.pk}/", ""),
    ]


@pytest.mark.parametrize("path", ["/requests/none/", "/requests/0190a000-0000-7000-8000-000000000000/"])
def test_what_is_no_request_is_not_found(cast: Cast, signed_in: SignedIn, path: str) -> None:
    assert signed_in("auditor1").get(path).status_code == 404


@pytest.mark.parametrize("page", ["", "poll/", "parameters/"])
def test_reading_pages_takes_no_post(cast: Cast, signed_in: SignedIn, page: str) -> None:
    assert signed_in("support1").post(f"/requests/{file_request(cast).pk}/{page}").status_code == 405
