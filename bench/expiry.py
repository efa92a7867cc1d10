"""How long the product's own sweep takes to deny a great many overdue requests with their evidence, beside one SQL
statement that updates and inserts as many rows.

    python -m bench.expiry [--requests 100000] [--json FILE]

The sweep is the Celery task's function, called until nothing is due, in a process of its own whose memory is sampled.
The statement works on copies of the two tables with the same columns, indexes and checks, without triggers and foreign
keys. Requests are seeded as `bench.seeding` says; their deadlines are waited for, not moved.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil

from bench import house, reports
from bench.reports import say

_FLOOR_TABLES = """
CREATE TABLE floor_request (LIKE approvals_request INCLUDING ALL);
CREATE TABLE floor_pending (LIKE audit_pending INCLUDING ALL);
"""
_FLOOR = """
WITH moved AS (
  UPDATE floor_request SET status = 'expired', reason = %(reason)s, retry = 'later', decided_at = expires_at,
                           version = version + 1
   WHERE status = 'pending' AND expires_at <= clock_timestamp() RETURNING id
)
INSERT INTO floor_pending (entry_id, subject_kind, subject_id, ordinal, previous, leaf, leaf_hash, recorded_at)
SELECT gen_random_uuid(), 'request', id::text, 2, sha256(id::text::bytea),
       convert_to(repeat(id::text, %(entry_bytes)s / 36), 'UTF8'), sha256(id::text::bytea), clock_timestamp()
  FROM moved
