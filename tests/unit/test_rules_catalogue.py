"""Catalogue entries: read whole, or refused with every reason."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.rules import Action
from approvals.rules.catalogue import Field, Line, load_action
from approvals.rules.templates import BadTemplate, Slot, Template, parse
from tests.support.packs import DEMO, action_file, demo_pack

TEXT = action_file("page.write")["actions/page.write.toml"]


def problems(text: str, name: str = "page.write") -> str:
    action, found = load_action(name, text)
    assert action is None
    return "\n".join(found)


def with_(old: str, new: str) -> str:
    assert old in TEXT
    return TEXT.replace(old, new)


def loaded(text: str = TEXT) -> Action:
    action, found = load_action("page.write", text)
    assert found == []
    assert action is not None
    return action


def test_the_demo_entries_say_what_levels_and_floors_mean() -> None:
    levels = {name: action.lowest_level for name, action in demo_pack().catalogue.items()}
    assert levels == {
        "docs.read": 1,
        "email.send": 2,
        "refund.create": 3,
        "customer.export": 3,
        "backup.delete": 3,
    }


def test_the_salient_fact_of_an_export_is_its_rows() -> None:
    assert demo_pack().catalogue["customer.export"].salient == "/rows"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", 'the schema must say type = "object"'),
        ("action = ", "page.write.toml"),
        (with_('"page.write"', '"page.wrote"'), 'action must be "page.write"'),
        (with_('"write"', '"writes"'), "effect must be one of read, write, irreversible"),
        (with_("external = false", 'external = "no"'), "external must be true or false"),
        (with_('"general"', '"misc"'), "domain must be one of"),
        (with_('"Production"', '""'), "environment must be some text"),
        (with_("[pointers]", 'timeout = "approve"\n[pointers]'), "timeout is not a keyword"),
        (f'on_timeout = "approve"\n{TEXT}', "silence means no"),
        (f"unheard_of = 1\n{TEXT}", "unheard_of is not a known name"),
        (with_("[pointers]", "[pointers]\nmoney = 5"), "money must be a table"),
        (with_("[pointers]", '[pointers]\ncount = "/nope"'), "no JSON pointer to a described parameter"),
        (with_("[pointers]", '[pointers]\ncount = "/rate"'), "must be of type integer"),
        (with_("[pointers]", '[pointers]\nrecipients = "/to"'), "must be a list"),
        (with_("[pointers]", '[pointers]\nsalients = "/amount"'), "pointers.salients is not a known name"),
        (with_('salient = "/amount"', 'salient = "/rate"'), "must be required, a reviewer retypes it"),
        (with_('title = "Do {amount}"', ""), "renderer.title is missing"),
        (with_('title = "Do {amount}"', 'title = "Do {amonut}"'), "/amonut is no described parameter"),
        (with_('title = "Do {amount}"', 'title = "Do {note}"'), "its last line needs /note, which may be absent"),
        (with_('title = "Do {amount}"', 'title = "Do {amount"'), "a brace that is no slot"),
        (with_('title = "Do {amount}"', "title = 5"), "a line or a list of lines"),
        (f'{TEXT}\n[[renderer.consequences]]\nlabel = "To"', "renderer.value is missing"),
        (f'{TEXT}\n[[renderer.consequences]]\nlabel = "To"\nvalue = "x"\ntone = "loud"', "tone must be one of"),
        (f'{TEXT}\n[fields]\n"/nope" = {{ label = "x" }}', "fields: /nope"),
        (f'{TEXT}\n[fields]\nto = {{ label = "x" }}', "fields: to"),
        (f"{TEXT}\n[fields]\n'/to' = 5", "fields: /to"),
        (f'{TEXT}\n[fields]\n"/to" = {{ label = "x", multiline = 1 }}', "multiline must be true or false"),
    ],
)
def test_what_is_wrong_with_an_entry_is_said(text: str, problem: str) -> None:
    assert problem in problems(text)


@pytest.mark.parametrize("name", ["Page.write", "write", "page.", "page write.x", "p" * 99 + ".x"])
def test_names_are_those_of_the_contract(name: str) -> None:
    assert "dotted lower-case" in problems(TEXT.replace("page.write", name), name)


WHOLE = """
action = "order.refund"
effect = "irreversible"
external = true
domain = "money"
environment = "Production"

