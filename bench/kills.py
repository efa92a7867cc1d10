"""Random processes of a house are killed under load, round after round, and what was acknowledged is held against the
tables and the log: nothing lost, nothing doubled, nothing approved after its deadline, no entry missing.

    python -m bench.kills [--rounds 200] [--seed N] [--check-every 50] [--json FILE]

A house of `make up`, and beside its web process a second one by the same line of the Procfile: agents and reviewers
go from one to the other as through a balancer. Agents file (with idempotency keys, trying again until they are
answered) and read about deadlines of 2 to 5 s; two reviewers sign in by password and send the forms of the pages,
some as close to the deadline as they can; an executor redeems what was granted, and tries to redeem it twice.

Each round sends SIGKILL to one part, or at times to two at once, and waits until its work goes on: a filing for the
web process and PostgreSQL, a sweep of a later deadline for worker, beat and Redis, a later sign of life for the sealer.
`make up` ends with its own web process, as it says; that one is killed with everything else, as when a machine loses
power. The exit status is 1 where any check, also one in between, found one of the four not zero, where something did
not come back, and where one kind of work was never acknowledged: then nothing was shown of it.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil
import psycopg

from bench import house as houses
from bench import reports
from bench.ledger import Ledger
from bench.load import PREFIX, Load
from bench.reports import say
from config.embedded import environment, processes
from tests.support import ordeal
from tests.support.house import House, free_port

BACK_SECONDS = 90.0
TWICE = 0.15  # of the rounds kill two parts at once
#: what is killed → how often, against each other
WEIGHTS = {"web": 4, "worker": 3, "beat": 3, "sealer": 3, "postgres": 3, "backend": 2, "redis": 4, "everything": 0.6}
WORDS = {
    "worker": ("celery", "worker"),
    "beat": ("celery", "beat"),
    "sealer": ("seal_audit_log",),
    "postgres": ("bin/postgres", "-D"),
    "redis": ("redis-server",),
}


@dataclass
class Node:
    """A second web process of the house, which this bench starts again when it has ended."""

    house: House
    port: int = field(default_factory=free_port)
    started: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def start(self) -> None:
        line = next(
            one.partition(": ")[2]
            for one in (self.house.root / "Procfile").read_text().splitlines()
            if one.startswith("web: ")
        )
        whole = houses.environment_of(self.house)
        path = f"{self.house.root}/.venv/bin:{whole['PATH']}"
        told = environment.for_process("web", {**whole, "PATH": path, "PORT": str(self.port)})
        with (self.house.root / "node.log").open("ab") as log:
            self.started = subprocess.Popen(
                ["/bin/sh", "-c", line],
                cwd=self.house.root,
                env=told,
                stdout=log,
                stderr=log,
                preexec_fn=processes.die_with_parent(signal.SIGKILL),
            )

    def kill(self) -> None:
        if self.started is not None:
            self.started.kill()
            self.started.wait()


@dataclass
class Rounds:
    """What happened: the seconds until each killed part's work went on, by kind."""

    house: House
    node: Node
    load: Load
    dice: random.Random
    back: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    troubles: list[str] = field(default_factory=list)

    def one(self) -> None:
        """Kill, and wait until it is back."""
        kinds = self.dice.choices(list(WEIGHTS), list(WEIGHTS.values()))
        if kinds != ["everything"] and self.dice.random() < TWICE:
            others = [one for one in WEIGHTS if one not in (*kinds, "everything")]
            kinds += [self.dice.choice(others)]
        time.sleep(self.dice.random())  # at any moment of the second in which the sweep comes by
        began, at = time.monotonic(), time.time()
        for kind in kinds:
            self._kill(kind)
        if "everything" in kinds:
            self.house.wait_until_gone()
            self.house.start(**houses.NO_LIMITS)
            self.node.start()
        elif "web" in kinds:
            self.node.start()
        waited = {kind: self._working(kind, began, at) for kind in kinds}
        until = began + BACK_SECONDS
        while waited and time.monotonic() < until:
            for kind in [kind for kind, works in waited.items() if works()]:
                self.back[kind].append(time.monotonic() - began)
                del waited[kind]
            if self.house.make is not None and self.house.make.poll() is not None:
                self.troubles.append(f"make up ended after {kinds} were killed: {self.house.log[-500:]}")
                self.house.family.clear()
                self.house.start(**houses.NO_LIMITS)
            time.sleep(0.05)
        self.troubles += [f"{kind} was not back within {BACK_SECONDS:.0f} s" for kind in waited]

    def _kill(self, kind: str) -> None:
        if kind == "everything":
            self.node.kill()
            self.house.remember()
            for process in self.house.family:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        elif kind == "web":
            self.node.kill()
        elif kind == "backend":
            backends = self.house.named("postgres: countersign_app")
            if backends:
                with suppress(psutil.NoSuchProcess):
                    self.dice.choice(backends).kill()
        else:
            for process in self.house.named(*WORDS[kind]):
                with suppress(psutil.NoSuchProcess):  # a child that went with its parent
                    process.send_signal(signal.SIGKILL)

    def _working(self, kind: str, began: float, at: float) -> Callable[[], bool]:
        """A question: does the killed part's work go on, seen by something that began after the kill?"""
        url = houses.environment_of(self.house)["DATABASE_OWNER_URL"]

        def answered(statement: str) -> bool:
            try:
                return bool(houses.ask(url, statement, at)[0][0])
            except psycopg.OperationalError:
                return False

        def filing(*urls: str) -> bool:
            return all(self.load.acknowledged[one] > began for one in urls)

        def sweeping() -> bool:
            return answered(
                "SELECT EXISTS (SELECT FROM approvals_request WHERE status = 'expired'"
                " AND expires_at > to_timestamp(%s) + interval '0.5 s')"
            )

        def sealing() -> bool:
            return answered(
                "SELECT coalesce(max(alive_at) > to_timestamp(%s) + interval '0.2 s', false) FROM audit_sealerstate"
            )

        both = (self.house.url, self.node.url)
        return {
            "web": lambda: filing(self.node.url),
            "postgres": lambda: filing(*both),
            "backend": lambda: filing(*both),
            "worker": sweeping,
            "beat": sweeping,
            "redis": sweeping,
            "sealer": sealing,
            "everything": lambda: filing(*both) and sweeping() and sealing(),
        }[kind]


