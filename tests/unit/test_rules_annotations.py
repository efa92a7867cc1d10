"""What annotations say, and that a misspelt one never opens the gate."""

from __future__ import annotations

import pytest

from tests.support.packs import permit, problems_of, ruling_of

GOOD = '@id("rule") @require("1 of support") @risk("medium")'


def test_all_annotations_are_read() -> None:
    ruling = ruling_of(
        permit(
            '@id("large") @require("2 of finance, 1 of support | 1 of leadership") @risk("high") @timeout("30m")'
            ' @escalate("10m to finance-leads") @stepup("true") @valid("2h") @executor("payments")'
            ' @because("It went wrong once.") @control("SOC2:CC6.1, GDPR:Art.32")'
        )
    )
    assert ruling.outcome == "people"
    assert ruling.requirement == ({"leadership": 1}, {"finance": 2, "support": 1})
    assert (ruling.risk, ruling.timeout_seconds, ruling.valid_seconds) == ("high", 1800, 7200)
    assert ruling.escalate is not None
    assert (ruling.escalate.after_seconds, ruling.escalate.team) == (600, "finance-leads")
    assert (ruling.stepup, ruling.executor) == (True, "payments")
    assert ruling.because == ("It went wrong once.",)
    assert ruling.controls == ("SOC2:CC6.1", "GDPR:Art.32")


def test_without_times_an_hour_to_decide_and_an_hour_to_redeem() -> None:
    ruling = ruling_of(permit(GOOD))
    assert (ruling.timeout_seconds, ruling.valid_seconds, ruling.stepup) == (3600, 3600, False)


def test_nobody_says_in_words_that_no_people_are_asked() -> None:
    ruling = ruling_of(permit('@id("rule") @require("nobody") @risk("low")'))
    assert (ruling.outcome, ruling.reason, ruling.retry, ruling.requirement) == (
        "allowed",
        "Allowed.",
        None,
        None,
    )


# Each of these evaluates to a plain Allow in Cedar.
@pytest.mark.parametrize(
    ("annotations", "problem"),
    [
        pytest.param('@id("rule") @requires("2 of finance") @risk("high")', "@requires", id="requires"),
        pytest.param('@id("rule") @Require("2 of finance") @risk("high")', "@Require", id="Require"),
        pytest.param('@id("rule") @require @risk("high")', "@require has no value", id="bare-require"),
        pytest.param('@id("rule") @require("") @risk("high")', "@require has no value", id="empty-require"),
        pytest.param('@id("rule") @require(" ") @risk("high")', "@require has no value", id="blank-require"),
        pytest.param('@id("rule") @risk("high")', "@require is missing", id="no-require"),
        pytest.param('@require("1 of support") @risk("low")', "@id is missing", id="no-id"),
        pytest.param('@id @require("1 of support") @risk("low")', "@id has no value", id="bare-id"),
        pytest.param('@id("Rule 1") @require("1 of support") @risk("low")', "@id", id="odd-id"),
        pytest.param('@id("rule") @require("1 of support")', "@risk is missing", id="no-risk"),
        pytest.param('@id("rule") @require("1 of support") @risk("High")', "@risk", id="odd-risk"),
        pytest.param('@id("rule") @require("1 of support") @risk("unknown")', "@risk", id="risk-unknown"),
        pytest.param('@id("rule") @require("1 of suport") @risk("low")', "no team", id="unknown-team"),
        pytest.param('@id("rule") @require("1 of Support") @risk("low")', "@require", id="team-in-capitals"),
        pytest.param('@id("rule") @require("0 of support") @risk("low")', "@require", id="no-people"),
        pytest.param('@id("rule") @require("two of support") @risk("low")', "@require", id="in-words"),
        pytest.param('@id("rule") @require("1 of support,") @risk("low")', "@require", id="comma-at-end"),
        pytest.param('@id("rule") @require("1 of support | nobody") @risk("low")', "@require", id="or-nobody"),
        pytest.param('@id("rule") @require("Nobody") @risk("low")', "@require", id="Nobody"),
        pytest.param('@id("rule") @require("1 of support, 2 of support") @risk("low")', "twice", id="team-twice"),
        pytest.param(f'{GOOD} @timeout("8d")', "longer than the 7d", id="timeout-over-7d"),
        pytest.param(f'{GOOD} @timeout("soon")', "@timeout", id="timeout-in-words"),
        pytest.param(f'{GOOD} @timeout("0m")', "@timeout", id="timeout-of-nothing"),
        pytest.param(f'{GOOD} @timeout("30 m")', "@timeout", id="timeout-with-space"),
        pytest.param(f"{GOOD} @timeout", "@timeout has no value", id="bare-timeout"),
        pytest.param(f'{GOOD} @valid("25h")', "longer than the 1d", id="valid-over-24h"),
        pytest.param(f'{GOOD} @stepup("yes")', "@stepup", id="stepup-yes"),
        pytest.param(f'{GOOD} @escalate("10m")', "@escalate", id="escalate-to-nobody"),
        pytest.param(f'{GOOD} @escalate("10m to nowhere")', "no team", id="escalate-unknown-team"),
        pytest.param(f'{GOOD} @executor("Pay Ments")', "@executor", id="odd-executor"),
        pytest.param(f'{GOOD} @because("")', "@because has no value", id="empty-because"),
        pytest.param(f'{GOOD} @control("SOC2:CC6.1,,")', "@control", id="empty-control"),
        pytest.param(f'{GOOD} @tell("No.")', "@tell says nothing on a permit", id="tell-on-permit"),
        pytest.param(f'{GOOD} @requires("2 of finance")', "@requires", id="unknown-beside-good"),
    ],
)
def test_a_malformed_annotation_makes_the_version_invalid(annotations: str, problem: str) -> None:
    assert problem in problems_of(permit(annotations))


