"""Each bench by its command, at a size that says nothing of speed: it ends well and leaves its table and its JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.house import CHECKOUT, PLAIN

# A private PostgreSQL with fsync on, all migrations, and processes of the house, on a machine that others use too.
pytestmark = pytest.mark.timeout(300)


def run(name: str, *options: str) -> subprocess.CompletedProcess[str]:
    """`python -m bench.<name>` in an environment of its own, as somebody types it."""
    command = [sys.executable, "-m", f"bench.{name}", *options]
    return subprocess.run(command, cwd=CHECKOUT, env=PLAIN, capture_output=True, text=True, check=False)


def figures(name: str, into: Path, *options: str) -> dict[str, Any]:
    done = run(name, *options, "--json", str(into))
    assert done.returncode == 0, done.stderr[-3000:]
    assert str(into) in done.stdout
    found: dict[str, Any] = json.loads(into.read_text())
    assert found["fsync"] == "on"
    return found


def test_waiters_are_all_answered_and_weighed(tmp_path: Path) -> None:
    found = figures(
        "waiters", tmp_path / "waiters.json", "--waiters", "12,24", "--decisions", "8", "--rate", "8", "--polling", "3"
    )
    for waiting in ("12", "24"):
        step = found["steps"][waiting]
        assert step["unanswered"] == 0
        assert step["commit to answer"]["count"] == step["Redis publish to receive"]["count"] == 8
        assert 0 < step["commit to answer"]["p50"] <= step["commit to answer"]["most"]


def test_one_wait_is_answered_beside_a_read_and_a_publish(tmp_path: Path) -> None:
    found = figures("wait_latency", tmp_path / "wait_latency.json", "--rounds", "3")
    assert [row["milliseconds"] for row in found["rows"]] == [
        "commit to answer",
        "a plain read",
        "Redis publish to receive",
    ]
    assert all(0 < row["least"] <= row["median"] <= row["most"] for row in found["rows"])


def test_the_sweep_denies_what_was_seeded_beside_one_statement(tmp_path: Path) -> None:
    found = figures("expiry", tmp_path / "expiry.json", "--requests", "200")
    floor, sweep = found["rows"]
    assert found["requests"] == 200
    assert floor["seconds"] > 0
    assert sweep["seconds"] > 0
    assert sweep["MB at most"] >= sweep["MB before"] > 0


@pytest.mark.parametrize("name", ["filing", "wait_latency", "waiters", "expiry", "kills", "day"])
def test_each_says_what_it_does(name: str) -> None:
    done = run(name, "--help")
    assert done.returncode == 0
    assert f"python -m bench.{name}" in done.stdout
