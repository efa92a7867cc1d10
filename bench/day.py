"""Everything at once for ten minutes: agents file at half of what the house can take, a thousand wait, reviewers decide
in their sessions, the sweep denies, the sealer seals, a follower verifies the log again and again, and in the middle
a pg_dump is made.

    python -m bench.day [--minutes 10] [--filing-rate R] [--waiting 1000] [--reviewing 2] [--json FILE]

A house of `make up`. Agents are this process (raw asyncio), reviewers another: each reads the queue, opens a request,
and sends the page's form, `--reviewing` times a second between the two of them. Most filings lapse after 5 to 30 s;
as many as were decided take the place of those who had waited. Filing is measured from the moment it was due. The
follower is `verify_audit_log` from outside: it keeps the published checkpoints it has seen and has the log shown to
contain each. Without `--filing-rate` the rate is half of what 8 clients file in ten seconds just before.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import psycopg

from bench import filing, reports
from bench import house as houses
from bench.people import Reviewer
from bench.reports import say
from bench.waiters import Place, Waiter
from bench.wire import Pool
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
KEPT = 10  # checkpoints that the follower holds the log to
WAITING_SECONDS = 1_800  # longer than the day, so that only people end it


@dataclass
class Seen:
    """Seconds of everything, by what it was; and what went wrong, by kind."""

    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: Counter[str] = field(default_factory=Counter)


@dataclass
class Agents:
    """Those who file, wait, and have their grants redeemed."""

    url: str
    keys: Mapping[str, str]
    seen: Seen
    decidable: Queue[str]
    waiting: dict[str, Waiter] = field(default_factory=dict)
    wanted: int = 0
    answered: dict[str, float] = field(default_factory=dict)  # id → when its waiter knew (Unix seconds)

    def __post_init__(self) -> None:
        self.port = int(urlsplit(self.url).port or 80)
        self.pool = Pool("127.0.0.1", self.port)
        self.dice = random.Random(7)
        self.tasks: set[asyncio.Task[None]] = set()

    async def day(self, rate: float, seconds: float) -> None:
        """File at that rate for so long; each filing has its moment, whatever the one before it does."""
        begin = time.monotonic()
        number = 0
        while (due := begin + number / rate) < begin + seconds:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self._later(self._file(due))
            number += 1
        while self.tasks:
            await asyncio.wait(self.tasks)

    def _later(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def fill(self, count: int) -> None:
        """File for those who wait, and let them wait."""
        self.wanted = count
        gate = asyncio.Semaphore(8)

        async def come() -> None:
            async with gate:
                await self._file(time.monotonic(), measured=False)

        await asyncio.gather(*(come() for _ in range(count)))

    async def _call(
        self, what: str, due: float, asked: tuple[str, str, str], body: bytes = b"", *, expected: int, once: str = ""
    ) -> dict[str, Any] | None:
        """One call of the API, its time noted; None, and an error noted, where the answer is another one."""
        try:
            status, answer = await self.pool.call(*asked, body, idempotency_key=once)
        except (OSError, asyncio.IncompleteReadError) as error:
            self.seen.errors[f"{what}: {type(error).__name__}"] += 1
            return None
        if what:
            self.seen.times[what].append(time.monotonic() - due)
        if status != expected:
            self.seen.errors[f"{what}: {status} {answer[:120].decode('utf-8', 'replace')}"] += 1
            return None
        document: dict[str, Any] = json.loads(answer)
        return document

    async def _file(self, due: float, *, measured: bool = True) -> None:
        key = uuid.uuid4().hex
        waits = len(self.waiting) < self.wanted
        body = json.loads(filing.body_of("people are asked", f"day/{key}"))
        body["timeout_seconds"] = WAITING_SECONDS if waits else self.dice.randint(5, 30)
        placeholder = object()
        if waits:
            self.waiting[key] = placeholder  # type: ignore[assignment]  # the place is taken while it is being filed
        document = await self._call(
            "filing" if measured else "",
            due,
            ("POST", "/api/v1/requests", self.keys["agent"]),
            json.dumps(body).encode(),
            expected=201,
            once=key,
        )
        if waits:
            del self.waiting[key]
        if document is None:
            return
        if waits:
            await self._wait(document["id"])
        elif self.dice.random() < 0.2:
            await asyncio.sleep(self.dice.random() * 3)
            path = f"/api/v1/requests/{document['id']}"
            await self._call("reading", time.monotonic(), ("GET", path, self.keys["agent"]), expected=200)

    async def _wait(self, request_id: str) -> None:
        place = Place(request_id, self.keys["agent"])
        _, waiter = await asyncio.get_running_loop().create_connection(
            lambda: Waiter(place, self.port, polls=False, keep=True), "127.0.0.1", self.port
        )
        waiter.on_answer = self._answered
        self.waiting[request_id] = waiter
        await waiter.heard
        if waiter.trouble:
            self.seen.errors[f"waiting: {waiter.trouble[:60]}"] += 1
            self.waiting.pop(request_id, None)
        else:
            self.decidable.put(request_id)

    def _answered(self, waiter: Waiter) -> None:
        self.answered[waiter.request_id] = time.time()
        self.waiting.pop(waiter.request_id, None)
        if b'"status":"approved"' in waiter.answer:
            self._later(self._redeem(waiter))

    async def _redeem(self, waiter: Waiter) -> None:
        path = f"/api/v1/requests/{waiter.request_id}"
        document = await self._call("reading", time.monotonic(), ("GET", path, self.keys["agent"]), expected=200)
        if document is None or document["grant"] is None:
            self.seen.errors["an approval without a grant"] += 1
            return
        body = json.dumps({"grant": document["grant"], "parameters": document["parameters"]}).encode()
        redeem = ("POST", "/api/v1/grants/redeem", self.keys["executor"])
        await self._call("redeeming", time.monotonic(), redeem, body, expected=200)

    def go_home(self) -> None:
        """Hang up."""
        for waiter in list(self.waiting.values()):
            waiter.on_answer = None
            waiter.hang_up()
        self.pool.close()


def review(url: str, email: str, password: str, ids: Queue[str], rate: float, seconds: float, out: Queue[Any]) -> None:
    """A reviewer's process: queue, page, form; approves three of four."""
    times: dict[str, list[float]] = defaultdict(list)
    errors: Counter[str] = Counter()
    dice = random.Random(email)
    person = Reviewer(url, email, password)

    def timed(what: str, act: Any, *given: Any) -> Any:
        began = time.monotonic()
        answer = act(*given)
        times[what].append(time.monotonic() - began)
        return answer

    person.sign_in()
    begin, number = time.monotonic(), 0
    while (due := begin + number / rate) < begin + seconds:
        time.sleep(max(0.0, due - time.monotonic()))
        number += 1
        try:
            if not timed("the queue", person.queue):
                errors["reviewing: an empty queue"] += 1
            request_id = ids.get(timeout=5)
            fields = timed("a request's page", person.open, request_id)
            if not fields:
                errors["reviewing: nothing to decide"] += 1
                continue
            answer = timed("deciding", person.send, request_id, fields, "approve" if dice.random() < 0.75 else "reject")
            if answer.status_code != 303:
                errors[f"reviewing: {answer.status_code}"] += 1
        except Exception as error:
            errors[f"reviewing: {type(error).__name__}"] += 1
    out.put((dict(times), dict(errors)))


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
    agents, watch = Agents(house.url, house.demo["keys"], seen, ids), Watch(house, seen, seconds)
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
            times, errors = await asyncio.to_thread(out.get, timeout=120)
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

    at_start = asyncio.run(run())
    watch.stop()
    _from_the_tables(house, agents, seen)
    facts = {"waiting at the end": still[0], "memory MB (PSS)": _both(at_start, at_end), **watch.facts}
    return seen, facts


async def _progress(agents: Agents, seen: Seen) -> None:
    while True:
        await asyncio.sleep(15)
        counts = {"filed": len(seen.times["filing"]), "wait": len(agents.waiting), "answered": len(agents.answered)}
        say(f"{counts}, {sum(seen.errors.values())} errors")


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
