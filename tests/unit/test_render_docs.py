"""The generated references: equal to what code says now, and known to be stale when they are not."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from approvals.management.commands import render_docs


def test_the_references_in_the_repository_say_what_the_code_says() -> None:
    assert render_docs.stale(settings.BASE_DIR / render_docs.FOLDER) == []


def test_a_missing_or_edited_reference_is_stale(tmp_path: Path) -> None:
    for name, draw in render_docs.GENERATED.items():
        (tmp_path / name).write_text(draw(), encoding="utf-8")
    assert render_docs.stale(tmp_path) == []
    (tmp_path / "problems.md").unlink()
    with (tmp_path / "states.md").open("a", encoding="utf-8") as reference:
        reference.write("| `expired` | `approved` | kindness | |\n")
    assert sorted(render_docs.stale(tmp_path)) == ["problems.md", "states.md"]


def test_the_table_of_statuses_has_a_row_for_each_transition_and_no_label_with_two_colons() -> None:
    text = render_docs.statuses()
    assert text.count("\n| `pending` | ") == 5
    for line in text.partition("```mermaid")[2].partition("```")[0].splitlines():
        assert line.count(":") <= 1
