"""How long a transaction may take and wait, held by PostgreSQL itself; which of its errors mean "busy"; and its clock.

What is done inside is for who opens it. Every floor's transactions that people or agents wait for are held here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django.db import DatabaseError, OperationalError, connection, transaction

STATEMENT_SECONDS = 5
LOCK_SECONDS = 4  # sooner than the whole transaction's, whose end also ends the connection
#: SQLSTATEs that mean "somebody else holds it" or "it took too long": nothing was done, try again.
BUSY = frozenset({"55P03", "57014", "25P03", "25P04", "40001", "40P01"})


class Busy(OperationalError):
    """Somebody else holds what this needs, or it took too long: nothing was done. Pages and the API say 503."""


def sqlstate_of(error: BaseException) -> str | None:
    """The SQLSTATE behind a Django database error, None where there is none."""
    return getattr(error.__cause__, "sqlstate", None)


@contextmanager
def limited(
    *,
    statement_seconds: int = STATEMENT_SECONDS,
    lock_seconds: int = LOCK_SECONDS,
    whole_seconds: int | None = None,
    durable: bool = False,
) -> Iterator[None]:
    """A transaction whose statements, waits for a lock and whole length PostgreSQL bounds; `Busy` where one passed.

    Without `whole_seconds` the whole may take as long as a statement. Inside somebody else's transaction the whole is
    theirs to bound, and the statements and locks are bounded until its end.
    """
    whole = (whole_seconds or statement_seconds) if not connection.in_atomic_block else None
    try:
        with transaction.atomic(durable=durable):
            with connection.cursor() as cursor:
                # transaction_timeout came with PostgreSQL 17; on 15 and 16 the others bound it
                cursor.execute(
                    "SELECT set_config('statement_timeout', %(statement)s, true),"
                    " set_config('lock_timeout', %(lock)s, true),"
                    " CASE WHEN %(whole)s::text IS NOT NULL"
                    " THEN set_config('idle_in_transaction_session_timeout', %(whole)s, true) END,"
                    " CASE WHEN %(whole)s::text IS NOT NULL"
                    " AND current_setting('server_version_num')::int >= 170000"
                    " THEN set_config('transaction_timeout', %(whole)s, true) END",
                    {
                        "statement": f"{statement_seconds}s",
                        "lock": f"{lock_seconds}s",
                        "whole": f"{whole}s" if whole is not None else None,
                    },
                )
            yield
    except DatabaseError as error:  # transaction_timeout is an InternalError, the others are OperationalErrors
        if sqlstate_of(error) in BUSY:
            raise Busy("Somebody else is changing this just now; try again.") from error
        raise


def clock() -> datetime:
    """The database's clock, which rules and pages go by."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment
