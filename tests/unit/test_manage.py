"""`manage.py` where nothing is set: one sentence and exit 2, which no command means by what it found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from config.embedded.environment import how_to_give, publish

ROOT = Path(__file__).parents[2]


def test_a_setting_that_a_running_make_up_was_given_is_to_be_given_again(tmp_path: Path) -> None:
    assert how_to_give(tmp_path) == "Give it, or run `make up` here and try again."
    publish(tmp_path, {"SECRET_KEY": "s", "PORT": "8000"}, {"SECRET_KEY": "s"})
    assert how_to_give(tmp_path) == "The `make up` that runs here was given it: give it to this command too."


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
