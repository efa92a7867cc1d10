"""Holds the stories that the log tells against the rows, all read at one moment. What a story is, `story` says; what
lies in the outbox, `outbox`; what people's and agents' rows hold, `rows`; entries are read by `reading`.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from approvals.replay.allowed import Allowed, tell_allowance
from approvals.replay.outbox import LATE, orphans
from approvals.replay.reading import UNTOLD, Replay, chunks, fetch, is_id, malformed
from approvals.replay.rows import compare_rows
from approvals.replay.story import Story, tell
from audit.leaves import Leaf

_ROWS = """
SELECT r.id::text, r.status, r.agent_id::text, r.expires_at, g.id::text, g.redeemed_at IS NOT NULL,
       EXISTS (SELECT FROM approvals_outcome o WHERE o.request_id = r.id),
       (SELECT coalesce(json_object_agg(d.id, json_build_array(d.person_id, d.verdict, d.voided_at IS NOT NULL)), '{}')
          FROM approvals_decision d WHERE d.request_id = r.id),
       r.amended_at IS NOT NULL, coalesce(r.amended_quorum, r.quorum)::text,
       (SELECT q.id::text FROM approvals_question q WHERE q.request_id = r.id AND q.answered_at IS NULL)
  FROM approvals_request r LEFT JOIN approvals_grant g ON g.request_id = r.id
 WHERE r.id = ANY(%(ids)s::uuid[])
"""

_WITHOUT_ENTRIES = f"""
SELECT r.id::text FROM approvals_request r WHERE {UNTOLD.format(kind="'request'", id="r.id::text")} LIMIT 20
"""  # noqa: S608


def replay(*, late: timedelta | None = LATE, said: Callable[[int], None] = lambda requests: None) -> Replay:
    """Replay every request of the log against the tables, and look for orphans in the outbox, which may be `late`
    (None: however late, as in a restored copy).

    `said` hears how many requests are done.

    Reads in one REPEATABLE READ transaction of its own, so it must not be called within one.
    """
    done = Replay()
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        owners, allowed, delegations = _Owners(done), _allowances(done), _Delegations(done)
        for chunk in chunks("request", done):
            rows = {row[0]: row[1:] for row in fetch(_ROWS, ids=[request for request, _ in chunk if is_id(request)])}
            for request, leaves in chunk:
                done.entries += len(leaves)
                with malformed(done, f"request {request}"):
                    story = tell(request, leaves, owners.at, allowed.get, delegations.ran)
                    for what in (*story.faults, *_differences(story, rows.get(request))):
                        done.fault(f"request {request}", what)
            done.requests += len(chunk)
            said(done.requests)
        for (request,) in fetch(_WITHOUT_ENTRIES):
            done.fault(f"request {request}", "a row without any entry")
        compare_rows(done)
        for about, what in orphans(late=late):
            done.fault(about, what)
    return done


def _differences(story: Story, row: Sequence[Any] | None) -> Iterator[str]:
    if row is None:
        if story.stands is not None:  # refusals may name what never was
            yield "entries without a row"
        return
    status, agent, expires_at, grant, redeemed, reported, decisions, edited, asked, question = row
    if story.stands is None or status != story.stands.value:
        yield f"the row says {status}, the log {story.stands}"
    if agent != story.agent:
        yield "the row names another agent than the log"
    if story.expires_at is not None and expires_at != story.expires_at:
        yield "the row has another deadline than the log"
    if grant != story.grant:
        yield "the row has another grant than the log"
    if redeemed is not None and bool(redeemed) != story.redeemed:
        yield "row and log disagree whether it was redeemed"
    if reported != story.reported:
        yield "row and log disagree whether an outcome was reported"
    if edited != story.edited or json.loads(asked) != story.asked:
        yield "row and log disagree about an edit, or about whom policy asks"
    if question != story.question:
        yield "row and log disagree about the open question"
    told = {key: [vote.person, vote.verdict, vote.voided] for key, vote in story.votes.items()}
    if decisions != told:
        yield "row and log disagree about who decided"


class _Owners:
    """Who answered for an agent when: from the entries of agents that name an owner."""

    def __init__(self, done: Replay) -> None:
        self._since: dict[str, list[tuple[datetime, str]]] = {}
        for chunk in chunks("agent", done):
            for agent, leaves in chunk:
                self._since[agent] = [(leaf.at, leaf.facts["owner"]) for leaf in leaves if "owner" in leaf.facts]

    def at(self, agent: str, moment: datetime) -> str | None:
        """The owner's id at that moment."""
        known = self._since.get(agent, [])
        place = bisect_right([since for since, _ in known], moment)
        return known[place - 1][1] if place else None


class _Delegations:
    """When each delegation ran: from the entries of its naming and its end."""

    def __init__(self, done: Replay) -> None:
        self._spans: dict[str, tuple[datetime, datetime]] = {}
        for chunk in chunks("delegation", done):
            for delegation, leaves in chunk:
                with malformed(done, f"delegation {delegation}"):
                    self._read(delegation, leaves)

    def _read(self, delegation: str, leaves: Sequence[Leaf]) -> None:
        for leaf in leaves:
            if leaf.type == "delegation.made":
                start, end = (datetime.fromisoformat(leaf.facts[name]) for name in ("starts_at", "ends_at"))
                self._spans[delegation] = (start, end)
            elif leaf.type == "delegation.ended" and delegation in self._spans:
                start, end = self._spans[delegation]
                self._spans[delegation] = (start, min(end, leaf.at))

    def ran(self, delegation: str, moment: datetime) -> bool:
        """Whether it ran at that moment."""
        span = self._spans.get(delegation)
        return span is not None and span[0] <= moment < span[1]


def _allowances(done: Replay) -> dict[str, Allowed]:
    found: dict[str, Allowed] = {}
    for chunk in chunks("allowance", done):
        for one, leaves in chunk:
            with malformed(done, f"allowance {one}"):
                allowed = tell_allowance(leaves)
                if allowed is not None:
                    found[one] = allowed
    return found
