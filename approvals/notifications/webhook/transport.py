"""Sends one signed message to one webhook. Whether it is due is not asked here."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import F, Q
from django.db.models.functions import Now

from approvals.models import Delivery, Webhook
from approvals.notifications import guard
from approvals.notifications.errors import Gone, NotSent
from approvals.notifications.webhook import signature
from approvals.notifications.webhook.secrets import Unreadable, unseal
from approvals.payloads import canonical

GONE = 410


def rules() -> guard.Rules:
    """What this deployment allows beyond https to public addresses; nothing outside the demo."""
    return guard.Rules(http=settings.DEMO, loopback=settings.DEMO and settings.WEBHOOKS_ALLOW_LOOPBACK)


def message_id(delivery: Delivery) -> str:
    """`webhook-id`: the same however often it is sent, so that a receiver can tell a repetition."""
    return f"msg_{delivery.pk.hex}"


def signing(webhook: Webhook) -> list[str]:
    """The secrets that sign now, newest first: one, or two while a rotation lasts. Raises `Unreadable`."""
    rows = webhook.secrets.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=Now()))
    return [unseal(row.sealed) for row in rows.order_by(F("expires_at").desc(nulls_first=True))]


def send(delivery: Delivery, webhook: Webhook, body: dict[str, Any], at: datetime) -> int:
    """Send it, stamped `at` (the database's clock); the receiver's code, which is 2xx. Raises `NotSent`."""
    content = canonical(body).encode()
    try:
        signed = signature.headers(
            message_id=message_id(delivery), timestamp=int(at.timestamp()), body=content, signing=signing(webhook)
        )
    except Unreadable as error:
        raise NotSent("The signing secret cannot be read any more: rotate it.", permanent=True) from error
    try:
        code = guard.post(
            webhook.url,
            content=content,
            headers={**signed, "content-type": "application/json", "user-agent": "Countersign"},
            rules=rules(),
        )
    except guard.Refused as error:
        raise NotSent(str(error), permanent=True) from error
    except guard.Unreachable as error:
        raise NotSent(str(error), lane=True) from error
    if code == GONE:
        raise Gone
    if not 200 <= code < 300:
        followed = " Redirects are not followed." if 300 <= code < 400 else ""
        raise NotSent(f"The receiver answered {code}.{followed}", lane=True, code=code)
    return code
