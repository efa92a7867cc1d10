"""What browsers get stays small, inline-free, translatable and legible: read from files, without a browser.

Nothing is rendered here: pages in a real browser are tests/browser's.
"""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from django.conf import settings

from config import assets

ROOT = Path(settings.BASE_DIR)
STATIC = ROOT / "static"
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
PAGES = [path for path in TEMPLATES if "allauth/elements" not in path.as_posix()]
STYLES = sorted((STATIC / "css").rglob("*.css"))
SCRIPTS = sorted((STATIC / "js").glob("*.js"))
KIB = 1024


def packed(*paths: Path) -> int:
    """Bytes of the joined files, gzipped as they are served."""
    return len(gzip.compress(b"\n".join(path.read_bytes() for path in paths), 9))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_our_scripts_stay_within_six_kib_compressed() -> None:
    assert packed(*SCRIPTS) <= 6 * KIB


def test_all_scripts_together_with_htmx_stay_within_twenty_six_kib_compressed() -> None:
    assert len(assets.asset("app.js").compressed) <= 26 * KIB


def test_a_cold_page_has_room_for_twenty_kib_of_html_within_sixty() -> None:
    shared = sum(len(assets.asset(name).compressed) for name in ("app.css", "app.js", "icons.svg"))
    small = sum((STATIC / name).stat().st_size for name in ("favicon.svg", "manifest.webmanifest"))
    assert shared + small + 20 * KIB <= 60 * KIB


def test_an_asset_s_address_names_its_content_and_old_addresses_are_not_kept() -> None:
    request = type("Request", (), {"method": "GET", "headers": {"Accept-Encoding": "gzip"}})()
    current = assets.address("app.css").rsplit("/", 1)[1]
    fresh = assets.serve(request, current)
    stale = assets.serve(request, "app.0000000000000000.css")
    assert gzip.decompress(fresh.content) == assets.asset("app.css").body
    assert "immutable" in fresh["Cache-Control"]
    assert (stale["Cache-Control"], stale.content) == ("no-cache", fresh.content)


@pytest.mark.parametrize("path", TEMPLATES, ids=name)
def test_templates_carry_no_inline_style_script_or_evaluated_attribute(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"\sstyle\s*=", text)
    assert "<style" not in text
    assert not re.search(r"<script(?![^>]*\ssrc=)", text)
    assert not re.search(r"\son[a-z]+\s*=", text)
    assert "hx-on" not in text
    assert "js:" not in text
    assert "javascript:" not in text
    assert "data:" not in text
    assert not re.search(r'hx-trigger="[^"]*\[', text)
    assert not re.search(r'(?:src|href|action)="(?:https?:)?//', text)


@pytest.mark.parametrize("path", TEMPLATES, ids=name)
def test_every_posting_form_is_protected_and_drops_a_second_submission(path: Path) -> None:
    for form in re.findall(r'<form[^>]*method="(?:post|\{\{ attrs\.method \}\})".*?</form>', path.read_text(), re.S):
        opening = form.split(">", 1)[0] if "{%" not in form.split(">", 1)[0] else form.split(">\n", 1)[0]
        assert "csrf_token" in form or "{% slot body %}" in form
        assert 'hx-sync="this:drop"' in opening
        assert "hx-disabled-elt" in opening


# Words that are names or keys, not language.
UNTRANSLATED = {"Countersign", "CSV", "JSONL", "Ctrl", "Esc", "Enter", *"jkuadry"}


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_every_word_a_reader_sees_goes_through_gettext(path: Path) -> None:
    text = path.read_text()
    text = re.sub(r"\{% comment %\}.*?\{% endcomment %\}|\{#.*?#\}|<!--.*?-->", " ", text, flags=re.S)
    text = re.sub(r"\{% block main_class %\}.*?\{% endblock %\}", " ", text)
    text = re.sub(r"\{% blocktranslate.*?%\}.*?\{% endblocktranslate %\}", " ", text, flags=re.S)
    text = re.sub(r"\{[%{].*?[%}]\}", " ", text, flags=re.S)
    said = re.findall(r'(?:aria-label|placeholder|title|alt)="([^"]*)"', text)
    seen = re.sub(r"<[^>]*>", " ", text)
    words = set(re.findall(r"[A-Za-z]+", " ".join([seen, *said])))
    assert words <= UNTRANSLATED


def test_the_sprite_holds_exactly_the_symbols_that_pages_use() -> None:
    held = set(re.findall(r'<symbol id="([a-z0-9-]+)"', (STATIC / "icons.svg").read_text()))
    used: set[str] = set()
    for path in TEMPLATES:
        text = path.read_text()
        used.update(re.findall(r'_components/icon\.html" with name="([a-z0-9-]+)"', text))
        for use in re.findall(r"#([^\"]*)\"/>", text):
            used.update(re.findall(r"(?:^|%\})([a-z][a-z0-9-]+)", use))
    assert held == used


@pytest.mark.parametrize("path", SCRIPTS, ids=name)
def test_every_script_says_in_its_header_what_it_does_and_runs_strict(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("/* ")
    assert '"use strict";' in text
    assert not re.search(r"\beval\(|new Function|innerHTML|localStorage|document\.cookie", text)


def test_only_the_tokens_name_colours_and_every_token_used_is_defined() -> None:
    tokens = STATIC / "css" / "tokens.css"
    defined = set(re.findall(r"(--[a-z0-9-]+):", tokens.read_text()))
    for path in STYLES:
        text = re.sub(r"@media print \{.*", "", path.read_text(), flags=re.S)
        assert set(re.findall(r"var\((--[a-z0-9-]+)\)", text)) <= defined, name(path)
        assert path == tokens or not re.search(r"#[0-9a-f]{3,8}\b(?!\w)", text), name(path)


def luminance(colour: str) -> float:
    """Relative luminance of #rgb or #rrggbb, 0 to 1 (WCAG 2.2)."""
    digits = colour.lstrip("#")
    if len(digits) == 3:
        digits = "".join(digit * 2 for digit in digits)
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


TOKENS = dict(
    re.findall(r"--([a-z0-9-]+): light-dark\((#[0-9a-f]+, #[0-9a-f]+)\)", (STATIC / "css" / "tokens.css").read_text())
)
TEXTS = [
    *[(text, ground) for text in ("fg", "fg-2") for ground in ("bg", "bg-2", "bg-3")],
    *[(text, ground) for text in ("accent", "critical", "high", "medium", "low") for ground in ("bg", "bg-2")],
    *[(text, f"{text}-bg") for text in ("critical", "high", "medium", "low")],
]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), TEXTS)
def test_text_has_a_contrast_of_at_least_six(text: str, ground: str, scheme: int) -> None:
    assert contrast(TOKENS[text].split(", ")[scheme], TOKENS[ground].split(", ")[scheme]) >= 6


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_controls_have_a_contrast_of_at_least_four_and_a_half(scheme: int) -> None:
    assert contrast(TOKENS["control"].split(", ")[scheme], TOKENS["bg"].split(", ")[scheme]) >= 4.5


@pytest.mark.parametrize("path", [path for path in PAGES if path.parent.name in ("approvals", "accounts")], ids=name)
def test_forms_that_change_something_let_no_browser_restore_them(path: Path) -> None:
    forms = re.findall(r'<form\b[^>]*method="post"[^>]*>', path.read_text())
    assert all('autocomplete="off"' in form for form in forms)
