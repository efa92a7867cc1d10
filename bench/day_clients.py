"""The clients of `bench.day`: agents who file, wait and have their grants redeemed, and a reviewer's process; what each
call took and what went wrong is noted. What else the day holds, and its report, is `day`'s.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.queues import Queue
from typing import Any
from urllib.parse import urlsplit

from bench import filing
from bench.crowd import Place, Waiter
from bench.people import Reviewer
from bench.wire import Pool

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
    keys: Sequence[str]  # of agents who may all file
    executor: str
    seen: Seen
    decidable: Queue[str]
    waiting: dict[str, Waiter] = field(default_factory=dict)
    coming: int = 0  # who will wait once they are filed
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
        key, once = self.dice.choice(self.keys), uuid.uuid4().hex
        waits = len(self.waiting) + self.coming < self.wanted
        body = json.loads(filing.body_of("people are asked", f"day/{once}"))
        body["timeout_seconds"] = WAITING_SECONDS if waits else self.dice.randint(5, 30)
        self.coming += waits
        document = await self._call(
            "filing" if measured else "",
            due,
            ("POST", "/api/v1/requests", key),
            json.dumps(body).encode(),
            expected=201,
            once=once,
        )
        self.coming -= waits
        if document is None:
            return
        if waits:
            await self._wait(Place(document["id"], key))
        elif self.dice.random() < 0.2:
            await asyncio.sleep(self.dice.random() * 3)
            path = f"/api/v1/requests/{document['id']}"
            await self._call("reading", time.monotonic(), ("GET", path, key), expected=200)

    async def _wait(self, place: Place) -> None:
        request_id = place.request_id
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
        document = await self._call("reading", time.monotonic(), ("GET", path, waiter.key), expected=200)
        if document is None or document["grant"] is None:
            self.seen.errors["an approval without a grant"] += 1
            return
        body = json.dumps({"grant": document["grant"], "parameters": document["parameters"]}).encode()
        redeem = ("POST", "/api/v1/grants/redeem", self.executor)
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
