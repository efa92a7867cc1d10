"""The house as an outsider meets it: uvicorn, worker and beat as processes on the test database, and a client for it.

Each process gets the environment that `make up` would give it. Nothing here knows what the answers should be.
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings

from config.embedded.environment import for_process
from tests.support import services
from tests.support.cast import ORDINARY, Cast, make_cast
from tests.support.eventually import eventually

SLOW = 15.0  # how long a loaded machine may take to start a process
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Server:
    """A running web process."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def said(self) -> str:
        """What it wrote to its standard outputs so far."""
        return self.log.read_text(errors="replace")


class Caller:
    """An agent's or an executor's own client, with one key."""

    def __init__(self, url: str, key: str | None) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key is not None else {}
        self.http = httpx.Client(base_url=url, headers=headers, timeout=90, trust_env=False)

    def get(self, path: str, *, headers: Mapping[str, str] | None = None, **query: Any) -> httpx.Response:
        """GET /api/v1/<path>."""
        return self.http.get(f"/api/v1/{path}", params=query or None, headers=headers)

    def post(
        self, path: str, body: Any = None, *, key: str | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """POST /api/v1/<path>; `body` is JSON, or bytes as they are; `key` the Idempotency-Key."""
        more = dict(headers or {})
        if key is not None:
            more["Idempotency-Key"] = key
        if isinstance(body, bytes):
            more.setdefault("Content-Type", "application/json")
            return self.http.post(f"/api/v1/{path}", content=body, headers=more)
        return self.http.post(f"/api/v1/{path}", json={} if body is None else body, headers=more)

    def file(self, action: str = "refund.create", *, key: str | None = None, **fields: Any) -> httpx.Response:
        """File a request: an ordinary one but for the fields given."""
        return self.post("requests", filing(action, **fields), key=key or f"key-{next(_numbers)}")

    def read(self, request_id: str, **query: Any) -> dict[str, Any]:
        """A request's document, read with 200."""
        response = self.get(f"requests/{request_id}", **query)
        assert response.status_code == 200, response.text
        document: dict[str, Any] = response.json()
        return document


def filing(action: str = "refund.create", **fields: Any) -> dict[str, Any]:
    """The body of an ordinary filing, but for the fields given; each has a resource of its own."""
    return {
        "action": action,
        "resource": f"order/live-{next(_numbers)}",
        "parameters": dict(ORDINARY.get(action, {"path": "/a"})),
        "summary": "Refund $42.00 to order 1187",
        "rationale": "Parcel lost in transit; carrier confirmed.",
        **fields,
    }


@contextmanager
def process(command: list[str], name: str, **more: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A process of the house until the block ends: stopped by SIGTERM, and killed when that takes too long."""
    with tempfile.NamedTemporaryFile(prefix=f"countersign-{name}-", suffix=".log", delete=False) as log:
        started = subprocess.Popen(
            command,
            cwd=settings.BASE_DIR,
            env=for_process(name, services.process_environment(**more)),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # with its children, so that stopping it leaves none
        )
    try:
        yield started, Path(log.name)
    finally:
        started.terminate()
        try:
            started.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(started.pid, signal.SIGKILL)
            started.wait(10)
        Path(log.name).unlink()


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def web(**more: str) -> Iterator[Server]:
    """uvicorn with the ASGI application, as the Procfile starts it; `more` goes into its environment."""
    port = free_port()
    line = re.search(r"^web:.* python (.*)$", (Path(settings.BASE_DIR) / "Procfile").read_text(), re.M)
    assert line is not None
    given = {"$HOST": "127.0.0.1", "$PORT": str(port), "${CONNECTIONS:-4096}": more.get("CONNECTIONS", "4096")}
    command = [sys.executable, *(given.get(word, word) for word in shlex.split(line[1]))]
    with process(command, "web", **more) as (started, log):
        server = Server(port, started, log)

        def up() -> bool:
            if started.poll() is not None:
                raise RuntimeError(f"uvicorn has ended: {server.said()[-2000:]}")
            try:
                answer = httpx.get(f"{server.url}/healthz", trust_env=False)
            except httpx.TransportError:
                return False
            assert answer.status_code == 200, f"{answer.status_code} {answer.text[:300]} {server.said()[-2000:]}"
            return True

        eventually(up, within=SLOW, what="uvicorn to listen")
        yield server


@contextmanager
def worker_and_beat() -> Iterator[None]:
    """A Celery worker and the beat that feeds it."""
    celery = [sys.executable, "-m", "celery", "--quiet", "--app", "config.celery"]
    worker = [*celery, "worker", "--loglevel", "WARNING", "--concurrency", "1", "--without-gossip", "--without-mingle"]
    beat = [*celery, "beat", "--loglevel", "WARNING", "--scheduler", "celery.beat:Scheduler", "--pidfile="]
    with process(worker, "worker"), process(beat, "beat"):
        yield


# ---- fixtures; a folder's conftest.py imports those it uses
@pytest.fixture(scope="session")
def server(django_db_setup: None) -> Iterator[Server]:
    """One web process for the whole session."""
    with web() as started:
        yield started


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    """helpdesk, its keys, and two people who decide: one of support and the owner."""
    return make_cast(only=("support1",))


@pytest.fixture
def agent(server: Server, cast: Cast) -> Caller:
    """helpdesk's client, with its filing, reading and reporting key."""
    return Caller(server.url, cast.keys["agent"])


@pytest.fixture
def executor(server: Server, cast: Cast) -> Caller:
    """The executor's client, with its redeeming and reporting key."""
    return Caller(server.url, cast.keys["executor"])
