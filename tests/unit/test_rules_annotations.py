"""What annotations say, and that a misspelt one never opens the gate."""

from __future__ import annotations

import pytest

from approvals.rules.annotations import PermitTerms, duration, read
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


def terms(**annotations: str) -> PermitTerms:
    """What a good permit says with these annotations added or replaced."""
    given = {"id": "rule", "require": "1 of support", "risk": "medium", **annotations}
    found, problems = read("permit", given, teams=("support", "finance"))
    assert isinstance(found, PermitTerms), problems
    return found


def problem(**annotations: str) -> str:
    """The one problem of a permit that would be good without these."""
    given = {"id": "rule", "require": "1 of support", "risk": "medium", **annotations}
    found, problems = read("permit", given, teams=("support", "finance"))
    assert found is None
    (only,) = problems
    return only


@pytest.mark.parametrize(
    ("annotations", "said"),
    [
        ({"timeout": "soon"}, '@timeout: "soon" is no duration such as 90s, 30m, 1h or 7d'),
        ({"timeout": "604801s"}, "@timeout: 604801s is longer than the 7d allowed"),
        ({"valid": "86401s"}, "@valid: 86401s is longer than the 1d allowed"),
        ({"risk": "High"}, '@risk: "High" is none of low, medium, high, critical'),
        ({"stepup": "yes"}, '@stepup: "yes" is neither true nor false'),
        ({"executor": "Pay"}, '@executor: "Pay" is not lower-case letters, digits and hyphens'),
        ({"escalate": "10m"}, '@escalate: "10m" is not of the form "10m to team"'),
        ({"escalate": "10m for finance"}, '@escalate: "10m for finance" is not of the form "10m to team"'),
        ({"escalate": "10m to finance now"}, '@escalate: "10m to finance now" is not of the form "10m to team"'),
        ({"escalate": "10m to nowhere"}, '@escalate: there is no team "nowhere"'),
        ({"escalate": "soon to finance"}, '@escalate: "soon" is no duration such as 90s, 30m, 1h or 7d'),
        ({"escalate": "8d to finance"}, "@escalate: 8d is longer than the 7d allowed"),
        ({"require": "1 of nowhere"}, '@require: there is no team "nowhere"'),
        ({"because": "x" * 1001}, "@because: is longer than 1000 characters"),
        ({"control": "SOC2,;"}, '@control: ";" is no name of a control such as SOC2:CC6.1'),
        ({"tell": "No."}, "@tell says nothing on a permit"),
        ({"tells": "No."}, "@tells is not a known annotation"),
    ],
)
def test_a_problem_is_a_sentence_that_names_what_was_written(annotations: dict[str, str], said: str) -> None:
    assert problem(**annotations) == said


@pytest.mark.parametrize("name", ["timeout", "escalate", "Approve", "on_timeout", "Timeout_then"])
def test_that_silence_means_no_is_said_however_the_word_is_written(name: str) -> None:
    value = {"timeout": "30m then APPROVE", "escalate": "10m to Approved"}.get(name, "x")
    said = f"@{name}: there is no approve on timeout: silence means no, whatever a version says"
    assert problem(**{name: value}) == said


def test_only_words_of_approval_are_told_that_silence_means_no() -> None:
    assert problem(Timeout="30m") == "@Timeout is not a known annotation"


def test_a_bound_itself_is_within_bounds() -> None:
    assert terms(timeout="7d").timeout_seconds == 7 * 86400
    assert terms(valid="24h").valid_seconds == 86400
    assert terms(executor="x" * 100).executor == "x" * 100
    assert problem(executor="x" * 101).startswith("@executor")
    assert terms(because="x" * 1000).because == "x" * 1000
    assert duration("1s", 1) == 1
    with pytest.raises(ValueError, match="longer"):
        duration("2s", 1)


def test_words_are_kept_without_the_blanks_around_them() -> None:
    assert terms(because="  Once.  ", control=" A , B ").because == "Once."
    assert terms(control=" A , B ").controls == ("A", "B")


def test_a_forbid_without_its_id_has_no_terms() -> None:
    assert read("forbid", {}, teams=()) == (None, ["@id is missing"])


def test_several_things_a_tell_gives_away_are_told_together() -> None:
    _, problems = read("forbid", {"id": "no", "tell": "Ask team support."}, teams=("support",))
    assert problems == ["@tell: names the team support; speaks of a team"]
