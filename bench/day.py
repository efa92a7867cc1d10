"""Everything at once for ten minutes: agents file at half of what the house can take, a thousand wait, reviewers decide
in their sessions, the sweep denies, the sealer seals, a follower verifies the log again and again, and in the middle
a pg_dump is made.

    python -m bench.day [--minutes 10] [--filing-rate R] [--waiting 1000] [--reviewing 2] [--json FILE]

A house of `make up`. Twenty agents are this process (raw asyncio), reviewers another: each reads the queue, opens a
request, and sends the page's form, `--reviewing` times a second between the two of them. Most filings lapse after 5 to
30 s; as many as were decided take the place of those who had waited. Filing is measured from the moment it was due. The
follower is `verify_audit_log` from outside: it keeps the published checkpoints it has seen and has the log shown to
contain each. Without `--filing-rate` the rate is half of what 8 clients file in ten seconds just before.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import psutil
import psycopg

from bench import filing, reports
from bench import house as houses
from bench.day_clients import Agents, Seen, review
from bench.reports import say
from config.embedded import backup
from tests.support import ordeal
from tests.support.house import House

REVIEWERS = ("support1@example.test", "support2@example.test")
KINDS = {
    "web": ("uvicorn",),
    "worker": ("celery", "worker"),
    "beat": ("celery", "beat"),
    "sealer": ("seal_audit_log",),
    "PostgreSQL": ("postgres",),
    "Redis": ("redis-server",),
}
FOLLOW_EVERY = 20.0
AGENTS = 20  # who file and wait: none would file forty times a second
KEPT = 10  # checkpoints that the follower holds the log to


class Watch:
    """What is looked at from outside while the day goes on, in threads: sealing lag, the follower, the dump."""

    def __init__(self, house: House, seen: Seen, seconds: float) -> None:
        self._house = house
        self._seen = seen
        self._over = threading.Event()
        self.whole = houses.environment_of(house)
        self._threads = [
            threading.Thread(target=self._lag),
            threading.Thread(target=self._follow),
            threading.Thread(target=self._dump, args=(seconds * 0.4,)),
        ]
        self.facts: dict[str, Any] = {}

    def start(self) -> None:
        for one in self._threads:
            one.start()

    def stop(self) -> None:
        self._over.set()
        for one in self._threads:
            one.join()

    def _lag(self) -> None:
        with psycopg.connect(self.whole["DATABASE_OWNER_URL"], autocommit=True) as connection:
            while not self._over.wait(0.25):
                row = connection.execute(
                    "SELECT coalesce(extract(epoch FROM clock_timestamp() - min(recorded_at)), 0)::float8"
                    " FROM audit_pending"
                ).fetchone()
                self._seen.times["sealing lag"].append(row[0] if row else 0.0)

    def _follow(self) -> None:
        kept: list[Path] = []
        with tempfile.TemporaryDirectory() as folder:
            while not self._over.wait(FOLLOW_EVERY):
                copy = Path(folder) / f"checkpoint-{len(self._seen.times['following'])}"
                copy.write_bytes(Path(self.whole["AUDIT_OUTSIDE_PATH"]).read_bytes())
                kept = [*kept, copy][-KEPT:]
                checkpoints = [f"--checkpoint={one}" for one in kept]
                began = time.monotonic()
                done = ordeal.manage(self._house, "verify_audit_log", *checkpoints, within=None)
                self._seen.times["following"].append(time.monotonic() - began)
                if done.returncode:
                    self._seen.errors[f"following: {done.returncode} {done.stdout[-200:]}{done.stderr[-200:]}"] += 1

    def _dump(self, after: float) -> None:
        if self._over.wait(after):
            return
        with tempfile.NamedTemporaryFile(suffix=".dump") as file:
            began = time.monotonic()
            try:
                backup.run("pg_dump", self.whole["DATABASE_OWNER_URL"], "--format=custom", f"--file={file.name}")
            except backup.BackupFailed as error:
                self._seen.errors[str(error)] += 1
            self.facts["pg_dump seconds"] = round(time.monotonic() - began, 1)
            self.facts["pg_dump megabytes"] = round(os.path.getsize(file.name) / 1e6, 1)


def main() -> int:
    """The day; 1 where anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--filing-rate", type=float, help="filings a second (half of what is measured just before)")
    parser.add_argument("--waiting", type=int, default=1000)
    parser.add_argument("--reviewing", type=float, default=2.0, help="decisions a second, by two people (2)")
    parser.add_argument("--json", type=Path, default=reports.place("day"))
    given = parser.parse_args()
    houses.open_files(given.waiting + 2_000)
    with houses.whole_house(
        CONNECTIONS=str(given.waiting + 1_000), API_WAITS_PER_KEY=str(given.waiting + 100)
    ) as house:
        versions = houses.versions(houses.environment_of(house))
        houses.join(houses.environment_of(house))
        capacity = None
        if given.filing_rate is None:
            say("calibrating: 8 clients file for 10 s")
            load = filing.Load("127.0.0.1", house.port, house.demo["keys"]["agent"], "people are asked", 8, 10.0)
            times, took = filing.run(load)
            capacity = round(len(times) / took, 1)
        rate = given.filing_rate or capacity / 2  # type: ignore[operator]
        seen, facts = _day(house, given, rate)
    facts |= {"filings a second": round(rate, 1), "capacity a second": capacity, "minutes": given.minutes}
    return _told(seen, facts, given, versions)


