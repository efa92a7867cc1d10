"""Hostile text made visible: nothing unseen, nothing reordered, nothing that only looks alike."""

from __future__ import annotations

import sys
import time
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.display.visible import Run, make_visible, plain_visible, punycode


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rm \u202etxt.exe", "rm [U+202E]txt.exe"),
        ("a\u2066b\u2069", "a[U+2066]b[U+2069]"),
        ("pay\u200bpal", "pay[U+200B]pal"),
        ("a\u200d\u200c\ufeffb", "a[U+200D][U+200C][U+FEFF]b"),
        ("soft\u00adhyphen", "soft[U+00AD]hyphen"),
        ("a\u00a0b\u3000c\u2003d", "a[U+00A0]b[U+3000]c[U+2003]d"),
        ("tag\U000e0041\U000e007f", "tag[U+E0041][U+E007F]"),
        ("bell\x07 nul\x00 del\x7f esc\x1b", "bell[U+0007] nul[U+0000] del[U+007F] esc[U+001B]"),
        ("next\x85line\u2028para\u2029", "next[U+0085]line[U+2028]para[U+2029]"),
        ("tab\tcr\r", "tab[U+0009]cr[U+000D]"),
        ("private\ue000 none\u0378", "private[U+E000] none[U+0378]"),
        ("vs\ufe0f \U000e0100", "vs[U+FE0F] [U+E0100]"),
        ("filler\u3164\u115f\u2800", "filler[U+3164][U+115F][U+2800]"),
        ("lone\ud800", "lone[U+D800]"),
        ("\u0301orphan mark", "[U+0301]orphan mark"),
    ],
)
def test_what_cannot_be_seen_becomes_a_token(text: str, shown: str) -> None:
    assert plain_visible(text) == shown


def test_a_token_is_a_run_of_its_own_kind() -> None:
    assert make_visible("a\u202eb") == (Run("a"), Run("[U+202E]", "token"), Run("b"))


def test_text_that_says_the_same_as_a_token_is_plain() -> None:
    assert make_visible("[U+202E]") == (Run("[U+202E]"),)


def test_line_breaks_are_kept_where_several_lines_are_allowed_and_visible_otherwise() -> None:
    assert plain_visible("a\nb") == "a[U+000A]b"
    assert plain_visible("a\nb\r\nc", multiline=True) == "a\nb\nc"
    assert plain_visible("a\rb", multiline=True) == "a[U+000D]b"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ok" + " " * 500 + "; rm -rf /", "ok[U+0020 ×500]; rm -rf /"),
        ("\u200b" * 5000 + "x", "[U+200B ×5,000]x"),
        ("a" + "\n" * 40 + "b", "a[U+000A ×40]b"),
    ],
)
def test_what_pushes_text_out_of_sight_is_counted(text: str, shown: str) -> None:
    assert plain_visible(text, multiline=True) == shown


def test_indentation_and_paragraphs_stay() -> None:
    text = "Dear Kim,\n\n    four spaces in.\n\nYours"
    assert make_visible(text, multiline=True) == (Run(text),)


def test_a_pile_of_marks_is_spelt_out() -> None:
    assert "[U+0301 ×20]" in plain_visible("e" + "\u0301" * 20)
    assert plain_visible("e\u0301") == "e\u0301"


@pytest.mark.parametrize("text", ["Zażółć gęślą jaźń", "Привет, мир", "你好，世界", "日本語テキスト", "한국어 텍스트",
                                  "สวัสดี", "👍🏽 fine", "naïve café №5"])  # fmt: skip
