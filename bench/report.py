"""What every bench says in the same way: its conditions, its progress, its tables, its JSON. Nothing is measured here."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import redis

FOLDER = Path(__file__).resolve().parent.parent / "var" / "bench"
_began = time.monotonic()


def say(text: str) -> None:
    """A line of progress on standard error, with the seconds since the start."""
    print(f"{time.monotonic() - _began:7.1f} s  {text}", file=sys.stderr, flush=True)


def conditions(database_url: str, redis_url: str) -> dict[str, Any]:
    """Under which a figure was measured: processors, load, versions, whether PostgreSQL syncs to disk."""
    with psycopg.connect(database_url) as asked:
        said = {
            name: asked.execute(f"SHOW {name}").fetchone()[0]  # type: ignore[index]
            for name in ("server_version", "fsync", "synchronous_commit", "shared_buffers")
        }
    with redis.Redis.from_url(redis_url) as server:
        said["redis"] = server.info("server")["redis_version"]
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "processors": os.cpu_count(),
        "load": [round(one, 2) for one in os.getloadavg()],
        "python": platform.python_version(),
        **said,
    }


def spread(values: Sequence[float], *, scale: float = 1000.0) -> dict[str, float]:
    """p50, p99, the most and how many; seconds as milliseconds unless `scale` says otherwise."""
    ordered = sorted(scale * value for value in values)
    if not ordered:
        return {"count": 0}
    return {
        "count": len(ordered),
        "p50": round(ordered[len(ordered) // 2], 2),
        "p99": round(ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))], 2),
        "most": round(ordered[-1], 2),
    }


def table(title: str, columns: Sequence[str], rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Print rows by name; what a row does not have is left blank."""
    width = max([28, *(len(name) + 2 for name in rows)])
    wide = {name: max(10, len(name) + 2) for name in columns}
    print(f"\n{title}")
    print(f"{'':{width}}" + "".join(f"{name:>{wide[name]}}" for name in columns))
    for name, row in rows.items():
        print(f"{name:{width}}" + "".join(f"{_cell(row.get(column)):>{wide[column]}}" for column in columns))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def write(name: str, document: Mapping[str, Any], *, to: Path | None = None) -> Path:
    """Write `var/bench/<name>.json`, or the file given."""
    path = to or FOLDER / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n")
    print(f"\nwritten to {path}")
    return path
