"""One answer a key: claimed before the act, kept with it, given again byte for byte. What is answered is the door's.

The unique row doubles as the lock between racing twins: the second's INSERT waits for the first's commit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import OperationalError, connection

from agents.problems import Problem
from approvals.models import RememberedAnswer
from approvals.transactions import sqlstate_of
from audit.entries import Party

STORED_REFUSALS = frozenset({409, 410, 422})


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer as bytes; `request_id` is the request it is about, for how long to keep it."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    request_id: UUID | None = None


class Replay(Exception):
    """This call was answered before; `answer` is what was said."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("answered before")
        self.answer = answer


def fingerprint(method: str, path: str, body: bytes) -> bytes:
    """What makes two calls the same call: SHA-256 over method, path and the body's bytes."""
    return hashlib.sha256(b"\0".join((method.encode(), path.encode(), body))).digest()


class OncePerKey:
    """The claim of one key by one holder; made by the door, used by `transactions.verb`."""

    def __init__(
        self,
        *,
        holder: Party,
        key: str,
        fingerprint: bytes,
        render: Callable[[Any], Answer],
        refuse: Callable[[Problem], Answer],
    ) -> None:
        self._holder, self._key, self._fingerprint = holder, key, fingerprint
        self._render, self._refuse = render, refuse
        self._row = 0  # nobody's until it is claimed
        self.answer: Answer | None = None

    def claim(self) -> None:
        """Take the key, waiting for a twin as long as the verb's transaction waits for any lock (4 s). Raises `Replay`,
        or the problems `in-progress` (the transaction is then of no more use) and `idempotency-key-reused`."""
        try:
            with connection.cursor() as cursor:
                cursor.execute(
                    "INSERT INTO approvals_rememberedanswer"
                    " (holder_kind, holder_id, key, fingerprint, status, headers, body)"
                    " VALUES (%s, %s, %s, %s, 0, '{}', '') ON CONFLICT (holder_kind, holder_id, key) DO NOTHING"
                    " RETURNING id",
                    [self._holder.kind, self._holder.id, self._key, self._fingerprint],
                )
                row = cursor.fetchone()
        except OperationalError as error:
            if sqlstate_of(error) == "55P03":
                raise Problem("in-progress", "The first call with this key has not ended yet; try again.") from error
            raise
        if row is not None:
            self._row = row[0]
            return
        kept = RememberedAnswer.objects.get(holder_kind=self._holder.kind, holder_id=self._holder.id, key=self._key)
        if bytes(kept.fingerprint) != self._fingerprint:
            raise Problem(
                "idempotency-key-reused",
                "This Idempotency-Key was used before with another method, path or body.",
            )
        raise Replay(Answer(kept.status, bytes(kept.body), dict(kept.headers), kept.request_id))

    def keep(self, result: Any) -> None:
        """Remember the answer to a success."""
        self._store(self._render(result))

    def keep_refusal(self, problem: Problem) -> None:
        """Remember a verb's 409, 410 or 422; forget the claim on any other refusal, so that a retry is tried."""
        if problem.status in STORED_REFUSALS:
            self._store(self._refuse(problem))
        else:
            RememberedAnswer.objects.filter(pk=self._row).delete()

    def _store(self, answer: Answer) -> None:
        self.answer = answer
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE approvals_rememberedanswer SET status = %s, headers = %s::jsonb, body = %s, request_id = %s"
                " WHERE id = %s",
                [answer.status, json.dumps(answer.headers), answer.body, answer.request_id, self._row],
            )


def forget_old() -> int:
    """Delete answers kept long enough: 24 h after their request is final, or after they were given where there is
    none. Returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM approvals_rememberedanswer a WHERE a.created_at < now() - interval '24 hours' AND NOT EXISTS ("
            " SELECT 1 FROM approvals_request r WHERE r.id = a.request_id"
            " AND (CASE WHEN r.status = 'pending' THEN r.expires_at ELSE r.decided_at END)"
            " > now() - interval '24 hours')"
        )
        return cursor.rowcount
