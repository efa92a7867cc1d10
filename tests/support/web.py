"""A real web process for browsers: uvicorn on the house's ASGI application, against this worker's database.

No test lives here; people sign in by a session made as sign-in makes it.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from django.conf import settings
from django.test import Client

from accounts.models import User
from tests.support import services
from tests.support.eventually import eventually


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serving(log: Path) -> Iterator[str]:
    """The web process until the block ends; gives its address. What it logs lies in `log`."""
    port = free_port()
    url = f"http://localhost:{port}"
    with log.open("wb") as written:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "uvicorn", "config.asgi:application", "--host", "127.0.0.1",
                "--port", str(port), "--log-level", "warning", "--no-access-log",
                "--no-proxy-headers",
            ],
            cwd=settings.BASE_DIR,
            env=services.process_environment(BASE_URL=url),
            stdout=written,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            eventually(lambda: _answers(url, process, log), within=30, what="the web process to answer")
            yield url
        finally:
            process.terminate()
            process.wait(15)


def _answers(url: str, process: subprocess.Popen[bytes], log: Path) -> bool:
    if process.poll() is not None:
        raise RuntimeError(f"the web process ended:\n{log.read_text(errors='replace')}")
    try:
        return httpx.get(f"{url}/healthz", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def session_cookie(person: User) -> str:
    """The session cookie of somebody who has just signed in by password."""
    client = Client()
    client.force_login(person)
    return client.cookies[settings.SESSION_COOKIE_NAME].value
