"""The sealer as a process: connecting, waiting while another one seals, trying again, stopping cleanly.

What sealing is lies in `sealing`; this only keeps it going whatever happens to the database.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.continuity import LogRefused
from audit.sealing import AlreadySealing, Sealer

RETRY_SECONDS = 1.0

log = structlog.get_logger(__name__)


def keep_sealing(
    connect: Callable[[], psycopg.Connection[Any]],
    key: Ed25519PrivateKey,
    host: str,
    outside_path: Path,
    stop: threading.Event,
) -> None:
    """Be the sealer, or stand by to become it, until `stop` is set.

    A database that is away, a refusal to sign and another sealer all mean: say so once, try again each
    second. So an operator's `declare_fork` is picked up without a restart. What nobody expected means the same, with
    its traceback: a process that has ended seals nothing, and a second later things may be different.
    """
    said = ""
    while not stop.is_set():
        try:
            with connect() as connection:
                Sealer(connection, key, host, outside_path).run(stop)
            said = ""
        except AlreadySealing:
            if said != "standby":
                log.info("sealer_stands_by")
            said = "standby"
        except Exception as error:
            if said != repr(error):
                expected = isinstance(error, LogRefused | psycopg.Error | OSError | RuntimeError)
                event = "sealer_refuses" if isinstance(error, LogRefused) else "sealer_failed"
                log.error(event, error=str(error), exc_info=None if expected else error)
            said = repr(error)
        stop.wait(RETRY_SECONDS)
