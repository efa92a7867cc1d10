"""The one way a verb holds its transaction: durable, limited in time, its refusals recorded, its answer remembered.

What a verb does inside is its own; nothing here knows a request or a decision.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

from django.db import DatabaseError, transaction

from agents.problems import Problem
from approvals.errors import DecisionRefused
from audit.limits import LOCK_SECONDS, STATEMENT_SECONDS, Busy, limited, sqlstate_of

P = ParamSpec("P")
R = TypeVar("R")

__all__ = ["Guarded", "Once", "Verb", "sqlstate_of", "time_limited", "verb"]

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


@contextmanager
def time_limited(seconds: int = STATEMENT_SECONDS, *, lock_seconds: int | None = None) -> Iterator[None]:
    """A durable transaction that PostgreSQL ends after `seconds`, and that waits for one lock for `lock_seconds` at
    most; busy and timed-out ones raise 503 `busy`."""
    try:
        with limited(statement_seconds=seconds, lock_seconds=lock_seconds or LOCK_SECONDS, durable=True):
            yield
    except Busy as error:
        raise Problem("busy", str(error)) from error
    except DatabaseError as error:
        if (kind := _GUARDS.get(sqlstate_of(error) or "")) is not None:
            raise Guarded(kind) from error
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
