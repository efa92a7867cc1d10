"""Approve with changes, by the verb: what policy says of the edit, whose votes fall, what the grant is bound to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from accounts.models import User
from approvals import access, amending, policies, queries
from approvals.api.documents import request_document
from approvals.ballot import Form
from approvals.errors import AlreadyDecided, ChangedMeanwhile, NotYours, StepUpNeeded, TooLate, Unfit
from approvals.models import Decision, Event, Grant, Notice, Request
from approvals.payloads import canonical, digest_of
from approvals.transactions import time_limited
from tests.domain.test_approvals_stricter import LARGE, SMALL, activate, claims
from tests.support import sealing
from tests.support.cast import (
    SETTING_UP,
    Cast,
    decide,
    demo_policy,
    file_request,
    make_cast,
    make_person,
    open_page,
    overdue,
    totp_proof,
)
from tests.support.leaves import entries

BIG = {"amount_cents": 50_000}


@pytest.fixture
def cast(transactional_db: None) -> Iterator[Cast]:
    """helpdesk, support, finance, privacy and security, and a log that is being sealed."""
    with sealing.running():
        yield make_cast(only=("support1", "support2", "finance1", "finance2", "privacy1", "security1"))


@pytest.fixture
def both(cast: Cast) -> User:
    """Somebody who sits in support and in finance."""
    return make_person("both", teams=[cast.teams["support"], cast.teams["finance"]])


def edit(request: Request, person: User, *, confirm: str = "", **changes: Any) -> Request:
    """Approve with these parameters changed."""
    fresh = Request.objects.get(pk=request.pk)
    text = json.dumps({**fresh.effective_parameters, **changes})
    auth = totp_proof() if confirm else None
    return decide(fresh, person, parameters=text, confirm=confirm, auth=auth)


def now(request: Request) -> Request:
    return Request.objects.get(pk=request.pk)


def told(request: Request) -> dict[str, Any]:
    """The request as its agent reads it."""
    seen = queries.read(queries.requests(), request.pk)
    assert seen is not None
    return request_document(seen)


def refused(request: Request, person: User, **changes: Any) -> str:
    """Why an edit was refused at its field; nothing of it is left."""
    before = Request.objects.filter(pk=request.pk).values().get()
    votes = Decision.objects.filter(voided_at__isnull=True).count()
    with pytest.raises(Unfit) as unfit:
        edit(request, person, **changes)
    assert list(unfit.value.fields) == ["parameters"]
    assert Request.objects.filter(pk=request.pk).values().get() == before
    assert Decision.objects.filter(voided_at__isnull=True).count() == votes
    assert not entries("request.amended")
    return unfit.value.fields["parameters"]


# ---- approved at once, where the editor's own vote is enough
def test_the_grant_is_bound_to_the_edit_and_the_agent_is_told_it_is_amended(cast: Cast) -> None:
    request = file_request(cast)
    assert edit(request, cast["support1"], amount_cents=4_100).status == "approved"
    document, wanted = told(request), {"amount_cents": 4_100, "currency": "USD"}
    assert (document["decision"]["amended"], document["decision"]["parameters"]) == (True, wanted)
    assert document["parameters"] == {"amount_cents": 4_200, "currency": "USD"}
    assert document["parameters_digest"] == request.parameters_digest
    said = claims(request)
    assert (said["pdg"], said["lvl"]) == (digest_of(canonical(wanted)), "medium")
    assert (said["act"], said["rsc"]) == (request.action, request.resource)


def test_the_entry_of_an_edit_comes_before_its_makers_decision_and_says_what_policy_asks_of_it(cast: Cast) -> None:
    request = file_request(cast)
    edit(request, cast["support1"], amount_cents=4_100)
    (amended,), (voted,) = entries("request.amended"), entries("decision.recorded")
    vote = Decision.objects.get()
    assert amended["ordinal"] < voted["ordinal"]
    assert amended["facts"] == {
        "decision": str(vote.pk), "action": "refund.create", "risk": "medium", "risk_unknown": False,
        "matched": ["refund-small"], "quorum": [[{"team": "support", "count": 1}]], "people_floor": 0,
        "stepup": False, "policy": str(request.policy_id), "policy_at_filing": str(request.policy_id),
    }  # fmt: skip
    assert set(amended["commitments"]) == {"parameters", "parameters_digest", "display_digest"}
    assert amended["auth"]["method"] == "password"
    for name in ("parameters_digest", "display_digest"):  # one salt a request: equality shows
        assert voted["commitments"][name] == amended["commitments"][name]
    assert voted["facts"]["amends"] is True
    assert voted["commitments"]["edited_from"] != voted["commitments"]["display_digest"]


def test_the_decision_keeps_what_was_shown_and_what_it_was_made_into(cast: Cast) -> None:
    request = file_request(cast)
    opened = open_page(request, cast["support1"])
    text = '{"amount_cents": 4100, "currency": "USD"}'
    decide(request, cast["support1"], opened=opened, parameters=text)
    vote = Decision.objects.get()
    assert vote.edited_from == opened.display_digest != vote.display_digest
    assert vote.parameters_digest == now(request).amended_digest
    assert vote.display_digest == open_page(now(request), cast["support1"]).display_digest


def test_the_same_parameters_in_another_writing_are_no_edit(cast: Cast) -> None:
    request = file_request(cast)
    decide(request, cast["support1"], parameters='{ "currency": "USD",\n "amount_cents": 4200.0 }')
    assert (now(request).status, now(request).amended_at) == ("approved", None)
    assert told(request)["decision"]["amended"] is False
    assert not entries("request.amended")


def test_on_a_reject_parameters_are_ignored(cast: Cast) -> None:
    request = file_request(cast)
    decide(request, cast["support1"], "reject", parameters="not even JSON")
    assert (now(request).status, now(request).amended_at) == ("rejected", None)
    words: dict[str, Any] = {
        "rationale": "",
        "note": "",
        "reason_code": "",
        "display_digest": "",
        "view_id": "",
        "confirm": "",
    }
    assert not Form(verdict="reject", parameters="{}", **words).edits


# ---- votes on what stood fall
def test_votes_on_what_stood_fall_and_say_so_and_their_people_may_decide_the_edit(cast: Cast) -> None:
    request = file_request(cast, parameters=BIG)
    decide(request, cast["finance1"])
    assert edit(request, cast["finance2"], amount_cents=40_000).status == "pending"
    fallen = Decision.objects.get(person=cast["finance1"])
    assert fallen.voided_at is not None
    assert fallen.void_reason == "Another reviewer changed the parameters."
    (voided,) = entries("decision.void")
    assert voided["facts"]["decision"] == str(fallen.pk)
    assert voided["actor"] == {"kind": "person", "id": str(cast["finance2"].pk)}
    with pytest.raises(AlreadyDecided):  # the editor's vote stands, on the edit
        edit(request, cast["finance2"], amount_cents=30_000)
    assert decide(now(request), cast["finance1"]).status == "approved"
    assert told(request)["decision"]["parameters"]["amount_cents"] == 40_000


def test_whose_votes_fell_and_whom_the_edit_brings_in_are_told_that_it_waits(cast: Cast) -> None:
    request = file_request(cast, parameters=BIG)
    waits = Notice.objects.filter(event=Event.PENDING, request=request)
    assert waits.count() == 1
    edit(request, cast["finance2"], amount_cents=40_000)
    assert waits.count() == 2
    small = file_request(cast)
    edit(small, cast["support1"], amount_cents=4_100)
    assert Notice.objects.filter(event=Event.PENDING, request=small).count() == 1  # approved: nobody need look


def test_a_page_opened_before_an_edit_decides_nothing_after_it(cast: Cast) -> None:
    request = file_request(cast, parameters=BIG)
    old = open_page(request, cast["finance1"])
    edit(request, cast["finance2"], amount_cents=40_000)
    for parameters in (None, '{"amount_cents": 50000, "currency": "USD"}'):
        with pytest.raises(ChangedMeanwhile):
            decide(request, cast["finance1"], opened=old, parameters=parameters)
    assert now(request).amended_digest == Decision.objects.get().parameters_digest


def test_an_edit_may_be_edited_again_and_may_lead_back_to_what_was_filed(cast: Cast) -> None:
    request = file_request(cast, parameters=BIG)
    edit(request, cast["finance2"], amount_cents=40_000)
    edit(request, cast["finance1"], amount_cents=50_000)
    assert now(request).effective_digest == request.parameters_digest
    assert now(request).amended_by == cast["finance1"]
    assert decide(now(request), cast["finance2"]).status == "approved"
    assert told(request)["decision"]["amended"] is False  # what runs is what was asked
    assert len(entries("request.amended")) == 2


# ---- what policy says of the edit
def test_an_edit_that_policy_sends_to_others_is_refused(cast: Cast) -> None:
    request = file_request(cast)
    assert "finance" in refused(request, cast["support1"], amount_cents=50_000)
    large = file_request(cast, parameters=BIG)
    assert "support" in refused(large, cast["finance1"], amount_cents=50)


def test_an_edit_that_policy_forbids_is_refused_in_its_words(cast: Cast) -> None:
    request = file_request(cast)
    forbid = (
        '@id("not-that-sum")\n@tell("This sum is never paid.")\n'
        'forbid (principal, action == Action::"refund.create", resource)\n'
        "when { context.parameters.amount_cents == 4100 };\n"
    )
    activate('@id("refund-small")', f'{forbid}\n@id("refund-small")')
    assert refused(request, cast["support1"], amount_cents=4_100).endswith("This sum is never paid.")
    assert edit(request, cast["support1"], amount_cents=4_099).status == "approved"


def test_an_edit_that_no_rule_permits_is_refused(cast: Cast) -> None:
    request = file_request(cast)
    activate("when { context.parameters.amount_cents <= 10000 }", "when { context.parameters.amount_cents == 4200 }")
    assert "no rule permits them" in refused(request, cast["support1"], amount_cents=4_100)


def test_an_edit_that_does_not_fit_the_catalogue_says_where(cast: Cast) -> None:
    request = file_request(cast)
    assert "/amount_cents" in refused(request, cast["support1"], amount_cents="much")
    assert "/currency" in refused(request, cast["support1"], currency="dollars")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "JSON"),
        ("{", "JSON"),
        ("[]", "object"),
        ("null", "object"),
        ('{"amount_cents": 1, "amount_cents": 2, "currency": "USD"}', "/amount_cents: This name"),
        ('{"amount_cents": NaN, "currency": "USD"}', "/amount_cents: NaN"),
        ('{"amount_cents": 9007199254740993, "currency": "USD"}', "/amount_cents: Integers"),
        ('{"amount_cents": 1, "currency": "USD", "a": {"__entity": {}}}', "/a/__entity: This name is reserved"),
        ('{"amount_cents": 1, "currency": "\\ud800"}', "/currency: A lone surrogate"),
        ('{"amount_cents": 1, "currency": "USD", "a": ' + "[" * 32 + "]" * 32 + "}", "Nested more than 32"),
        ('{"amount_cents": 1, "currency": "USD", "a": ' + "[" * 9_999 + "]" * 9_999 + "}", "Nested more than 32"),
        (json.dumps({"amount_cents": 1, "currency": "USD", "a": [0] * 5_000}), "At most 5000 values"),
        (json.dumps({"amount_cents": 1, "currency": "USD", "a": "x" * 262_144}), "256 KiB at most"),
    ],
)
def test_an_edit_keeps_to_the_rules_of_a_filing(cast: Cast, text: str, says: str) -> None:
    request = file_request(cast)
    with pytest.raises(Unfit) as unfit:
        decide(request, cast["support1"], parameters=text)
    assert says in unfit.value.fields["parameters"]
    assert (now(request).status, now(request).amended_at) == ("pending", None)
    assert not Decision.objects.exists()


def test_what_the_edit_asks_replaces_what_was_asked_at_filing(cast: Cast, both: User) -> None:
    request = file_request(cast)
    assert edit(request, both, amount_cents=50_000).status == "pending"
    assert (now(request).standing_risk, now(request).standing_teams) == ("high", ["finance"])
    assert (now(request).risk, now(request).teams) == ("medium", ["support"])  # what was filed does not change
    with pytest.raises(NotYours):
        decide(now(request), cast["support1"])
    with pytest.raises(NotYours):
        decide(now(request), cast["support1"], "reject")
    assert decide(now(request), cast["finance1"]).status == "approved"
    assert claims(request)["lvl"] == "high"
    (approved,) = entries("request.approved")
    assert approved["facts"]["risk"] == "high"
    assert {seat["team"] for seat in approved["facts"]["seats"]} == {"finance"}


def test_who_was_asked_at_filing_still_sees_what_others_decide_now(cast: Cast, both: User) -> None:
    request = file_request(cast)
    edit(request, both, amount_cents=50_000)
    for name, sees, may in (("support1", True, False), ("finance1", True, True), ("privacy1", False, False)):
        person = access.viewer(cast[name])
        assert access.visible_to(person).filter(pk=request.pk).exists() is sees, name
        assert access.entitled(person, now(request)) is may, name
    assert access.sees_payload(access.viewer(cast["support1"]), now(request))


def test_both_versions_are_asked_about_the_edit(cast: Cast) -> None:
    filed_loose = file_request(cast)
    activate(SMALL, '@id("refund-small")\n@require("2 of support")\n@risk("medium")')
    filed_strict = file_request(cast)
    assert edit(filed_loose, cast["support1"], amount_cents=4_100).status == "pending"  # the current one asks for two
    with time_limited():
        policies.activate(demo_policy() | {"z.cedar": "// as at first\n"}, by=SETTING_UP)
    assert edit(filed_strict, cast["support1"], amount_cents=4_100).status == "pending"  # the frozen one does
    assert decide(now(filed_strict), cast["support2"]).status == "approved"


def test_the_frozen_version_is_asked_about_the_edit_and_not_remembered_of_the_filing(cast: Cast, both: User) -> None:
    request = file_request(cast, parameters=BIG)
    assert edit(request, both, amount_cents=50).status == "approved"  # one of support, not two of finance


def test_an_edit_that_policy_would_allow_to_nobody_takes_one_of_those_asked_at_filing(cast: Cast) -> None:
    end = '  action == Action::"email.send",\n  resource\n)'
    home = f'@id("mail-home")\n@require("nobody")\n@risk("low")\npermit (\n  principal in Level::"2",\n{end}\n'
    activate(
        f"{end};",
        f'{end}\nwhen {{ context.parameters.subject != "home" }};\n\n'
        f'{home}when {{ context.parameters.subject == "home" }};',
    )
    assert file_request(cast, "email.send", {"subject": "home"}).status == "approved"
    request = file_request(cast, "email.send")
    assert edit(request, cast["support1"], subject="home").status == "approved"
    assert now(request).amended_quorum == [[{"team": "support", "count": 1}]]
    assert now(request).standing_risk == "low"


def test_an_edit_that_was_ruled_on_by_a_policy_no_longer_in_force_is_not_taken(cast: Cast) -> None:
    request = file_request(cast)
    prepared = amending.prepare(request.pk, '{"amount_cents": 4100, "currency": "USD"}')
    assert prepared is not None
    seen = queries.read(queries.requests(), request.pk)
    assert seen is not None
    amending.refuse_unfit(access.viewer(cast["support1"]), seen, prepared)
    activate(SMALL, '@id("refund-small")\n@require("2 of support")\n@risk("medium")')
    with pytest.raises(ChangedMeanwhile):
        amending.refuse_unfit(access.viewer(cast["support1"]), seen, prepared)


def test_a_shorter_yes_of_the_edit_binds_its_grant(cast: Cast, both: User) -> None:
    activate(LARGE, '@id("refund-large")\n@require("1 of finance")\n@valid("5m")\n@executor("payments")\n@risk("high")')
    request = file_request(cast)
    decided = edit(request, both, amount_cents=50_000)
    assert decided.status == "approved"
    assert decided.valid_until is not None
    assert decided.decided_at is not None
    assert (decided.valid_until - decided.decided_at).total_seconds() == 300
    assert Grant.objects.get().audience.endswith("/executors/payments")


def test_parameters_that_nobody_understands_make_the_edit_unknown_and_high(cast: Cast) -> None:
    request = file_request(cast)
    assert edit(request, cast["support1"], surprise="yes").status == "approved"
    assert now(request).shown_risk == "unknown"
    assert claims(request)["lvl"] == "high"


# ---- critical, and who may not
def test_a_critical_edit_asks_for_the_edits_own_fact_a_second_factor_and_a_second_person(cast: Cast) -> None:
    request = file_request(cast, "customer.export")
    with pytest.raises(StepUpNeeded):
        edit(request, cast["privacy1"], rows=10)
    with pytest.raises(Unfit) as unfit:
        edit(request, cast["privacy1"], rows=10, confirm="1204")  # what was filed
    assert list(unfit.value.fields) == ["confirm"]
    assert now(request).amended_at is None
    assert edit(request, cast["privacy1"], rows=10, confirm="10").status == "pending"
    assert decide(now(request), cast["security1"], confirm="10", auth=totp_proof()).status == "approved"
    assert told(request)["decision"]["parameters"]["rows"] == 10


def test_the_owner_edits_nothing(cast: Cast) -> None:
    request = file_request(cast)
    with pytest.raises(NotYours):
        edit(request, cast["owner1"], amount_cents=1)
    assert now(request).amended_at is None


def test_after_the_deadline_nothing_is_edited(cast: Cast) -> None:
    request = overdue(file_request(cast))
    with pytest.raises(TooLate):
        edit(request, cast["support1"], amount_cents=1)
    assert now(request).amended_at is None


def test_an_edit_does_not_move_the_deadline(cast: Cast) -> None:
    activate(LARGE, '@id("refund-large")\n@require("2 of finance")\n@risk("high")')
    request = file_request(cast, parameters=BIG)
    edit(request, cast["finance1"], amount_cents=40_000)
    assert now(request).expires_at == request.expires_at


def test_what_is_high_and_cut_on_the_page_is_edited_from_the_whole_alone(cast: Cast) -> None:
    request = file_request(cast, parameters={**BIG, "reason": "x" * 900, "note": "y" * 9_000})
    with pytest.raises(NotYours, match="Not everything was shown"):
        edit(request, cast["finance1"], amount_cents=40_000)
    whole = open_page(request, cast["finance1"], whole=True)
    text = json.dumps({**request.parameters, "amount_cents": 40_000})
    assert decide(request, cast["finance1"], opened=whole, parameters=text).status == "pending"
    assert now(request).amended_at is not None


def test_a_later_vote_is_weighed_by_the_policy_in_force_and_the_edits_ruling(cast: Cast) -> None:
    request = file_request(cast, parameters=BIG)
    edit(request, cast["finance1"], amount_cents=40_000)
    activate(LARGE, '@id("refund-large")\n@require("2 of finance, 1 of privacy")\n@risk("high")')
    assert decide(now(request), cast["finance2"]).status == "pending"
