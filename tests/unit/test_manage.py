"""`manage.py` where nothing is set: one sentence and exit 2, which no command means by what it found."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from config.embedded.environment import publish

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ({}, "The `make up` that runs here was given it: give it to this command too."),
        ({"DATABASE_URL": "postgresql:///nowhere"}, "Give it, or run `make up` here and try again."),
    ],
    ids=["joining what runs here", "with a database of its own"],
)
def test_a_setting_that_the_record_of_a_running_make_up_does_not_hold_is_asked_for(
    tmp_path: Path, given: dict[str, str], advice: str
) -> None:
    shutil.copy(ROOT / "manage.py", tmp_path)
    embedded = tmp_path / "var" / "embedded"
    embedded.mkdir(parents=True)
    publish(embedded, {"SECRET_KEY": "s", "DATABASE_URL": "postgresql:///nowhere"}, {"SECRET_KEY": "s"})
    done = subprocess.run(
        [sys.executable, tmp_path / "manage.py", "verify_audit_log"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **given},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "SECRET_KEY" in done.stderr
    assert done.stderr.endswith(f"{advice}\n")


def test_without_settings_a_command_says_what_is_missing_and_does_not_look_like_a_finding() -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "verify_audit_log"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DATABASE_URL": "postgresql:///nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "SECRET_KEY" in done.stderr
