"""A bounded standing approval, who agreed to it, and each request that was approved under it. No verbs here."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from accounts.models import User
from agents.models import Agent
from approvals.models.request import Request

USES_AT_MOST = 1_000


class Allowance(models.Model):
    """The next `uses_left` requests of this agent for this action within `condition`, until `ends_at`.

    In force from `active_at`, when enough people had agreed; a trigger lets nothing change but the count, that moment
    and how it was revoked, each one way.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="allowances")
    action = models.CharField(max_length=100)
    condition = models.TextField()  # one Cedar expression: rules.conditions
    uses_total = models.PositiveIntegerField()
    uses_left = models.PositiveIntegerField()
    ends_at = models.DateTimeField()
    basis = models.ForeignKey(Request, on_delete=models.PROTECT, related_name="+")  # the request it was made from
    ruling = models.JSONField()  # what policy asked of that request then
    risk = models.CharField(max_length=8)
    teams = ArrayField(models.CharField(max_length=50))  # whose seats agree to it; who sees it
    epoch = models.PositiveIntegerField()  # stops of all agents begun before it; a later one ends it
    created_at = models.DateTimeField(db_default=Now())
    active_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    revoked_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")  # null: a stop
    revoke_reason = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=Q(uses_total__range=(1, USES_AT_MOST), uses_left__lte=F("uses_total")),
                name="an_allowance_is_counted",
            ),
            models.CheckConstraint(condition=Q(ends_at__gt=F("created_at")), name="an_allowance_ends"),
            models.CheckConstraint(condition=~Q(risk="critical"), name="nothing_critical_is_allowed_ahead"),
        )
        indexes = (
            models.Index(
                fields=["agent", "action"],
                condition=Q(revoked_at__isnull=True, uses_left__gt=0),
                name="allowances_to_use",
            ),
            models.Index(fields=["agent", "-id"], name="allowances_of_an_agent"),
        )

    def __str__(self) -> str:
        return f"{self.action}: {self.uses_left} of {self.uses_total}"


class AllowanceAgreement(models.Model):
    """One person's yes to an allowance, with why and how they proved who they are. Never changed, never deleted."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    allowance = models.ForeignKey(Allowance, on_delete=models.PROTECT, related_name="agreements")
    person = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    rationale = models.TextField()
    teams = models.JSONField()  # slugs of the teams the person sat in then
    auth_method = models.CharField(max_length=40)
    auth_at = models.DateTimeField()
    at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=["allowance", "person"], name="one_agreement_per_person"),)

    def __str__(self) -> str:
        return f"{self.person_id} to {self.allowance_id}"


class AllowanceUse(models.Model):
    """The decision record of a request that was approved under an allowance: who had agreed fills the seats."""

    request = models.OneToOneField(Request, on_delete=models.PROTECT, primary_key=True, related_name="allowance_use")
    allowance = models.ForeignKey(Allowance, on_delete=models.PROTECT, related_name="uses")
    number = models.PositiveIntegerField()  # 1, 2, 3 … of the allowance's uses
    seats = models.JSONField()  # [{"team": slug, "person": id}, …]
    at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=["allowance", "number"], name="each_use_counts_once"),)

    def __str__(self) -> str:
        return f"use {self.number} of {self.allowance_id}"
