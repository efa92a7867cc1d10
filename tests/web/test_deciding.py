"""Deciding by the page: what each answer is, and that it keeps what was typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from approvals import policies
from approvals.models import Decision, Request
from approvals.transactions import time_limited
from audit.models import Pending
from tests.support.cast import SETTING_UP, Cast, decide, demo_policy, file_request, held, overdue
from tests.support.forging import forging
from tests.support.forms import disabled_in, fields_of, said

pytestmark = pytest.mark.django_db(transaction=True)
SignedIn = Callable[..., Client]
TYPED = {"rationale": "The order was delivered last week.", "note": "Seen in the carrier's portal."}


def address(request: Request) -> str:
    return reverse("decide", args=[request.pk])


def post(client: Client, request: Request, **changes: Any) -> Any:
    """Open the page, fill its form, send it."""
    fields = {**fields_of(client.get(address(request))), **TYPED, **changes}
    return client.post(address(request), {name: value for name, value in fields.items() if value is not None})


def status_of(request: Request) -> str:
    return Request.objects.values_list("status", flat=True).get(pk=request.pk)


def test_an_approval_answers_303_to_the_request_and_stands(cast: Cast, signed_in: SignedIn) -> None:
    request = file_request(cast)
    answer = post(signed_in("support1"), request, verdict="approve")
    assert (answer.status_code, answer["Location"]) == (303, f"/requests/{request.pk}/")
    assert status_of(request) == "approved"
    vote = Decision.objects.get()
    assert (vote.person, vote.verdict, vote.auth_method) == (cast["support1"], "approve", "session")


def test_a_rejection_tells_the_agent_the_rationale_and_not_the_note(cast: Cast, signed_in: SignedIn) -> None:
    request = file_request(cast)
    assert post(signed_in("support1"), request, verdict="reject").status_code == 303
    request.refresh_from_db()
    assert (request.status, request.reason) == ("rejected", TYPED["rationale"])


def test_a_get_changes_nothing_and_a_wish_in_its_query_is_only_chosen_in_the_form(
    cast: Cast, signed_in: SignedIn
) -> None:
    request, client = file_request(cast), signed_in("support1")
    entries = Pending.objects.count()
    for query in ("", "?verdict=approve", "?verdict=approve&rationale=The%20records%20match%20this"):
        assert client.get(address(request) + query).status_code == 200
        assert client.head(address(request) + query).status_code == 200
    assert fields_of(client.get(address(request) + "?verdict=approve"))["verdict"] == "approve"
    assert "verdict" not in fields_of(client.get(address(request)))
    assert (status_of(request), Decision.objects.count()) == ("pending", 0)
    assert Pending.objects.count() == entries


def test_the_page_of_the_request_holds_one_form_with_one_rationale(cast: Cast, signed_in: SignedIn) -> None:
    page = signed_in("support1").get(f"/requests/{file_request(cast).pk}/").content.decode()
    assert page.count('name="rationale"') == 1
    assert page.count('id="decide"') == 1


@pytest.mark.parametrize(
    ("fields", "complains"),
    [
        ({"verdict": ""}, "verdict"),
        ({"verdict": "maybe"}, "verdict"),
        ({"verdict": "reject", "rationale": ""}, "rationale"),
        ({"verdict": "reject", "rationale": "Ask Sam Porter about this."}, "rationale"),
        ({"verdict": "reject", "rationale": "Write to SUPPORT1@example.test first."}, "rationale"),
        ({"verdict": "reject", "rationale": "The finance team looks at these."}, "rationale"),
        ({"verdict": "approve", "rationale": "", "reason_code": ""}, "rationale"),
        ({"verdict": "approve", "reason_code": "wrong-amount"}, "reason_code"),
        ({"verdict": "approve", "parameters": '{"amount_cents": 1}'}, "parameters"),
    ],
)
def test_a_form_that_does_not_fit_is_422_and_keeps_everything(
    cast: Cast, signed_in: SignedIn, fields: dict[str, str], complains: str
) -> None:
    request, client = file_request(cast), signed_in("support1")
    before = fields_of(client.get(address(request)))
    answer = client.post(address(request), {**before, **TYPED, **fields})
    assert answer.status_code == 422
    assert list(answer.context["page"].decide.errors) == [complains]
    after = fields_of(answer)
    assert (after["view_id"], after["display_digest"]) == (before["view_id"], before["display_digest"])
    assert after["rationale"] == {**TYPED, **fields}["rationale"]
    assert after["note"] == TYPED["note"]
    assert said(answer).startswith("Error:")
    assert status_of(request) == "pending"


def test_a_form_error_spends_nothing_so_the_same_view_decides_after_it(cast: Cast, signed_in: SignedIn) -> None:
    request, client = file_request(cast), signed_in("support1")
    wrong = post(client, request, verdict="reject", rationale="")
    again = client.post(address(request), {**fields_of(wrong), "verdict": "reject", "rationale": "Not needed."})
    assert again.status_code == 303


def test_the_same_verdict_from_the_same_view_is_the_receipt_again_and_another_is_409(
    cast: Cast, signed_in: SignedIn
) -> None:
    request, client = file_request(cast), signed_in("support1")
    fields = {**fields_of(client.get(address(request))), **TYPED, "verdict": "approve"}
    assert [client.post(address(request), fields).status_code for _ in range(2)] == [303, 303]
    assert client.post(address(request), {**fields, "verdict": "reject"}).status_code == 409
    assert Decision.objects.count() == 1


def test_a_reason_code_alone_approves_at_medium_and_not_at_high(cast: Cast, signed_in: SignedIn, sealed: None) -> None:
    medium, high = file_request(cast), file_request(cast, parameters={"amount_cents": 20_000})
    code = {"verdict": "approve", "rationale": "", "reason_code": "routine"}
    assert post(signed_in("support1"), medium, **code).status_code == 303
    assert post(signed_in("finance1"), high, **code).status_code == 422
    assert post(signed_in("finance1"), high, verdict="approve").status_code == 303


def test_the_loser_of_a_race_is_told_409_with_their_text_and_no_verdict(cast: Cast, signed_in: SignedIn) -> None:
    request, client = file_request(cast), signed_in("support1")
    fields = {**fields_of(client.get(address(request))), **TYPED, "verdict": "approve"}
    decide(request, cast["support2"], "reject")
    answer = client.post(address(request), fields)
    assert answer.status_code == 409
    assert TYPED["rationale"] in said(answer)
    assert TYPED["note"] in said(answer)
    assert "Rejected by Support2 Example" in said(answer)
    assert status_of(request) == "rejected"


def test_what_changed_meanwhile_is_409_with_a_fresh_form_that_keeps_the_text(cast: Cast, signed_in: SignedIn) -> None:
    request, client = file_request(cast), signed_in("support1")
    fields = fields_of(client.get(address(request)))
    answer = client.post(
        address(request), {**fields, **TYPED, "verdict": "approve", "display_digest": "sha256:" + "0" * 64}
    )
    assert answer.status_code == 409
    fresh = fields_of(answer)
    assert (fresh["rationale"], fresh["note"]) == (TYPED["rationale"], TYPED["note"])
    assert "verdict" not in fresh
    assert fresh["view_id"] != fields["view_id"]
    assert client.post(address(request), {**fresh, "verdict": "approve"}).status_code == 303


@pytest.mark.parametrize("view_id", ["", "made:up:token"])
def test_a_view_nobody_was_given_is_409(cast: Cast, signed_in: SignedIn, view_id: str) -> None:
    request = file_request(cast)
    assert post(signed_in("support1"), request, verdict="approve", view_id=view_id).status_code == 409
    assert status_of(request) == "pending"


def test_a_view_of_another_person_session_or_request_is_409(cast: Cast, signed_in: SignedIn) -> None:
    request, other = file_request(cast), file_request(cast)
    mine = fields_of(signed_in("support1").get(address(request)))
    client = signed_in("support2")
    own = fields_of(client.get(address(request)))
    for borrowed in (mine, fields_of(client.get(address(other)))):
        taken = {**own, **TYPED, "verdict": "approve", "view_id": borrowed["view_id"]}
        assert client.post(address(request), taken).status_code == 409
    second_session = signed_in("support1")
    assert second_session.post(address(request), {**mine, **TYPED, "verdict": "approve"}).status_code == 409
    assert Decision.objects.count() == 0


def test_who_decides_is_who_is_signed_in_whatever_the_body_says(cast: Cast, signed_in: SignedIn) -> None:
    request = file_request(cast)
    claims = {name: str(cast["support2"].pk) for name in ("person", "user", "user_id", "decided_by", "actor")}
    assert post(signed_in("support1"), request, verdict="approve", **claims).status_code == 303
    assert Decision.objects.get().person == cast["support1"]


def test_after_the_deadline_it_is_410_and_the_text_is_kept(cast: Cast, signed_in: SignedIn) -> None:
    request, client = file_request(cast), signed_in("support1")
    fields = {**fields_of(client.get(address(request))), **TYPED, "verdict": "approve"}
    overdue(request)
    answer = client.post(address(request), fields)
    assert answer.status_code == 410
    assert TYPED["rationale"] in said(answer)
    assert "denied by default" in said(answer)
    assert Decision.objects.count() == 0
    assert client.get(address(request)).status_code == 410


@pytest.mark.parametrize("name", ["auditor1", "admin1"])
def test_who_may_see_but_not_decide_gets_403_on_get_and_post(cast: Cast, signed_in: SignedIn, name: str) -> None:
    request, client = file_request(cast), signed_in(name)
    assert client.get(address(request)).status_code == 403
    borrowed = fields_of(signed_in("support1").get(address(request)))
    for fields in ({}, borrowed):
        answer = client.post(address(request), {**fields, **TYPED, "verdict": "reject"})
        assert answer.status_code == 403
        assert TYPED["rationale"] in said(answer)
    assert status_of(request) == "pending"


@pytest.mark.parametrize("name", ["finance1", "author1", "leader1"])
def test_who_may_not_see_gets_404_on_get_and_post(cast: Cast, signed_in: SignedIn, name: str) -> None:
    request, client = file_request(cast), signed_in(name)
    assert client.get(address(request)).status_code == 404
    assert client.post(address(request), {**TYPED, "verdict": "reject"}).status_code == 404


def test_the_owner_may_reject_and_never_approve(cast: Cast, signed_in: SignedIn) -> None:
    request, client = file_request(cast), signed_in("owner1")
    page = client.get(address(request))
    assert "verdict=approve" in disabled_in(page)
    assert "your approval would not count" in said(page)
    assert post(client, request, verdict="approve").status_code == 403
    assert status_of(request) == "pending"
    assert post(client, request, verdict="reject").status_code == 303
    assert status_of(request) == "rejected"


def test_one_vote_of_two_leaves_it_pending_and_a_second_from_the_same_person_is_409(
    cast: Cast, signed_in: SignedIn, sealed: None
) -> None:
    request = file_request(cast, parameters={"amount_cents": 20_000})
    client = signed_in("finance1")
    fields = {**fields_of(client.get(address(request))), **TYPED, "verdict": "approve"}
    again = {**fields_of(client.get(address(request))), **TYPED, "verdict": "approve"}
    assert client.post(address(request), fields).status_code == 303
    assert status_of(request) == "pending"
    assert client.post(address(request), again).status_code == 409
    assert client.get(address(request)).status_code == 409
    assert status_of(request) == "pending"
    assert post(signed_in("finance2"), request, verdict="approve").status_code == 303
    assert status_of(request) == "approved"


def test_high_risk_is_503_while_nobody_seals_the_log_and_rejecting_still_works(cast: Cast, signed_in: SignedIn) -> None:
    request = file_request(cast, parameters={"amount_cents": 20_000})
    answer = post(signed_in("finance1"), request, verdict="approve")
    assert answer.status_code == 503
    assert answer["Retry-After"]
    assert fields_of(answer)["rationale"] == TYPED["rationale"]
    assert Decision.objects.count() == 0
    assert post(signed_in("finance1"), request, verdict="reject").status_code == 303


def test_while_another_holds_the_row_it_is_503_and_the_text_is_kept(
    cast: Cast, signed_in: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("approvals.transactions.LOCK_SECONDS", 1)
    request, client = file_request(cast), signed_in("support1")
    fields = {**fields_of(client.get(address(request))), **TYPED, "verdict": "approve"}
    with held(request):
        answer = client.post(address(request), fields)
    assert answer.status_code == 503
    assert fields_of(answer)["rationale"] == TYPED["rationale"]
    assert client.post(address(request), fields).status_code == 303


def test_a_policy_that_no_longer_permits_it_blocks_it_and_the_approver_is_told_409(
    cast: Cast, signed_in: SignedIn
) -> None:
    request, client = file_request(cast), signed_in("support1")
    fields = {**fields_of(client.get(address(request))), **TYPED, "verdict": "approve"}
    files = demo_policy() | {
        "demo.cedar": '@id("mail")\n@require("1 of support")\n@risk("medium")\n'
        'permit (principal in Level::"2", action == Action::"email.send", resource);\n'
    }
    with time_limited():
        policies.activate(files, by=SETTING_UP)
    answer = client.post(address(request), fields)
    assert answer.status_code == 409
    assert "no longer permits" in said(answer)
    assert status_of(request) == "blocked"
    assert Decision.objects.count() == 0


def test_a_form_from_elsewhere_is_refused(cast: Cast, signed_in: SignedIn) -> None:
    request, client = file_request(cast), signed_in("support1", enforce_csrf_checks=True)
    fields = fields_of(client.get(address(request)))
    without = {name: value for name, value in fields.items() if name != "csrfmiddlewaretoken"}
    refused = client.post(address(request), {**without, **TYPED, "verdict": "approve"})
    assert refused.status_code == 403
    assert TYPED["rationale"] in said(refused)
    assert status_of(request) == "pending"
    assert client.post(address(request), {**fields, **TYPED, "verdict": "approve"}).status_code == 303


@pytest.mark.parametrize("key", ["agent", "executor", "auditor"])
def test_no_api_key_opens_a_page_or_decides(cast: Cast, key: str) -> None:
    request, client = file_request(cast), Client()
    bearer = {"Authorization": f"Bearer {cast.keys[key]}"}
    for page in ("/queue/", f"/requests/{request.pk}/", address(request), "/history/", "/history/export.csv"):
        answer = client.get(page, headers=bearer)
        assert answer.status_code == 302
        assert answer["Location"].startswith("/accounts/login/")
    answer = client.post(address(request), {**TYPED, "verdict": "approve"}, headers=bearer)
    assert answer.status_code in (302, 403)
    assert (status_of(request), Decision.objects.count()) == ("pending", 0)


def test_a_fragment_of_the_signed_out_is_401_with_a_word_for_the_page(cast: Cast) -> None:
    answer = Client().post(address(file_request(cast)), {}, headers={"HX-Request": "true"})
    assert (answer.status_code, answer["HX-Trigger"]) == (401, "signed-out")


def test_the_parameters_as_filed_are_no_change_and_are_ignored_on_a_reject(cast: Cast, signed_in: SignedIn) -> None:
    same, rejected = file_request(cast), file_request(cast)
    spelt = json.dumps(same.parameters, indent=2)
    assert post(signed_in("support1"), same, verdict="approve", parameters=spelt).status_code == 303
    nonsense = {"verdict": "reject", "parameters": "{not json"}
    assert post(signed_in("support1"), rejected, **nonsense).status_code == 303


@pytest.mark.parametrize("where", ["page", "decide"])
def test_high_risk_is_approved_only_from_the_page_that_shows_everything(
    cast: Cast, signed_in: SignedIn, sealed: None, where: str
) -> None:
    request = file_request(cast, parameters={"amount_cents": 20_000, "reason": "a " * 495, "more": "b" * 9_000})
    client = signed_in("finance1")
    at = f"/requests/{request.pk}/" if where == "page" else address(request)
    cut = client.get(at)
    assert "Show everything before you approve" in said(cut)
    assert "verdict=approve" in disabled_in(cut)
    assert "showing" in said(cut)
    wrong = client.post(address(request), {**fields_of(cut), **TYPED, "verdict": "approve"})
    assert wrong.status_code == 403
    whole = client.get(f"{at}?whole=1")
    assert "b" * 9_000 in whole.content.decode()
    error = client.post(address(request), {**fields_of(whole), "verdict": "approve", "rationale": "short"})
    assert error.status_code == 422
    assert "b" * 9_000 in error.content.decode()
    fields = {**fields_of(error), **TYPED, "verdict": "approve"}
    assert client.post(address(request), fields).status_code == 303


def test_reject_with_a_word_that_is_a_name_asks_and_then_takes_it(cast: Cast, signed_in: SignedIn) -> None:
    with forging():
        User.objects.filter(pk=cast["finance1"].pk).update(name="Will")
    request, client = file_request(cast), signed_in("support1")
    assert post(client, request, verdict="reject", rationale="This will not do.").status_code == 303
    request = file_request(cast)
    asked = post(client, request, verdict="reject", rationale="The last Will was better.")
    assert asked.status_code == 422
    assert "leave out Will, or say below that you mean the word" in said(asked)
    assert "I mean the word “will”, not a person" in said(asked)
    meant = post(client, request, verdict="reject", rationale="The last Will was better.", means_word="will")
    assert meant.status_code == 303


@pytest.mark.parametrize("text", ["担当者finance1@example.testへ", "Fina Nowakさん", "Nowak, Fina", "Fína Ńowak"])
def test_reject_that_names_a_colleague_however_written_is_422(cast: Cast, signed_in: SignedIn, text: str) -> None:
    request = file_request(cast)
    refused = post(signed_in("support1"), request, verdict="reject", rationale=text, means_word="fina nowak")
    assert refused.status_code == 422
    assert status_of(request) == "pending"
