"""Both embedded servers together, as one context.

What runs on top of them (web, worker, beat, sealer) is started in `up`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from config.embedded import places, postgres, redis


@dataclass(frozen=True)
class Services:
    """Where the servers answer: a URL for each of the roles app, owner, sealer and eraser, and Redis's."""

    database_urls: dict[str, str]
    redis_url: str
    place: places.Place


@contextmanager
def running(root: Path, *, database: str = "countersign", for_tests: bool = False) -> Iterator[Services]:
    """Start PostgreSQL and Redis on the data of `root`, set roles and database up, stop both on exit.

    Idempotent over starts: the second finds the data and passwords of the first. Raises CannotStart with one
    sentence. `for_tests`: the owner may create databases; nothing is synced to disk.
    """
    with (
        places.prepared(root) as place,
        postgres.running(place, database=database, for_tests=for_tests) as database_urls,
        redis.running(place) as redis_url,
    ):
        yield Services(database_urls, redis_url, place)
