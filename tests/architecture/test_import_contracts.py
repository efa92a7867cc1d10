"""The import contracts bite: each wrong import is planted in a copy of the house, and `lint-imports` must name it.

The contracts themselves stand in pyproject.toml.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")
HOUSE = ("config", "approvals", "agents", "accounts", "audit")

# what is broken → (file, the import planted at its end, how the complaint names it)
BREACHES: dict[str, tuple[str, str, str]] = {
    "audit knows nobody above it": (
        "audit/entries.py",
        "import approvals.states",
        "audit.entries -> approvals.states",
    ),
    "people know no agents": ("accounts/people.py", "import agents.keys", "accounts.people -> agents.keys"),
    "agents know no requests": (
        "agents/registration.py",
        "import approvals.states",
        "agents.registration -> approvals.states",
    ),
    "nothing in the domain knows how it is plugged together": (
        "approvals/decisions.py",
        "import config.urls",
        "approvals.decisions -> config.urls",
    ),
    "a verb calls no door": ("approvals/expiry.py", "import approvals.tasks", "approvals.expiry -> approvals.tasks"),
    "a reader calls no verb": (
        "approvals/queries.py",
        "import approvals.decisions",
        "approvals.queries -> approvals.decisions",
    ),
    "verbs stand beside each other": (
        "approvals/redemption.py",
        "import approvals.decisions",
        "approvals.redemption -> approvals.decisions",
    ),
    "the table of statuses knows nothing": (
        "approvals/states.py",
        "import approvals.models",
        "approvals.states -> approvals.models",
    ),
    "the quorum is counted without Django": (
        "approvals/quorum.py",
        "import django.db",
        "approvals.quorum -> django",
    ),
    "policy is evaluated without a database": (
        "approvals/rules/evaluation.py",
        "import psycopg",
        "approvals.rules.evaluation -> psycopg",
    ),
    "the verifier needs nothing of the house": (
        "audit/verify.py",
        "from django.conf import settings",
        "audit.verify -> django",
    ),
    "a door does not move a status": (
        "approvals/tasks.py",
        "import approvals.lifecycle",
        "approvals.tasks -> approvals.lifecycle",
    ),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for package in HOUSE:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(folder: Path) -> tuple[int, str]:
    """The exit status of lint-imports in that folder, and what it said."""
    done = subprocess.run([LINT_IMPORTS, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("breach", BREACHES)
def test_a_planted_import_breaks_the_contracts(copy: Path, breach: str) -> None:
    file, planted, named = BREACHES[breach]
    with (copy / file).open("a", encoding="utf-8") as module:
        module.write(f"\n\ndef _breach() -> None:\n    {planted}\n")
    code, said = lint(copy)
    assert code == 1, said
    assert named in said


def test_a_stray_module_in_approvals_breaks_the_contracts(copy: Path) -> None:
    (copy / "approvals" / "helpers.py").write_text('"""Whatever had no place."""\n', encoding="utf-8")
    code, said = lint(copy)
    assert code == 1, said
    assert "- approvals.helpers" in said


def test_the_house_itself_keeps_them() -> None:
    code, said = lint(ROOT)
    assert code == 0, said
