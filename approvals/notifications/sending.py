"""Sends what is due: claims a delivery, hands it to its channel outside any transaction, and notes what came of it.

A sender that dies between sending and noting leaves a claim that runs out; the message then goes again, under the same
id. To whom messages go is `addressing`' work.
"""

from __future__ import annotations

import time
from uuid import UUID

import structlog
from django.db import connection

from approvals import queries
from approvals.lifecycle import SYSTEM
from approvals.models import TO_OVERSEERS, TO_PEOPLE, Delivery, Notice, Request, Webhook
from approvals.notifications import addressing, endpoints
from approvals.notifications.chat import transport as chat
from approvals.notifications.email import transport as email
from approvals.notifications.errors import Gone, NotSent
from approvals.notifications.messages import alarms_of, lines_of, payload
from approvals.notifications.retries import pause_after, quiet_after
from approvals.notifications.turns import overseers, still_undecidable, turns_of
from approvals.notifications.webhook import transport as webhook
from approvals.transactions import verb
from audit.entries import Draft, Party, record_many
from audit.types import EntryType

log = structlog.get_logger(__name__)

RUN_SECONDS = 8.0  # of one run; a worker is not kept from its other duties for longer
CLAIM_SECONDS = 120  # longer than any channel takes (`guard.WHOLE_SECONDS`, EMAIL_TIMEOUT)
OVERDUE_AT_ONCE = 500

_CLAIM = """
UPDATE approvals_delivery
   SET attempts = attempts + 1, tried_at = clock_timestamp(),
       claimed_until = clock_timestamp() + make_interval(secs => %(lease)s)
 WHERE id = (SELECT d.id FROM approvals_delivery d LEFT JOIN approvals_lane l ON l.name = d.lane
              WHERE d.state = 'waiting' AND d.due_at <= statement_timestamp()
                AND d.give_up_at > statement_timestamp()
                AND (d.claimed_until IS NULL OR d.claimed_until <= statement_timestamp())
                AND (l.quiet_until IS NULL OR l.quiet_until <= statement_timestamp())
              ORDER BY d.due_at, d.id LIMIT 1 FOR NO KEY UPDATE OF d SKIP LOCKED)
   AND state = 'waiting'
RETURNING id
"""

# Only who holds the claim may note: `attempts` is the number of the claim.
_END = """
UPDATE approvals_delivery
   SET state = %(state)s, ended_at = clock_timestamp(), claimed_until = NULL,
       last_code = %(code)s, last_error = %(said)s
 WHERE id = %(id)s AND attempts = %(attempts)s AND state = 'waiting'
RETURNING id
"""
_AGAIN = """
UPDATE approvals_delivery
   SET due_at = clock_timestamp() + make_interval(secs => %(pause)s), claimed_until = NULL,
       last_code = %(code)s, last_error = %(said)s
 WHERE id = %(id)s AND attempts = %(attempts)s AND state = 'waiting'
   AND give_up_at > clock_timestamp() + make_interval(secs => %(pause)s)
RETURNING id
"""
_QUIET = """
INSERT INTO approvals_lane AS lane (name, failures, quiet_until)
VALUES (%(name)s, 1, clock_timestamp() + make_interval(secs => %(first)s))
ON CONFLICT (name) DO UPDATE SET failures = lane.failures + 1
RETURNING failures
"""
_GIVE_UP = """
UPDATE approvals_delivery SET state = 'failed', ended_at = clock_timestamp(), claimed_until = NULL,
       last_error = CASE WHEN last_error = '' THEN 'It could not be tried in time.' ELSE last_error END
 WHERE id IN (SELECT id FROM approvals_delivery
               WHERE state = 'waiting' AND give_up_at <= statement_timestamp()
                 AND (claimed_until IS NULL OR claimed_until <= statement_timestamp())
               ORDER BY give_up_at LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED)
RETURNING id, channel, attempts, last_code
"""


class Overtaken(Exception):
    """There is nothing left to tell: decided meanwhile, or not this person's turn any more."""


def run(*, seconds: float = RUN_SECONDS) -> int:
    """Address, give up and send until nothing is due or the time is over; how many messages were tried."""
    ends = time.monotonic() + seconds
    while addressing.address() == addressing.BATCH and time.monotonic() < ends:
        pass
    give_up()
    tried = 0
    while time.monotonic() < ends:
        delivery = claim()
        if delivery is None:
            break
        attempt(delivery)
        tried += 1
    return tried


def claim() -> Delivery | None:
    """The delivery longest due, ours for `CLAIM_SECONDS`; None where nothing is due on a lane that isn't quiet."""
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"lease": CLAIM_SECONDS})
        row = cursor.fetchone()
    return Delivery.objects.select_related("person", "webhook").get(pk=row[0]) if row else None


def attempt(delivery: Delivery) -> None:
    """Send a claimed delivery once and note what came of it; raises nothing that a receiver could cause."""
    try:
        code = _send(delivery)
    except Overtaken:
        _note(delivery, Delivery.State.OVERTAKEN)
    except NotSent as error:
        _not_sent(delivery, error)
    except Exception:  # a fault of ours must not stop everybody else's messages
        log.exception("notifications.fault", delivery=str(delivery.pk), channel=delivery.channel)
        _not_sent(delivery, NotSent("The message could not be made; the log of the worker says why."))
    else:
        _sent(delivery, code)


