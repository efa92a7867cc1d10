"""What makes a version of policy loadable, and what floors it is held to before anything is filed."""

from __future__ import annotations

import pytest

from approvals.rules import InvalidPack, load_pack
from tests.support.packs import (
    CATALOGUE,
    DEMO,
    TEAMS,
    action_file,
    ask,
    demo_pack,
    pack_of,
    permit,
    problems_of,
)

LOW = '@id("rule") @require("nobody") @risk("low")'
ONE = '@id("rule") @require("1 of support") @risk("medium")'


def test_the_demo_pack_is_valid() -> None:
    pack = demo_pack()
    assert set(pack.catalogue) == {
        "docs.read",
        "email.send",
        "refund.create",
        "customer.export",
        "backup.delete",
    }


def test_the_digest_is_of_names_and_texts_in_any_order() -> None:
    files = {"a.cedar": permit(ONE), **CATALOGUE}
    turned = dict(reversed(files.items()))
    assert load_pack(files, teams=TEAMS).digest == load_pack(turned, teams=TEAMS).digest
    renamed = {("b.cedar" if name == "a.cedar" else name): text for name, text in files.items()}
    assert load_pack(files, teams=TEAMS).digest != load_pack(renamed, teams=TEAMS).digest


def test_a_file_that_ends_in_a_comment_swallows_nothing_of_the_next() -> None:
    files = {"a.cedar": f"{permit(ONE)} // the end", "b.cedar": permit(ONE.replace("rule", "other")), **CATALOGUE}
    assert load_pack(files, teams=TEAMS).rule_ids == ("rule", "other")


def test_a_policy_may_not_begin_in_one_file_and_end_in_another() -> None:
    half = permit(ONE)
    assert "a.cedar" in problems_of("", files={"a.cedar": half[:40], "b.cedar": half[40:]})


def test_a_version_has_policies() -> None:
    with pytest.raises(InvalidPack, match="there is no policy"):
        load_pack(CATALOGUE, teams=TEAMS)


def test_a_file_of_another_kind_is_no_part_of_a_version() -> None:
    assert "neither" in problems_of(permit(ONE), files={"README.md": "x"})
    assert "neither" in problems_of(permit(ONE), files={"sub/more.cedar": "x"})


def test_what_does_not_parse_is_invalid() -> None:
    assert "test.cedar" in problems_of("permit (principal, action resource);")


def test_a_template_is_refused_because_it_never_applies() -> None:
    assert "template" in problems_of(f"{ONE} permit (principal == ?principal, action, resource);")


class TestValidation:
    def test_an_action_outside_the_catalogue_is_a_slip(self) -> None:
        assert "page.wrote" in problems_of(permit(ONE, action="page.wrote"))

    def test_a_parameter_the_schema_does_not_have_is_a_slip(self) -> None:
        assert "amuont" in problems_of(permit(ONE, when="context.parameters.amuont > 5"))

    def test_a_parameter_of_another_type_is_a_slip(self) -> None:
        assert "rule" in problems_of(permit(ONE, when='context.parameters.amount == "5"'))

    def test_an_optional_parameter_must_be_tested_for(self) -> None:
        city = 'context.parameters.address.city == "Bern"'
        assert "optional" in problems_of(permit(ONE, when=city))
        guard = "context.parameters has address && context.parameters.address has city"
        pack_of(permit(ONE, when=f"{guard} && {city}"))

    def test_a_parameter_without_one_cedar_type_makes_validation_lenient(self) -> None:
        pack_of(permit(ONE, when='context.parameters.owner == "kim"'))
        pack_of(permit(ONE, when='context.parameters.rate.lessThan(decimal("0.5"))'))

    def test_lengths_go_by_json_pointer(self) -> None:
        pack_of(permit(ONE, when='context.lengths has "/to" && context.lengths["/to"] > 3'))
        assert "/too" in problems_of(permit(ONE, when='context.lengths["/too"] > 3'))

    def test_a_length_inside_an_array_is_not_validated(self) -> None:
        pack_of(permit(ONE, when='context.lengths has "/to/0" && context.lengths["/to/0"] > 3'))

    def test_a_meter_that_does_not_exist_is_a_slip(self) -> None:
        assert "refunds" in problems_of(permit(ONE, when="context.meters.refunds > 3"))

    def test_what_context_holds_can_be_asked(self) -> None:
        pack_of(
            permit(
                ONE,
                when='context.level >= 2 && context.phase == "full" && context.hour < 18 && context.weekday < 6'
                ' && context.resource like "wiki:*" && context.recent.denials_24h < 3'
                " && context.recent.filings_1h < 9 && context.recent.same_denied == 0"
                ' && !context.sensitive.contains("secret")',
            )
        )

    @pytest.mark.parametrize("scope", ['principal in Level::"4"', 'principal == Level::"03"'])
    def test_a_level_that_does_not_exist_is_a_slip(self, scope: str) -> None:
        forbid = f'@id("no") forbid ({scope}, action, resource);'
        assert "is no level" in problems_of(permit(ONE), forbid)

    def test_a_level_that_does_not_exist_is_found_in_conditions_too(self) -> None:
        forbid = '@id("no") forbid (principal, action, resource) when { principal in Level::"0" };'
        assert "is no level" in problems_of(permit(ONE), forbid)