def test_honest_writing_is_left_alone(text: str) -> None:
    assert make_visible(text) == (Run(text),)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("שלום עולם", ["rtl"]),
        ("שָׁלוֹם", ["rtl"]),
        ("10 א 9000", ["plain", "rtl", "plain"]),
        ("rm מה -rf", ["plain", "rtl", "plain"]),
        ("١ - ٢", ["rtl", "plain", "rtl"]),
        ("١ ٢", ["rtl", "plain", "rtl"]),
        ("abcא", ["mixed", "rtl"]),
    ],
)
def test_right_to_left_letters_stand_apart_so_that_nothing_around_them_moves(text: str, kinds: list[str]) -> None:
    runs = make_visible(text)
    assert [run.kind for run in runs] == kinds
    assert "".join(run.text for run in runs) == text


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("pay pаypal now", ["pаypal"]),
        ("аdmin and admin", ["аdmin"]),
        ("ｐaypal", ["ｐaypal"]),
        ("𝐩aypal 𝐩𝐚𝐲", ["𝐩aypal", "𝐩𝐚𝐲"]),
        ("ﬁne", ["ﬁne"]),
        ("4٢", ["4"]),
        ("Ωmega", ["Ωmega"]),
        ("p\u200bаy", ["p", "аy"]),
    ],
)
def test_a_word_of_mixed_script_is_marked(text: str, marked: list[str]) -> None:
    assert [run.text for run in make_visible(text) if run.kind == "mixed"] == marked


def test_scripts_side_by_side_in_different_words_are_not_mixed() -> None:
    assert make_visible("Привет Kim") == (Run("Привет Kim"),)


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("see https://аррӏе.com/x", "[host xn--80ak6aa92e.com]"),
        ("https://bücher.example", "[host xn--bcher-kva.example]"),
        ("https://bank.example@evil.example/login", "[host evil.example]"),
        ("https://bank.example\\@evil.example", "[host unclear]"),
        ("https://a\u200bb.example", "[host unclear]"),
        ("https://[", "[host unclear]"),
        ("kim@exаmple.com", "[host xn--exmple-4nf.com]"),
    ],
)
def test_a_link_that_could_deceive_has_its_host_spelt_out(text: str, note: str) -> None:
    assert Run(note, "token") in make_visible(text)


@pytest.mark.parametrize("text", ["https://bank.example/login?a=b", "kim@example.com", "s3://bucket/key", "a: b // c"])
def test_a_plain_link_needs_no_note(text: str) -> None:
    assert make_visible(text) == (Run(text),)


def test_punycode_goes_label_by_label() -> None:
    assert punycode("www.BÜCHER。example") == "www.xn--bcher-kva.example"


def test_no_character_of_unicode_slips_through_unseen() -> None:
    every = [chr(code) for code in range(sys.maxunicode + 1)]
    listed = ("Cc", "Cf", "Cs", "Zl", "Zp", "Zs")
    unseen = [c for c in every if unicodedata.category(c) in listed and c != " "]
    # Private use and unassigned are most of Unicode and all alike: every hundredth of them.
    unseen += [c for c in every if unicodedata.category(c) in ("Co", "Cn")][::100]
    assert not set(plain_visible("a".join(unseen))) & set(unseen)


@given(st.text(), st.booleans())
def test_what_is_left_is_visible_and_nothing_is_lost(text: str, multiline: bool) -> None:
    runs = make_visible(text, multiline=multiline)
    for run in runs:
        allowed = "\n" if multiline else ""
        assert all(unicodedata.category(c)[0] != "C" or c in allowed for c in run.text)
    kept = [run.text for run in runs if run.kind != "token"]
    remaining = iter(text.replace("\r\n", "\n") if multiline else text)
    assert all(any(c == other for other in remaining) for c in "".join(kept))


@given(st.text())
def test_neighbours_of_one_kind_are_one_run(text: str) -> None:
    runs = make_visible(text)
    for first, second in pairwise(runs):
        assert first.kind != second.kind or first.kind == "token"


@pytest.mark.parametrize("text", ["a" * 250_000, "a." * 125_000, "@a" * 125_000, "x:/" * 80_000, "é" * 250_000])
def test_time_grows_with_length_and_not_with_its_square(text: str) -> None:
    began = time.process_time()
    make_visible(text)
    assert time.process_time() - began < 3  # quadratic, these take minutes
