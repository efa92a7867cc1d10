"""How many requests an agent's company can file in a second, everything on; what PostgreSQL itself does beside it.

    python -m bench.filing [--seconds 20] [--clients 1,8,32] [--json FILE]

A house of `make up` with its worker, beat and sealer, asked through its door by clients of one other process. At each
number of clients `pgbench` runs against the same server in the same minute, before and after: one transaction of a
select by a unique key and two inserts of 1 KB of jsonb, prepared, fsync on. The ratio is what Countersign costs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import re
import subprocess
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import psutil
import psycopg

from bench import house as houses
from bench import reports
from config.embedded import environment, programs
from tests.support.house import House

SETUP = """
DROP TABLE IF EXISTS bench_floor_request, bench_floor_entry;
CREATE TABLE bench_floor_request (id bigserial PRIMARY KEY, key text UNIQUE NOT NULL, body jsonb NOT NULL);
CREATE TABLE bench_floor_entry (id bigserial PRIMARY KEY, body jsonb NOT NULL);
"""
# A key that was never used, as a filing's is; :body is one kilobyte.
TRANSACTION = r"""
\set a random(1, 9000000000000000000)
\set b random(1, 9000000000000000000)
BEGIN;
SELECT id FROM bench_floor_request WHERE key = :a::text || :b::text;
INSERT INTO bench_floor_request (key, body) VALUES (:a::text || :b::text, :body::jsonb);
INSERT INTO bench_floor_entry (body) VALUES (:body::jsonb);
COMMIT;
"""
KINDS = {
    "people are asked": {
        "action": "refund.create",
        "parameters": {"amount_cents": 4200, "currency": "usd"},
    },
    "policy allows it": {"action": "docs.read", "parameters": {"path": "/handbook"}},
}


@dataclass(frozen=True)
class Load:
    """Where to file and as whom, for how long, and by how many at once."""

    host: str
    port: int
    key: str
    kind: str
    clients: int
    seconds: float


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="of filing at each number of clients")
    parser.add_argument("--clients", default="1,8,32", help="numbers of clients at once")
    parser.add_argument("--json", type=Path, default=reports.place("filing"))
    given = parser.parse_args()
    with houses.whole_house() as house:
        whole = houses.environment_of(house)
        versions = houses.versions(whole)
        houses.join(whole)
        asked = {kind: statements(house.demo["keys"]["agent"], kind) for kind in KINDS}
        rows = [
            {**row, "statements": asked[row["what"]]}
            for clients in map(int, given.clients.split(","))
            for row in measured(house, clients, given.seconds)
        ]
    reports.publish(
        "Filing, everything on, beside pgbench",
        rows,
        given.json,
        seconds=given.seconds,
        body_bytes={kind: len(body_of(kind, "order/0")) for kind in KINDS},
        **versions,
    )


def measured(house: House, clients: int, seconds: float) -> list[dict[str, Any]]:
    """A row for each kind of filing at this number of clients."""
    before = floor(house, clients)
    found = []
    for kind in KINDS:
        reports.say(f"{clients} clients, {kind}")
        where = urlsplit(house.url)
        load = Load(str(where.hostname), int(where.port or 80), house.demo["keys"]["agent"], kind, clients, seconds)
        run(Load(**{**vars(load), "seconds": 2.0}))  # warm
        before_it = spent(house)
        times, took = run(load)
        found.append((kind, times, took, {each: used - before_it[each] for each, used in spent(house).items()}))
    after = floor(house, clients)
    base = (before + after) / 2
    return [
        {
            "clients": clients,
            "what": kind,
            "filed/s": round(len(times) / took, 1),
            "p50 ms": reports.at(times, 0.50),
            "p99 ms": reports.at(times, 0.99),
            "pgbench/s": round(base),
            "ratio": round(len(times) / took / base, 3),
            **{f"{each} CPU ms": round(1000 * used / len(times), 2) for each, used in cpu.items()},
        }
        for kind, times, took, cpu in found
    ]


def statements(key: str, kind: str) -> int:
    """How many statements one filing sends to PostgreSQL, its BEGIN, COMMIT and savepoint among them."""
    from django.conf import settings
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    client = Client(HTTP_HOST=settings.ALLOWED_HOSTS[0], HTTP_AUTHORIZATION=f"Bearer {key}")
    found = 0
    for turn in range(2):  # the first reads the policy in force, which a process keeps
        with CaptureQueriesContext(connection) as captured:
            answer = client.post(
                "/api/v1/requests",
                body_of(kind, f"order/{turn}"),
                content_type="application/json",
                HTTP_IDEMPOTENCY_KEY=uuid.uuid4().hex,
            )
        if answer.status_code != 201:
            raise RuntimeError(answer.content.decode())
        found = len(captured)
    connection.close()
    return found


def spent(house: House) -> dict[str, float]:
    """Seconds of processor that the house's processes have used so far, by kind; PostgreSQL's include what its
    processes did for the sealer and the worker."""
    kinds = {"web": ("uvicorn",), "PostgreSQL": ("postgres",), "sealer": ("seal_audit_log",), "worker": ("celery",)}
    return {kind: sum(map(_used, house.named(*words))) for kind, words in kinds.items()}


def _used(process: psutil.Process) -> float:
    try:
        used = process.cpu_times()
    except psutil.NoSuchProcess:  # a connection that was closed
        return 0.0
    return float(used.user + used.system)


def floor(house: House, clients: int) -> float:
    """Transactions a second of pgbench on the house's own server."""
    reports.say(f"{clients} clients, pgbench")
    url, pgbench = houses.environment_of(house)["DATABASE_OWNER_URL"], programs.wheels().postgres / "pgbench"
    options = ["-n", "-M", "prepared", "-j", "2", "-T", "8", "-c", str(clients)]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SETUP)
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        body = json.dumps({"padding": "x" * 1000})
        script.write(TRANSACTION.replace(":body", f"'{body}'"))
        script.flush()
        done = subprocess.run(
            [pgbench, *options, "-f", script.name, environment.without_password(url)],
            env={**os.environ, "PGPASSWORD": unquote(urlsplit(url).password or "")},
            capture_output=True,
            text=True,
            check=True,
        )
    found = re.search(r"tps = ([0-9.]+)", done.stdout)
    if found is None:
        raise RuntimeError(done.stdout)
    return float(found[1])


