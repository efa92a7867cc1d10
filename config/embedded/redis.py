"""The embedded Redis: broker, wake-ups and counters, behind a socket file of its own.

It keeps nothing on disk: what it holds may be lost at any moment.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import redis

from config.embedded import processes
from config.embedded.places import Place

DATABASES = 64  # one for each worker of a test run, however many cores
START_SECONDS = 20.0


@contextmanager
def running(place: Place) -> Iterator[str]:
    """Start the server and give its URL, `unix:///…/redis.sock?db=0`; stop it on exit."""
    socket = place.sockets / "redis.sock"
    log = place.root / "redis.log"
    with log.open("ab") as output:
        process = processes.start(
            [
                place.programs.redis,
                "--port", "0", "--unixsocket", socket, "--unixsocketperm", "700", "--dir", place.home,
                "--save", "", "--appendonly", "no", "--daemonize", "no", "--databases", str(DATABASES),
            ],
            place,
            output,
            signal.SIGTERM,
        )  # fmt: skip
    client = redis.Redis(unix_socket_path=str(socket), socket_timeout=1, socket_connect_timeout=1)

    def answers() -> bool:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False

    try:
        processes.wait_until(answers, process, name="Redis", log=log, seconds=START_SECONDS)
        client.close()
        yield f"unix://{quote(str(socket))}?db=0"
    finally:
        client.close()
        processes.stop(process, (signal.SIGTERM, 10.0))
