"""What is done to a running house, the load it bears meanwhile, and what must hold of it afterwards.

Which fault it is, and what else is expected of it, is said in the tests.
"""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil
import psycopg

from tests.support.eventually import eventually
from tests.support.house import House
from tests.support.outsiders import PATIENCE, Agent, Executor, Person, fresh

BACK = 30.0  # seconds within which what died is back on a loaded machine
# No limit of an ordinary house is in the way of the load.
UNLIMITED = {"API_RATE_PER_SECOND": "10000", "API_RATE_BURST": "10000"}
_WAITS_DUE = 5  # seconds that a notification may lie there though due: its sweep comes each second


@dataclass
class Load:
    """What a house acknowledged while it bore the load. Ids of requests."""

    filed: list[str] = field(default_factory=list)  # by 201; nobody decides them, so they expire
    approved: list[str] = field(default_factory=list)  # by 303
    late: list[str] = field(default_factory=list)  # an approval that was refused by 410
    redeemed: list[str] = field(default_factory=list)  # by 200
    unavailable: set[str] = field(default_factory=set)  # the bodies of filings that were refused meanwhile

    @property
    def done(self) -> tuple[int, int, int]:
        """How much of each kind was acknowledged so far."""
        return len(self.filed), len(self.approved) + len(self.late), len(self.redeemed)

    def goes_on(self, *, within: float = BACK) -> None:
        """Wait until some more of each kind was acknowledged."""
        filed, decided, redeemed = self.done

        def more() -> bool:
            now = self.done
            return now[0] >= filed + 20 and now[1] >= decided + 2 and now[2] >= redeemed + 2

        eventually(more, within=within, what="filing, deciding and redeeming to go on")


@contextmanager
def under_load(house: House) -> Iterator[Load]:
    """Two agents file what expires, one agent's grants are redeemed at once, and a person approves, every other time
    right at the deadline, while the block runs. Each goes on trying with the same key or form until it is answered."""
    load, over = Load(), threading.Event()

    def again_and_again(act: Callable[[int], None]) -> None:
        for number in itertools.count():
            if over.is_set():
                return
            act(number)

    def file(_: int) -> None:
        said = load.unavailable
        load.filed.append(Agent(house).file(fresh("filed"), refused=said, timeout_seconds=2)["id"])

    def redeem(_: int) -> None:
        granted = Agent(house).file(fresh("redeemed"), action="docs.read", parameters={"path": "/handbook"})
        tried = [0]

        def spent() -> bool:
            tried[0] += 1
            with suppress(httpx.TransportError):
                answer = Executor(house).redeem(granted)
                # The answer to the first try may have been lost with who gave it.
                return answer.status_code == 200 or (tried[0] > 1 and answer.status_code == 409)
            return False

        eventually(spent, within=PATIENCE, what="a grant to be redeemed")
        load.redeemed.append(granted["id"])

    with Person(house, "support1") as person, ThreadPoolExecutor(4) as pool:

        def decide(number: int) -> None:
            request = Agent(house).file(fresh("decided"), timeout_seconds=1 if number % 2 else 60)["id"]
            told = _decided(person, request, at_the_end=bool(number % 2))
            {303: load.approved, 410: load.late}[told].append(request)

        running = [pool.submit(again_and_again, act) for act in (file, file, redeem, decide)]
        try:
            yield load
        finally:
            over.set()
        for each in running:
            each.result()


def _decided(person: Person, request: str, *, at_the_end: bool) -> int:
    """303 or 410: approve with one form, again and again where nobody says what came of it."""
    form: dict[str, str] = {}
    told: list[int] = []

    def opened() -> bool:
        with suppress(httpx.TransportError):
            answer = person.http.get(f"/requests/{request}/decide/")
            if answer.status_code == 410:
                told.append(410)
            elif answer.status_code == 200:
                form.update(person.fields(answer))
        return bool(told or form)

    def answered() -> bool:
        with suppress(httpx.TransportError):
            status = person.decide(request, form).status_code
            if status in (303, 410):
                told.append(status)
        return bool(told)

    eventually(opened, within=PATIENCE, what="the page to open")
    if not told:
        if at_the_end:
            threading.Event().wait(0.8)  # so that the approval and the deadline of one second meet
        eventually(answered, within=PATIENCE, what="the approval to be answered")
    return told[0]


def assert_stands(house: House, load: Load) -> None:
    """Everything that was acknowledged is there once, as it was acknowledged; nothing else was approved late. Every
    deadline is swept."""
    assert min(load.done) > 0
    assert len(set(load.filed)) == len(load.filed)
    wanted = {"expired": load.filed + load.late, "approved": load.approved + load.redeemed}
    for status, ids in wanted.items():
        eventually(
            lambda status=status, ids=ids: (
                count(  # type: ignore[misc]
                    house,
                    "SELECT count(*) FROM approvals_request WHERE id = ANY(%s::uuid[]) AND status = %s",
                    ids,
                    status,
                )
                == len(ids)
            ),
            within=BACK,
            what=f"every deadline to be swept and every answer to stand ({status})",
        )
    # An agent hears that it should try again, in a fixed sentence, whatever broke.
    assert {answer.partition(" {")[0] for answer in load.unavailable} <= {"503 application/problem+json"}
    assert len(load.unavailable) <= 2, load.unavailable
    redeemed = "SELECT count(*) FROM approvals_grant WHERE request_id = ANY(%s::uuid[]) AND redeemed_at IS NOT NULL"
    assert count(house, redeemed, load.redeemed) == len(load.redeemed)


def assert_holds(house: House) -> None:
    """The house is whole again; the log is told once more against the tables, and its tree is verified."""
    eventually(lambda: house.get("/readyz").json() == {"degraded": []}, within=BACK, what="the house to be whole again")
    unaddressed = "SELECT count(*) FROM approvals_notice WHERE addressed_at IS NULL"
    eventually(lambda: count(house, unaddressed) == 0, within=BACK, what="every notice to be addressed")
    for command in (["replay_log", "--late", str(_WAITS_DUE)], ["verify_audit_log"]):
        done = manage(house, *command)
        assert done.returncode == 0, done.stdout + done.stderr


def manage(house: House, *command: str, within: float | None = 60) -> subprocess.CompletedProcess[str]:
    """A command of manage.py beside the running house, to its end."""
    return subprocess.run(
        [house.root / ".venv" / "bin" / "python", "manage.py", *command],
        cwd=house.root,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=within,
        check=False,
    )


def known(house: House) -> dict[str, str]:
    """What the running house runs with."""
    told: dict[str, str] = json.loads((house.root / "var" / "embedded" / "environment.json").read_text())
    return told


@contextmanager
def looking(house: House) -> Iterator[psycopg.Connection[Any]]:
    """Its database, as the owner, in autocommit."""
    with psycopg.connect(known(house)["DATABASE_OWNER_URL"], autocommit=True) as owner:
        yield owner


def count(house: House, query: str, *parameters: Any) -> int:
    """The one number that a query answers."""
    with looking(house) as owner:
        row = owner.execute(query, parameters).fetchone()
    return int(row[0]) if row else 0


def kill(house: House, *words: str) -> None:
    """SIGKILL to every process of that kind, and to its children."""
    found = house.named(*words)
    assert found, words
    for process in found:
        with suppress(psutil.NoSuchProcess):  # a child that went with its parent
            process.send_signal(signal.SIGKILL)
