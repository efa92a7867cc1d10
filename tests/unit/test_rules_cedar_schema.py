"""What the schema made from a catalogue entry lets a policy read, and what it calls a slip."""

from __future__ import annotations

import pytest

from approvals.rules.cedar_schema import attributes_of, reads_soft
from tests.support.packs import action_file, pack_of, permit, problems_of

ONE = '@id("rule") @require("1 of support") @risk("medium")'
HEAD, _, TAIL = action_file("thing.do")["actions/thing.do.toml"].partition("[parameters]")
_, _, TAIL = TAIL.partition("[pointers]")
FILES = {
    "actions/thing.do.toml": f"""{HEAD}
[parameters]
type = "object"
required = ["amount", "path", "tags", "nest", "maybe", "either", "both", "names", "blob"]
[parameters.properties]
amount = {{ type = "integer" }}
path = {{ type = "string" }}
tags = {{ type = "array", items = {{ type = "string" }} }}
maybe = {{ type = ["string", "null"] }}
either = {{ type = ["object", "string"] }}
both = {{ type = ["string", "array"] }}
names = {{ type = ["array", "null"], items = {{ type = "string" }} }}
free = {{ type = "boolean" }}
blob = {{ type = "object" }}
bare = {{ type = "array" }}
untyped = {{ title = "Anything" }}
nest.type = "object"
nest.required = ["name"]
nest.properties = {{ name = {{ type = "string" }}, nick = {{ type = "string" }}, odd = {{ type = "number" }} }}
opt = {{ type = "object", required = ["inner"], properties = {{ inner = {{ type = "string" }} }} }}
rows.type = "array"
rows.items.type = "object"
rows.items.required = ["n"]
rows.items.properties = {{ n = {{ type = "integer" }} }}
loose.type = "array"
loose.items = {{ type = "object", properties = {{ x = {{ type = "number" }}, s = {{ type = "string" }} }} }}

[pointers]{TAIL}"""
}


def given(name: str, rest: str) -> str:
    """The rest, where the parameter is there."""
    return f"context.parameters has {name} && context.parameters.{rest}"


@pytest.mark.parametrize(
    "when",
    [
        'context.lengths["/path"] > 3',
        'context.lengths["/tags"] > 3',
        'context.lengths["/both"] > 3',
        'context.lengths["/nest/name"] > 3',
        'context.lengths has "/maybe" && context.lengths["/maybe"] > 3',
        'context.lengths has "/nest/nick" && context.lengths["/nest/nick"] > 3',
        'context.lengths has "/opt/inner" && context.lengths["/opt/inner"] > 3',
        'context.lengths has "/tags/0" && context.lengths["/tags/0"] > 3',
        'context.parameters.path like "/x*"',
        'context.parameters.tags.contains("x")',
        'context.parameters.nest.name == "x"',
        given("maybe", 'maybe == "x"'),
        given("names", 'names.contains("x")'),
        given("free", "free"),
        given("opt", 'opt.inner == "x"'),
        given("rows", "rows.contains({n: 1})"),
        # of these the schema cannot speak, and says nothing
        given("either", 'either == "x"'),
        given("blob", 'blob.y == "x"'),
        given("bare", "bare.contains(1)"),
        given("untyped", "untyped == 1"),
        "context.parameters has loose",
        'context.parameters.nest.odd.lessThan(decimal("0.5"))',
    ],
)
def test_what_a_policy_may_read(when: str) -> None:
    pack_of(permit(ONE, action="thing.do", when=when), more=FILES)


@pytest.mark.parametrize(
    "when",
    [
        'context.lengths["/maybe"] > 3',
        'context.lengths["/names"] > 3',
        'context.lengths["/either"] > 3',
        'context.lengths["/nest/nick"] > 3',
        'context.lengths["/opt/inner"] > 3',
        'context.lengths["/amount"] > 3',
        'context.lengths["/free"] > 3',
        'context.lengths["path"] > 3',
        'context.lengths["/name"] > 3',
        'context.lengths["/path"] == "x"',
        "context.parameters.path == 5",
        "context.parameters.tags.contains(5)",
        'context.parameters.tags == "x"',
        "context.parameters.nest.name == 5",
        "context.parameters.nest == 5",
        'context.parameters.maybe == "x"',
        given("maybe", "maybe == 5"),
        given("names", "names.contains(5)"),
        "context.parameters.free",
        given("free", 'free == "x"'),
        'context.parameters.opt.inner == "x"',
        given("opt", "opt.inner == 5"),
        given("rows", 'rows.contains({n: "x"})'),
        "context.resource == 5",
        'context.level == "1"',
        "context.phase == 1",
        'context.hour == "1"',
        'context.weekday == "1"',
        "context.sensitive.contains(1)",
        'context.recent.denials_24h == "x"',
        "context.recent.denials == 1",
        "context.more == 1",
    ],
)
def test_what_is_a_slip(when: str) -> None:
    assert problems_of(permit(ONE, action="thing.do", when=when), files=FILES).startswith("rule: ")


def test_a_slip_in_one_of_several_actions_is_a_slip() -> None:
    both = 'action in [Action::"thing.do", Action::"page.write"]'
    policy = f'{ONE} permit (principal in Level::"3", {both}, resource) when {{ context.parameters.path == "x" }};'
    assert "path" in problems_of(policy, files=FILES)


def test_an_action_may_have_no_parameters() -> None:
    bare = (
        HEAD.replace("thing.do", "thing.rest")
        + '[parameters]\ntype = "object"\n[renderer]\ntitle = "Rest"\nact = "rest"\nheadline = "Rested"\n'
    )
    more = {"actions/thing.rest.toml": bare}
    pack_of(permit(ONE, action="thing.rest", when="context.level == 3"), more=more)
    assert "path" in problems_of(permit(ONE, action="thing.rest", when="context.parameters.path == 1"), files=more)


def test_attributes_are_found_however_deep_they_stand() -> None:
    expression = {"kind": "when", "body": [{"&&": {"left": {".": {"attr": "a"}}, "right": [{"has": {"attr": "b"}}]}}]}
    assert sorted(attributes_of(expression)) == ["a", "b"]
    assert list(attributes_of({"attr": 5})) == list(attributes_of("attr")) == []


def test_a_policy_reads_softly_what_is_soft_or_lies_in_an_array() -> None:
    def reads(name: str) -> bool:
        return reads_soft({"body": {".": {"attr": name}}}, frozenset({"soft"}))

    assert [reads(name) for name in ("soft", "/to/0", "/to/12/x")] == [True] * 3
    assert [reads(name) for name in ("hard", "/to", "/to/x0", "/to/0x", "0")] == [False] * 5
