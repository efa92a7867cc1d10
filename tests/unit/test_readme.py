"""What the documents say is there, is there: files, functions, make targets, settings, the README's own example.

That the example works is `tests/api/test_examples.py`'s to show.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
HEARTS = ("README.md", "ARCHITECTURE.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md")
LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)(?:#[^)]*)?\)")
CODE_PATH = re.compile(
    r"`((?:[\w-]+/)+[\w.-]+\.(?:py|toml|yml|md|json|html))(?:::(\w+))?`(?: \(`(\w+)`(?:, `(\w+)`)?\))?"
)
MAKE = re.compile(r"`make ([a-z-]+)")


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("name", HEARTS)
def test_the_front_documents_are_there(name: str) -> None:
    assert (ROOT / name).stat().st_size > 500


@pytest.mark.parametrize("document", PAGES, ids=ids)
def test_every_link_leads_somewhere(document: Path) -> None:
    targets = LINK.findall(document.read_text("utf-8"))
    assert [target for target in targets if not (document.parent / target).exists()] == []


@pytest.mark.parametrize("document", PAGES, ids=ids)
def test_every_file_and_name_that_is_mentioned_exists(document: Path) -> None:
    missing = []
    for file, *names in CODE_PATH.findall(document.read_text("utf-8")):
        if "*" in file or file.startswith(("var/", "actions/", "tests/*")):
            continue
        if not (ROOT / file).is_file():
            missing.append(file)
            continue
        text = (ROOT / file).read_text("utf-8")
        missing += [f"{file}: {name}" for name in names if name and not re.search(rf"\b{name}\b", text)]
    assert missing == []


def test_each_of_the_eight_promises_names_a_fault_that_it_outlives() -> None:
    text = (ROOT / "docs" / "explanation" / "promises.md").read_text("utf-8")
    promises = re.findall(r"^## (\d)\. .*?(?=^## )", text, re.M | re.S)
    sections = [each[0] for each in re.finditer(r"^## \d\. .*?(?=^## )", text, re.M | re.S)]
    assert promises == [str(number) for number in range(1, 9)]
    for section in sections:
        assert re.search(r"^Fault:\n\n- `tests/faults/\w+\.py::test_", section, re.M), section.partition("\n")[0]


@pytest.mark.parametrize("document", PAGES, ids=ids)
def test_every_make_target_that_is_mentioned_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    assert set(MAKE.findall(document.read_text("utf-8"))) <= targets


def test_the_readme_shows_the_example_word_for_word() -> None:
    (shown,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S)
    example = (ROOT / "examples" / "ask.py").read_text("utf-8")
    assert example.endswith('"""\n\n' + shown)


def test_the_example_is_fifteen_lines_beside_its_imports() -> None:
    (shown,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S)
    lines = [line for line in shown.splitlines() if line and not line.startswith("import ")]
    assert len(lines) == 15


def test_the_readmes_first_screen_says_what_it_is_shows_it_and_gives_the_two_commands() -> None:
    first = (ROOT / "README.md").read_text("utf-8").splitlines()[:20]
    assert first[2] == "Agents ask, policy and people decide, silence means no, and the evidence speaks for itself."
    assert any(line.startswith("![") and "docs/images/queue.png" in line for line in first)
    assert {line.split("#")[0].strip() for line in first} >= {"make up", "make test"}


def test_every_setting_of_the_environment_is_documented_and_no_other() -> None:
    code = (ROOT / "config" / "settings.py").read_text("utf-8")
    read = set(re.findall(r'env\.(?!prefixed)\w+\(\s*"([A-Z_]+)"', code))
    text = (ROOT / "docs" / "reference" / "settings.md").read_text("utf-8")
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", text, re.M))
    assert documented == read | {"HOST", "PORT", "WORKERS"}  # these three are the Procfile's alone


def test_every_decision_is_listed_in_order() -> None:
    folder = ROOT / "docs" / "adr"
    index = (folder / "README.md").read_text("utf-8")
    files = sorted(path.name for path in folder.glob("0*.md"))
    assert re.findall(r"\]\((0\d+-[\w-]+\.md)\)", index) == files
    for name in files:
        text = (folder / name).read_text("utf-8")
        assert text.startswith(f"# {name[:4]} ")
        for part in ("**Context.**", "**Decision.**", "**Consequences.**"):
            assert part in text, (name, part)
