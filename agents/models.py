"""The rows of those who may ask: agents, executors and their credentials. Changing them is `registration`'s work."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
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
