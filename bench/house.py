"""Where benches run: a private PostgreSQL and Redis that sync to disk, a web process as the Procfile starts it, or a
whole house of `make up`. What is measured there is each bench's own.

A bench's own process joins as the app's role, so that it can call the product's verbs; Django is set up only then.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import httpx
import psycopg
import redis

from bench.reports import say
from config.embedded import cluster, environment, places, processes
from tests.support import ordeal
from tests.support.eventually import eventually
from tests.support.house import PLAIN, House, free_port

ROOT = Path(__file__).resolve().parent.parent
NO_LIMITS = {"API_RATE_PER_SECOND": "1000000", "API_RATE_BURST": "1000000", "PENDING_PER_AGENT": "1000000"}
START_SECONDS = 60.0
HOUSE_SECONDS = 300.0  # its migrations and its demo organisation, on a disk that others use too


def open_files(wanted: int) -> None:
    """Let this process and those it starts hold that many open files; SystemExit where the machine refuses."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, hard)))
        except (ValueError, OSError) as error:
            raise SystemExit(
                f"{wanted} open files are needed and {hard} are allowed here: ulimit -Hn {wanted}"
            ) from error


def _end_in_order() -> None:
    """Told to stop, a bench stops what it started, as on Ctrl-C."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, stop)


@contextmanager
def servers(**more: str) -> Iterator[dict[str, str]]:
    """A migrated database and a Redis of their own, with fsync on, and this process set up as the app on them; `more`
    are settings. Gives the whole environment."""
    _end_in_order()
    root = Path(tempfile.mkdtemp(prefix="countersign-bench-"))
    try:
        with cluster.running(root) as services:
            given = {**PLAIN, "BASE_URL": "http://localhost", **NO_LIMITS, **more}
            whole = environment.complete(
                given, root, database_urls=services.database_urls, redis_url=services.redis_url
            )
            whole["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), whole["PATH"]])
            say("migrating")
            migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
            subprocess.run(migrate, cwd=ROOT, env=environment.for_command("migrate", whole), check=True)
            join(whole)
            yield whole
    finally:
        places.discard(root)


def join(whole: Mapping[str, str]) -> None:
    """Set Django up in this process, as the app of that house; once a process."""
    os.environ |= environment.for_role("app", whole)
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    import django

    django.setup()


@dataclass(frozen=True)
class Web:
    """A web process."""

    url: str
    port: int
    process: subprocess.Popen[bytes]


@contextmanager
def process(name: str, whole: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process by its line of the Procfile until the block ends; what it says goes to standard error."""
    lines = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
    started = subprocess.Popen(
        ["/bin/sh", "-c", lines[name]],
        cwd=ROOT,
        env=environment.for_process(name, whole),
        stdout=sys.stderr,
        preexec_fn=processes.die_with_parent(signal.SIGTERM),
    )
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.wait(15)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


@contextmanager
def web(whole: Mapping[str, str], **more: str) -> Iterator[Web]:
    """A web process that answers."""
    port = free_port()
    with process("web", {**whole, "HOST": "127.0.0.1", "PORT": str(port), **more}) as started:
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: started.poll() is not None or _answers(url), within=START_SECONDS, what="the web process")
        if started.poll() is not None:
            raise SystemExit("the web process ended, as it says above")
        yield Web(url, port, started)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def whole_house(**more: str) -> Iterator[House]:
    """A copy of the checkout in which `make up` runs, with the demo organisation; stopped and removed afterwards."""
    _end_in_order()
    house = House.copied()
    house.patience = HOUSE_SECONDS
    try:
        say("starting a house (make up), with its demo organisation")
        house.start(**NO_LIMITS, **more)
        say(f"it answers at {house.url}")
        yield house
    finally:
        house.remove()


def environment_of(house: House) -> dict[str, str]:
    """What a running house runs with."""
    return {**PLAIN, **ordeal.known(house)}


def versions(whole: Mapping[str, str]) -> dict[str, str]:
    """What the servers are, and whether PostgreSQL syncs to disk."""
    names = ("server_version", "fsync", "synchronous_commit", "shared_buffers")
    known = {name: str(ask(whole["DATABASE_URL"], f"SHOW {name}")[0][0]) for name in names}
    with redis.Redis.from_url(whole["REDIS_URL"]) as server:
        return known | {"redis": str(server.info("server")["redis_version"])}


def ask(url: str, statement: str, *parameters: object) -> list[tuple[object, ...]]:
    """All rows of one query, on a connection of its own."""
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(statement, parameters).fetchall()
