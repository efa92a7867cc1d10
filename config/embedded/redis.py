"""The embedded Redis: broker, wake-ups and counters, behind a socket file of its own.

It keeps nothing on disk: what it holds may be lost at any moment.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import redis

from config.embedded.places import Place
from config.embedded.processes import Server

DATABASES = 64  # one for each worker of a test run, however many cores
START_SECONDS = 20.0


@contextmanager
def running(place: Place) -> Iterator[tuple[Server, str]]:
    """Start the server and give its URL, `unix:///…/redis.sock?db=0`; stop it on exit."""
    socket = place.sockets / "redis.sock"
    client = redis.Redis(unix_socket_path=str(socket), socket_timeout=1, socket_connect_timeout=1)

    def answers() -> bool:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False

    server = Server(
        name="Redis",
        argv=_command(place, socket),
        place=place,
        answers=answers,
        stopping=[(signal.SIGTERM, 10.0)],
        start_seconds=START_SECONDS,
    )
    try:
        server.start()
        yield server, f"unix://{quote(str(socket))}?db=0"
    finally:
        client.close()
        server.stop()


def _command(place: Place, socket: Path) -> list[str | Path]:
    settings = {
        "port": "0",  # no TCP: whoever can't open the folder can't knock
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(place.sockets),
        "save": "",
        "appendonly": "no",
        "daemonize": "no",
        "databases": str(DATABASES),
    }
    return [
        place.programs.redis,
        *(part for name, value in settings.items() for part in (f"--{name}", value)),
    ]
