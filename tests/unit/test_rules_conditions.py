"""An allowance's bounds: one Cedar expression, read strictly, that bounds something and holds for what it says."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.rules import conditions
from approvals.rules.conditions import BadCondition, Condition
from tests.support.packs import demo_pack

REFUND = demo_pack().catalogue["refund.create"]
BOUNDED = 'context.parameters.amount_cents <= 5000 && context.parameters.currency == "USD"'


def holds(condition: Condition, resource: str = "order/1", **parameters: Any) -> bool:
    return condition.holds(
        agent="helpdesk", resource=resource, parameters={"amount_cents": 4200, "currency": "USD", **parameters}
    )


def test_it_holds_for_what_lies_within_and_for_nothing_else() -> None:
    condition = conditions.read(BOUNDED, REFUND)
    assert holds(condition)
    assert holds(condition, amount_cents=5000)
    assert not holds(condition, amount_cents=5001)
    assert not holds(condition, currency="EUR")


@pytest.mark.parametrize(
    "text",
    [
        "true }; permit (principal, action, resource) when { true",
        "true } when { true",
        "true } unless { false",
        "context.parameters.amount_cents <= 1 } unless { context.parameters.amount_cents <= 1",
        'true }; @id("x") permit (principal, action, resource) when { context.parameters.amount_cents == 1',
        "context.parameters.amount_cents <= 1 }; forbid (principal, action, resource) when { false",
        "}; permit (principal, action, resource); permit (principal, action, resource) when {",
        "context.parameters.amount_cents <= 1 // }; permit (principal, action, resource);\n || true",
    ],
)
def test_a_text_that_closes_our_braces_or_hides_in_a_comment_is_refused(text: str) -> None:
    with pytest.raises(BadCondition):
        conditions.read(text, REFUND)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "bounded to"),
        ("true", "no parameter"),
        ("1 == 1", "no parameter"),
        ("true || context.parameters.amount_cents <= 1", "bounds nothing"),
        ("context.parameters.amount_cents <= 1 || true", "bounds nothing"),
        ("context.parameters.amount_cents > 0", "bounds nothing"),
        ('context.parameters.currency != "EUR"', "bounds nothing"),
        ('context.resource like "*"', "bounds nothing"),
        ("!(context.parameters has order)", "bounds nothing"),
        ("context.parameters.amount_cent <= 1", "amount_cent"),
        ('context.parameters.amount_cents == "much"', "type"),
        ("context.level == 3", "alone"),
        ("context.hour < 12 && context.parameters.amount_cents <= 1", "alone"),
        ('principal == Agent::"helpdesk"', "alone"),
        ('resource == Resource::"order/1" && context.parameters.amount_cents <= 1', "alone"),
        ("context == context || context.parameters.amount_cents <= 1", "alone"),
        ("context.parameters.amount_cents <=", "no Cedar expression"),
        ("context.parameters.amount_cents <= 1\u202e", "cannot be seen"),
        ("context.parameters.amount_cents <= 1 " + "&& true " * 300, "characters"),
    ],
)
def test_what_bounds_nothing_or_reads_something_else_is_refused_and_says_why(text: str, why: str) -> None:
    with pytest.raises(BadCondition, match=why):
        conditions.read(text, REFUND)


@pytest.mark.parametrize(
    "parameters",
    [
        {"amount_cents": "4200"},
        {"amount_cents": None},
        {"amount_cents": 4200.5},
        {"currency": {"__entity": {"type": "Agent", "id": "x"}}},
        {"amount_cents": -1},
    ],
)
def test_what_does_not_fit_the_action_falls_under_nothing(parameters: dict[str, Any]) -> None:
    assert not holds(conditions.read(BOUNDED, REFUND), **parameters)


def test_an_error_on_the_way_is_a_no() -> None:
    condition = conditions.read(
        'context.parameters.amount_cents <= 5000 && context.parameters has order && context.parameters.order == "1"',
        REFUND,
    )
    assert holds(condition, order="1")
    assert not holds(condition)


def test_it_names_what_it_leaves_free() -> None:
    assert conditions.read(BOUNDED, REFUND).free == ("/order", "/reason")


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"order": 'a"b\\c', "reason": "line\none\u202e"},
        {"reason": '" || true || "'},
        {"reason": "x}; permit(principal, action, resource);"},
    ],
)
@pytest.mark.parametrize("resource", ["order/1188", "stripe:charge/ch_*", 'x"/y', "plain"])
def test_what_is_suggested_for_a_request_is_a_condition_it_falls_under(resource: str, more: dict[str, Any]) -> None:
    given = {"amount_cents": 4200, "currency": "USD", **more}
    text = conditions.suggestion(REFUND, resource=resource, parameters=given)
    condition = conditions.read(text, REFUND)
    assert condition.holds(agent="helpdesk", resource=resource, parameters=given)
    assert not condition.holds(agent="helpdesk", resource=resource, parameters={**given, "amount_cents": 4201})


BOUND = "context.parameters.amount_cents <= 1"


@pytest.mark.parametrize(
    "text",
    [
        "(" * 950 + BOUND + ")" * 950,  # this one ended the whole process
        "[" * 950 + "1" + "]" * 950 + " == 1 && " + BOUND,
        "!(" * 600 + BOUND + ")" * 600,
        "context.parameters" + ".a" * 900,
        '"' + "(" * 65 + '" == "" || ' + BOUND,
    ],
    ids=lambda text: str(text)[:20],
)
def test_what_nests_too_deep_is_refused_before_the_parser_reads_it(text: str) -> None:
    with pytest.raises(conditions.BadCondition):
        conditions.read(text[: conditions.LENGTH_AT_MOST], REFUND)


def test_brackets_that_somebody_might_write_are_read() -> None:
    assert conditions.read("(" * 20 + BOUND + ")" * 20, REFUND).text
    many = " || ".join(f"context.parameters.amount_cents == {number}" for number in range(1, 40))
    assert conditions.read(f"({many}) && {BOUND}", REFUND).text


# ---- patterns
LIKE = f'{BOUNDED} && context.resource like "order/*"'


@pytest.mark.parametrize("pattern", ["*", "*/1", "order/*/x", "o*r*", "order/1", "a*b*"])
def test_like_with_more_than_one_star_at_its_end_is_refused(pattern: str) -> None:
    if pattern == "*":
        conditions.read(f'{BOUNDED} && context.resource like "*"', REFUND)
        return
    with pytest.raises(BadCondition, match="one \\*, at its end"):
        conditions.read(f'{BOUNDED} && context.resource like "{pattern}"', REFUND)


@pytest.mark.parametrize(
    "rest", ["../../payout/x", "%2e%2e/x", "1?extra=", "1#x", "1//x", "1\\x", "1\u200b", "p\u0430y"]
)
def test_a_star_for_what_leads_elsewhere_does_not_hold(rest: str) -> None:
    condition = conditions.read(LIKE, REFUND)
    assert holds(condition, resource="order/1187")
    assert not holds(condition, resource=f"order/{rest}")


@pytest.mark.parametrize(
    "text",
    [
        'context.parameters.currency == "USD" && context.resource like "order/*"',
        'context.parameters.amount_cents >= 1 && context.parameters.currency == "USD" && context.resource == "order/1"',
        'context.parameters.amount_cents <= context.lengths["/order"]',
    ],
)
def test_bounds_without_an_upper_end_for_the_amount_are_refused(text: str) -> None:
    with pytest.raises(BadCondition):
        conditions.read(text, REFUND)


@pytest.mark.parametrize("bound", ["amount_cents < 9", "amount_cents <= 9", "amount_cents == 9"])
def test_bounds_with_an_upper_end_for_the_amount_are_taken(bound: str) -> None:
    assert conditions.read(f'context.parameters.{bound} && context.resource == "order/1"', REFUND)
    assert conditions.read('[1, 2].contains(context.parameters.amount_cents) && context.resource == "o"', REFUND)
    assert conditions.read('9 >= context.parameters.amount_cents && context.resource == "order/1"', REFUND)