class TestFloors:
    @pytest.mark.parametrize("people", ["nobody", "1 of finance", "1 of finance, 1 of support | 1 of privacy"])
    def test_critical_needs_two_distinct_people_in_every_alternative(self, people: str) -> None:
        annotations = f'@id("rule") @require("{people}") @risk("critical")'
        assert "critical risk needs 2 distinct people" in problems_of(permit(annotations))

    def test_critical_implies_step_up_whatever_the_annotation_says(self) -> None:
        pack = pack_of(permit('@id("rule") @require("2 of finance") @risk("critical") @stepup("false")'))
        assert pack.rule(ask()).stepup

    def test_critical_needs_a_salient_fact_to_retype(self) -> None:
        files = {name: text.replace('salient = "/amount"', "") for name, text in action_file("page.write").items()}
        annotations = '@id("rule") @require("2 of finance") @risk("critical")'
        assert "salient fact" in problems_of(permit(annotations), files=files)

    def test_high_needs_a_person(self) -> None:
        assert "high risk needs 1 distinct person" in problems_of(
            permit('@id("rule") @require("nobody") @risk("high")')
        )

    @pytest.mark.parametrize("domain", ["money", "people-data", "security", "code-and-configuration"])
    def test_a_high_impact_domain_is_never_for_nobody(self, domain: str) -> None:
        files = action_file("page.write", domain=domain)
        assert "where people always decide" in problems_of(permit(LOW), files=files)

    @pytest.mark.parametrize("level", [1, 2])
    def test_a_high_impact_domain_is_open_to_level_3_only(self, level: int) -> None:
        assert "from level 3 only" in problems_of(permit(ONE, action="money.move", level=level))

    def test_level_1_reaches_only_what_reads_and_stays_inside(self) -> None:
        pack_of(permit(LOW, action="page.read", level=1))
        assert "from level 2 only" in problems_of(permit(ONE, action="page.write", level=1))
        assert "from level 2 only" in problems_of(permit(ONE, action="news.fetch", level=1))

    def test_a_scope_without_a_level_opens_to_level_1(self) -> None:
        assert "from level 2 only" in problems_of(
            f'{ONE} permit (principal, action == Action::"page.write", resource);'
        )

    def test_a_scope_without_actions_reaches_all_of_them(self) -> None:
        assert "from level 3 only" in problems_of(f'{ONE} permit (principal in Level::"2", action, resource);')

    @pytest.mark.parametrize("when", ["context.level == 3", 'principal in Level::"3"'])
    def test_what_a_condition_narrows_is_left_to_filing(self, when: str) -> None:
        pack_of(f'{ONE} permit (principal, action == Action::"money.move", resource) when {{ {when} }};')

    def test_a_permit_for_one_agent_is_left_to_filing(self) -> None:
        pack_of(f'{ONE} permit (principal == Agent::"helpdesk", action == Action::"money.move", resource);')


def test_the_demo_pack_stands_where_the_tests_look() -> None:
    assert (DEMO / "demo.cedar").is_file()
