"""What is to be told, to whom, and how far it got; webhook endpoints and people's preferences. Nothing is sent here.

Redis holds none of it: a flush of the broker loses a second, not a word.
"""

from __future__ import annotations

from enum import StrEnum

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from accounts.models import User
from approvals.models.request import Request


class Event(StrEnum):
    """What can be told, as webhooks spell it; never renamed. The first three are told to those whose
    turn it is too, the last to those who can mend it."""

    PENDING = "request.pending"
    REMINDER = "request.reminder"
    ESCALATED = "request.escalated"
    APPROVED = "request.approved"
    REJECTED = "request.rejected"
    EXPIRED = "request.expired"
    BLOCKED = "request.blocked"
    WITHDRAWN = "request.withdrawn"
    UNDECIDABLE = "request.undecidable"


TO_PEOPLE: frozenset[Event] = frozenset({Event.PENDING, Event.REMINDER, Event.ESCALATED})
TO_OVERSEERS: frozenset[Event] = frozenset({Event.UNDECIDABLE})  # administrators and leadership


class Notice(models.Model):
    """The outbox: something happened that somebody is to be told. Written in the transaction of what happened."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    event = models.CharField(max_length=30, choices=[(e.value, e.value) for e in Event])
    request = models.ForeignKey(Request, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(db_default=Now())
    addressed_at = models.DateTimeField(null=True)  # when its deliveries were made; null: nobody has looked yet

    class Meta:
        indexes = (models.Index(fields=["id"], condition=Q(addressed_at__isnull=True), name="notices_to_address"),)

    def __str__(self) -> str:
        return f"{self.event} {self.request_id}"


class Webhook(models.Model):
    """An address that is told of events, signed. Its secrets lie in `WebhookSecret`."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    url = models.CharField(max_length=2000)
    events = ArrayField(models.CharField(max_length=30))
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return str(self.pk)


class WebhookSecret(models.Model):
    """A signing secret, sealed. Without an end it is the newest; with one it signs beside that until then."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    webhook = models.ForeignKey(Webhook, on_delete=models.PROTECT, related_name="secrets")
    sealed = models.TextField()
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["webhook"], condition=Q(expires_at__isnull=True), name="one_newest_secret_per_webhook"
            ),
        )

    def __str__(self) -> str:
        return str(self.pk)


class Delivery(models.Model):
    """One message to one receiver, retried under the same id until it is sent, given up, or overtaken by events.

    `lane` names what fails together (`email`, `chat:<room>`, `webhook:<id>`); see `Lane`.
    """

    class Channel(models.TextChoices):
        EMAIL = "email"
        WEBHOOK = "webhook"
        CHAT = "chat"

    class State(models.TextChoices):
        WAITING = "waiting"
        SENT = "sent"
        FAILED = "failed"
        OVERTAKEN = "overtaken"  # when its turn came there was nothing left to tell

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    channel = models.CharField(max_length=7, choices=Channel.choices)
    lane = models.CharField(max_length=100)
    person = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    webhook = models.ForeignKey(Webhook, on_delete=models.PROTECT, null=True, related_name="deliveries")
    room = models.CharField(max_length=60, blank=True)
    notices = models.ManyToManyField(Notice, related_name="deliveries")
    state = models.CharField(max_length=9, choices=State.choices, default=State.WAITING)
    created_at = models.DateTimeField(db_default=Now())
    due_at = models.DateTimeField()
    give_up_at = models.DateTimeField()
    attempts = models.PositiveIntegerField(default=0)
    claimed_until = models.DateTimeField(null=True)  # a sender has it; past that moment it died with it
    tried_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    last_code = models.PositiveIntegerField(null=True)  # of the last answer: HTTP's or SMTP's
    last_error = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=Q(channel="email", person__isnull=False, webhook__isnull=True, room="")
                | Q(channel="webhook", person__isnull=True, webhook__isnull=False, room="")
                | (Q(channel="chat", person__isnull=True, webhook__isnull=True) & ~Q(room="")),
                name="a_delivery_has_one_receiver",
            ),
            models.CheckConstraint(
                condition=Q(state="waiting", ended_at__isnull=True) | (~Q(state="waiting") & Q(ended_at__isnull=False)),
                name="a_delivery_that_ended_says_when",
            ),
            # Where new notices for a person or a room join those that wait already.
            models.UniqueConstraint(
                fields=["person"], condition=Q(state="waiting", attempts=0), name="one_open_letter_per_person"
            ),
            models.UniqueConstraint(
                fields=["room"],
                condition=Q(state="waiting", attempts=0, channel="chat"),
                name="one_open_letter_per_room",
            ),
        )
        indexes = (
            models.Index(fields=["due_at"], condition=Q(state="waiting"), name="deliveries_by_due_time"),
            models.Index(fields=["webhook", "-id"], name="deliveries_of_a_webhook"),
            models.Index(fields=["ended_at"], name="deliveries_by_end"),
        )

    def __str__(self) -> str:
        return f"{self.channel} {self.pk} ({self.state})"


class Lane(models.Model):
    """How a receiver's channel is doing: while it is quiet nothing is tried on it, so a dead one holds up no other."""

    name = models.CharField(max_length=100, primary_key=True)
    failures = models.PositiveIntegerField(default=0)  # in a row
    quiet_until = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name


class Preference(models.Model):
    """How a person wants to be told; without a row the defaults hold."""

    person = models.OneToOneField(User, on_delete=models.CASCADE, primary_key=True, related_name="preference")
    email = models.BooleanField(default=True)
    window_seconds = models.PositiveIntegerField(default=300)  # how long messages are gathered; critical ones are not

    def __str__(self) -> str:
        return str(self.person_id)
