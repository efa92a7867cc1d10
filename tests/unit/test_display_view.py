"""What a reviewer is shown: the server's words, every pointer, no silent cut, one digest for one view."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.display.digest import confirms, display_digest
from approvals.display.view import VIEW_VERSION, View, build_view
from approvals.display.visible import as_text
from approvals.rules.values import walk
from tests.support.packs import demo_pack

PACK = demo_pack()
REFUND = {"amount_cents": 4200, "currency": "usd", "order": 1187}
EXPORT = {
    "segment": "eu-lapsed",
    "fields": ["name", "email"],
    "rows": 1204,
    "destination": "sftp://partner-sftp.example.net/in",
}
EMAIL = {"to": ["kim@customer.example"], "subject": "Hello", "body": "Dear Kim,\nhello."}


def view_of(action: str, parameters: Any, **more: Any) -> View:
    given_: dict[str, Any] = {
        "action_name": action,
        "resource": "stripe:charge/ch_3P9",
        "agent_slug": "helpdesk",
        "risk": "medium",
        "valid_seconds": 3600,
        **more,
    }
    return build_view(PACK.catalogue.get(action), parameters=parameters, **given_)


def lines(view: View) -> dict[str, str]:
    return {line.label: as_text(line.value) for line in view.consequences}


class TestTitles:
    @pytest.mark.parametrize(
        ("action", "parameters", "title"),
        [
            ("refund.create", REFUND, "Refund $42.00 to order 1187"),
            ("refund.create", {"amount_cents": 4200, "currency": "usd"}, "Refund $42.00 on stripe:charge/ch_3P9"),
            ("customer.export", EXPORT, "Export 1,204 customer records to sftp://partner-sftp.example.net/in"),
            ("customer.export", {**EXPORT, "destination": None, "rows": 1}, "Export 1 customer record"),
            ("email.send", EMAIL, "Send e-mail to kim@customer.example"),
            ("docs.read", {"path": "/handbook"}, 'Read "/handbook"'),
            ("unknown.thing", {}, "unknown.thing on stripe:charge/ch_3P9"),
        ],
    )
    def test_are_written_from_the_parameters(self, action: str, parameters: Any, title: str) -> None:
        assert view_of(action, parameters).plain_title == title

    def test_never_take_a_word_from_the_agents_summary(self) -> None:
        plain = view_of("refund.create", REFUND)
        boasting = view_of("refund.create", REFUND, summary="Approved already", rationale="Hurry")
        for name in ("title", "act", "headline", "consequences", "rows"):
            assert getattr(plain, name) == getattr(boasting, name)

    def test_quote_what_could_be_read_as_part_of_the_sentence(self) -> None:
        view = view_of("refund.create", {**REFUND, "order": '1187 (already approved by "finance")'})
        assert view.plain_title == 'Refund $42.00 to order "1187 (already approved by \\"finance\\")"'

    def test_show_what_is_hidden_in_values(self) -> None:
        view = view_of("refund.create", {**REFUND, "order": "7811\u202e"})
        assert view.plain_title == 'Refund $42.00 to order "7811[U+202E]"'

    def test_say_when_they_cut_a_value(self) -> None:
        title = view_of("docs.read", {"path": "a" * 500}).plain_title
        assert title.endswith("a[80 of 500 characters]")

    def test_count_the_items_they_do_not_write_out(self) -> None:
        to = [f"p{n}@customer.example" for n in range(8)]
        assert view_of("email.send", {**EMAIL, "to": to}).plain_title.endswith("p2@customer.example and 5 more")

    def test_committing_buttons_name_the_act(self) -> None:
        view = view_of("customer.export", EXPORT)
        assert view.approve_label == "Approve: export 1,204 customer records"
        assert view.reject_label == "Reject: keep 1,204 records"
        assert view_of("docs.read", {"path": "a"}).reject_label == "Reject: read a"

    def test_parameters_that_do_not_fit_still_give_a_page(self) -> None:
        for parameters in ({}, {"amount_cents": "lots", "currency": ["usd"]}, {"amount_cents": None}):
            view = view_of("refund.create", parameters)
            assert view.plain_title
            assert view.act


class TestConsequences:
    def test_of_an_export(self) -> None:
        view = view_of("customer.export", EXPORT)
        assert as_text(view.headline) == "1,204 customer records leave the company"
        assert lines(view) == {
            "To": "sftp://partner-sftp.example.net/in (outside)",
            "Of segment": "eu-lapsed",
            "Contains": "name, email",
            "How many": "1,204",
            "Environment": "Production",
            "Can be undone": "No",
            "How often": "Once, within 1 hour of approval",
        }

    def test_of_a_refund(self) -> None:
        found = lines(view_of("refund.create", REFUND))
        assert found["Money"] == "$42.00"
        assert found["Reaches"] == "outside the company"

    def test_of_reading(self) -> None:
        assert lines(view_of("docs.read", {"path": "a"}))["Can be undone"] == "Nothing is changed"

    def test_irreversible_is_said_loudly(self) -> None:
        emphasis = {line.label: line.emphasis for line in view_of("customer.export", EXPORT).consequences}
        assert (emphasis["Can be undone"], emphasis["To"]) == ("danger", "warn")

    def test_what_is_not_understood_is_said_loudly(self) -> None:
        view = view_of("customer.export", {**EXPORT, "note": 1, "x": {"y": 2}})
        assert lines(view)["Not understood"] == '2 parameters: "/note", "/x"'
        assert view.blast_unknown

    def test_an_action_outside_the_catalogue_has_an_unknown_reach(self) -> None:
        view = view_of("unknown.thing", {})
        assert view.blast_unknown
        assert lines(view)["What it does"].startswith("Unknown")

    def test_an_unknown_currency_says_so(self) -> None:
        found = lines(view_of("refund.create", {"amount_cents": 4200, "currency": "xyz"}))
        assert "unknown currency" in found["Money"]

    @pytest.mark.parametrize(
        ("seconds", "words"),
        [
            (3600, "1 hour"),
            (7200, "2 hours"),
            (5400, "90 minutes"),
            (60, "1 minute"),
            (45, "45 seconds"),
            (86400, "1 day"),
        ],
    )
    def test_how_often_is_once_and_says_until_when(self, seconds: int, words: str) -> None:
        found = lines(view_of("docs.read", {"path": "a"}, valid_seconds=seconds))
        assert found["How often"] == f"Once, within {words} of approval"


class TestRows:
    def test_what_the_catalogue_does_not_know_stands_apart_and_is_never_dropped(self) -> None:
        view = view_of("customer.export", {**EXPORT, "note": "monthly \u202e drop"})
        assert [row.pointer for row in view.unknown] == ["/note"]
        assert as_text(view.unknown[0].value) == '"monthly [U+202E] drop"'
        assert view.hidden_found

    def test_strings_are_quoted_as_json_does_so_that_none_looks_like_two(self) -> None:
        view = view_of("docs.read", {"path": 'a", "b\\'})
        assert as_text(view.rows[0].value) == '"a\\", \\"b\\\\"'

    def test_lines_are_kept_where_the_catalogue_says_so(self) -> None:
        view = view_of("email.send", {**EMAIL, "subject": "a\nb"})
        values = {row.pointer: as_text(row.value) for row in view.rows}
        assert values["/body"] == '"Dear Kim,\nhello."'
        assert values["/subject"] == '"a[U+000A]b"'

    def test_an_amount_says_what_it_means(self) -> None:
        rows = {row.pointer: row for row in view_of("refund.create", REFUND).rows}
        assert (as_text(rows["/amount_cents"].value), rows["/amount_cents"].reads) == ("4200", "$42.00")
        assert (rows["/amount_cents"].label, rows["/amount_cents"].type) == ("Amount, in smallest units", "number")

    def test_nothing_is_cut_silently(self) -> None:
        view = view_of("email.send", {**EMAIL, "body": "x" * 61_334})
        row = next(row for row in view.rows if row.pointer == "/body")
        assert (row.shown, row.total, view.truncated) == (2000, 61_334, True)
        assert not as_text(row.value).endswith('"')
        whole = view_of("email.send", {**EMAIL, "body": "x" * 61_334}, full=True)
        assert not whole.truncated
        assert len(as_text(next(row for row in whole.rows if row.pointer == "/body").value)) == 61_336

    def test_many_long_strings_share_one_page(self) -> None:
        view = view_of("docs.read", {"path": "a", **{f"k{n}": "x" * 2000 for n in range(100)}})
        assert view.shown_characters < 60_000
        assert len(view.unknown) == 100
        assert view.truncated

    def test_a_small_request_is_whole(self) -> None:
        view = view_of("refund.create", REFUND)
        assert not view.truncated
        assert as_text(view.raw) == '{"amount_cents":4200,"currency":"usd","order":1187}'
        assert view.size_bytes == 51

    @given(
        st.dictionaries(
            st.text(max_size=6),
            st.recursive(
                st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=20),
                lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=6), inside, max_size=3),
                max_leaves=12,
            ),
            max_size=5,
        )
    )
    def test_every_json_pointer_stands_on_the_page_once(self, extra: Any) -> None:
        parameters = {**extra, **REFUND}
        view = view_of("refund.create", parameters)
        shown = [row.pointer for row in (*view.rows, *view.unknown)]
        assert sorted(shown) == sorted(pointer for pointer, _ in walk(parameters) if pointer)
        assert len(shown) == len(set(shown))


class TestDigest:
    def digest(self, **more: Any) -> str:
        return display_digest(view_of("refund.create", REFUND, **more), "sha256:abc")

    def test_the_same_request_gives_the_same_digest(self) -> None:
        assert self.digest() == self.digest()
        assert self.digest().startswith("sha256:")

    @pytest.mark.parametrize(
        "other",
        [{"risk": "high"}, {"resource": "x"}, {"valid_seconds": 60}, {"agent_slug": "b"}, {"summary": "s"},
         {"rationale": "r"}],
    )  # fmt: skip
    def test_whatever_is_shown_otherwise_changes_it(self, other: dict[str, Any]) -> None:
        assert self.digest() != self.digest(**other)

    def test_other_parameters_change_it_even_where_they_look_the_same(self) -> None:
        view = view_of("refund.create", REFUND)
        assert display_digest(view, "sha256:abc") != display_digest(view, "sha256:abd")

    def test_it_names_the_renderers_version(self) -> None:
        assert view_of("refund.create", REFUND).version == VIEW_VERSION


class TestRetyping:
    def test_the_salient_fact_is_its_canonical_text(self) -> None:
        salient = view_of("customer.export", EXPORT).salient
        assert salient is not None
        assert (salient.pointer, salient.label, salient.canonical) == ("/rows", "Rows", "1204")

    @pytest.mark.parametrize("typed", ["1204", " 1204 ", "1,204", "1 204", "1'204", "1\u00a0204", "1.204", "1_204"])
    def test_spaces_and_thousands_separators_are_ignored(self, typed: str) -> None:
        assert confirms("1204", typed)

    @pytest.mark.parametrize("typed", ["", "120", "12040", "120.4", "-1204", "1204 rows", "1204.0", "一二〇四", "1203"])
    def test_anything_else_is_not_the_fact(self, typed: str) -> None:
        assert not confirms("1204", typed)

    @pytest.mark.parametrize(
        ("canonical", "typed", "holds"),
        [
            ('"eu-lapsed"', '"eu-lapsed"', True),
            ('"eu-lapsed"', "eu-lapsed", True),
            ('"eu-lapsed"', "eu lapsed", False),
            ('""', "", False),
            ("1.5", "1.5", True),
            ("1.234", "1.234", True),
            ("-1204", "−1,204", True),
            ("true", "true", True),
            ("true", "false", False),
        ],
    )
    def test_other_types_are_retyped_too(self, canonical: str, typed: str, holds: bool) -> None:
        assert confirms(canonical, typed) is holds


@pytest.mark.parametrize("typed", ["１２０４", "1\u00a0204", "١٢٠٤", "1 204", "1,204", "1\u200b204"])
def test_confirms_a_number_typed_in_other_digits(typed: str) -> None:
    assert confirms("1204", typed)


@pytest.mark.parametrize("typed", ["1205", "", "١٢٠٥", "204", "-1204", "1204x"])
def test_confirms_no_other_number(typed: str) -> None:
    assert not confirms("1204", typed)
