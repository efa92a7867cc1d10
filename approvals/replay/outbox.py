"""What the outbox says that is not so, says twice, or leaves lying: orphans, as sentences. Nothing is sent or mended.

A notice commits with what it tells of, and becomes deliveries once; whatever was killed meanwhile, each waiting row is
either young, or in somebody's hands, or on a lane that is quiet for a while.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.db import connection

#: Longer than a killed sender's claim (`notifications.sending.CLAIM_SECONDS`) and any run of the sweep beside it.
LATE = timedelta(minutes=5)
# Notices are forgotten after 30 days (`notifications.forgetting`).
_REMEMBERED = timedelta(days=29)

# A notice says what was so when it was left; the end of a request never changes, nor what was noted of it.
_UNTRUE = """
SELECT 'request ' || r.id, 'somebody is told ' || n.event || ', which it is not'
  FROM approvals_notice n JOIN approvals_request r ON r.id = n.request_id
 WHERE (n.event IN ('request.approved', 'request.rejected', 'request.expired', 'request.blocked', 'request.withdrawn')
        AND n.event <> 'request.' || r.status)
    OR (n.event = 'request.escalated' AND r.escalated_at IS NULL)
    OR (n.event = 'request.undecidable' AND r.undecidable IS NULL)
"""

_WITHOUT_ITS_SUBJECT = """
SELECT 'notice ' || n.id, n.event || ' is about what is not there' FROM approvals_notice n
 WHERE (n.request_id IS NOT NULL AND NOT EXISTS (SELECT FROM approvals_request r WHERE r.id = n.request_id))
    OR (n.agent_id IS NOT NULL AND NOT EXISTS (SELECT FROM agents_agent a WHERE a.id = n.agent_id))
"""

# An edit makes a request wait anew, and reminders come twice; everything else is told once.
_LEFT_TWICE = """
SELECT 'request ' || request_id, event || ' was left ' || count(*) || ' times' FROM approvals_notice
 WHERE request_id IS NOT NULL AND event NOT IN ('request.pending', 'request.reminder')
 GROUP BY request_id, event HAVING count(*) > 1
"""

_UNTOLD = """
SELECT 'request ' || r.id, 'it waits, and nobody was to be told' FROM approvals_request r
 WHERE r.status = 'pending' AND r.created_at > clock_timestamp() - %(remembered)s
   AND NOT EXISTS (SELECT FROM approvals_notice n WHERE n.request_id = r.id AND n.event = 'request.pending')
"""

_OF_NOTHING = """
SELECT 'delivery ' || d.id, 'it tells of nothing' FROM approvals_delivery d
 WHERE NOT EXISTS (SELECT FROM approvals_delivery_notices l WHERE l.delivery_id = d.id)
"""

_TOLD_TWICE = """
SELECT 'notice ' || l.notice_id, count(*) || ' deliveries of it to one receiver'
  FROM approvals_delivery_notices l JOIN approvals_delivery d ON d.id = l.delivery_id
 GROUP BY l.notice_id, d.channel, d.person_id, d.webhook_id, d.room HAVING count(*) > 1
"""

_NEVER_ADDRESSED = """
SELECT 'notice ' || id, event || ' was never addressed' FROM approvals_notice
 WHERE addressed_at IS NULL AND at <= clock_timestamp() - %(late)s
"""

# One that is past its last moment is to be given up, whatever its lane does.
_LEFT_LYING = """
SELECT 'delivery ' || d.id, 'it waits though it is due'
  FROM approvals_delivery d LEFT JOIN approvals_lane l ON l.name = d.lane
 WHERE d.state = 'waiting' AND (d.claimed_until IS NULL OR d.claimed_until <= clock_timestamp() - %(late)s)
   AND ((d.due_at <= clock_timestamp() - %(late)s
         AND (l.quiet_until IS NULL OR l.quiet_until <= clock_timestamp() - %(late)s))
        OR d.give_up_at <= clock_timestamp() - %(late)s)
"""

_WRONG_AT_ANY_TIME = (
    _UNTRUE,
    _WITHOUT_ITS_SUBJECT,
    _LEFT_TWICE,
    _UNTOLD,
    _OF_NOTHING,
    _TOLD_TWICE,
)
_LATE = (_NEVER_ADDRESSED, _LEFT_LYING)
_AT_MOST = 20  # of each kind


def orphans(*, late: timedelta | None = LATE) -> Iterator[tuple[str, str]]:
    """What a row is and what does not hold of it, in the caller's transaction; `late` is how long something that is
    due may lie there before that is a fault. None where nobody sends from these rows: it never is."""
    told: dict[str, Any] = {"late": late, "remembered": _REMEMBERED}
    for query in (*_WRONG_AT_ANY_TIME, *(_LATE if late is not None else ())):
        with connection.cursor() as cursor:
            cursor.execute(f"{query} LIMIT {_AT_MOST}", told)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
        for about, what in rows:
            yield str(about), str(what)