"""


def main() -> None:
    """Seed, wait for the deadlines, run the floor and the sweep, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000, help="how many overdue requests (100000)")
    parser.add_argument("--json", type=Path, default=reports.place("expiry"), help="where the JSON goes")
    parser.add_argument("--only-sweep", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only_sweep:
        _sweep()
        return
    with house.servers() as whole:
        _measure(given.requests, whole, given.json)


def _measure(requests: int, whole: dict[str, str], to: Path) -> None:
    owner = whole["DATABASE_OWNER_URL"]
    versions = house.versions(whole)
    seeded = _seed(requests)
    say("copying the pending rows for the statement, then VACUUM ANALYZE")
    _prepare_floor(owner)
    say("one statement")
    floor = _floor(owner)
    _settle(owner)
    say("the sweep")
    done = subprocess.run(
        [sys.executable, "-m", "bench.expiry", "--only-sweep"], cwd=house.ROOT, stdout=subprocess.PIPE, check=True
    )
    sweep = json.loads(done.stdout.splitlines()[-1])
    _check(owner, requests)
    memory = sweep["megabytes"]
    rows = [
        {"what": "one UPDATE … INSERT", "seconds": floor, "rows a second": round(requests / floor), "of the floor": 1.0}
        | dict.fromkeys(memory, ""),
        {
            "what": "the sweep",
            "seconds": sweep["seconds"],
            "rows a second": round(requests / sweep["seconds"]),
            "of the floor": round(sweep["seconds"] / floor, 2),
        }
        | memory,
    ]
    title = f"{requests} overdue requests denied, each with its entry; memory of the sweeping process"
    reports.publish(title, rows, to, requests=requests, seeding_seconds=seeded, **versions)


def _seed(requests: int) -> float:
    """Pending requests, the last of which has lapsed when this returns; seconds of the seeding."""
    from django.db import connection

    from approvals import queries
    from bench.seeding import copies
    from tests.support.cast import file_request, make_cast

    cast = make_cast(only=("support1",))
    model = file_request(cast)
    due = queries.clock() + timedelta(seconds=min(10 + requests / 1000, 1200))
    say(f"seeding {requests:,} requests that are due at {due:%H:%M:%S} UTC")
    began, filed = time.monotonic(), 0
    for ids in copies(model, requests, due=due):
        filed += len(ids)
        if filed % 10_000 == 0:
            say(f"{filed:,} filed")
    seconds = round(time.monotonic() - began, 1)
    left = (due - queries.clock()).total_seconds()
    if left > 0:
        say(f"waiting {left:.0f} s for their deadline")
    time.sleep(max(left, 3.1))  # the last batch may have had 3 s of its own
    connection.close()
    return seconds


def _prepare_floor(owner: str) -> None:
    import psycopg

    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(_FLOOR_TABLES)
        columns = ", ".join(
            str(name)
            for (name,) in connection.execute(
                "SELECT column_name FROM information_schema.columns WHERE table_name = 'approvals_request'"
                " AND is_generated = 'NEVER' ORDER BY ordinal_position"
            )
        )
        connection.execute(
            f"INSERT INTO floor_request ({columns}) SELECT {columns} FROM approvals_request"
            " WHERE status = 'pending' AND expires_at <= clock_timestamp()"
        )
        connection.execute("INSERT INTO floor_pending OVERRIDING SYSTEM VALUE SELECT * FROM audit_pending")
        connection.execute(
            "SELECT setval(pg_get_serial_sequence('floor_pending', 'position'), max(position)) FROM floor_pending"
        )
    _settle(owner)


def _settle(owner: str) -> None:
    """Both begin alike: no row left to freeze, statistics fresh, nothing of the seeding left to write."""
    import psycopg

    with psycopg.connect(owner, autocommit=True) as connection:
        for table in ("floor_request", "floor_pending", "approvals_request", "audit_pending", "audit_head"):
            connection.execute(f"VACUUM ANALYZE {table}")


def _floor(owner: str) -> float:
    import psycopg

    from approvals.lifecycle import EXPIRED_REASON

    with psycopg.connect(owner) as connection:
        row = connection.execute("SELECT avg(length(leaf)) FROM audit_pending").fetchone()
        size = int(row[0]) if row else 0
        began = time.monotonic()
        connection.execute(_FLOOR, {"reason": EXPIRED_REASON, "entry_bytes": size})
        connection.commit()
        return round(time.monotonic() - began, 2)


def _sweep() -> None:
    """In the sweeping process: run the task's function to its end, and say how it went as a line of JSON."""
    import django

    django.setup()
    from django.db import connection

    from approvals import tasks

    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    own, samples, over = psutil.Process(), list[int](), threading.Event()

    def sample() -> None:
        while not over.wait(0.05):
            samples.append(own.memory_info().rss)

    before = own.memory_info().rss
    sampling = threading.Thread(target=sample)
    sampling.start()
    began = time.monotonic()
    denied = 0
    try:
        denied = tasks.expire_due()
        seconds = time.monotonic() - began
    finally:
        over.set()
        sampling.join()
    after = own.memory_info().rss
    say(f"{denied:,} denied in {seconds:.1f} s")
    third = max(1, len(samples) // 3)
    print(
        json.dumps(
            {
                "denied": denied,
                "seconds": round(seconds, 2),
                "megabytes": {
                    "MB before": _megabytes(before),
                    "MB first third": _megabytes(max(samples[:third], default=after)),
                    "MB last third": _megabytes(max(samples[-third:], default=after)),
                    "MB at most": _megabytes(max([*samples, after])),
                    "MB after": _megabytes(after),
                },
            }
        )
    )


def _megabytes(size: int) -> float:
    return round(size / 1e6, 1)


def _check(owner: str, requests: int) -> None:
    """SystemExit unless every request is denied, with its entry, once."""
    found: Any = house.ask(
        owner,
        "SELECT count(*) FILTER (WHERE status = 'expired'), (SELECT count(*) FROM audit_pending"
        " WHERE subject_kind = 'request' AND ordinal = 2),"
        " (SELECT count(*) FROM floor_request WHERE status = 'expired') FROM approvals_request",
    )[0]
    if found != (requests, requests, requests):
        raise SystemExit(f"denied, entries, rows of the floor: {found}, and not {requests} each")


if __name__ == "__main__":
    main()
