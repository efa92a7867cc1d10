"""Agents, two reviewers and an executor at work on a house whose parts die: each tries again until it is answered, and
what it was answered goes to the ledger. Who is killed, and what is made of the ledger, is `kills`'.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx

from bench.ledger import Ledger
from bench.people import Reviewer

PREFIX = "kills/"
FILING_THREADS = 2
PAUSE = 0.15  # between two filings of a thread
AGAIN = 0.2  # between two tries
PATIENCE = 180.0  # of a try whose answer must come: two parts in a row may each be away for kills.BACK_SECONDS
REVIEWERS = ("support1@example.test", "support2@example.test")


@dataclass
class Load:
    """Who is at work. `acknowledged` says when each web process last took a filing (monotonic seconds)."""

    demo: Mapping[str, Any]  # the keys and sign-ins, as var/demo.json has them
    ledger: Ledger
    urls: list[str]
    dice: random.Random
    acknowledged: dict[str, float] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    _over: threading.Event = field(default_factory=threading.Event)
    _to_decide: list[queue.Queue[tuple[str, float, bool]]] = field(default_factory=list)
    _to_read: queue.Queue[tuple[str, float]] = field(default_factory=queue.Queue)
    _to_redeem: queue.Queue[str] = field(default_factory=queue.Queue)
    _deciders: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    @contextmanager
    def running(self) -> Iterator[None]:
        """All of them at work until the block ends, and then until each is done with what it holds."""
        self._to_decide = [queue.Queue() for _ in REVIEWERS]
        work = [self._file] * FILING_THREADS + [self._read, self._redeem]
        with ThreadPoolExecutor(len(work) + len(REVIEWERS)) as pool:
            running = [pool.submit(each, number) for number, each in enumerate(work)]
            running += [pool.submit(self._review, number) for number in range(len(REVIEWERS))]
            try:
                yield
            finally:
                self._over.set()
            for done in running:
                done.result()

    # ---- agents
    def _file(self, thread: int) -> None:
        client, number = _client(self.demo["keys"]["agent"]), 0
        dice = random.Random(self.dice.random())
        while not self._over.is_set():
            resource = f"{PREFIX}{thread}-{number}"
            number += 1
            kind = dice.choices(["lapses", "at the deadline", "decided", "allowed"], [3, 3, 2, 2])[0]
            body = {
                "action": "docs.read" if kind == "allowed" else "refund.create",
                "resource": resource,
                "parameters": {"path": "/handbook"}
                if kind == "allowed"
                else {"amount_cents": 100 + number, "currency": "usd"},
                "summary": "Refund for a parcel that never came",
                "rationale": "The carrier confirmed the loss.",
                "timeout_seconds": 30 if kind in ("decided", "allowed") else dice.randint(2, 5),
            }
            document = self._until_filed(client, body, resource)
            if dice.random() < 0.1:  # an agent that did not hear the answer files once more with the same key
                document = self._until_filed(client, body, resource)
            if document is not None:
                self._given_on(document, kind, dice)
            time.sleep(PAUSE)

    def _until_filed(self, client: httpx.Client, body: dict[str, Any], resource: str) -> dict[str, Any] | None:
        """File with one key until a 201 is in our hands; None, and a trouble, where none came though the kills are
        over."""
        until = float("inf")
        while time.monotonic() < until:
            if self._over.is_set() and until == float("inf"):
                until = time.monotonic() + PATIENCE
            for url in self.urls:
                try:
                    answer = client.post(f"{url}/api/v1/requests", json=body, headers={"Idempotency-Key": resource})
                except httpx.TransportError:
                    self.answers["filing: no answer"] += 1
                    continue
                self.answers[f"filing: {answer.status_code}"] += 1
                if answer.status_code == 201:
                    document: dict[str, Any] = answer.json()
                    self.ledger.note_filed(resource, document["id"])
                    self.acknowledged[url] = time.monotonic()
                    self.urls = self.urls[1:] + self.urls[:1]
                    return document
                if answer.status_code not in (409, 429, 500, 502, 503):
                    self.ledger.trouble(f"filing {resource} was answered {answer.status_code} {answer.text[:200]}")
            time.sleep(AGAIN)
        self.ledger.trouble(f"filing {resource} was never acknowledged")
        return None

    def _given_on(self, document: dict[str, Any], kind: str, dice: random.Random) -> None:
        request_id, deadline = document["id"], datetime.fromisoformat(document["expires_at"]).timestamp()
        if kind == "allowed":
            self.ledger.note_status(request_id, document["status"])
            self._to_redeem.put(request_id)
            return
        self._to_read.put((request_id, deadline))
        if kind != "lapses":
            dice.choice(self._to_decide).put((request_id, deadline, kind == "at the deadline"))

    def _read(self, _: int) -> None:
        """Read each request about its deadline, and once more a while later."""
        client, held = _client(self.demo["keys"]["agent"]), list[tuple[float, str]]()
        while not (self._over.is_set() and not held and self._to_read.empty()):
            while not self._to_read.empty():
                request_id, deadline = self._to_read.get()
                held += [(deadline + after, request_id) for after in (-0.02, 0.01, 0.1, 1.5)]
            held.sort()
            while held and held[0][0] <= time.time():
                at, request_id = held.pop(0)
                status = self._status(client, request_id)
                if status is not None:
                    self.ledger.note_status(request_id, status["status"])
                elif at > time.time() - 60:
                    held.append((time.time() + AGAIN, request_id))
            if self._over.is_set() and held and held[0][0] > time.time() + 40:
                return
            time.sleep(0.01)

    def _status(self, client: httpx.Client, request_id: str) -> dict[str, Any] | None:
        """The request as it is read now, from either web process; None where neither answers."""
        for url in list(self.urls):
            try:
                answer = client.get(f"{url}/api/v1/requests/{request_id}")
            except httpx.TransportError:
                continue
            if answer.status_code == 200:
                document: dict[str, Any] = answer.json()
                return document
            if answer.status_code == 404:
                self.ledger.trouble(f"the acknowledged request {request_id} is not found")
                return None
        return None

    # ---- people
    def _review(self, number: int) -> None:
        """Decide what one is given: at once, or so that the form is sent about the deadline."""
        email = REVIEWERS[number]
        password = next(one["password"] for one in self.demo["users"] if one["email"] == email)
        person, mine = Reviewer(self.urls[0], email, password), self._to_decide[number]
        signed_in, refused, lead = False, "", 0.05
        dice = random.Random(self.dice.random())
        while not (self._over.is_set() and mine.empty()):
            try:
                request_id, deadline, late = mine.get(timeout=0.2)
            except queue.Empty:
                continue
            verdict = "approve" if dice.random() < 0.7 else "reject"
            until = deadline + 1
            sent = False
            while time.time() < until:
                url = self.urls[0]
                try:
                    if not signed_in:
                        person.sign_in()
                        signed_in = True
                    fields = person.open(request_id, url=url)
                    if not fields:
                        self.answers["deciding: nothing to decide"] += 1
                        break
                    if late:
                        time.sleep(max(0.0, deadline - lead - time.time()))
                    answer = person.send(request_id, fields, verdict, url=url)
                except RuntimeError as error:  # the sign-in; where a part is away that is no fault
                    refused = str(error)
                    self.answers["signing in: refused"] += 1
                    time.sleep(AGAIN)
                    continue
                except httpx.TransportError:
                    self.answers["deciding: no answer"] += 1
                    time.sleep(AGAIN)
                    continue
                sent = True
                self.answers[f"deciding: {answer.status_code}"] += 1
                if answer.status_code == 303:
                    with self.ledger.lock:
                        self.ledger.decided[request_id, email] = verdict
                    if verdict == "approve":
                        self._to_redeem.put(request_id)
                if late:  # closer next time after a yes, earlier after a no
                    lead = max(0.005, lead * 0.8) if answer.status_code == 303 else min(0.5, lead * 1.3)
                if answer.status_code < 500:
                    break
                time.sleep(AGAIN)
            self.answers["deciding: sent"] += sent
        if refused and not signed_in:
            self.ledger.trouble(f"{email} never got in: {refused}")

    # ---- the executor
    def _redeem(self, _: int) -> None:
        """Redeem each grant until it is told that it is spent, then try once more."""
        reads, redeems = _client(self.demo["keys"]["agent"]), _client(self.demo["keys"]["executor"])
        while not (self._over.is_set() and self._to_redeem.empty()):
            try:
                request_id = self._to_redeem.get(timeout=0.2)
            except queue.Empty:
                continue
            document = self._status(reads, request_id)
            until = time.monotonic() + PATIENCE
            while document is None and time.monotonic() < until:
                time.sleep(AGAIN)
                document = self._status(reads, request_id)
            if document is None:
                self.ledger.trouble(f"the acknowledged approval of {request_id} can't be read")
                continue
            self.ledger.note_status(request_id, document["status"])
            if document["status"] != "approved":
                self.ledger.trouble(f"an acknowledged approval of {request_id} reads {document['status']}")
            if document["grant"] is None:
                self.ledger.trouble(f"the acknowledged approval of {request_id} reads without a grant")
                continue
            self._until_spent(redeems, request_id, document)

    def _until_spent(self, client: httpx.Client, request_id: str, document: dict[str, Any]) -> None:
        body = {"grant": document["grant"], "parameters": document["parameters"]}
        spent, until = 0, time.monotonic() + PATIENCE
        while spent < 2 and time.monotonic() < until:  # the second time is the try that must be refused
            url = self.urls[spent % len(self.urls)]
            try:
                answer = client.post(f"{url}/api/v1/grants/redeem", json=body)
            except httpx.TransportError:
                self.answers["redeeming: no answer"] += 1
                time.sleep(AGAIN)
                continue
            self.answers[f"redeeming: {answer.status_code}"] += 1
            if answer.status_code == 200:
                with self.ledger.lock:
                    self.ledger.redeemed[request_id] += 1
                spent += 1
            elif answer.status_code == 409:
                spent += 1
            elif answer.status_code in (410, 422):
                self.ledger.trouble(f"redeeming {request_id} was answered {answer.status_code} {answer.text[:200]}")
                return
            else:
                time.sleep(AGAIN)
        if spent < 2:
            self.ledger.trouble(f"redeeming {request_id} got no answer in {PATIENCE:.0f} s that says it is spent")


def _client(key: str) -> httpx.Client:
    return httpx.Client(headers={"Authorization": f"Bearer {key}"}, timeout=15, trust_env=False)
