"""Cedar text into policies: what a scope covers, which levels it opens, and every problem of a file."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.rules import Pack, cedar_schema, evaluation, load_pack, read_folder
from approvals.rules.pack import InvalidPack, digest_of
from approvals.rules.policies import Policy, read_policies
from tests.support.packs import CATALOGUE, TEAMS, ask, pack_of, permit, problems_of

ONE = '@id("rule") @require("1 of support") @risk("medium")'


def policy(scope: str, when: str = "") -> Policy:
    """The one policy with this scope."""
    condition = f" when {{ {when} }}" if when else ""
    _, policies, problems = read_policies({"a.cedar": f"{ONE} permit ({scope}){condition};"}, teams=TEAMS)
    assert problems == []
    (only,) = policies
    return only


def problems(**files: str) -> list[str]:
    """What is wrong with these files (their names without the ending)."""
    return read_policies({f"{name}.cedar": text for name, text in files.items()}, teams=TEAMS)[2]


class TestScope:
    @pytest.mark.parametrize(
        ("scope", "actions"),
        [
            ("principal, action, resource", None),
            ('principal, action == Action::"a", resource', {"a"}),
            ('principal, action in [Action::"a", Action::"b"], resource', {"a", "b"}),
            ('principal, action in Action::"a", resource', {"a"}),
            ("principal, action in [], resource", set()),
        ],
    )
    def test_names_its_actions_or_covers_all(self, scope: str, actions: set[str] | None) -> None:
        assert policy(scope).actions == actions

    @pytest.mark.parametrize(
        ("scope", "when", "lowest"),
        [
            ("principal, action, resource", "", 1),
            ("principal is Agent, action, resource", "", 1),
            ('principal in Level::"2", action, resource', "", 2),
            ('principal is Agent in Level::"3", action, resource', "", 3),
            ('principal == Agent::"a", action, resource', "", None),
            ('principal in Level::"2", action, resource', "context.level == 3", None),
            ('principal in Level::"2", action, resource', 'principal in Level::"3"', None),
            ('principal in Level::"2", action, resource', "context.hour > 3", 2),
        ],
    )
    def test_opens_from_a_level_unless_an_agent_or_a_condition_decides(
        self, scope: str, when: str, lowest: int | None
    ) -> None:
        assert policy(scope, when).lowest_level == lowest
        assert policy(scope, when).unconditional is (when == "")

    @pytest.mark.parametrize(
        ("scope", "asked", "covered"),
        [
            ("principal, action, resource", {}, True),
            ('principal, action == Action::"x", resource', {}, True),
            ('principal, action == Action::"y", resource', {}, False),
            ('principal, action in [Action::"y", Action::"x"], resource', {}, True),
            ('principal in Level::"1", action, resource', {"level": 2}, True),
            ('principal in Level::"2", action, resource', {"level": 2}, True),
            ('principal in Level::"3", action, resource', {"level": 2}, False),
            ('principal == Agent::"me", action, resource', {}, True),
            ('principal == Agent::"you", action, resource', {}, False),
            ('principal == Level::"2", action, resource', {}, True),
            ("principal is Agent, action, resource", {}, True),
            ("principal is Level, action, resource", {}, False),
            ('principal is Agent in Level::"2", action, resource', {}, True),
            ('principal is Agent in Level::"3", action, resource', {}, False),
            ('principal is Level in Level::"1", action, resource', {}, False),
            ('principal, action, resource == Resource::"it"', {}, True),
            ('principal, action, resource == Resource::"that"', {}, False),
            ('principal, action, resource in Resource::"it"', {}, True),
            ("principal, action, resource is Resource", {}, True),
            ("principal, action, resource is Agent", {}, False),
            ('principal == Agent::"you", action, resource == Resource::"it"', {}, False),
            ('principal == Agent::"me", action, resource == Resource::"that"', {}, False),
        ],
    )
    def test_covers_whom_and_what_it_names(self, scope: str, asked: dict[str, Any], covered: bool) -> None:
        question = {"agent": "me", "level": 2, "action": "x", "resource": "it", **asked}
        assert policy(scope, "context.never").covers(**question) is covered


class TestReading:
    def test_policies_stand_in_the_order_of_files_and_of_the_text(self) -> None:
        many = [permit(f'@id("rule-{n}") @require("1 of support") @risk("low")') for n in range(12)]
        text, policies, wrong = read_policies({"b.cedar": "".join(many[1:]), "a.cedar": many[0]}, teams=TEAMS)
        assert wrong == []
        assert [one.terms.id for one in policies] == [f"rule-{n}" for n in range(12)]
        assert [one.handle for one in policies] == [f"policy{n}" for n in range(12)]
        assert text == f"{many[0]}\n{''.join(many[1:])}"

    def test_a_problem_names_its_file_and_its_policy(self) -> None:
        assert problems(a=permit('@id("x") @require("1 of support")')) == ["a.cedar: x: @risk is missing"]
        wrong = permit('@require("1 of support") @risk("low")')
        assert problems(a=permit(ONE), b=wrong) == ["b.cedar: the policy without @id at place 2: @id is missing"]

    def test_a_policy_without_any_annotation_lacks_its_id(self) -> None:
        assert problems(a="forbid (principal, action, resource);") == [
            "a.cedar: the policy without @id at place 1: @id is missing"
        ]

    def test_a_file_that_does_not_parse_hides_no_other(self) -> None:
        found = problems(a="permit (", b=permit('@id("x") @require("1 of support")'))
        assert found[0].startswith("a.cedar: ")
        assert found[1:] == ["b.cedar: x: @risk is missing"]

    def test_a_template_is_named_with_its_file(self) -> None:
        template = f"{ONE} permit (principal == ?principal, action, resource);"
        assert problems(a=template) == [
            "a.cedar: a policy with ?principal or ?resource is a template and never applies"
        ]

    def test_ids_that_stand_on_several_are_named_once_in_order(self) -> None:
        twice, thrice = permit(ONE) * 2, permit(ONE.replace("rule", "again")) * 3
        assert problems(a=twice + permit(ONE.replace("rule", "once")), b=thrice) == [
            "@id: again stands on 3 policies", "@id: rule stands on 2 policies",
        ]  # fmt: skip

    def test_levels_that_do_not_exist_are_named_in_order(self) -> None:
        forbid = (
            '@id("no") forbid (principal in Level::"9", action, resource)'
            ' when { principal in [Level::"1", Level::"0", Level::"2"] || principal in Level::"3" };'
        )
        assert problems(a=forbid) == [
            'a.cedar: no: Level::"0" is no level, those are 1, 2 and 3',
            'a.cedar: no: Level::"9" is no level, those are 1, 2 and 3',
        ]

    def test_people_and_teams_are_known_to_what_a_tell_may_say(self) -> None:
        forbid = '@id("no") @tell("Ask chris.") forbid (principal, action, resource);'
        assert read_policies({"a.cedar": forbid}, teams=())[2] == []
        assert read_policies({"a.cedar": forbid}, teams=(), people=("Chris",))[2] == [
            "a.cedar: no: @tell: names a person"
        ]


class TestVersions:
    def test_what_is_no_part_of_a_version_is_named_in_order(self) -> None:
        found = problems_of(
            permit(ONE), files={"z.txt": "", "a.txt": "", "actions/x.txt": "", "sub/actions/y.toml": ""}
        )
        assert found == "\n".join(
            f"{name}: neither *.cedar nor actions/*.toml"
            for name in ("a.txt", "actions/x.txt", "sub/actions/y.toml", "z.txt")
        )

    def test_without_policies_that_is_all_that_is_said(self) -> None:
        with pytest.raises(InvalidPack) as refused:
            load_pack(CATALOGUE, teams=TEAMS)
        assert refused.value.problems == ["there is no policy: a version has at least one *.cedar file"]
        assert str(refused.value) == refused.value.problems[0]

    def test_problems_are_joined_for_whom_one_text_is_shown(self) -> None:
        with pytest.raises(InvalidPack) as refused:
            load_pack({"a.txt": "", **CATALOGUE}, teams=TEAMS)
        assert str(refused.value) == "; ".join(refused.value.problems)
        assert len(refused.value.problems) == 2

    def test_the_problems_of_an_action_stand_beside_those_of_a_policy(self) -> None:
        found = problems_of(permit('@id("x") @require("1 of support")'), files={"actions/bad.one.toml": "x = 1"})
        assert "test.cedar: x: @risk is missing" in found
        assert "actions/bad.one.toml: x is not a known name" in found

    def test_a_digest_is_of_canonical_json(self) -> None:
        assert digest_of({"b": "é", "a": "x"}) == digest_of({"a": "x", "b": "é"})
        assert digest_of({}) == "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
        files = {"a.cedar": permit(ONE), **CATALOGUE}
        assert load_pack(files, teams=TEAMS).digest == digest_of(files)

    def test_a_version_knows_its_policies_and_actions(self) -> None:
        pack = pack_of(permit(ONE), '@id("no") forbid (principal, action, resource);')
        assert pack.rule_ids == ("rule", "no")
        assert [one.terms.id for one in pack.policies] == ["rule", "no"]
        assert set(pack.catalogue) == {"page.read", "page.write", "money.move", "news.fetch"}

    def test_a_folder_is_read_as_it_is_loaded(self, tmp_path: Any) -> None:
        (tmp_path / "actions").mkdir()
        (tmp_path / "tests").mkdir()
        for name in ("a.cedar", "actions/x.y.toml", "README.md", "actions/notes.txt", "tests/cases.toml"):
            (tmp_path / name).write_bytes("żó\n".encode())
        assert read_folder(tmp_path) == {"a.cedar": "żó\n", "actions/x.y.toml": "żó\n"}

    def test_floors_are_checked_for_every_action_a_scope_surely_reaches(self) -> None:
        both = 'action in [Action::"money.move", Action::"page.write"]'
        assert problems_of(f'{ONE} permit (principal in Level::"1", {both}, resource);').split("\n") == [
            'rule: money.move is open from level 3 only: write principal in Level::"3"',
            'rule: page.write is open from level 2 only: write principal in Level::"2"',
        ]
        named = f'{ONE} permit (principal in Level::"1", {both}, resource) when {{ context.hour > 3 }};'
        assert len(problems_of(named).split("\n")) == 2
        pack_of(f'{ONE} permit (principal in Level::"1", action, resource) when {{ context.hour > 3 }};')

    def test_a_floor_that_every_action_meets_alike_is_said_once(self) -> None:
        every = (
            '@id("rule") @require("1 of support") @risk("critical") permit (principal in Level::"3", action, resource);'
        )
        assert problems_of(every) == "rule: critical risk needs 2 distinct people or more"

    def test_an_engine_refuses_a_text_of_other_policies(self) -> None:
        with pytest.raises(ValueError, match="other policies"):
            evaluation.Engine(permit(ONE), [], {})

    def test_a_version_is_asked_without_raising(self) -> None:
        pack = pack_of(permit(ONE))
        broken = Pack(pack.digest, {"page.write": object()}, pack.policies, permit(ONE))  # type: ignore[dict-item]
        ruling = broken.rule(ask())
        assert (ruling.outcome, ruling.cause) == ("blocked", "evaluation-error")
        assert ruling.problems[0].startswith("AttributeError: ")

    def test_levels_in_policies_are_those_the_schema_knows(self) -> None:
        assert cedar_schema.LEVELS == ("1", "2", "3")


@pytest.mark.parametrize("text", ["(" * 3_000 + "true" + ")" * 3_000, "[" * 3_000 + "1" + "]" * 3_000 + " == 1"])
def test_a_file_that_nests_too_deep_is_a_problem_and_not_the_end_of_the_process(text: str) -> None:
    assert problems(a=f"{ONE} permit (principal, action, resource) when {{ {text} }};") == [
        "a.cedar: brackets nest deeper than 64"
    ]


def test_a_chain_too_long_to_walk_is_a_problem() -> None:
    chain = "context" + ".a" * 5_000
    (said,) = problems(a=f"{ONE} permit (principal, action, resource) when {{ {chain} == 1 }};")
    assert "recursion" in said
