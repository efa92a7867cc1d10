"""Both embedded servers together, as one context.

What runs on top of them (web, worker, beat, sealer) is started in `up`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from config.embedded import places, postgres, redis
from config.embedded.processes import Server


@dataclass(frozen=True)
class Services:
    """Where the servers answer: a URL for each of the roles app, owner, sealer and eraser, and Redis's."""

    database_urls: dict[str, str]
    redis_url: str
    servers: tuple[Server, ...]
    place: places.Place | None  # None where neither server is embedded


@contextmanager
def running(
    root: Path,
    *,
    database: str = "countersign",
    for_tests: bool = False,
    with_postgres: bool = True,
    with_redis: bool = True,
) -> Iterator[Services]:
    """Start PostgreSQL and Redis on the data of `root`, set roles and database up, stop both on exit.

    Idempotent over starts: the second finds the data and passwords of the first. A server that isn't wanted
    has an empty URL. Raises CannotStart with one sentence. `for_tests`: the owner may create databases;
    nothing is synced to disk.
    """
    if not (with_postgres or with_redis):
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield Services({}, "", (), None)
        return
    with ExitStack() as stack:
        place = stack.enter_context(places.prepared(root))
        servers: list[Server] = []
        urls: dict[str, str] = {}
        redis_url = ""
        if with_postgres:
            server, urls = stack.enter_context(postgres.running(place, database=database, for_tests=for_tests))
            servers.append(server)
        if with_redis:
            server, redis_url = stack.enter_context(redis.running(place))
            servers.append(server)
        yield Services(urls, redis_url, tuple(servers), place)
