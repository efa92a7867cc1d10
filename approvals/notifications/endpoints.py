"""The verbs over webhooks and their deliveries: add, change, rotate, send again; each change of a webhook an entry.

Who may do so is the door's gate to ask; nothing is sent here.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models.functions import Now

from accounts.models import User
from accounts.people import person_party
from approvals import queries
from approvals.models import Delivery, Event, Lane, Webhook, WebhookSecret
from approvals.notifications import guard
from approvals.notifications.retries import GIVE_UP_AFTER
from approvals.notifications.webhook.secrets import Unreadable, resealed, seal
from approvals.notifications.webhook.signature import new_secret
from approvals.notifications.webhook.transport import rules
from approvals.transactions import verb
from audit.entries import Authentication, Draft, Party, Personal, record
from audit.types import EntryType

BOTH_SIGN_FOR = timedelta(hours=24)  # after a rotation the secret before still signs along


class Unfit(ValueError):
    """What was asked for cannot be kept; `field` names what is wrong, the text says why."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


def _chosen(events: Collection[str]) -> list[str]:
    known = [event.value for event in Event if event.value in events]
    if not known or len(known) != len(set(events)):
        raise Unfit("events", "Choose at least one event.")
    return known


@verb
def add(*, by: User, url: str, events: Collection[str], auth: Authentication) -> tuple[Webhook, str]:
    """Add a webhook; gives it and its secret, which is shown this once. Raises `Unfit`."""
    try:
        guard.check_url(url, rules())
    except guard.Refused as error:
        raise Unfit("url", str(error)) from error
    made = Webhook(url=url, events=_chosen(events))
    made.save(force_insert=True)
    secret = _new_secret(made)
    _record(made, by=person_party(by), change="added", auth=auth)
    return made, secret


@verb
def change(*, by: User, webhook_id: UUID, events: Collection[str], active: bool, auth: Authentication) -> None:
    """Choose a webhook's events, or switch it off and on; raises `Unfit`, `Webhook.DoesNotExist`."""
    webhook = Webhook.objects.select_for_update().get(pk=webhook_id)
    chosen = _chosen(events)
    if (webhook.events, webhook.active) == (chosen, active):
        return
    webhook.events, webhook.active = chosen, active
    webhook.save(update_fields=["events", "active"])
    _record(webhook, by=person_party(by), change="changed", auth=auth)


@verb
def rotate(*, by: User, webhook_id: UUID, auth: Authentication) -> tuple[Webhook, str]:
    """Give a webhook a new secret, shown this once; the one before signs along for 24 hours, older ones no more."""
    webhook = Webhook.objects.select_for_update().get(pk=webhook_id)
    now = queries.clock()
    webhook.secrets.filter(expires_at__gt=now).update(expires_at=now)
    webhook.secrets.filter(expires_at__isnull=True).update(expires_at=now + BOTH_SIGN_FOR)
    secret = _new_secret(webhook)
    _record(webhook, by=person_party(by), change="rotated", auth=auth)
    return webhook, secret


@verb
def reseal() -> tuple[int, int]:
    """Bring every secret under the SECRET_KEY in use; how many were, and how many no known key opens."""
    done = lost = 0
    for secret in WebhookSecret.objects.select_for_update().order_by("pk"):
        try:
            secret.sealed = resealed(secret.sealed)
        except Unreadable:
            lost += 1
            continue
        secret.save(update_fields=["sealed"])
        done += 1
    return done, lost


def switch_off(webhook: Webhook, *, by: Party, change: str) -> None:
    """Send it nothing more; inside the caller's transaction."""
    webhook.active = False
    webhook.save(update_fields=["active"])
    _record(webhook, by=by, change=change, auth=None)


@verb
def send_again(*, delivery_id: UUID) -> Delivery:
    """Make an ended delivery due now, for another 24 hours, under the same id; raises `Delivery.DoesNotExist`.

    One that waits is tried now. Its lane is tried at once, too.
    """
    delivery = Delivery.objects.select_for_update(of=("self",)).get(pk=delivery_id)
    now = queries.clock()
    if delivery.claimed_until is not None and delivery.claimed_until > now:
        return delivery  # somebody is sending it at this moment
    Delivery.objects.filter(pk=delivery_id).update(
        state=Delivery.State.WAITING,
        ended_at=None,
        due_at=now,
        give_up_at=now + GIVE_UP_AFTER,
        attempts=max(delivery.attempts, 1),  # an untried letter would take on new notices
    )
    Lane.objects.filter(name=delivery.lane).delete()
    return delivery


def _new_secret(webhook: Webhook) -> str:
    secret = new_secret()
    WebhookSecret(webhook=webhook, sealed=seal(secret)).save(force_insert=True)
    return secret


def _record(webhook: Webhook, *, by: Party, change: str, auth: Authentication | None) -> None:
    record(
        Draft(
            type=EntryType.WEBHOOK_CHANGED,
            actor=by,
            subject=Party("webhook", str(webhook.pk)),
            facts={"change": change, "events": list(webhook.events), "active": webhook.active},
            personal={"url": Personal(webhook.url)},  # its path may be a secret of the receiver's
            auth=auth,
        )
    )


# ---- reading, for the administrators' pages


def webhooks() -> list[Webhook]:
    """All of them, newest first."""
    return list(Webhook.objects.order_by("-id"))


def webhook(webhook_id: UUID) -> Webhook | None:
    """One of them; None where there is none."""
    return Webhook.objects.filter(pk=webhook_id).first()


def old_secret_until(webhook: Webhook) -> datetime | None:
    """Until when the secret before the last rotation signs along; None where it does no more."""
    live = webhook.secrets.filter(expires_at__gt=Now())
    return live.values_list("expires_at", flat=True).order_by("-expires_at").first()


def deliveries(
    *, webhook: Webhook | None = None, failed: bool = False, before: UUID | None, limit: int
) -> list[Delivery]:
    """Deliveries, newest first, keyset-paged by id; of one webhook, or of all channels; only the failed if asked."""
    rows = Delivery.objects.select_related("person", "webhook").prefetch_related("notices")
    if webhook is not None:
        rows = rows.filter(webhook=webhook)
    if failed:
        rows = rows.filter(state=Delivery.State.FAILED)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    return list(rows.order_by("-id")[:limit])
