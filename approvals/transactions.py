"""The one way a verb holds its transaction: durable, limited in time, its refusals recorded, its answer remembered.

What a verb does inside is its own; nothing here knows a request or a decision.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

from django.db import DatabaseError, connection, transaction

from agents.problems import Problem
from approvals.errors import DecisionRefused

P = ParamSpec("P")
R = TypeVar("R")

TIME_LIMIT_SECONDS = 5
LOCK_LIMIT_SECONDS = 4  # sooner than the whole transaction's, whose end also ends the connection
#: SQLSTATEs that mean "somebody else holds it" or "it took too long": nothing was done, try again.
_BUSY = {"55P03", "57014", "25P03", "25P04", "40001", "40P01"}


#: SQLSTATEs that our own triggers raise, and which promise each holds.
_GUARDS = {"CS410": "late", "CS409": "transition", "CS422": "quorum", "CS411": "stopped"}


class Once(Protocol):
    """What `idempotency` brings: claim the key first, keep the answer last."""

    def claim(self) -> None:
        """Raise where this call was already answered, or is being answered."""

    def keep(self, result: Any) -> None:
        """Remember the answer to a result."""

    def keep_refusal(self, problem: Problem) -> None:
        """Remember the answer to a refusal."""


class Guarded(Problem):
    """The database held one of its own promises against us: 503, nothing was done. `kind` says which one.

    `late` an approval at or after its deadline, `transition` an illegal move, `quorum` an approval without its quorum,
    `stopped` an approval or a redemption for an agent that may not ask any more.
    """

    def __init__(self, kind: str) -> None:
        super().__init__("busy", "This could not be done as it stands; read it again, then try again.")
        self.kind = kind


def sqlstate_of(error: BaseException) -> str | None:
    """The SQLSTATE behind a Django database error, None where there is none."""
    return getattr(error.__cause__, "sqlstate", None)


@contextmanager
def time_limited(seconds: int = TIME_LIMIT_SECONDS, *, lock_seconds: int | None = None) -> Iterator[None]:
    """A durable transaction that PostgreSQL ends after `seconds`, and that waits for one lock for `lock_seconds` at
    most; busy and timed-out ones raise 503 `busy`."""
    try:
        with transaction.atomic(durable=True):
            with connection.cursor() as cursor:
                # transaction_timeout came with PostgreSQL 17; on 15 and 16 the other two bound it
                cursor.execute(
                    "SELECT set_config('statement_timeout', %(ms)s, true), set_config('lock_timeout', %(lock)s, true),"
                    " set_config('idle_in_transaction_session_timeout', %(ms)s, true),"
                    " CASE WHEN current_setting('server_version_num')::int >= 170000"
                    " THEN set_config('transaction_timeout', %(ms)s, true) END",
                    {"ms": f"{seconds * 1000}", "lock": f"{(lock_seconds or LOCK_LIMIT_SECONDS) * 1000}"},
                )
            yield
    except DatabaseError as error:  # transaction_timeout is an InternalError, the others are OperationalErrors
        if (kind := _GUARDS.get(sqlstate_of(error) or "")) is not None:
            raise Guarded(kind) from error
        if sqlstate_of(error) in _BUSY:
            raise Problem("busy", "Somebody else is changing this just now; try again.") from error
        raise


class Verb(Generic[P, R]):
    """A function as one durable transaction; see `verb`."""

    def __init__(self, act: Callable[P, R]) -> None:
        functools.update_wrapper(self, act)
        self._act = act

    def __call__(self, *args: P.args, **keywords: P.kwargs) -> R:
        """Run it."""
        return self.under(None)(*args, **keywords)

    def under(self, once: Once | None) -> Callable[P, R]:
        """The same, where `once` claims its key first and keeps the answer in the same transaction."""

        def run(*args: P.args, **keywords: P.kwargs) -> R:
            refusal: Problem | DecisionRefused
            with time_limited():
                if once is not None:
                    once.claim()
                try:
                    with transaction.atomic():
                        result = self._act(*args, **keywords)
                except (Problem, DecisionRefused) as raised:
                    refusal = raised
                    if raised.evidence is not None:
                        raised.evidence()
                    if once is not None and isinstance(raised, Problem):
                        once.keep_refusal(raised)
                else:
                    if once is not None:
                        once.keep(result)
                    return result
            raise refusal

        return run


def verb(act: Callable[P, R]) -> Verb[P, R]:
    """Make a keyword-only function one durable transaction.

    A refusal (`Problem`, `DecisionRefused`) undoes what the function did, then leaves its own evidence (the callable
    in its `evidence`) and commits that before it is raised again.
    """
    return Verb(act)