def _send(delivery: Delivery) -> int | None:
    if delivery.webhook is not None:
        return _to_webhook(delivery, delivery.webhook)
    lines = lines_of(_still_theirs(delivery)) + alarms_of(_still_undecidable(delivery))
    if not lines:
        raise Overtaken
    if delivery.person is not None:
        return email.send(delivery.pk, delivery.person.email, lines)
    chat.send(delivery.room, lines)
    return None


def _still_theirs(delivery: Delivery) -> list[Request]:
    """The requests of this letter that still wait for its receiver."""
    told = delivery.notices.filter(event__in=[event.value for event in TO_PEOPLE])
    turns = turns_of(set(told.values_list("request_id", flat=True))).values()
    if delivery.person_id is None:
        everywhere = delivery.room == addressing.EVERY_ROOM
        return [turn.request for turn in turns if everywhere or delivery.room in turn.teams]
    return [turn.request for turn in turns if delivery.person_id in turn.people]


def _still_undecidable(delivery: Delivery) -> list[Request]:
    """The requests of this letter that nobody can decide, where its receiver is one who is told of it."""
    told = delivery.notices.filter(event__in=[event.value for event in TO_OVERSEERS])
    ids = set(told.values_list("request_id", flat=True))
    return still_undecidable(ids) if ids and delivery.person_id in overseers() else []


def _to_webhook(delivery: Delivery, receiver: Webhook) -> int:
    if not receiver.active:
        raise Overtaken
    notice: Notice = delivery.notices.select_related("request__agent").get()
    return webhook.send(delivery, receiver, payload(notice, lines_of([notice.request])[0]), queries.clock())


# ---- what came of it


def _note(delivery: Delivery, state: Delivery.State, *, code: int | None = None, said: str = "") -> bool:
    """End a delivery whose claim is ours; False where somebody took it meanwhile."""
    with connection.cursor() as cursor:
        cursor.execute(
            _END,
            {
                "state": state.value,
                "code": code,
                "said": said[:300],
                "id": delivery.pk,
                "attempts": delivery.attempts,
            },
        )
        return cursor.fetchone() is not None


def _sent(delivery: Delivery, code: int | None) -> None:
    _note(delivery, Delivery.State.SENT, code=code)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM approvals_lane WHERE name = %s", [delivery.lane])


def _not_sent(delivery: Delivery, error: NotSent) -> None:
    log.warning("notifications.not_sent", delivery=str(delivery.pk), channel=delivery.channel, said=str(error))
    if error.lane:
        _hush(delivery.lane)
    if error.permanent or not _later(delivery, error):
        _fail(delivery=delivery, error=error)


def _later(delivery: Delivery, error: NotSent) -> bool:
    """Put it off; False where that would be past its last moment, or where somebody took it meanwhile."""
    with connection.cursor() as cursor:
        cursor.execute(
            _AGAIN,
            {
                "pause": pause_after(delivery.attempts).total_seconds(),
                "code": error.code,
                "said": str(error)[:300],
                "id": delivery.pk,
                "attempts": delivery.attempts,
            },
        )
        return cursor.fetchone() is not None


def _hush(lane: str) -> None:
    """Try nothing on a lane for a while that grows with its failures in a row."""
    with connection.cursor() as cursor:
        cursor.execute(_QUIET, {"name": lane, "first": quiet_after(1).total_seconds()})
        failures = cursor.fetchone()[0]
        cursor.execute(
            "UPDATE approvals_lane SET quiet_until = clock_timestamp() + make_interval(secs => %s) WHERE name = %s",
            [quiet_after(failures).total_seconds(), lane],
        )


@verb
def _fail(*, delivery: Delivery, error: NotSent) -> None:
    """End it as failed, with its entry; a receiver that is gone is switched off."""
    if not _note(delivery, Delivery.State.FAILED, code=error.code, said=str(error)):
        return
    _record_failed([(delivery.pk, delivery.channel, delivery.attempts, error.code)])
    if isinstance(error, Gone) and delivery.webhook is not None:
        endpoints.switch_off(delivery.webhook, by=SYSTEM, change="gone")


@verb
def give_up() -> int:
    """Fail what could not be delivered in its 24 hours, tried or not, with an entry each; how many."""
    with connection.cursor() as cursor:
        cursor.execute(_GIVE_UP, {"limit": OVERDUE_AT_ONCE})
        rows: list[tuple[UUID, str, int, int | None]] = cursor.fetchall()
    _record_failed(rows)
    return len(rows)


def _record_failed(rows: list[tuple[UUID, str, int, int | None]]) -> None:
    record_many(
        [
            Draft(
                type=EntryType.NOTIFICATION_FAILED,
                actor=SYSTEM,
                subject=Party("notification", str(pk)),
                facts={"channel": str(channel), "attempts": attempts, "code": code},
            )
            for pk, channel, attempts, code in rows
        ]
    )
