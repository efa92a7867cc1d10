"""The rows of those who may ask: agents, executors and their credentials, and the stops of all of them.

Changing them is `registration`'s, `suspension`'s and `stops`' work.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import ExpressionWrapper, F, Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from accounts.models import User
from audit.entries import Party


class Scope(models.TextChoices):
    """What a key may do. No scope decides."""

    FILE = "requests:file"
    READ = "requests:read"
    REDEEM = "grants:redeem"
    REPORT = "outcomes:report"
    AUDIT = "audit:read"
    AUDIT_DETAILS = "audit:details"


class Agent(models.Model):
    """A program that asks. Its owner answers for it, and is never counted towards its requests."""

    class State(models.TextChoices):
        ACTIVE = "active"
        SUSPENDED = "suspended"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    slug = models.SlugField(max_length=50, unique=True)
    purpose = models.CharField(max_length=500)
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="agents")
    level = models.PositiveSmallIntegerField()  # safety level 1–3; 3 reaches the high-impact domains
    state = models.CharField(max_length=10, choices=State.choices, default=State.ACTIVE)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = (models.CheckConstraint(condition=Q(level__range=(1, 3)), name="agent_level_is_1_to_3"),)

    def __str__(self) -> str:
        return self.slug


class Stop(models.Model):
    """All agents stopped by one write. Its number is an epoch: what was asked or granted before it stays stopped."""

    number = models.PositiveIntegerField(primary_key=True)  # 1, 2, 3 …; 0 is the time before the first
    started_at = models.DateTimeField(db_default=Now())
    started_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")  # null: an operator
    reason = models.CharField(max_length=500)
    lifted_at = models.DateTimeField(null=True)
    lifted_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    lift_reason = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=Q(lifted_at__isnull=True, lifted_by__isnull=True, lift_reason="")
                | (Q(lifted_at__isnull=False, lifted_by__isnull=False) & ~Q(lift_reason="")),
                name="a_lifted_stop_says_by_whom_and_why",
            ),
            models.CheckConstraint(
                condition=Q(started_by__isnull=True) | Q(lifted_by__isnull=True) | ~Q(lifted_by=F("started_by")),
                name="a_stop_is_lifted_by_somebody_else",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="a_stop_has_a_reason"),
            models.UniqueConstraint(
                ExpressionWrapper(Q(lifted_at__isnull=True), output_field=models.BooleanField()),
                condition=Q(lifted_at__isnull=True),
                name="one_stop_at_a_time",
            ),
        )

    def __str__(self) -> str:
        return f"stop {self.number}"


class Executor(models.Model):
    """A system that acts: it redeems grants and reports outcomes; ideally it is not the agent."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    slug = models.SlugField(max_length=50, unique=True)
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.slug


class Credential(models.Model):
    """An API key of one agent, one executor or one auditor. The secret is not kept, only its SHA-256."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    public_id = models.CharField(max_length=8, unique=True)
    secret_sha256 = models.BinaryField(max_length=32)
    scopes = ArrayField(models.CharField(max_length=20, choices=Scope.choices))
    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, null=True, related_name="credentials")
    executor = models.ForeignKey(Executor, on_delete=models.PROTECT, null=True, related_name="credentials")
    auditor = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="credentials")
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=(
                    Q(agent__isnull=False, executor__isnull=True, auditor__isnull=True)
                    | Q(agent__isnull=True, executor__isnull=False, auditor__isnull=True)
                    | Q(agent__isnull=True, executor__isnull=True, auditor__isnull=False)
                ),
                name="a_key_has_one_holder",
            ),
        )

    def __str__(self) -> str:
        return self.public_id

    @property
    def holder(self) -> Party:
        """Whom this key speaks for: what idempotency is scoped to and what entries name as the actor."""
        if self.agent_id is not None:
            return Party("agent", str(self.agent_id))
        if self.executor_id is not None:
            return Party("executor", str(self.executor_id))
        return Party("person", str(self.auditor_id))
