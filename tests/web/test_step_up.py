"""A second factor for critical approvals, through the pages: what counts, how fresh, and what survives the detour."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from accounts import second_factor
from accounts.second_factor import FRESH
from approvals import queries
from approvals.errors import StepUpNeeded
from approvals.models import Decision, Request
from approvals.web.drafts import REQUESTS_AT_MOST
from audit.entries import Authentication
from tests.support import sealing
from tests.support.cast import Cast, decide, file_request, make_cast, totp_proof
from tests.support.codes import App, confirm, equip, move, sign_in
from tests.support.forms import disabled_in, fields_of, said
from tests.support.leaves import entries
from tests.support.times import activate

pytestmark = pytest.mark.django_db(transaction=True)
SignedIn = Callable[..., Client]
WHY = "The contract of May covers these fields."
TYPED = {"rationale": WHY, "note": "Seen in the contract.", "confirm": "1204", "verdict": "approve"}
CRITICAL = "customer.export"


@pytest.fixture
def cast(transactional_db: None) -> Iterator[Cast]:
    """Everybody, with a log that is being sealed; the two who decide what is critical sign in by password."""
    with sealing.running():
        yield make_cast(sign_in=["privacy1", "security1"])


@pytest.fixture
def apps(cast: Cast) -> dict[str, App]:
    """Both have an authenticator app."""
    return equip(cast["privacy1"], cast["security1"])


def address(request: Request) -> str:
    return reverse("decide", args=[request.pk])


def post(client: Client, request: Request, to: str = "", **changes: str) -> Any:
    fields = {**fields_of(client.get(address(request))), **TYPED, **changes}
    return client.post(to or address(request), fields)


def status_of(request: Request) -> str:
    return Request.objects.values_list("status", flat=True).get(pk=request.pk)


def refused(answer: Any, request: Request) -> None:
    assert answer.status_code == 403, answer.content.decode()[:500]
    assert "Approving this asks for a second factor, confirmed less than 5 minutes before." in said(answer)
    assert (status_of(request), Decision.objects.count()) == ("pending", 0)


# ---- what counts


def test_a_sign_in_with_the_app_s_code_counts_and_stands_in_the_decision_and_its_entry(
    cast: Cast, apps: dict[str, App]
) -> None:
    request, client = file_request(cast, CRITICAL), sign_in(cast["privacy1"], apps["privacy1"])
    page = client.get(address(request))
    assert "Confirmed" in said(page)
    assert "with an authenticator app; that counts for an approval until" in said(page)
    assert post(client, request).status_code == 303
    vote = Decision.objects.get()
    assert vote.auth_method == "mfa:totp"
    assert timedelta(0) <= vote.decided_at - vote.auth_at < timedelta(seconds=60)
    (entry,) = entries("decision.recorded")
    assert entry["facts"]["stepup"] is True
    assert entry["auth"]["method"] == "mfa:totp"


def test_two_people_each_with_their_own_proof_approve_and_neither_alone_nor_twice(
    cast: Cast, apps: dict[str, App]
) -> None:
    request, first = file_request(cast, CRITICAL), sign_in(cast["privacy1"], apps["privacy1"])
    assert post(first, request).status_code == 303
    assert status_of(request) == "pending"
    assert post(first, request).status_code == 409
    assert status_of(request) == "pending"
    assert post(sign_in(cast["security1"], apps["security1"]), request).status_code == 303
    assert status_of(request) == "approved"


def test_a_password_alone_is_refused_in_words_with_the_way_out_and_as_evidence(
    cast: Cast, signed_in: SignedIn, apps: dict[str, App]
) -> None:
    request, client = file_request(cast, CRITICAL), signed_in("privacy1")
    answer = post(client, request)
    refused(answer, request)
    assert "Confirm it&#x27;s you" in answer.content.decode()
    back = f"%2Frequests%2F{request.pk}%2Fdecide%2F%3Fverdict%3Dapprove"
    assert f"{reverse('mfa_reauthenticate')}?next={back}" in answer.content.decode()
    (entry,) = entries("refusal.recorded")
    assert entry["facts"] == {"cause": "decision-step-up", "verdict": "approve"}


def test_a_sign_in_by_password_is_refused_though_it_is_fresh(cast: Cast) -> None:
    request, client = file_request(cast, CRITICAL), sign_in(cast["privacy1"])
    second_factor.give_totp(user=cast["privacy1"], secret=App().secret)
    refused(post(client, request), request)


def test_confirming_in_an_open_session_counts_and_leads_back(
    cast: Cast, signed_in: SignedIn, apps: dict[str, App]
) -> None:
    request, client = file_request(cast, CRITICAL), signed_in("privacy1")
    answer = confirm(client, apps["privacy1"].code(), back=address(request))
    assert (answer.status_code, answer["Location"]) == (302, address(request))
    assert post(client, request).status_code == 303
    assert Decision.objects.get().auth_method == "mfa:totp"


def test_a_recovery_code_re_authenticates_and_does_not_count(
    cast: Cast, signed_in: SignedIn, apps: dict[str, App]
) -> None:
    from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes

    with transaction.atomic():
        code = RecoveryCodes.activate(cast["privacy1"]).get_unused_codes()[0]
    request, client = file_request(cast, CRITICAL), signed_in("privacy1")
    assert confirm(client, code).status_code == 302
    answer = post(client, request)
    refused(answer, request)
    assert "A recovery code signs you in, but does not count here" in said(answer)


def test_a_password_typed_again_after_the_code_does_not_hide_it(cast: Cast, signed_in: SignedIn) -> None:
    client = sign_in(cast["privacy1"], equip(cast["privacy1"])["privacy1"])
    session = client.session
    session["account_authentication_methods"] += [{"method": "password", "at": 0.0}]
    session.save()
    assert post(client, file_request(cast, CRITICAL)).status_code == 303


# ---- how fresh


def test_after_five_minutes_it_is_stale_and_confirming_anew_mends_it(cast: Cast, apps: dict[str, App]) -> None:
    request, client = file_request(cast, CRITICAL), sign_in(cast["privacy1"], apps["privacy1"])
    move(client, at=-299)
    assert "that counts for an approval until" in said(client.get(address(request)))
    move(client, at=-2)
    answer = post(client, request)
    refused(answer, request)
    assert "is 5 minutes old or older" in said(answer)
    confirm(client, apps["privacy1"].code())
    assert post(client, request).status_code == 303


def test_a_proof_from_the_future_is_none(cast: Cast, apps: dict[str, App]) -> None:
    request, client = file_request(cast, CRITICAL), sign_in(cast["privacy1"], apps["privacy1"])
    move(client, at=3600)
    answer = post(client, request)
    refused(answer, request)
    assert "dated in the future" in said(answer)


@pytest.mark.parametrize(
    ("host", "database"),
    [
        pytest.param(3600, 0, id="the signing host an hour ahead"),
        pytest.param(-3600, 0, id="the signing host an hour behind"),
        pytest.param(0, -3600, id="an hour ago by the database, fresh by a host that was ahead"),
        pytest.param(0, 3600, id="stamped in the future"),
    ],
)
def test_where_a_host_s_clock_and_the_database_s_disagree_it_is_refused(
    cast: Cast, apps: dict[str, App], host: int, database: int
) -> None:
    request, client = file_request(cast, CRITICAL), sign_in(cast["privacy1"], apps["privacy1"])
    move(client, at=host, stamp=database)
    refused(post(client, request), request)


def test_the_verb_itself_refuses_and_measures_at_the_decision_by_the_database(cast: Cast) -> None:
    request = file_request(cast, CRITICAL)
    for auth in (
        totp_proof(age=FRESH),
        totp_proof(age=-timedelta(minutes=1)),
        Authentication("mfa:recovery_codes", queries.clock()),
        Authentication("password", queries.clock()),
        Authentication("session", queries.clock()),
    ):
        with pytest.raises(StepUpNeeded):
            decide(request, cast["privacy1"], rationale=WHY, confirm="1204", auth=auth)
    assert Decision.objects.count() == 0
    fresh = totp_proof(age=FRESH - timedelta(seconds=20))
    assert decide(request, cast["privacy1"], rationale=WHY, confirm="1204", auth=fresh).status == "pending"
    assert Decision.objects.count() == 1


def test_rejecting_never_asks_for_it(cast: Cast, signed_in: SignedIn) -> None:
    request = file_request(cast, CRITICAL)
    assert post(signed_in("privacy1"), request, verdict="reject").status_code == 303
    assert status_of(request) == "rejected"
    assert entries("decision.recorded")[0]["facts"]["stepup"] is False


def test_what_is_not_critical_asks_for_it_only_where_policy_does(cast: Cast, signed_in: SignedIn) -> None:
    assert post(signed_in("support1"), file_request(cast)).status_code == 303
    assert entries("decision.recorded")[0]["facts"]["stepup"] is False


# ---- policy that came to ask for it


def ask_stepup_of(rule: str) -> None:
    """Put a version in force that says `@stepup` on one rule more."""
    activate((f'@id("{rule}")', f'@id("{rule}")\n@stepup("true")'))


def test_policy_in_force_asks_for_it_though_the_one_frozen_at_filing_did_not(cast: Cast, signed_in: SignedIn) -> None:
    request = file_request(cast, parameters={"amount_cents": 20_000})
    apps = equip(cast["finance1"])
    ask_stepup_of("refund-large")
    client = signed_in("finance1")
    assert "Approving this asks for a second factor" in said(client.get(address(request)))
    refused(post(client, request), request)
    confirm(client, apps["finance1"].code())
    assert post(client, request).status_code == 303


def test_a_vote_given_before_policy_asked_for_it_does_not_count_towards_what_it_asks_now(
    cast: Cast, signed_in: SignedIn
) -> None:
    request = file_request(cast, parameters={"amount_cents": 20_000})
    apps = equip(cast["finance2"])
    assert post(signed_in("finance1"), request).status_code == 303
    ask_stepup_of("refund-large")
    second = signed_in("finance2")
    confirm(second, apps["finance2"].code())
    assert post(second, request).status_code == 303
    assert status_of(request) == "pending"
    assert "1 of 2 approvals" in said(second.get(f"/requests/{request.pk}/"))


# ---- the detour


def test_what_was_typed_survives_the_detour_without_javascript_and_is_gone_once_decided(
    cast: Cast, signed_in: SignedIn, apps: dict[str, App]
) -> None:
    request, client = file_request(cast, CRITICAL), signed_in("privacy1")
    answer = post(client, request, reason_code="matches-records")
    assert fields_of(answer)["rationale"] == WHY
    confirm(client, apps["privacy1"].code())
    restored = fields_of(client.get(f"{address(request)}?verdict=approve"))
    assert (restored["rationale"], restored["note"], restored["verdict"]) == (WHY, TYPED["note"], "approve")
    assert restored["confirm"] == ""
    assert 'value="matches-records" selected' in client.get(f"{address(request)}?verdict=approve").content.decode()
    assert client.post(address(request), {**restored, "confirm": "1204"}).status_code == 303
    assert WHY not in str(dict(client.session))


def test_the_button_keeps_what_was_typed_and_leads_to_the_second_factor(
    cast: Cast, signed_in: SignedIn, apps: dict[str, App]
) -> None:
    request, client = file_request(cast, CRITICAL), signed_in("privacy1")
    door = reverse("step_up", args=[request.pk])
    assert f'formaction="{door}"' in client.get(address(request)).content.decode()
    answer = post(client, request, door)
    assert answer.status_code == 303
    assert answer["Location"].startswith(f"{reverse('mfa_reauthenticate')}?next=")
    assert fields_of(client.get(f"/requests/{request.pk}/"))["rationale"] == WHY
    by_htmx = client.post(door, TYPED, headers={"HX-Request": "true"})
    assert (by_htmx.status_code, by_htmx["HX-Redirect"]) == (200, answer["Location"])
    assert client.get(door).status_code == 405
    assert Decision.objects.count() == 0


def test_who_may_not_see_the_request_finds_no_detour_either(cast: Cast, signed_in: SignedIn) -> None:
    assert signed_in("support1").post(reverse("step_up", args=[file_request(cast, CRITICAL).pk])).status_code == 404


def test_drafts_are_few_and_short(cast: Cast, signed_in: SignedIn, apps: dict[str, App]) -> None:
    client = signed_in("privacy1")
    requests = [file_request(cast, CRITICAL) for _ in range(REQUESTS_AT_MOST + 1)]
    for request in requests:
        typed = {"rationale": "x" * 200_000, "parameters": request.parameters_text, "confirm": "1204"}
        client.post(reverse("step_up", args=[request.pk]), typed)
    drafts = client.session["decision_drafts"]
    assert list(drafts) == [str(request.pk) for request in requests[1:]]
    assert all(list(draft) == ["rationale"] and len(draft["rationale"]) == 4000 for draft in drafts.values())


def test_an_edit_is_kept_whole_or_not_at_all(cast: Cast, signed_in: SignedIn, apps: dict[str, App]) -> None:
    request, client = file_request(cast, CRITICAL), signed_in("privacy1")
    for text, kept in (('{"rows": 1}', True), ("{" + "x" * 300_000, False)):
        client.post(reverse("step_up", args=[request.pk]), {"rationale": WHY, "parameters": text})
        assert (client.session["decision_drafts"][str(request.pk)].get("parameters") == text) is kept


def test_the_way_back_shows_everything_where_everything_was_shown(
    cast: Cast, signed_in: SignedIn, apps: dict[str, App]
) -> None:
    request = file_request(cast, CRITICAL, parameters={"fields": [f"{n:0150}" for n in range(200)]})
    client = signed_in("privacy1")
    whole = fields_of(client.get(f"{address(request)}?whole=1"))
    answer = client.post(reverse("step_up", args=[request.pk]), whole)
    assert answer["Location"].endswith("verdict%3Dapprove%26whole%3D1")


# ---- who has none


def test_who_has_no_second_factor_is_told_so_with_the_way_to_one(cast: Cast, signed_in: SignedIn) -> None:
    request, client = file_request(cast, CRITICAL), signed_in("privacy1")
    for where in (f"/requests/{request.pk}/", address(request)):
        page = client.get(where)
        assert "You have not set one up." in said(page)
        assert "verdict=approve" in disabled_in(page)
        assert f'href="{reverse("mfa_index")}"' in page.content.decode()
    answer = post(client, request)
    refused(answer, request)
    assert "Set up a second factor" in said(answer)


# ---- the form of a critical approval


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        pytest.param({"confirm": ""}, "Type the fact as it stands in the parameters.", id="the fact not retyped"),
        pytest.param({"confirm": "1205"}, "Type the fact as it stands in the parameters.", id="another fact"),
        pytest.param({"rationale": "it is fine ok"}, "at least 15 characters", id="14 characters"),
        pytest.param({"rationale": "yes yes yes yes yes"}, "3 different words", id="one word"),
    ],
)
def test_a_critical_approval_retypes_the_fact_and_says_why_in_a_sentence(
    cast: Cast, apps: dict[str, App], changes: dict[str, str], sentence: str
) -> None:
    request, client = file_request(cast, CRITICAL), sign_in(cast["privacy1"], apps["privacy1"])
    answer = post(client, request, **changes)
    assert answer.status_code == 422
    assert sentence in said(answer)
    assert Decision.objects.count() == 0