@pytest.mark.parametrize("second", [GOOD, '@id("rule") @tell("No.")'])
def test_an_id_stands_on_one_policy_only(second: str) -> None:
    other = permit(second) if "require" in second else f"{second} forbid (principal, action, resource);"
    assert "rule stands on 2 policies" in problems_of(permit(GOOD), other)


def test_an_id_is_unique_across_files() -> None:
    assert "stands on 2" in problems_of(permit(GOOD), files={"other.cedar": permit(GOOD)})


def test_an_annotation_stands_once_on_a_policy() -> None:
    assert "duplicate annotation" in problems_of(permit(f'{GOOD} @require("2 of finance")'))


@pytest.mark.parametrize(
    "annotation",
    [
        '@on_timeout("approve")',
        '@timeout_action("approve")',
        '@auto_approve("true")',
        '@timeout("30m then approve")',
        '@escalate("30m to approve")',
        '@approve_on_timeout("30m")',
    ],
)
def test_approval_on_timeout_is_refused_and_told_why(annotation: str) -> None:
    assert "silence means no" in problems_of(permit(f"{GOOD} {annotation}"))


@pytest.mark.parametrize(
    ("annotation", "problem"),
    [
        ('@require("1 of support")', "@require says nothing on a forbid"),
        ('@risk("high")', "@risk says nothing on a forbid"),
        ('@timeout("30m")', "@timeout says nothing on a forbid"),
        ('@tells("No.")', "@tells is not a known annotation"),
        ("@tell", "@tell has no value"),
        ('@tell("")', "@tell has no value"),
    ],
)
def test_a_forbid_takes_only_its_own_annotations(annotation: str, problem: str) -> None:
    assert problem in problems_of(f'@id("no") {annotation} forbid (principal, action, resource);')


def test_a_forbid_needs_an_id() -> None:
    assert "@id is missing" in problems_of("forbid (principal, action, resource);")


@pytest.mark.parametrize(
    ("sentence", "problem"),
    [
        ("Ask the finance leads first.", "names the team finance-leads"),
        ("Only Support may do this.", "names the team support"),
        ("Another team does this.", "speaks of a team"),
        ("Ask Anna Schmidt.", "names a person"),
        ("Write to anna@corp.example.", "names a person"),
        ("This is up to chris.", "names a person"),
        ("Refunds above $100 are not made.", "names a threshold"),
        ("Not more than five a day.", "names a threshold"),
        ("At most ١٠ a day.", "names a threshold"),
        ("You are over the limit.", "names a threshold"),
        ("Backups stay\u202e.", "cannot be seen"),
        ("x" * 301, "1 to 300 characters"),
    ],
)
def test_a_tell_names_no_team_no_person_and_no_threshold(sentence: str, problem: str) -> None:
    forbid = f'@id("no") @tell("{sentence}") forbid (principal, action, resource);'
    assert problem in problems_of(forbid, people=("Chris",))


def test_every_problem_is_listed_at_once() -> None:
    found = problems_of(
        permit('@requires("2 of finance") @risk("huge")'), permit('@id("b") @require("1 of nowhere") @risk("low")')
    )
    for problem in ("@requires", "@risk", "@id is missing", "@require is missing", "no team"):
        assert problem in found
