"""Approve with changes by the page: the field it is written in, what each answer keeps, and what the others see."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from approvals.models import Decision, Request
from tests.support import sealing
from tests.support.cast import Cast, decide, file_request, make_cast, sits_in, totp_proof
from tests.support.codes import equip, sign_in
from tests.support.forms import fields_of, said
from tests.support.times import pass_time
from tests.web.test_polls import next_poll
from tests.web.test_queue import queue

pytestmark = pytest.mark.django_db(transaction=True)
SignedIn = Callable[..., Client]
WHY = "The records say otherwise than the agent does."
BIG = {"amount_cents": 50_000}


@pytest.fixture
def cast(transactional_db: None) -> Iterator[Cast]:
    """Everybody, and a log that is being sealed."""
    with sealing.running():
        yield make_cast(sign_in=["privacy1"])


def address(request: Request) -> str:
    return reverse("decide", args=[request.pk])


def page_of(client: Client, request: Request) -> Any:
    return client.get(f"/requests/{request.pk}/")


def post(client: Client, request: Request, parameters: str, **changes: str) -> Any:
    fields = {**fields_of(client.get(address(request))), "rationale": WHY, "verdict": "approve", **changes}
    return client.post(address(request), {**fields, "parameters": parameters})


def sum_of(cents: int) -> str:
    return json.dumps({"amount_cents": cents, "currency": "USD"})


def amend(client: Client, request: Request, cents: int) -> None:
    assert post(client, request, sum_of(cents)).status_code == 303


def test_the_form_holds_the_parameters_to_edit_and_sent_as_they_are_they_are_no_edit(
    cast: Cast, signed_in: SignedIn
) -> None:
    request, client = file_request(cast), signed_in("support1")
    page = page_of(client, request)
    fields = fields_of(page)
    assert json.loads(fields["parameters"]) == request.parameters
    assert page.content.decode().count('name="rationale"') == 1
    assert client.post(address(request), {**fields, "verdict": "approve", "rationale": WHY}).status_code == 303
    stands = Request.objects.get()
    assert (stands.status, stands.amended_at) == ("approved", None)


def test_an_edit_that_completes_its_quorum_is_approved_and_the_page_says_what_was_changed(
    cast: Cast, signed_in: SignedIn
) -> None:
    request, client = file_request(cast), signed_in("support1")
    amend(client, request, 4_100)
    assert Request.objects.get().status == "approved"
    text = said(page_of(client, request))
    assert "Changed by a reviewer" in text
    assert "Sam Porter changed the parameters" in text
    assert "−before/amount_cents4200 +now/amount_cents4100" in text
    assert "Sam Porter (support1@example.test) changed the parameters and approved that" in text


def test_the_exact_parameters_are_the_edit_and_the_filed_ones_can_still_be_opened(
    cast: Cast, signed_in: SignedIn
) -> None:
    request = file_request(cast, parameters=BIG)
    amend(signed_in("finance1"), request, 40_000)
    client = signed_in("finance2")
    page = page_of(client, request)
    assert "$400.00" in said(page)
    assert Request.objects.get().effective_digest in page.content.decode()
    exact = f"/requests/{request.pk}/parameters/"
    assert json.loads(client.get(exact).content)["amount_cents"] == 40_000
    assert f'{exact}?filed=1"' in page.content.decode()
    assert client.get(f"{exact}?filed=1").content.decode() == request.parameters_text


def test_whose_vote_fell_is_told_finds_it_in_their_turn_again_and_may_decide(cast: Cast, signed_in: SignedIn) -> None:
    request = pass_time(file_request(cast, parameters=BIG), timedelta(minutes=1))  # new by the edit, not by its filing
    first, second = signed_in("finance1"), signed_in("finance2")
    amend(first, request, 50_000)  # as it was filed: a plain vote
    assert queue(first).count == 0
    polled = queue(first).news.poll_url
    amend(second, request, 40_000)
    answer = first.get(polled)
    assert "1 new" in said(answer)
    assert queue(first).count == 1
    text = said(page_of(first, request))
    assert "Your approval of" in text
    assert "no longer counts: Another reviewer changed the parameters. Look at it as it is now" in text
    assert "voided a decision" in text
    assert "no longer counts" not in said(page_of(second, request))
    assert post(first, request, sum_of(40_000)).status_code == 303
    assert Request.objects.get().status == "approved"


def test_an_open_page_is_told_who_changed_it_and_decides_nothing(cast: Cast, signed_in: SignedIn) -> None:
    request = file_request(cast, parameters=BIG)
    reader = signed_in("finance2")
    page = page_of(reader, request)
    amend(signed_in("finance1"), request, 40_000)
    answer = reader.get(next_poll(page))
    assert "Fina Nowak changed the parameters." in said(answer)
    assert "Show it as it is now" in said(answer)
    assert reader.get(next_poll(answer)).status_code == 204
    old = reader.post(address(request), {**fields_of(page), "verdict": "approve", "rationale": WHY})
    assert old.status_code == 409
    fresh = fields_of(old)
    # what came with the old form is not sent as an edit of what stands now
    assert json.loads(fresh["parameters"])["amount_cents"] == 40_000
    assert "which were not taken" not in said(old)


def test_an_edit_of_what_no_longer_stands_is_409_and_kept_to_copy(cast: Cast, signed_in: SignedIn) -> None:
    request = file_request(cast, parameters=BIG)
    reader = signed_in("finance2")
    fields = fields_of(page_of(reader, request))
    amend(signed_in("finance1"), request, 40_000)
    mine = {**fields, "verdict": "approve", "rationale": WHY, "parameters": sum_of(30_000)}
    answer = reader.post(address(request), mine)
    assert answer.status_code == 409
    assert "The parameters as you changed them, which were not taken" in said(answer)
    assert "30000" in said(answer)
    assert json.loads(fields_of(answer)["parameters"])["amount_cents"] == 40_000
    assert Request.objects.get().effective_parameters["amount_cents"] == 40_000


@pytest.mark.parametrize("text", ["{", "", '{"amount_cents": "much", "currency": "USD"}', sum_of(50_000)])
def test_an_edit_that_does_not_fit_is_422_changes_nothing_and_is_kept(
    cast: Cast, signed_in: SignedIn, text: str
) -> None:
    request, client = file_request(cast), signed_in("support1")
    answer = post(client, request, text, note="Seen.")
    assert answer.status_code == 422
    assert list(answer.context["page"].decide.errors) == ["parameters"]
    if text:
        assert fields_of(answer)["parameters"] == text
    assert '<details class="amend" open>' in answer.content.decode()
    assert 'href="#id_parameters"' in answer.content.decode()
    assert fields_of(answer)["note"] == "Seen."
    assert (Request.objects.get().amended_at, Decision.objects.count()) == (None, 0)


def test_a_refusal_for_policy_is_spelt_visibly(cast: Cast, signed_in: SignedIn) -> None:
    request, client = file_request(cast), signed_in("support1")
    answer = post(client, request, json.dumps({"amount_cents": 1, "currency": "U\u202eD"}))
    assert answer.status_code == 422
    assert "\u202e" not in answer.context["page"].decide.errors["parameters"]


def test_unseen_characters_are_spelt_in_the_field_and_come_back_the_same(cast: Cast, signed_in: SignedIn) -> None:
    request, client = file_request(cast, parameters={"reason": "abc\u202edef\u2066"}), signed_in("support1")
    page = page_of(client, request)
    assert "\u202e" not in page.content.decode()
    fields = fields_of(page)
    assert "\\u202e" in fields["parameters"]
    assert client.post(address(request), {**fields, "verdict": "approve", "rationale": WHY}).status_code == 303
    assert Request.objects.get().amended_at is None


def test_who_cannot_approve_is_offered_no_edit_and_rejecting_carries_none(cast: Cast, signed_in: SignedIn) -> None:
    request = file_request(cast)
    assert "parameters" not in fields_of(page_of(signed_in("owner1"), request))
    assert post(signed_in("support1"), request, "{", verdict="reject").status_code == 303
    assert Request.objects.get().status == "rejected"


def test_parameters_too_large_to_come_along_are_not_offered_so_that_they_can_be_rejected(
    cast: Cast, signed_in: SignedIn
) -> None:
    request = file_request(cast, "email.send", {"body": "x" * 240_000})
    page = signed_in("support1").get(f"{address(request)}?whole=1")
    assert "parameters" not in fields_of(page)


def test_auditors_learn_that_it_was_changed_and_not_what(cast: Cast, signed_in: SignedIn) -> None:
    request = file_request(cast, parameters=BIG)
    amend(signed_in("finance1"), request, 40_123)
    page = page_of(signed_in("auditor1"), request)
    assert "Fina Nowak changed the parameters" in said(page)
    assert "40123" not in page.content.decode()
    assert "401.23" not in page.content.decode()
    assert "filed=1" not in page.content.decode()
    assert signed_in("auditor1").get(f"/requests/{request.pk}/parameters/?filed=1").status_code == 404


def test_lists_and_filters_go_by_the_risk_of_the_edit(cast: Cast, signed_in: SignedIn) -> None:
    sits_in(cast["finance1"], cast.teams["support"])
    request = file_request(cast)
    later = file_request(cast)
    client = signed_in("finance2")
    assert queue(client).count == 0
    amend(signed_in("finance1"), request, 50_000)
    (row,) = queue(client).your_turn
    assert (row.id, row.risk) == (request.pk, "high")
    assert "$500.00" in "".join(run.text for run in row.title)
    assert [one.id for one in queue(signed_in("support2")).your_turn] == [later.pk]
    found = signed_in("support2").get("/history/?risk=high").context["page"].rows
    assert [one.id for one in found] == [request.pk]


def test_the_edit_survives_the_detour_to_the_second_factor_and_is_never_in_web_storage(
    cast: Cast, signed_in: SignedIn
) -> None:
    app = equip(cast["privacy1"])["privacy1"]
    request, client = file_request(cast, "customer.export"), signed_in("privacy1")
    text = json.dumps({**request.parameters, "rows": 10})
    answer = post(client, request, text, confirm="10")
    assert answer.status_code == 403
    assert fields_of(answer)["parameters"] == text
    page = client.get(address(request))
    assert json.loads(fields_of(page)["parameters"])["rows"] == 10
    assert '<details class="amend" open>' in page.content.decode()
    script = (settings.BASE_DIR / "static" / "js" / "draft.js").read_text()
    assert 'const FIELDS = ["rationale", "note"];' in script
    strong = sign_in(cast["privacy1"], app)
    assert post(strong, request, text, confirm="10").status_code == 303
    assert Request.objects.get().effective_parameters["rows"] == 10


def test_a_kept_edit_of_what_no_longer_stands_is_not_given_back(cast: Cast, signed_in: SignedIn) -> None:
    equip(cast["privacy1"])
    request, client = file_request(cast, "customer.export"), signed_in("privacy1")
    post(client, request, json.dumps({**request.parameters, "rows": 10}), confirm="10")
    decide(
        request, cast["security1"], parameters=json.dumps({**request.parameters, "rows": 11}), confirm="11",
        auth=totp_proof(),
    )  # fmt: skip
    assert json.loads(fields_of(client.get(address(request)))["parameters"])["rows"] == 11


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_an_export_says_that_its_parameters_are_an_edit(cast: Cast, signed_in: SignedIn, form: str) -> None:
    filed, changed = file_request(cast), file_request(cast)
    client = signed_in("support1")
    amend(client, changed, 4_100)
    answer = client.get(f"/history/export.{form}")
    text = b"".join(answer.streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    if form == "jsonl":
        rows = [json.loads(line) for line in text.splitlines()]
    else:
        rows = list(csv.DictReader(io.StringIO(text)))
    told = {row["id"]: str(row["amended"]).lower() for row in rows if row["id"]}
    assert told == {str(filed.pk): "false", str(changed.pk): "true"}
