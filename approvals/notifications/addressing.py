"""Turns notices into deliveries: to people whose turn it is and rooms, gathered; to webhooks singly. Sends nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection
from uuid_utils.compat import uuid7

from approvals import queries
from approvals.models import TO_OVERSEERS, TO_PEOPLE, Delivery, Event, Notice, Preference, Request, Webhook
from approvals.notifications.preferences import DEFAULT_WINDOW
from approvals.notifications.retries import GIVE_UP_AFTER
from approvals.notifications.turns import Turn, overseers, turns_of
from approvals.transactions import verb

BATCH = 200
EVERY_ROOM = "*"
# Gathering never takes more than this part of the time that is left to decide.
_OF_THE_TIME_LEFT = 4

# A letter that waits and was never tried takes what is new along, and leaves at the earlier of both times.
_LETTERS = """
INSERT INTO approvals_delivery (id, channel, lane, person_id, room, state, due_at, give_up_at, attempts, last_error)
SELECT id, %(channel)s, lane, person, room, 'waiting', due, due + make_interval(secs => %(patience)s), 0, ''
  FROM unnest(%(ids)s::uuid[], %(lanes)s::text[], %(people)s::uuid[], %(rooms)s::text[], %(dues)s::timestamptz[])
       AS letter (id, lane, person, room, due)
"""
_JOINED = " DO UPDATE SET due_at = least(approvals_delivery.due_at, excluded.due_at) RETURNING id, person_id, room"
_TO_A_PERSON = _LETTERS + " ON CONFLICT (person_id) WHERE state = 'waiting' AND attempts = 0" + _JOINED
_TO_A_ROOM = _LETTERS + " ON CONFLICT (room) WHERE state = 'waiting' AND attempts = 0 AND channel = 'chat'" + _JOINED


@dataclass
class _Letter:
    """What one receiver is told, and when it is due."""

    due: datetime
    notices: list[UUID] = field(default_factory=list)

    def add(self, notice: Notice, due: datetime) -> None:
        self.due = min(self.due, due)
        self.notices.append(notice.pk)


@verb
def address(*, limit: int = BATCH) -> int:
    """Make the deliveries of up to `limit` notices, oldest first, passing over those somebody holds; how many."""
    notices = list(
        Notice.objects.select_for_update(skip_locked=True, of=("self",))
        .filter(addressed_at__isnull=True)
        .select_related("request")
        .order_by("id")[:limit]
    )
    if not notices:
        return 0
    now = queries.clock()
    turns = turns_of({notice.request_id for notice in notices if notice.event in TO_PEOPLE})
    _to_people(notices, turns, now)
    _to_rooms(notices, turns, now)
    _to_webhooks(notices, now)
    Notice.objects.filter(pk__in=[notice.pk for notice in notices]).update(addressed_at=now)
    return len(notices)


def due_at(request: Request, window: timedelta, now: datetime) -> datetime:
    """When what is gathered leaves: at once for critical, else after the window, or a quarter of the time left."""
    if request.effective_risk == "critical":
        return now
    return now + min(window, max((request.expires_at - now) / _OF_THE_TIME_LEFT, timedelta()))


def _to_people(notices: Sequence[Notice], turns: dict[UUID, Turn], now: datetime) -> None:
    overseeing = overseers() if any(notice.event in TO_OVERSEERS for notice in notices) else frozenset()
    everybody = {person for turn in turns.values() for person in turn.people} | overseeing
    wishes = {wish.person_id: wish for wish in Preference.objects.filter(person__in=everybody)}
    told = _told_before({n.request_id for n in notices if n.event == Event.ESCALATED})
    letters: dict[UUID, _Letter] = {}
    for notice in notices:
        alarm = notice.event in TO_OVERSEERS
        turn = turns.get(notice.request_id) if notice.event in TO_PEOPLE else None
        for person in overseeing if alarm else turn.people if turn else ():
            wish = wishes.get(person)
            again = notice.event == Event.ESCALATED and (notice.request_id, person) in told
            if again or (wish is not None and not wish.email):
                continue
            window = timedelta(seconds=wish.window_seconds) if wish is not None else DEFAULT_WINDOW
            due = now if alarm else due_at(notice.request, window, now)
            letters.setdefault(person, _Letter(due)).add(notice, due)
    rows = sorted(letters.items())  # in one order, so that two processes cannot lock each other out
    made = _insert(_TO_A_PERSON, "email", [(Delivery.Channel.EMAIL, person, "", one.due) for person, one in rows])
    _link((delivery, notice) for delivery, person, _ in made for notice in letters[person].notices)


def _told_before(request_ids: set[UUID]) -> set[tuple[UUID, UUID]]:
    """Who was told of which of these requests: an escalation speaks to those whom it brings in."""
    if not request_ids:
        return set()
    rows = Delivery.objects.filter(person__isnull=False, notices__request__in=request_ids)
    return set(rows.values_list("notices__request_id", "person_id"))


def _to_rooms(notices: Sequence[Notice], turns: dict[UUID, Turn], now: datetime) -> None:
    letters: dict[str, _Letter] = {}
    for notice in notices:
        turn = turns.get(notice.request_id) if notice.event in TO_PEOPLE else None
        if turn is None:
            continue
        due = due_at(notice.request, DEFAULT_WINDOW, now)
        for room in settings.CHAT_URLS:
            if room == EVERY_ROOM or room in turn.teams:
                letters.setdefault(room, _Letter(due)).add(notice, due)
    rows = sorted(letters.items())
    made = _insert(_TO_A_ROOM, "chat", [(f"chat:{room}", None, room, one.due) for room, one in rows])
    _link((delivery, notice) for delivery, _, room in made for notice in letters[room].notices)


def _insert(
    statement: str, channel: str, rows: list[tuple[str, UUID | None, str, datetime]]
) -> list[tuple[UUID, UUID, str]]:
    if not rows:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            statement,
            {
                "channel": channel,
                "ids": [uuid7() for _ in rows],
                "lanes": [str(row[0]) for row in rows],
                "people": [row[1] for row in rows],
                "rooms": [row[2] for row in rows],
                "dues": [row[3] for row in rows],
                "patience": GIVE_UP_AFTER.total_seconds(),
            },
        )
        return cursor.fetchall()


def _to_webhooks(notices: Sequence[Notice], now: datetime) -> None:
    webhooks = list(Webhook.objects.filter(active=True))
    pairs = [(notice, webhook) for notice in notices for webhook in webhooks if notice.event in webhook.events]
    made = Delivery.objects.bulk_create(
        Delivery(
            channel=Delivery.Channel.WEBHOOK,
            lane=f"webhook:{webhook.pk}",
            webhook=webhook,
            due_at=now,
            give_up_at=now + GIVE_UP_AFTER,
        )
        for _, webhook in pairs
    )
    _link((delivery.pk, notice.pk) for delivery, (notice, _) in zip(made, pairs, strict=True))


def _link(pairs: Iterable[tuple[UUID, UUID]]) -> None:
    through = Delivery.notices.through
    through.objects.bulk_create(
        (through(delivery_id=delivery, notice_id=notice) for delivery, notice in pairs), ignore_conflicts=True
    )