[parameters]
type = "object"
required = ["amount", "currency", "order"]
[parameters.properties]
amount = { type = "integer" }
currency = { type = "string" }
order = { type = "string" }
to = { type = "array", items = { type = "string" } }
rows = { type = ["integer", "null"] }
note = { type = "string" }

[pointers]
money = { amount = "/amount", currency = "/currency" }
recipients = ["/to/0", "/to"]
count = "/order"
salient = "/order"
sensitive = ["/note"]

[renderer]
title = ["Refund {note}", "Refund {order}"]
act = "refund {amount|money:currency}"
keep = "Keep {order}"
headline = "{order} is refunded"
consequences = [
  { label = "To", value = ["{to}", "{note}"], tone = "danger" },
  { label = "Rows", value = "{rows}" },
]

[fields]
"/note" = { label = "Note", multiline = true }
"/order" = { label = "Order" }
""".replace('count = "/order"', 'count = "/amount"')


def whole(old: str = "", new: str = "") -> list[str]:
    """The problems of the whole entry with some words replaced."""
    assert old in WHOLE
    action, found = load_action("order.refund", WHOLE.replace(old, new) if old else WHOLE)
    assert (action is None) == bool(found)
    return [problem.removeprefix("actions/order.refund.toml: ") for problem in found]


def test_an_entry_is_read_whole() -> None:
    action, found = load_action("order.refund", WHOLE)
    assert found == []
    assert action is not None
    assert (action.name, action.effect, action.external, action.domain, action.environment) == (
        "order.refund", "irreversible", True, "money", "Production",
    )  # fmt: skip
    assert (action.money, action.recipients, action.count) == (("/amount", "/currency"), ("/to/0", "/to"), "/amount")
    assert (action.salient, action.sensitive) == ("/order", ("/note",))
    assert action.title == (parse("Refund {note}"), parse("Refund {order}"))
    assert action.act == (Template(("refund ", Slot("/amount", "money", "currency"))),)
    assert (action.keep, action.headline) == ((parse("Keep {order}"),), (parse("{order} is refunded"),))
    assert action.consequences == (
        Line("To", (parse("{to}"), parse("{note}")), "danger"),
        Line("Rows", (parse("{rows}"),), "plain"),
    )
    assert action.fields == {"/note": Field("Note", multiline=True), "/order": Field("Order", multiline=False)}
    assert action.types_at("/rows") == {"integer", "null"}
    assert action.types_at("/nope") == frozenset()
    assert (action.declares("/to/3"), action.declares("/nope")) == (True, False)


def test_what_an_entry_may_leave_out_is_empty() -> None:
    action = loaded(with_('salient = "/amount"', ""))
    assert (action.money, action.recipients, action.count, action.salient) == (None, (), None, None)
    assert (action.sensitive, action.keep, action.consequences, dict(action.fields)) == ((), (), (), {})


NO_POINTER = "is no JSON pointer to a described parameter"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('action = "order.refund"', 'action = "other"', 'action must be "order.refund", the name of the file'),
        ("external = true", "external = 1", "external must be true or false"),
        ('"Production"', "5", "environment must be some text"),
        ('"irreversible"', '"gone"', "effect must be one of read, write, irreversible"),
        ("[fields]", "[timeouts]\nx = 1\n[fields]",
         "timeouts is not a known name; there is no approve on timeout, silence means no"),
        ("[fields]", "[field]\nx = 1\n[fields]", "field is not a known name"),
        ("[renderer]", "[renderer]\nheader = 1", "renderer.header is not a known name"),
        ("[pointers]", "[pointers]\nsum = 1", "pointers.sum is not a known name"),
        ('{ amount = "/amount", currency = "/currency" }', "5", "money must be a table"),
        ('{ amount = "/amount", currency = "/currency" }', '{ amount = "/amount" }',
         "pointers.money must name amount and currency, and nothing else"),
        ('currency = "/currency" }', 'currency = "/currency", more = "/order" }',
         "pointers.money must name amount and currency, and nothing else"),
        ('amount = "/amount",', 'amount = "/order",', "pointers.amount: /order must be of type integer"),
        ('amount = "/amount",', 'amount = "/sum",', f"pointers.amount: /sum {NO_POINTER}"),
        ('currency = "/currency" }', 'currency = "/amount" }', "pointers.currency: /amount must be of type string"),
        ('count = "/amount"', 'count = "/rows"', "pointers.count: /rows must be of type integer"),
        ('count = "/amount"', 'count = "amount"', f"pointers.count: amount {NO_POINTER}"),
        ('count = "/amount"', 'count = ""', f"pointers.count:  {NO_POINTER}"),
        ('count = "/amount"', "count = 5", f"pointers.count: 5 {NO_POINTER}"),
        ('count = "/amount"', 'count = ["/amount"]', f"pointers.count: ['/amount'] {NO_POINTER}"),
        ('["/to/0", "/to"]', '["/to", "/nope"]', f"pointers.recipients: /nope {NO_POINTER}"),
        ('["/to/0", "/to"]', '"/to"', "pointers.recipients must be a list of JSON pointers"),
        ('["/note"]', '"/note"', "pointers.sensitive must be a list of JSON pointers"),
        ('salient = "/order"', 'salient = "/note"',
         "pointers.salient: /note must be required, a reviewer retypes it"),
        ('"refund {amount|money:currency}"', "[]", "renderer.act is missing"),
        ('act = "refund {amount|money:currency}"', "", "renderer.act is missing"),
        ('headline = "{order} is refunded"', "", "renderer.headline is missing"),
        ('"Keep {order}"', '" "', "renderer.keep must be a line or a list of lines"),
        ('"Keep {order}"', '["a", 5]', "renderer.keep must be a line or a list of lines"),
        ('"Keep {order}"', '["Keep {order}", "Keep {note}"]',
         "renderer.keep: its last line needs /note, which may be absent"),
        ('"Keep {order}"', '"Keep {nope}{order}"', "renderer.keep: /nope is no described parameter"),
        ('"Keep {order}"', '"Keep {@nope}"', 'renderer.keep: "Keep {@nope}": @nope is none of @resource, @agent'),
        ('value = "{rows}"', 'value = "{nope}"', "renderer.value: /nope is no described parameter"),
        (', value = "{rows}"', "", "renderer.value is missing"),
        ('label = "Rows"', 'label = ""', "label must be some text"),
        ('tone = "danger"', 'tone = "loud"', "tone must be one of plain, warn, danger"),
        ('tone = "danger"', 'colour = "red"', "renderer.consequences.colour is not a known name"),
        ('"/order" = { label = "Order" }', '"/order" = { label = "" }', "label must be some text"),
        ('"/order" = { label = "Order" }', '"/order" = { label = "Order", lines = 2 }',
         "fields./order.lines is not a known name"),
        ('"/order" = { label = "Order" }', '"/order" = { label = "Order", multiline = "no" }',
         "fields./order.multiline must be true or false"),
        ('"/order" = { label = "Order" }', 'order = { label = "Order" }', f"fields: order {NO_POINTER}"),
        ('"/order" = { label = "Order" }', '"/nope" = { label = "Nope" }', f"fields: /nope {NO_POINTER}"),
        ('"/order" = { label = "Order" }', '"/order" = "Order"', f"fields: /order {NO_POINTER}"),
    ],
)  # fmt: skip
def test_each_problem_is_a_sentence_that_names_where(old: str, new: str, said: str) -> None:
    assert said in whole(old, new)
    assert len(whole(old, new)) <= 2


@pytest.mark.parametrize(
    ("kind", "fits"),
    [("integer", True), ("string", True), ("number", True), ("boolean", True), ("array", False), ("object", False)],
)
def test_a_reviewer_retypes_what_can_be_typed(kind: str, fits: bool) -> None:
    text = WHOLE.replace('order = { type = "string" }', f'order = {{ type = "{kind}" }}')
    _, found = load_action("order.refund", text)
    said = "pointers.salient: /order must be of type boolean or integer or number or string"
    assert found == ([] if fits else [f"actions/order.refund.toml: {said}"])


def test_fields_after_a_wrong_one_are_read_too() -> None:
    found = whole('"/note" = { label = "Note", multiline = true }', '"/a" = 1\n"/b" = 1')
    assert found == [f"fields: /a {NO_POINTER}", f"fields: /b {NO_POINTER}"]


def test_lines_after_a_wrong_one_are_read_too() -> None:
    found = whole('title = ["Refund {note}", "Refund {order}"]', 'title = ["{", "{nope}", "Refund {order}"]')
    assert found == [
        'renderer.title: "{" has a brace that is no slot',
        "renderer.title: /nope is no described parameter",
    ]


@pytest.mark.parametrize("rows", ["5", '"x"', "[5]", "[{ label = 'a', value = 'b' }, 5]"])
def test_consequences_are_a_list_of_tables(rows: str) -> None:
    start, end = WHOLE.index("consequences = ["), WHOLE.index("[fields]")
    text = f"{WHOLE[:start]}consequences = {rows}\n{WHOLE[end:]}"
    _, found = load_action("order.refund", text)
    assert found == ["actions/order.refund.toml: renderer.consequences must be a list of tables"]


@pytest.mark.parametrize("section", ["pointers", "renderer", "fields"])
def test_what_is_a_table_is_no_word(section: str) -> None:
    _, found = load_action("page.write", f"{section} = 5\n{TEXT.split('[pointers]')[0]}")
    assert f"actions/page.write.toml: {section} must be a table" in found


def test_a_name_of_a_hundred_characters_is_one_and_of_one_more_is_none() -> None:
    fits, long = f"{'p' * 98}.x", f"{'p' * 99}.x"
    action, found = load_action(fits, TEXT.replace("page.write", fits))
    assert (found, action is None) == ([], False)
    _, found = load_action(long, TEXT.replace("page.write", long))
    assert found == [f"actions/{long}.toml: the name is not dotted lower-case words of at most 100 characters"]


def test_a_file_that_is_no_toml_says_so() -> None:
    action, (found,) = load_action("page.write", "action = ")
    assert action is None
    assert found.startswith("actions/page.write.toml: Invalid value")


class TestSchema:
    @pytest.mark.parametrize(
        ("more", "problem"),
        [
            ("minimun = 1", "minimun is not a keyword"),
            ('format = "email"', "format is not a keyword"),
            ("anyOf = [{}]", "anyOf is not a keyword"),
            ('type = "whole"', "is not valid"),
            ('type = "string"\npattern = "[a-z]"', "between ^ and $"),
            ('type = "string"\npattern = "^[a-z$"', "is not a 'regex'"),
            ("required = 5", "5 is not of type"),
            ("properties = 5", "5 is not of type"),
            ('type = "string"\nminLength = -1', "less than the minimum"),
        ],
    )
    def test_a_keyword_that_would_check_nothing_is_refused(self, more: str, problem: str) -> None:
        assert problem in problems(with_("[pointers]", f"[parameters.properties.extra]\n{more}\n[pointers]"))

    def test_schemas_leave_additional_properties_open(self) -> None:
        text = with_('required = ["amount"]', 'required = ["amount"]\nadditionalProperties = false')
        assert "additionalProperties stays open" in problems(text)

    def test_what_is_required_must_be_described(self) -> None:
        assert "sum is required but not described" in problems(with_('["amount"]', '["amount", "sum"]'))

    def test_a_pattern_matches_the_whole_string_and_no_line_break_after_it(self) -> None:
        action = demo_pack().catalogue["refund.create"]
        fits: Any = {"amount_cents": 1, "currency": "usd"}
        assert action.misfits(fits) == []
        for currency in ("usd\n", "usdx", " usd", "us", "ｕｓｄ"):
            assert action.misfits({**fits, "currency": currency}) == ["/currency: pattern is not met"]

    def test_a_misfit_names_its_pointer_and_not_the_value_asked_for(self) -> None:
        assert loaded().misfits({"amount": 1, "to": ["a", 5]}) == ["/to/1: type is not met"]

    def test_true_is_no_integer(self) -> None:
        assert loaded().misfits({"amount": True}) == ["/amount: type is not met"]

    def test_what_the_schema_does_not_speak_of_is_unknown_at_its_topmost_pointer(self) -> None:
        parameters: Any = {"amount": 1, "a/b": {"c": 1}, "address": {"city": "x", "zip": [1]}, "to": ["x"]}
        assert loaded().unknown(parameters) == ("/a~1b", "/address/zip")

    def test_what_lies_in_an_object_without_description_is_unknown(self) -> None:
        assert loaded().unknown({"amount": 1, "owner": {"id": 1}}) == ("/owner/id",)


class TestTemplates:
    def test_slots_name_members_or_pointers_with_a_filter_and_its_argument(self) -> None:
        assert parse("Do {a|count:row,rows} of {/b/c} for {@agent}").parts == (
            "Do ",
            Slot("/a", "count", "row,rows"),
            " of ",
            Slot("/b/c"),
            " for ",
            Slot("@agent"),
        )

    def test_money_needs_the_currency_too(self) -> None:
        assert parse("{a|money:b}").needs == {"/a", "/b"}

    @pytest.mark.parametrize("text", ["{a|shout}", "{@user}", "{a|money}", "{}", "{a b}", "a}", "{a.__class__()}"])
    def test_there_is_nothing_else_to_reach(self, text: str) -> None:
        with pytest.raises(BadTemplate):
            parse(text)

    def test_slots_need_what_stands_in_parameters_alone(self) -> None:
        assert parse("{@resource} {@agent}").needs == frozenset()
        assert parse("{a|list:b}").needs == {"/a"}
        assert parse("{@resource|money:/b/c}").needs == {"/b/c"}

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("a}", '"a}" has a brace that is no slot'),
            ("{a} {", '"{a} {" has a brace that is no slot'),
            ("} {a}", '"} {a}" has a brace that is no slot'),
            ("x {@user}", '"x {@user}": @user is none of @resource, @agent'),
            ("x {a|shout}", '"x {a|shout}": shout is none of text, money, count, list, length'),
            ("x {a|money}", '"x {a|money}": money needs where the currency stands, as in money:currency'),
            ("x {a|money:}", '"x {a|money:}": money needs where the currency stands, as in money:currency'),
        ],
    )
    def test_what_is_wrong_with_a_line_is_said(self, text: str, said: str) -> None:
        with pytest.raises(BadTemplate) as refused:
            parse(text)
        assert str(refused.value) == said

    def test_text_stands_before_between_and_after_slots(self) -> None:
        assert parse("a{b}{c} d").parts == ("a", Slot("/b"), Slot("/c"), " d")
        assert parse("").parts == ()
        assert parse("{a|length}").parts == (Slot("/a", "length", ""),)


def test_the_normal_form_of_an_action_is_read_strictly() -> None:
    text = demo_text("email.send")
    same = '\n[same]\nfold_case = ["/to"]\nlist_of_one = ["/to"]\nabsent_if_empty = ["/cc"]\nignore_unknown = true\n'
    action, problems = load_action("email.send", text + same)
    assert problems == []
    assert action is not None
    assert (action.same.fold_case, action.same.ignore_unknown) == (frozenset({"/to"}), True)
    for wrong, said in (
        ('fold_case = ["/nosuch"]', "same.fold_case: /nosuch is no JSON pointer"),
        ('fold_case = "/to"', "same.fold_case must be a list"),
        ("ignore_unknown = 1", "same.ignore_unknown must be true or false"),
        ("fold = []", "same.fold is not a known name"),
    ):
        assert said in " ".join(load_action("email.send", f"{text}\n[same]\n{wrong}\n")[1])


def demo_text(name: str) -> str:
    return (DEMO / "actions" / f"{name}.toml").read_text()
