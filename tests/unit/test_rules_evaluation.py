"""What policy answers at filing: default deny, several permits, forbids, errors, and the fixed sentences."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approvals.rules import Ask, Ruling, answers, load_pack
from tests.support.packs import CATALOGUE, ask, demo_pack, pack_of, permit, ruling_of

ONE = '@id("rule") @require("1 of support") @risk("medium")'
DEMO = demo_pack()
NOT_OPEN = ("blocked", "This action is not open to you.", "later")


def said(ruling: Ruling) -> tuple[str, str, str | None]:
    """Everything the agent hears."""
    return ruling.outcome, ruling.reason, ruling.retry


class TestDefaultDeny:
    def test_nothing_permits_it(self) -> None:
        assert said(ruling_of(permit(ONE), action="page.read")) == NOT_OPEN

    def test_not_in_the_catalogue(self) -> None:
        assert said(ruling_of(permit(ONE), action="unknown.thing")) == NOT_OPEN

    def test_in_observation_no_action_is_open(self) -> None:
        assert said(ruling_of(permit(ONE), phase="observe")) == NOT_OPEN

    def test_observation_hides_forbids_too(self) -> None:
        forbid = '@id("no") @tell("Never.") forbid (principal, action, resource);'
        assert said(ruling_of(permit(ONE), forbid, phase="observe")) == NOT_OPEN

    def test_below_the_level_asked_for(self) -> None:
        assert said(ruling_of(permit(ONE), level=2)) == NOT_OPEN

    def test_at_least_the_level_asked_for(self) -> None:
        two = permit(ONE, level=2)
        assert [ruling_of(two, level=level).outcome for level in (1, 2, 3)] == ["blocked", "people", "people"]

    @pytest.mark.parametrize("opened", [1, 2, 3])
    def test_each_level_stands_in_all_below_it(self, opened: int) -> None:
        pack = pack_of(permit(ONE, action="page.read", level=opened))
        told = [pack.rule(ask("page.read", level=level)).outcome for level in (1, 2, 3)]
        assert told == ["blocked"] * (opened - 1) + ["people"] * (4 - opened)

    def test_why_an_action_is_not_open_is_for_auditors_alone(self) -> None:
        assert ruling_of(permit(ONE), action="page.read").cause == "not-permitted"
        assert ruling_of(permit(ONE), action="unknown.thing").cause == "not-in-catalogue"
        assert ruling_of(permit(ONE), phase="observe").cause == "observation"
        extra = ruling_of(permit(ONE), action="page.read", parameters={"amount": 1, "extra": 2})
        assert (extra.cause, extra.unknown, extra.matched, extra.problems) == ("not-permitted", ("/extra",), (), ())

    def test_a_permit_for_one_agent_is_for_that_agent(self) -> None:
        mine = f'{ONE} permit (principal == Agent::"helpdesk", action == Action::"page.write", resource);'
        assert ruling_of(mine).outcome == "people"
        assert said(ruling_of(mine, agent="other")) == NOT_OPEN

    def test_a_permit_for_one_resource_is_for_that_resource(self) -> None:
        one = (
            f'{ONE} permit (principal in Level::"3", action == Action::"page.write",'
            ' resource == Resource::"wiki:page/1");'
        )
        assert ruling_of(one).outcome == "people"
        assert said(ruling_of(one, resource="wiki:page/2")) == NOT_OPEN


class TestParametersThatDoNotFit:
    FIT = ("blocked", "The parameters do not fit this action.", "changed")

    @pytest.mark.parametrize("parameters", [{}, {"amount": "1"}, {"amount": 1.5}, {"amount": 1, "to": "x"}])
    def test_are_blocked_and_may_be_changed(self, parameters: dict[str, Any]) -> None:
        assert said(ruling_of(permit(ONE), parameters=parameters)) == self.FIT

    def test_are_named_to_auditors(self) -> None:
        ruling = ruling_of(permit(ONE), parameters={"amount": "1", "rate": "x"})
        assert (ruling.cause, ruling.problems) == (
            "parameters", ("/amount: type is not met", "/rate: type is not met"),
        )  # fmt: skip
        ruling = ruling_of(permit(ONE), parameters={"amount": 1, "rate": 0.00001})
        assert (ruling.cause, ruling.problems) == ("parameters", ("/rate: more than 4 decimal places",))
        ruling = ruling_of(permit(ONE), level=2, parameters={})
        assert (ruling.cause, ruling.problems) == ("not-permitted", ("/: required is not met",))

    def test_are_not_told_where_only_a_forbid_covers_them_or_another_agent_is_permitted(self) -> None:
        other = f'{ONE} permit (principal == Agent::"other", action == Action::"page.write", resource);'
        elsewhere = f'{ONE} permit (principal in Level::"2", action, resource == Resource::"wiki:page/2");'.replace(
            "action,", 'action == Action::"page.write",'
        )
        narrowed = '@id("no") forbid (principal, action, resource) when { context.level == 3 };'
        for policy in (other, elsewhere, narrowed):
            assert said(ruling_of(policy, parameters={})) == NOT_OPEN

    def test_may_be_changed_where_a_forbid_has_a_condition(self) -> None:
        forbid = '@id("no") forbid (principal, action, resource) when { context.level == 3 };'
        assert said(ruling_of(permit(ONE), forbid, parameters={})) == self.FIT

    def test_of_the_forbids_that_cover_them_all_are_told_and_named(self) -> None:
        forbids = [
            '@id("b") @tell("Never.") @because("B.") @control("C2, C1") forbid (principal, action, resource);',
            '@id("a") @because("A.") @control("C1") forbid (principal in Level::"2", action, resource);',
            '@id("c") @tell("Nor this.") forbid (principal, action == Action::"page.read", resource);',
        ]
        ruling = ruling_of(permit(ONE), *forbids, parameters={})
        assert said(ruling) == ("blocked", "Never.", "never")
        assert (ruling.cause, ruling.matched, ruling.unknown) == ("forbid", ("a", "b"), ())
        assert (ruling.because, ruling.controls) == (("A.", "B."), ("C1", "C2"))

    def test_tell_an_agent_without_a_permit_nothing(self) -> None:
        assert said(ruling_of(permit(ONE), level=2, parameters={})) == NOT_OPEN
        assert said(ruling_of(permit(ONE), action="page.read", parameters={})) == NOT_OPEN

    def test_tell_an_agent_below_the_floor_nothing(self) -> None:
        narrowed = f'{ONE} permit (principal, action == Action::"money.move", resource) when {{ context.level > 0 }};'
        assert said(ruling_of(narrowed, action="money.move", level=2, parameters={})) == NOT_OPEN

    def test_stay_forbidden_where_the_action_is(self) -> None:
        forbid = '@id("no") @tell("Never.") forbid (principal, action == Action::"page.write", resource);'
        assert said(ruling_of(permit(ONE), forbid, parameters={})) == ("blocked", "Never.", "never")


class TestForbid:
    FORBID = '@id("no") @tell("Pages stay.") @because("They are read.") @control("SOC2:A1") forbid'

    def test_wins_over_every_permit_and_tells(self) -> None:
        ruling = ruling_of(permit(ONE), f"{self.FORBID} (principal, action, resource);")
        assert said(ruling) == ("blocked", "Pages stay.", "never")
        assert (ruling.matched, ruling.because, ruling.controls) == (("no",), ("They are read.",), ("SOC2:A1",))

    def test_has_a_fixed_sentence_where_it_tells_nothing(self) -> None:
        ruling = ruling_of(permit(ONE), '@id("no") forbid (principal, action, resource);')
        assert said(ruling) == ("blocked", answers.FORBIDDEN.reason, "never")

    def test_several_are_all_told_once_in_order_of_ids(self) -> None:
        forbids = [
            f'@id("{one}") @tell("{tell}") forbid (principal, action, resource);'
            for one, tell in (("c", "Third."), ("a", "First."), ("b", "First."))
        ]
        assert ruling_of(*forbids, permit(ONE)).reason == "First. Third."

    def test_applies_only_where_its_condition_holds(self) -> None:
        forbid = f"{self.FORBID} (principal, action, resource) when {{ context.parameters.amount > 10 }};"
        pack = pack_of(permit(ONE), forbid)
        assert pack.rule(ask(parameters={"amount": 10})).outcome == "people"
        assert pack.rule(ask(parameters={"amount": 11})).outcome == "blocked"


class TestSeveralPermits:
    def test_all_hold_with_the_larger_number_the_highest_risk_and_the_shortest_times(self) -> None:
        ruling = ruling_of(
            permit('@id("a") @require("2 of finance, 1 of support") @risk("medium") @timeout("30m") @valid("2h")'),
            permit('@id("b") @require("1 of finance | 1 of privacy") @risk("high") @timeout("2h") @valid("1h")'),
        )
        assert ruling.requirement == ({"finance": 2, "support": 1},)
        assert (ruling.risk, ruling.timeout_seconds, ruling.valid_seconds) == ("high", 1800, 3600)
        assert ruling.matched == ("a", "b")

    def test_only_matching_ones_count(self) -> None:
        pack = pack_of(
            permit('@id("a") @require("1 of support") @risk("medium")'),
            permit('@id("b") @require("2 of finance") @risk("high")', when="context.parameters.amount > 10"),
        )
        assert pack.rule(ask(parameters={"amount": 10})).matched == ("a",)
        assert pack.rule(ask(parameters={"amount": 11})).matched == ("a", "b")

    def test_nobody_beside_somebody_is_somebody(self) -> None:
        ruling = ruling_of(permit('@id("a") @require("nobody") @risk("low")'), permit(ONE))
        assert (ruling.outcome, ruling.requirement) == ("people", ({"support": 1},))

    def test_step_up_is_asked_if_any_asks(self) -> None:
        assert ruling_of(permit(ONE), permit(ONE.replace("rule", "b") + '@stepup("true")')).stepup

    def test_one_named_executor_holds(self) -> None:
        named = permit(ONE.replace("rule", "b") + '@executor("payments")')
        assert ruling_of(permit(ONE), named).executor == "payments"

    def test_different_executors_block(self) -> None:
        ruling = ruling_of(
            permit(ONE + '@executor("mail")'), permit(ONE.replace("rule", "b") + '@executor("payments")')
        )
        assert (ruling.outcome, ruling.cause, ruling.retry) == ("blocked", "executor-conflict", "later")

    def test_more_alternatives_than_anybody_can_read_block(self) -> None:
        teams = [[f"team-{row}-{column}" for column in range(5)] for row in range(4)]
        rules = [
            permit(f'@id("rule-{row}") @require("{" | ".join(f"1 of {team}" for team in names)}") @risk("medium")')
            for row, names in enumerate(teams)
        ]
        files = {"a.cedar": "".join(rules), **CATALOGUE}
        ruling = load_pack(files, teams=[team for names in teams for team in names]).rule(ask())
        assert (ruling.outcome, ruling.cause, ruling.is_alarming) == ("blocked", "evaluation-error", True)

    def test_an_escalation_holds_where_all_of_them_have_it_to_one_team_and_from_the_latest_time_on(self) -> None:
        ruling = ruling_of(
            permit(ONE + '@escalate("20m to leadership")'),
            permit(ONE.replace("rule", "b") + '@escalate("10m to leadership")'),
        )
        assert ruling.escalate is not None
        assert (ruling.escalate.team, ruling.escalate.after_seconds) == ("leadership", 1200)

    @pytest.mark.parametrize("other", ['@escalate("10m to finance")', ""])
    def test_an_escalation_that_one_of_them_has_not_is_none(self, other: str) -> None:
        ruling = ruling_of(
            permit(ONE + '@escalate("10m to leadership")'),
            permit(ONE.replace("rule", "b") + other),
        )
        assert ruling.escalate is None


class TestErrors:
    def test_an_error_in_evaluation_blocks_though_a_permit_matches(self) -> None:
        ruling = ruling_of(
            permit(ONE),
            permit(ONE.replace("rule", "b"), when='context.parameters.owner == "x"'),
        )
        assert said(ruling) == ("blocked", answers.CANNOT_BE_CHECKED.reason, "later")
        assert ruling.cause == "evaluation-error"
        assert "owner" in ruling.problems[0]

    def test_an_error_in_a_forbid_blocks(self) -> None:
        # Cedar skips a forbid that errors, and would answer Allow.
        forbid = '@id("no") forbid (principal, action, resource) when { context.parameters.rate == decimal("0.5") };'
        ruling = ruling_of(permit(ONE), forbid)
        assert (ruling.outcome, ruling.cause) == ("blocked", "evaluation-error")

    def test_a_forbid_that_holds_is_told_beside_an_error(self) -> None:
        ruling = ruling_of(
            permit(ONE, when='context.parameters.owner == "x"'),
            '@id("no") @tell("Never.") forbid (principal, action, resource);',
        )
        assert said(ruling) == ("blocked", "Never.", "never")
        assert (ruling.cause, len(ruling.problems)) == ("evaluation-error", 1)

    def test_what_is_known_beside_an_error_is_kept(self) -> None:
        ruling = ruling_of(
            permit(ONE, when='context.parameters.owner == "x"'),
            '@id("no") forbid (principal, action, resource);',
            parameters={"amount": 1, "extra": 1},
        )
        assert said(ruling) == ("blocked", answers.FORBIDDEN.reason, "never")
        assert (ruling.matched, ruling.unknown) == (("no",), ("/extra",))
        ruling = ruling_of(permit(ONE, when='context.parameters.owner == "x"'), parameters={"amount": 1, "extra": 1})
        assert (ruling.matched, ruling.unknown, ruling.cause) == ((), ("/extra",), "evaluation-error")

    @pytest.mark.parametrize(
        ("wrong", "why"),
        [
            ({"phase": "unheard-of"}, "phase unheard-of, level 3"),
            ({"level": 0}, "phase full, level 0"),
            ({"level": 4}, "phase full, level 4"),
            ({"hour": 24}, "hour 24, weekday 2"),
            ({"hour": -1}, "hour -1, weekday 2"),
            ({"weekday": 0}, "hour 12, weekday 0"),
            ({"weekday": 8}, "hour 12, weekday 8"),
            ({"recent": {}}, "recent must hold denials_24h, filings_1h, same_denied"),
            ({"recent": {"denials_24h": 0, "filings_1h": 0, "same_denied": 0, "more": 0}}, "recent must hold"),
        ],
    )
    def test_what_is_wrong_with_a_question_is_told_to_auditors(self, wrong: dict[str, Any], why: str) -> None:
        (problem,) = pack_of(permit(ONE)).rule(replace(ask(), **wrong)).problems
        assert why in problem
        assert problem.startswith("_CannotAsk: ")

    def test_the_first_and_the_last_hour_and_day_can_be_asked_about(self) -> None:
        pack = pack_of(permit(ONE))
        for question in (ask(hour=0), ask(hour=23), ask(weekday=1), ask(weekday=7), ask(phase="limited")):
            assert pack.rule(question).outcome == "people"

    @pytest.mark.parametrize(
        "wrong",
        [
            {"recent": {}},
            {"recent": {"denials_24h": 0}},
            {"level": 4},
            {"phase": "unheard-of"},
            {"hour": "noon"},
            {"sensitive": None},
            {"meters": {"x": None}},
            {"resource": 5},
        ],
    )
    def test_a_question_that_is_not_well_formed_blocks(self, wrong: dict[str, Any]) -> None:
        ruling = pack_of(permit(ONE)).rule(replace(ask(), **wrong))
        assert (ruling.outcome, ruling.cause, ruling.retry) == ("blocked", "evaluation-error", "later")


class TestUnknownParameters:
    def test_raise_the_risk_to_high_and_say_so(self) -> None:
        ruling = ruling_of(permit(ONE), parameters={"amount": 1, "extra": {"a": 1}, "more": 2})
        assert ruling.outcome == "people"
        assert (ruling.risk, ruling.risk_unknown, ruling.risk_shown) == ("high", True, "unknown")
        assert ruling.unknown == ("/extra", "/more")

    def test_never_lower_it(self) -> None:
        critical = '@id("rule") @require("2 of finance") @risk("critical")'
        ruling = ruling_of(permit(critical), parameters={"amount": 1, "extra": 1})
        assert (ruling.risk, ruling.risk_shown, ruling.risk_unknown) == ("critical", "critical", True)

    def test_inside_a_known_object_are_unknown_too(self) -> None:
        ruling = ruling_of(permit(ONE), parameters={"amount": 1, "address": {"city": "Bern", "zip": "3000"}})
        assert ruling.unknown == ("/address/zip",)

    def test_block_an_action_for_nobody(self) -> None:
        nobody = permit('@id("rule") @require("nobody") @risk("low")')
        ruling = ruling_of(nobody, parameters={"amount": 1, "extra": 1})
        assert said(ruling) == ("blocked", answers.NOT_UNDERSTOOD.reason, "changed")
        assert (ruling.cause, ruling.risk_shown) == ("floor-people", "unknown")

    def test_can_be_asked_about_by_policy(self) -> None:
        forbid = '@id("no") forbid (principal, action, resource) when { context.parameters has "owner" };'
        assert ruling_of(permit(ONE), forbid, parameters={"amount": 1, "owner": "kim"}).cause == "forbid"


class TestWhatPolicyIsTold:
    @pytest.mark.parametrize(
        ("when", "question"),
        [
            ("context.level == 2", {"level": 2}),
            ('context.phase == "limited"', {"phase": "limited"}),
            ("context.hour == 7", {"hour": 7}),
            ("context.weekday == 6", {"weekday": 6}),
            ('context.resource == "wiki:page/9"', {"resource": "wiki:page/9"}),
            ('context.sensitive.contains("/note")', {"sensitive": ("/note",)}),
            ("context.recent.denials_24h == 5", {"recent": {"denials_24h": 5, "filings_1h": 0, "same_denied": 0}}),
            ("context.recent.filings_1h == 5", {"recent": {"denials_24h": 0, "filings_1h": 5, "same_denied": 0}}),
            ("context.recent.same_denied == 5", {"recent": {"denials_24h": 0, "filings_1h": 0, "same_denied": 5}}),
            ("context.parameters.amount == 5", {"parameters": {"amount": 5}}),
            (
                'context.lengths has "/note" && context.lengths["/note"] == 3',
                {"parameters": {"amount": 1, "note": "abc"}},
            ),
            ('resource == Resource::"wiki:page/9"', {"resource": "wiki:page/9"}),
            ('principal == Agent::"other"', {"agent": "other"}),
            ('action == Action::"page.write"', {}),
        ],
    )
    def test_is_what_was_asked(self, when: str, question: dict[str, Any]) -> None:
        pack = pack_of(f"{ONE} permit (principal, action, resource) when {{ context.level > 1 && {when} }};")
        assert pack.rule(ask(**question)).outcome == "people"
        if question:
            assert pack.rule(ask()).cause == "not-permitted"


class TestFloorsAtFiling:
    NARROWED = 'permit (principal, action == Action::"{}", resource) when {{ context.level > 0 }};'

    def test_level_1_writes_nothing(self) -> None:
        pack = pack_of(ONE + self.NARROWED.format("page.write"))
        assert said(pack.rule(ask(level=1))) == NOT_OPEN
        assert pack.rule(ask(level=2)).outcome == "people"

    def test_a_high_impact_domain_is_for_level_3(self) -> None:
        pack = pack_of(ONE + self.NARROWED.format("money.move"))
        assert pack.rule(ask("money.move", level=2)).cause == "floor-level"
        assert pack.rule(ask("money.move", level=3)).outcome == "people"

    def test_what_a_floor_stops_keeps_what_is_known(self) -> None:
        pack = pack_of(ONE.replace("medium", "high") + self.NARROWED.format("money.move"))
        ruling = pack.rule(ask("money.move", {"amount": 1, "extra": 1}, level=2))
        assert (ruling.cause, ruling.matched, ruling.risk) == ("floor-level", ("rule",), "high")
        assert (ruling.risk_unknown, ruling.unknown) == (True, ("/extra",))
        assert ruling.problems == ("money.move is open from level 3 only",)
        assert said(ruling) == NOT_OPEN

    def test_what_a_floor_stops_keeps_its_risk(self) -> None:
        critical = '@id("rule") @require("2 of support") @risk("critical")'
        assert (
            pack_of(critical + self.NARROWED.format("money.move")).rule(ask("money.move", level=2)).risk == "critical"
        )

    def test_level_1_reads_what_stays_inside(self) -> None:
        pack = pack_of(f"{ONE} permit (principal, action, resource) when {{ context.level > 0 }};")
        told = {name: pack.rule(ask(name, level=1)).outcome for name in ("page.read", "page.write", "news.fetch")}
        assert told == {"page.read": "people", "page.write": "blocked", "news.fetch": "blocked"}

    def test_money_is_never_for_nobody_however_the_scope_hides_it(self) -> None:
        nobody = '@id("rule") @require("nobody") @risk("low")'
        pack = pack_of(f"{nobody} permit (principal, action, resource) when {{ context.level == 3 }};")
        assert pack.rule(ask("page.write")).outcome == "allowed"
        assert pack.rule(ask("money.move")).cause == "floor-people"


class TestWhenADecisionIsTaken:
    def test_both_versions_hold(self) -> None:
        question = ask()
        frozen = pack_of(permit('@id("old") @require("1 of support") @risk("medium") @timeout("30m")')).rule(question)
        current = pack_of(permit('@id("new") @require("1 of finance") @risk("low") @timeout("1h")'))
        held = current.rule_again(question, frozen, level=3)
        assert held.requirement == ({"finance": 1, "support": 1},)
        assert (held.risk, held.timeout_seconds, held.matched) == ("medium", 1800, ("old", "new"))

    def test_what_the_current_version_no_longer_permits_is_blocked(self) -> None:
        question = ask()
        frozen = pack_of(permit(ONE)).rule(question)
        assert said(pack_of(permit(ONE, action="page.read")).rule_again(question, frozen, level=3)) == NOT_OPEN

    def test_a_current_version_for_nobody_does_not_loosen_the_frozen_one(self) -> None:
        question = ask()
        frozen = pack_of(permit(ONE)).rule(question)
        current = pack_of(permit('@id("new") @require("nobody") @risk("low")'))
        assert current.rule_again(question, frozen, level=3).requirement == ({"support": 1},)

    def test_floors_are_asked_again_with_the_level_of_now(self) -> None:
        pack = pack_of(permit(ONE, action="money.move"))
        question = ask("money.move")
        frozen = pack.rule(question)
        assert frozen.outcome == "people"
        assert pack.rule_again(question, frozen, level=2).cause == "floor-level"

    def test_what_left_the_catalogue_is_not_open_any_more(self) -> None:
        question = ask()
        frozen = pack_of(permit(ONE)).rule(question)
        without = {name: text for name, text in CATALOGUE.items() if "page.write" not in name}
        current = load_pack({"a.cedar": permit(ONE, action="page.read"), **without}, teams=("support",))
        held = current.rule_again(question, frozen, level=3)
        assert (said(held), held.cause) == (NOT_OPEN, "not-in-catalogue")

    def test_a_frozen_block_stays_one(self) -> None:
        question = ask(parameters={})
        frozen = pack_of(permit(ONE)).rule(question)
        assert pack_of(permit(ONE)).rule_again(ask(), frozen, level=3) == frozen

    def test_a_floor_met_again_says_what_it_is_about(self) -> None:
        pack = pack_of(permit(ONE, action="money.move"))
        question = ask("money.move")
        held = pack.rule_again(question, pack.rule(question), level=1)
        assert (held.matched, held.risk, held.problems) == (
            ("rule",), "medium", ("money.move is open from level 3 only",),
        )  # fmt: skip

    def test_a_ruling_and_its_question_survive_storing(self) -> None:
        pack = demo_pack()
        question = ask("customer.export", {"segment": "eu", "fields": ["name"], "rows": 3, "note": None})
        question = replace(question, parameters={"segment": "eu", "fields": ["name"], "rows": 3, "note": "x"})
        ruling = pack.rule(question)
        assert Ruling.from_json(ruling.as_json()) == ruling
        assert pack.rule(Ask.from_json(question.as_json())) == ruling


def test_no_fixed_sentence_speaks_of_policy_teams_numbers_of_people_or_rules() -> None:
    sentences = [answer.reason for answer in vars(answers).values() if isinstance(answer, answers.Answer)]
    assert len(sentences) >= 12
    for sentence in sentences:
        assert sentence
        assert not re.search(r"polic|team|rule|people|person|review|approver|quorum|level|risk|\d", sentence, re.I)


def test_the_contracts_sentences_are_word_for_word() -> None:
    assert answers.APPROVED == ("Approved.", None, False)
    assert answers.ALLOWED == ("Allowed.", None, False)
    assert answers.NOT_OPEN == ("This action is not open to you.", "later", False)
    assert answers.EXPIRED == ("Nobody decided in time; this is not a refusal.", "later", False)
    assert answers.SUSPENDED[1:] == ("never", True)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=8), inside, max_size=3),
    max_leaves=10,
)
NAMES = st.sampled_from(
    ["path", "to", "subject", "body", "amount_cents", "currency", "rows", "segment", "fields", "__entity", "x"]
)


@given(
    action=st.sampled_from(["docs.read", "email.send", "refund.create", "customer.export", "backup.delete", "no.such"]),
    parameters=ANYTHING | st.dictionaries(NAMES, ANYTHING, max_size=6),
    level=st.integers(0, 4),
    resource=st.text(max_size=20),
)
@settings(max_examples=400)
def test_whatever_is_asked_there_is_an_answer_and_only_reading_is_allowed_without_people(
    action: str, parameters: Any, level: int, resource: str
) -> None:
    ruling = DEMO.rule(ask(action, parameters, level=level, resource=resource))
    assert Ruling.from_json(ruling.as_json()) == ruling
    if ruling.outcome == "allowed":
        assert action == "docs.read"
        assert ruling.unknown == ()
    if ruling.outcome == "blocked":
        assert ruling.reason
        assert ruling.retry in ("never", "changed", "later")
    if action == "backup.delete" and level in (1, 2, 3):
        assert ruling.retry == "never"


class TestResourcesReadByTheirBeginning:
    LIKE = permit(ONE, when='context.resource like "wiki:*"')

    @pytest.mark.parametrize("rest", ["a/../../payout", "..", "a%2fb", "a\\b", "a\u200bb", "p\u0430ge"])
    def test_a_resource_that_leads_elsewhere_counts_as_not_understood(self, rest: str) -> None:
        ruling = ruling_of(self.LIKE, resource=f"wiki:/{rest}")
        assert (ruling.outcome, ruling.risk, ruling.risk_shown) == ("people", "high", "unknown")
        assert ruling.unknown == ("resource",)

    def test_a_plain_resource_is_understood(self) -> None:
        assert ruling_of(self.LIKE, resource="wiki:page/1").risk == "medium"

    def test_where_no_rule_reads_the_beginning_it_does_not_matter(self) -> None:
        assert ruling_of(permit(ONE), resource="wiki:a/../b").risk == "medium"
