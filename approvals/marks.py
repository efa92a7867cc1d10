"""What tells a poll that nothing changed: marks of a queue and of a request, and what came or ended since a page was
made. Nothing is changed here, and nothing is remembered between polls but what the page itself holds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
from django.db.models import Case, F, Q, When

from approvals import access, listing, queries
from approvals.access import SEES_ALL, Viewer
from approvals.models import Decision, Question
from approvals.queries import Seen
from approvals.states import Status

# As access.involving has it.
_SEATS = "SELECT t.slug FROM accounts_membership m JOIN accounts_team t ON t.id = m.team_id WHERE m.user_id ="
_MINE = f"""((r.teams || r.standing_teams) && ARRAY({_SEATS} %(user)s)
        OR (r.escalated_at IS NOT NULL AND r.escalation_team IN ({_SEATS} %(user)s))
        OR EXISTS (
             SELECT FROM accounts_delegation g JOIN accounts_user u ON u.id = g.delegator_id AND u.is_active
              WHERE g.delegate_id = %(user)s AND g.starts_at <= statement_timestamp()
                AND least(g.ends_at, g.ended_at) > statement_timestamp()
                AND (r.status = 'pending' OR r.decided_at >= g.starts_at)
                AND g.delegator_id <> (SELECT owner_id FROM agents_agent WHERE id = r.agent_id)
                AND ((r.teams || r.standing_teams) && ARRAY({_SEATS} g.delegator_id)
                     OR (r.escalated_at IS NOT NULL AND r.escalation_team IN ({_SEATS} g.delegator_id))))
        OR r.agent_id IN (SELECT id FROM agents_agent WHERE owner_id = %(user)s)
        OR EXISTS (SELECT FROM approvals_decision d WHERE d.request_id = r.id AND d.person_id = %(user)s))"""  # noqa: S608

_VOTES = """CROSS JOIN LATERAL (
  SELECT coalesce(bit_xor(hashtextextended(d.id::text, 0)), 0) AS mark
    FROM approvals_decision d WHERE d.request_id = r.id AND d.voided_at IS NULL) v"""


# Put together from the constants above alone.
_QUEUE_MARK = f"""
SELECT count(*),
       coalesce(bit_xor(hashtextextended(r.id::text || r.version || coalesce(r.escalated_at::text, ''), v.mark)), 0),
       statement_timestamp()
  FROM approvals_request r {_VOTES}
 WHERE r.status = 'pending' AND r.expires_at > statement_timestamp() AND {_MINE}
"""  # noqa: S608

_REQUEST_MARK = f"""
SELECT r.version + (r.status = 'pending' AND r.expires_at <= statement_timestamp())::int,
       (SELECT count(*) || '-' || count(q.answered_at) FROM approvals_question q WHERE q.request_id = r.id)
         || '-' || coalesce(right(r.amended_digest, 8), ''),
       ARRAY(SELECT right(d.id::text, 12) FROM approvals_decision d
              WHERE d.request_id = r.id AND d.voided_at IS NULL ORDER BY 1),
       r.escalated_at IS NOT NULL, statement_timestamp()
  FROM approvals_request r
 WHERE r.id = %(id)s AND ({_MINE} OR EXISTS (
         SELECT FROM accounts_rolegrant g WHERE g.user_id = %(user)s
            AND (g.role = ANY(%(roles)s) OR (g.role = 'leadership' AND r.undecidable IS NOT NULL))
            AND (g.expires_at IS NULL OR g.expires_at > statement_timestamp())))
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class QueueMark:
    """What a person's queue looked like at `at` (the database's clock): equal marks, equal queues."""

    mark: str
    at: datetime


def queue_mark(user_id: UUID) -> QueueMark:
    """The mark of this person's queue now: one read over the index of pending requests.

    It is a function of the set the person would be shown at this very moment (each pending request with its version
    and its standing votes, folded together by XOR of 64-bit hashes, and their count), not of a greatest id or time.
    So the order in which transactions commit cannot hide a row: whatever becomes visible, changes, is voted on, ends
    or runs out of time changes the set, and with it the mark. Deadlines are in it by the clock alone.
    """
    with connection.cursor() as cursor:
        cursor.execute(_QUEUE_MARK, {"user": user_id})
        count, folded, at = cursor.fetchone()
    return QueueMark(f"{count:x}-{folded & (2**64 - 1):x}", at)


@dataclass(frozen=True, slots=True)
class RequestMark:
    """What one request looked like at `at`: its version as seen, its content (how many questions were asked, and
    answered, and the end of the edit's digest), its standing votes by the end of their ids, and whether it was
    escalated, which no version counts because the agent is not to learn of it."""

    version: int
    content: str
    votes: tuple[str, ...]
    at: datetime
    escalated: bool = False

    def __str__(self) -> str:
        return ".".join([f"{self.version:x}{'w' * self.escalated}", self.content, *self.votes])

    @classmethod
    def of(cls, seen: Seen, votes: Iterable[Decision], questions: Collection[Question]) -> RequestMark:
        """The mark of what a page shows; equal to what `request_mark` reads while nothing changes."""
        answered = sum(question.answered_at is not None for question in questions)
        content = f"{len(questions)}-{answered}-{(seen.request.amended_digest or '')[-8:]}"
        escalated = seen.request.escalated_at is not None
        return cls(seen.version, content, tuple(sorted(vote.pk.hex[-12:] for vote in votes)), seen.now, escalated)


def request_mark(user_id: UUID, request_id: UUID) -> RequestMark | None:
    """The mark of one request, or None where this person may not see it (the gate's rule, in the same one read by
    key). A deadline that passes counts as a change by the clock alone."""
    with connection.cursor() as cursor:
        cursor.execute(_REQUEST_MARK, {"user": user_id, "id": request_id, "roles": sorted(SEES_ALL)})
        row = cursor.fetchone()
    return RequestMark(row[0], row[1], tuple(row[2]), row[4], row[3]) if row else None


# Whoever commits after this long has been refused by the time limit of verbs (5 s), with a second's grace: a row
# whose own time lies further back was visible when the page was made.
SETTLED_AFTER = timedelta(seconds=6)


def arrived(person: Viewer, since: datetime, *, filled: Collection[UUID], limit: int) -> list[tuple[UUID, str]]:
    """Id and risk of what came into this person's turn, newly filed or by a reviewer's edit, since a page was made at
    `since`; the caller leaves out what it showed.

    Rows filed or edited up to 6 s earlier are among them, because they may have become visible only afterwards.
    """
    from_here = since - SETTLED_AFTER
    came = Q(created_at__gt=from_here) | Q(amended_at__gt=from_here)
    rows = listing.your_turn(person, filled=filled).filter(came)
    return list(rows.values_list("pk", "standing_risk")[:limit])


def ended_since(person: Viewer, since: datetime, limit: int) -> list[Seen]:
    """What ended since `since`, or up to 6 s before it, earliest end first, as a reader sees it."""
    from_here = since - SETTLED_AFTER
    ended = Q(decided_at__gt=from_here) | Q(
        status=Status.PENDING.value, expires_at__lte=listing.now(), expires_at__gt=from_here
    )
    rows = queries.requests().filter(access.involving(person), ended).exclude(teams=[])
    order = Case(When(decided_at__isnull=True, then=F("expires_at")), default=F("decided_at"))
    page = list(rows.order_by(order, "id")[:limit])
    return [seen for seen in queries.settle(page) if seen.status is not Status.PENDING]
