"""How worker and beat reach Redis, and what they do while it is away: what Celery has no setting for.

No task is here; the settings that Celery has are in `settings`.
"""

from __future__ import annotations

from typing import Any

from celery.app.amqp import AMQP
from django.conf import settings
from kombu import Connection
from kombu.transport import redis, virtual


class Acknowledging(redis.QoS):
    """Frees a task's place though Redis could not be told that the task is done.

    kombu keeps it. Once as many were kept as the worker takes at a time, it asks Redis for nothing any more, so that it
    never learns that its connection is broken, and stands still for ever (bench/kills found it; celery#8091 and its
    many twins). Redis delivers the task again some day: each may run twice.
    """

    def ack(self, delivery_tag: str) -> None:
        """As kombu, and whatever Redis says, one place more."""
        try:
            self._remove_from_indices(delivery_tag).execute()
        finally:
            virtual.QoS.ack(self, delivery_tag)


class Channel(redis.Channel):
    QoS = Acknowledging


class Transport(redis.Transport):
    Channel = Channel


class Patient(Connection):
    """Tries an absent broker every few seconds: kombu's own pause grows to 30 s."""

    def get_transport_cls(self) -> type[Transport]:
        """Ours, by whatever address Redis is reached."""
        return Transport

    def ensure_connection(self, *args: Any, **keywords: Any) -> Any:
        """As worker and beat call it: with an errback and how often to try, and no pauses of their own."""
        return super().ensure_connection(*args, **{"interval_max": settings.REDIS_RETRY_SECONDS, **keywords})


class Broker(AMQP):
    """What Celery is given to make its connections by."""

    Connection = Patient
