"""The suite's own tools: waiting, and finding a browser."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import chromium, services
from tests.support.eventually import eventually


def test_waiting_ends_with_the_first_value_that_is_true() -> None:
    values = iter(["", None, 0, "there", "later"])
    assert eventually(lambda: next(values)) == "there"


def test_a_failed_assertion_counts_as_not_yet() -> None:
    count = itertools.count()

    def check() -> bool:
        assert next(count) > 2
        return True

    assert eventually(check)


def test_waiting_in_vain_says_for_what_and_what_was_seen_last() -> None:
    with pytest.raises(AssertionError, match=r"^waited 0\.05 s for the moon; last value: 0$"):
        eventually(lambda: 0, within=0.05, what="the moon")


def test_an_error_that_is_no_assertion_is_not_waited_out() -> None:
    with pytest.raises(ZeroDivisionError):
        eventually(lambda: 1 / 0)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine without a browser, a package manager or a network."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "browsers"))
    monkeypatch.setenv("PLAYWRIGHT_DOWNLOAD_HOST", "http://127.0.0.1:9")
    chromium.chromium.cache_clear()
    yield tmp_path
    chromium.chromium.cache_clear()


def test_a_missing_browser_fails_with_what_to_do(bare: Path) -> None:
    with pytest.raises(
        chromium.NoBrowser, match=r"apt-get install chromium, or .* -m playwright install chromium, then"
    ):
        chromium.chromium()


def test_a_browser_on_path_is_the_one_that_is_used(bare: Path) -> None:
    (bare / "chromium").write_text("#!/bin/sh\n")
    (bare / "chromium").chmod(0o755)
    assert chromium.launch_arguments()["executable_path"] == str(bare / "chromium")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("turn", ["first", "second"])
def test_what_a_test_commits_is_gone_for_the_next_one_evidence_included(turn: str) -> None:
    with services.connection("owner") as owner:
        found = owner.execute("SELECT count(*) FROM django_session").fetchone()
        kept = owner.execute("SELECT count(*) FROM django_content_type").fetchone()
        owner.execute("INSERT INTO django_session VALUES ('x', 'y', now())")
    assert found == (0,)
    assert kept is not None
    assert kept[0] > 0


@pytest.mark.django_db
def test_tests_run_on_the_apps_role() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user, current_database()")
        assert cursor.fetchone() == ("countersign_app", services.database_name())
