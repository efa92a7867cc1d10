"""What every benchmark says while it works and when it is done: a table to read and the same figures as JSON, with the
conditions they were measured under. Nothing is measured here."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def place(name: str) -> Path:
    """Where a benchmark writes its JSON unless it is told another place."""
    return ROOT / "var" / "bench" / f"{name}.json"


def say(what: str) -> None:
    """A line of progress, not part of the table."""
    print(f"{datetime.now(UTC):%H:%M:%S} {what}", file=sys.stderr, flush=True)


def at(seconds: Sequence[float], share: float) -> float:
    """That percentile (0.99: p99) of durations in seconds, in milliseconds."""
    ordered = sorted(seconds)
    return round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """How many durations, their median, 99th percentile and the most, in milliseconds."""
    if not seconds:
        return {"count": 0, "p50": 0.0, "p99": 0.0, "most": 0.0}
    return {"count": len(seconds), "p50": at(seconds, 0.5), "p99": at(seconds, 0.99), "most": at(seconds, 1)}


def conditions() -> dict[str, Any]:
    """The machine, and how busy it is at this moment."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "load": [round(one, 2) for one in os.getloadavg()],
    }


def publish(title: str, rows: Sequence[Mapping[str, Any]], into: Path, **more: Any) -> None:
    """Print the rows as a table in Markdown, whose columns are the first row's names, and write all of it as JSON."""
    known = conditions()
    into.parent.mkdir(parents=True, exist_ok=True)
    into.write_text(json.dumps({"title": title, **known, **more, "rows": list(rows)}, indent=2) + "\n")
    print(f"{title}: {known['processors']} processors, load {known['load'][0]}, Python {known['python']}\n")
    names = list(rows[0])
    print(f"| {' | '.join(names)} |\n|{'---|' * len(names)}")
    for row in rows:
        print(f"| {' | '.join(str(row[name]) for name in names)} |")
    print(f"\n{into}")
