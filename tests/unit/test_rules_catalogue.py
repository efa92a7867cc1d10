"""Catalogue entries: read whole, or refused with every reason."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.rules import Action
from approvals.rules.catalogue import load_action
from approvals.rules.templates import BadTemplate, Slot, parse
from tests.support.packs import action_file, demo_pack

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