def main() -> int:
    """Run the rounds; 0 where everything holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=None, help="of what is killed when; else a new one, printed")
    parser.add_argument(
        "--check-every", type=int, default=50, help="rounds between two checks (50); the last is always"
    )
    parser.add_argument("--json", type=reports.Path, default=reports.place("kills"))
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(10**6)
    with houses.whole_house() as house, ExitStack() as ends:
        versions = houses.versions(houses.environment_of(house))
        node = Node(house)
        node.start()
        ends.callback(node.kill)
        ledger = Ledger()
        load = Load(house.demo, ledger, [house.url, node.url], random.Random(seed + 1))
        rounds = Rounds(house, node, load, random.Random(seed))
        say(f"seed {seed}; agents, reviewers and an executor begin")
        with load.running():
            _until(lambda: len(load.acknowledged) == 2, "both web processes to take filings")
            began, before = time.monotonic(), list[dict[str, list[str]]]()
            for number in range(1, given.rounds + 1):
                rounds.one()
                if number % 10 == 0:
                    say(f"{number} rounds in {time.monotonic() - began:.0f} s; acknowledged {ledger.counts()}")
                if number % given.check_every == 0 and number < given.rounds:
                    before.append(_checked(house, ledger))
                    _say_found(before[-1])
            took = time.monotonic() - began
        say("the load has ended; waiting until everything is swept and sealed")
        _until(lambda: _whole(house), "the house to be whole")
        found = _all_of([*before, _checked(house, ledger)])
    _say_found(found)
    rounds.troubles += [f"no {kind} were ever acknowledged" for kind, count in ledger.counts().items() if not count]
    return _told(rounds, found, ledger, given, seed, took, versions)


def _checked(house: House, ledger: Ledger) -> dict[str, list[str]]:
    """The ledger against the tables, the tables against the log, the log against itself."""
    url = houses.environment_of(house)["DATABASE_OWNER_URL"]
    found = _patiently(lambda: ledger.held_against(url, PREFIX))
    for command in ("replay_log", "verify_audit_log"):
        done = ordeal.manage(house, command, within=None)
        if done.returncode:
            found["missing"].append(f"{command} ended with {done.returncode}: {done.stdout[-800:]}{done.stderr[-300:]}")
    return found


def _all_of(checks: list[dict[str, list[str]]]) -> dict[str, list[str]]:
    """What any of these checks found, each finding once: one that is gone at the end was there all the same."""
    return {name: list(dict.fromkeys(one for found in checks for one in found[name])) for name in checks[-1]}


def _patiently(ask: Callable[[], dict[str, list[str]]]) -> dict[str, list[str]]:
    """Once more where PostgreSQL was just on its way back."""
    for _ in range(30):
        try:
            return ask()
        except psycopg.OperationalError:
            time.sleep(1)
    return ask()


def _whole(house: House) -> bool:
    url = houses.environment_of(house)["DATABASE_OWNER_URL"]
    try:
        left = houses.ask(
            url,
            "SELECT (SELECT count(*) FROM approvals_request WHERE resource LIKE %s AND status = 'pending')"
            " + (SELECT count(*) FROM audit_pending)",
            f"{PREFIX}%",
        )[0][0]
        ready = httpx.get(f"{house.url}/readyz", timeout=10, trust_env=False).json()
    except (psycopg.OperationalError, httpx.TransportError):
        return False
    return left == 0 and ready == {"degraded": []}


def _until(check: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + BACK_SECONDS
    while not check():
        if time.monotonic() > until:
            raise SystemExit(f"waited {BACK_SECONDS:.0f} s for {what}")
        time.sleep(0.1)


def _say_found(found: dict[str, list[str]]) -> None:
    say(", ".join(f"{name} {len(all_)}" for name, all_ in found.items()))
    for name, all_ in found.items():
        for one in all_[:10]:
            say(f"  {name}: {one}")


def _told(
    rounds: Rounds,
    found: dict[str, list[str]],
    ledger: Ledger,
    given: argparse.Namespace,
    seed: int,
    took: float,
    versions: dict[str, Any],
) -> int:
    rows = [
        {
            "killed": kind,
            "times": len(times),
            "back median s": round(sorted(times)[len(times) // 2], 1),
            "back most s": round(max(times), 1),
        }
        for kind, times in sorted(rounds.back.items())
    ]
    zeros = {name: len(all_) for name, all_ in found.items()}
    print()
    reports.publish(
        f"{given.rounds} rounds of kills in {took:.0f} s, seed {seed}",
        rows or [{"killed": "nothing", "times": 0, "back median s": 0.0, "back most s": 0.0}],
        given.json,
        seed=seed,
        seconds=round(took),
        acknowledged=ledger.counts(),
        answers=dict(rounds.load.answers),
        found=found,
        troubles=rounds.troubles,
        **versions,
    )
    print(f"\nacknowledged: {ledger.counts()}")
    print(f"acknowledged writes lost {zeros['lost']}, doubled {zeros['doubled']};", end=" ")
    print(f"approvals after the deadline {zeros['late']}; entries missing {zeros['missing']}")
    for trouble in rounds.troubles:
        print(f"trouble: {trouble}")
    return 1 if any(zeros.values()) or rounds.troubles else 0


if __name__ == "__main__":
    sys.exit(main())
