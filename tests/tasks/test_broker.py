"""What worker and beat do while Redis is away, as far as kombu alone would stand still for ever."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from django.conf import settings
from kombu.simple import SimpleQueue

from config.broker import Patient
from config.celery import app


def _gone(*_: object, **__: object) -> None:
    raise redis.ConnectionError("Connection closed by server.")


def test_a_task_that_redis_cannot_be_told_is_done_holds_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    with Patient(settings.CELERY["broker_url"]) as connection:
        queue = SimpleQueue(connection, "places", serializer="json")
        queue.clear()
        queue.put({"a": "task"})
        channel: Any = queue.channel
        channel.basic_qos(0, 1, False)
        message = queue.get(timeout=5)
        assert not channel.qos.can_consume()
        monkeypatch.setattr(redis.client.Pipeline, "execute", _gone)
        with pytest.raises(redis.ConnectionError):
            message.ack()
        assert channel.qos.can_consume()


def test_worker_and_beat_make_their_connections_so() -> None:
    with app.connection_for_read() as reading, app.connection_for_write() as writing:
        assert {type(reading), type(writing)} == {Patient}
        assert type(reading.transport).__module__ == "config.broker"
