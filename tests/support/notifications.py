"""Telling, in tests: sends what is due, and moves times of rows that cannot be waited for. Nothing is asserted."""

from __future__ import annotations

from approvals.models import Delivery, Event, Webhook
from approvals.notifications import endpoints, sending
from tests.support import services
from tests.support.cast import Cast, password_proof

EVERY_EVENT = tuple(event.value for event in Event)


def add_webhook(cast: Cast, url: str, *events: str) -> tuple[Webhook, str]:
    """A webhook and its secret, added by admin1; of every event where none is named."""
    return endpoints.add(by=cast["admin1"], url=url, events=events or EVERY_EVENT, auth=password_proof())


def send_all() -> int:
    """One run of the periodic task."""
    return sending.run()


def make_due() -> None:
    """Let every waiting delivery be due, and no lane be quiet any more."""
    with services.connection("app") as app:
        app.execute("UPDATE approvals_delivery SET due_at = clock_timestamp() WHERE state = 'waiting'")
        app.execute("UPDATE approvals_lane SET quiet_until = clock_timestamp()")


def a_day_passes() -> None:
    """Let every waiting delivery be past its 24 hours."""
    with services.connection("app") as app:
        app.execute("UPDATE approvals_delivery SET give_up_at = clock_timestamp() WHERE state = 'waiting'")


def the_sender_died() -> None:
    """Let every claim have run out, as it does when its holder was killed."""
    with services.connection("app") as app:
        app.execute("UPDATE approvals_delivery SET claimed_until = clock_timestamp() WHERE state = 'waiting'")


def only_delivery(channel: str = "webhook") -> Delivery:
    """The one delivery of that channel."""
    return Delivery.objects.get(channel=channel)
