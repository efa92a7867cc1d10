"""A real sealer for tests: started on its own connection as its own role, or running in a thread.

Nothing of it is imitated. Tests that need a sealed log commit (transactional tests), because a sealer sees
only that.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.db import connection

from audit import health, origins, roles
from audit.sealing import Pace, Sealer
from tests.support.eventually import eventually

QUICK = Pace(pause=0.01, alive=0.05)


def outside_path() -> Path:
    """Where this worker's copy of the newest checkpoint lies outside the database."""
    return Path(settings.AUDIT_OUTSIDE_PATH)


def log_key() -> Ed25519PrivateKey:
    """The log's private key, as the sealer's process reads it."""
    return origins.read_key(Path(settings.AUDIT_KEY_PATH))


def forget_outside_copies() -> None:
    """Remove the outside copy and what forks set aside: the database of the next log starts empty."""
    for path in outside_path().parent.glob(f"{outside_path().name}*"):
        path.unlink()


@contextmanager
def connected(*, pace: Pace = QUICK, role: str = "sealer") -> Iterator[Sealer]:
    """A sealer that was not started yet, on a connection of its own; the connection closes afterwards.

    An outside copy left by an earlier test is removed where the database is empty again.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT size FROM audit_sealerstate")
        if cursor.fetchone() == (0,):
            forget_outside_copies()
    with psycopg.connect(roles.conninfo(role)) as own:
        yield Sealer(own, log_key(), "localhost", outside_path(), pace=pace)


@contextmanager
def started(*, pace: Pace = QUICK) -> Iterator[Sealer]:
    """A sealer that holds the lock and has said so; call `seal_batch()` on it."""
    with connected(pace=pace) as sealer:
        sealer.start()
        yield sealer


@contextmanager
def running(*, pace: Pace = QUICK) -> Iterator[None]:
    """A sealer at work in a thread until the block ends; the log is live inside
    (`health.assert_log_is_live`)."""
    stop, failures = threading.Event(), []
    with connected(pace=pace) as sealer:

        def work() -> None:
            try:
                sealer.run(stop)
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=work, name="sealer")
        thread.start()
        try:
            eventually(lambda: failures or health.status().unsafe is None, what="the sealer to be alive")
            yield
        finally:
            stop.set()
            thread.join(30)
    if failures:
        raise failures[0]


def seal_all() -> None:
    """Seal everything that is committed, with a sealer that starts, works and stops."""
    with started() as sealer:
        while sealer.seal_batch():
            pass
        sealer.stop()