def _day(house: House, given: argparse.Namespace, rate: float) -> tuple[Seen, dict[str, Any]]:
    seen, seconds = Seen(), given.minutes * 60
    context = multiprocessing.get_context("spawn")
    ids: Queue[str] = context.Queue()
    out: Queue[Any] = context.Queue()
    agents = Agents(house.url, _hired(AGENTS), house.demo["keys"]["executor"], seen, ids)
    watch = Watch(house, seen, seconds)
    passwords = {one["email"]: one["password"] for one in house.demo["users"]}
    reviewers = [
        context.Process(
            target=review,
            args=(house.url, email, passwords[email], ids, given.reviewing / len(REVIEWERS), seconds, out),
            daemon=True,
        )
        for email in REVIEWERS
    ]

    at_end: dict[str, float] = {}
    still: list[int] = []

    async def run() -> dict[str, float]:
        say(f"filing for {given.waiting} who wait")
        await agents.fill(given.waiting)
        at_start = memory(house)
        say(f"{len(agents.waiting)} wait; the day begins: {rate:.1f} filings a second for {given.minutes:g} minutes")
        watch.start()
        for one in reviewers:
            one.start()
        progress = asyncio.ensure_future(_progress(agents, seen))
        await agents.day(rate, seconds)
        for _ in reviewers:  # the loop goes on meanwhile: those who wait are still being answered
            times, errors = await asyncio.to_thread(out.get, timeout=300)
            for what, all_ in times.items():
                seen.times[what] += all_
            seen.errors.update(errors)
        await asyncio.sleep(2)  # the last answers arrive
        while agents.tasks:
            await asyncio.wait(agents.tasks)
        progress.cancel()
        at_end.update(memory(house))
        still.append(len(agents.waiting))
        agents.go_home()
        return at_start

    try:
        at_start = asyncio.run(run())
    finally:
        watch.stop()
    _from_the_tables(house, agents, seen)
    facts = {"waiting at the end": still[0], "memory MB (PSS)": _both(at_start, at_end), **watch.facts}
    return seen, facts


def _hired(count: int) -> list[str]:
    """The keys of so many agents more, beside the demo's own, of its level and owner."""
    from django.db import connection

    from agents import registration
    from agents.models import Agent, Scope
    from tests.support.cast import SETTING_UP

    model, found = Agent.objects.get(slug="helpdesk"), []
    for number in range(count):
        agent = registration.register_agent(
            by=SETTING_UP, slug=f"day-{number}", purpose=model.purpose, owner=model.owner, level=model.level
        )
        scopes = (Scope.FILE, Scope.READ)
        found.append(registration.issue_credential(by=SETTING_UP, holder=agent, scopes=scopes)[1])
    connection.close()
    return found


async def _progress(agents: Agents, seen: Seen) -> None:
    while True:
        await asyncio.sleep(15)
        counts = {"filed": len(seen.times["filing"]), "wait": len(agents.waiting), "answered": len(agents.answered)}
        say(f"{counts}, errors: {dict(seen.errors.most_common(3)) or 'none'}")


def memory(house: House) -> dict[str, float]:
    """Megabytes by kind of process, what is shared divided among those who share it."""
    found = {}
    for kind, words in KINDS.items():
        total = 0
        for process in house.named(*words):
            try:
                total += process.memory_full_info().pss
            except psutil.Error:  # it has ended meanwhile
                continue
        found[kind] = round(total / 1e6, 1)
    return found


def _both(start: dict[str, float], end: dict[str, float]) -> dict[str, dict[str, float]]:
    return {kind: {"start": start[kind], "end": end[kind]} for kind in start}


def _from_the_tables(house: House, agents: Agents, seen: Seen) -> None:
    """What only the database knows: when it was decided, and when the sweep wrote down what had lapsed."""
    url = houses.environment_of(house)["DATABASE_OWNER_URL"]
    decided: list[Any] = houses.ask(
        url,
        "SELECT id::text, extract(epoch FROM decided_at)::float8 FROM approvals_request WHERE id = ANY(%s::uuid[])",
        list(agents.answered),
    )
    seen.times["decision to answer"] = [agents.answered[one] - at for one, at in decided]
    swept: list[Any] = houses.ask(
        url,
        "SELECT extract(epoch FROM (entry ->> 'at')::timestamptz - expires_at)::float8 FROM ("
        " SELECT subject_id, convert_from(leaf, 'UTF8')::jsonb AS entry FROM audit_leaf WHERE type = 'request.expired'"
        ") AS told JOIN approvals_request AS request ON request.id::text = subject_id WHERE resource LIKE 'day/%%'",
    )
    seen.times["deadline lateness"] = [one for (one,) in swept]


def _told(seen: Seen, facts: dict[str, Any], given: argparse.Namespace, versions: dict[str, str]) -> int:
    order = (
        "filing", "reading", "redeeming", "the queue", "a request's page", "deciding", "decision to answer",
        "sealing lag", "deadline lateness", "following",
    )  # fmt: skip
    rows = [{"milliseconds": what, **reports.spread(seen.times[what])} for what in order if seen.times[what]]
    title = f"everything at once for {given.minutes:g} minutes, {given.waiting} waiting"
    print()
    reports.publish(title, rows, given.json, facts=facts, errors=dict(seen.errors), **versions)
    for name, value in facts.items():
        print(f"{name}: {value}")
    print(f"errors: {sum(seen.errors.values())}")
    for kind, count in seen.errors.most_common(20):
        print(f"  {count} × {kind}")
    return 1 if seen.errors else 0


if __name__ == "__main__":
    sys.exit(main())