def run(load: Load) -> tuple[list[float], float]:
    """The seconds of each filing, and of the whole; the clients live in a process of their own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(clients_of, (load,))


def clients_of(load: Load) -> tuple[list[float], float]:
    """File one after the other in each of `load.clients` connections until the time is over."""
    return asyncio.run(_all(load))


async def _all(load: Load) -> tuple[list[float], float]:
    began = time.perf_counter()
    done = await asyncio.gather(*(_client(load, began + load.seconds) for _ in range(load.clients)))
    return [one for times in done for one in times], time.perf_counter() - began


async def _client(load: Load, until: float) -> list[float]:
    reader, writer = await asyncio.open_connection(load.host, load.port)
    times = []
    while (began := time.perf_counter()) < until:
        key = uuid.uuid4().hex
        body = body_of(load.kind, f"order/{key}")
        writer.write(
            b"POST /api/v1/requests HTTP/1.1\r\nHost: %s:%d\r\nAuthorization: Bearer %s\r\nIdempotency-Key: %s\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            % (load.host.encode(), load.port, load.key.encode(), key.encode(), len(body), body)
        )
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])  # type: ignore[index]  # every answer has it
        answer = await reader.readexactly(length)
        if status != 201:
            raise RuntimeError(f"{status} {answer.decode()}")
        times.append(time.perf_counter() - began)
    writer.close()
    return times


def body_of(kind: str, resource: str) -> bytes:
    """A body of some 1 KB, as an agent that explains itself would send."""
    return json.dumps(
        {
            **KINDS[kind],
            "resource": resource,
            "summary": "Refund for a parcel that never came",
            "rationale": "The carrier confirmed the loss. " * 20,
            "context": {"ticket": "T-1188", "plan": "Refund, then apologise."},
        }
    ).encode()


if __name__ == "__main__":
    main()
