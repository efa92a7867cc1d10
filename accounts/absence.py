"""The rows of absence: who decides for whom and until when, and the hours a team works. Changing them is the work of
`delegations` and `hours`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

LONGEST = timedelta(days=30)
SHORTEST = timedelta(minutes=15)
PLANNED_AT_MOST = 10  # of one delegator, running and to come: each costs every filing to their teams a look
REASON_AT_MOST = 200


class Delegation(models.Model):
    """For a period one person holds the seats of another. A row never changes but to be ended early, once."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    delegator = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="delegations_given")
    delegate = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="delegations_held")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    reason = models.CharField(max_length=REASON_AT_MOST)
    named_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    ended_at: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(null=True)
    ended_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, null=True, related_name="+")

    class Meta:
        constraints = (
            models.CheckConstraint(condition=~Q(delegate=F("delegator")), name="nobody_stands_for_themself"),
            models.CheckConstraint(
                condition=Q(ends_at__gt=F("starts_at")) & Q(ends_at__lte=F("starts_at") + LONGEST),
                name="a_delegation_is_bounded",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="a_delegation_has_a_reason"),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True, ended_by__isnull=True)
                | Q(ended_at__isnull=False, ended_by__isnull=False),
                name="who_ended_a_delegation",
            ),
        )
        indexes = (
            models.Index(fields=["delegate", "ends_at"], name="delegations_held"),
            models.Index(fields=["delegator", "ends_at"], name="delegations_given"),
        )

    def __str__(self) -> str:
        return f"{self.delegate_id} for {self.delegator_id}"

    @property
    def until(self) -> datetime:
        """When it ends, or ended."""
        return self.ends_at if self.ended_at is None else min(self.ends_at, self.ended_at)


class TeamHours(models.Model):
    """When a team works; without a row it always does. They move no deadline and keep nobody from deciding."""

    team = models.OneToOneField("accounts.Team", on_delete=models.PROTECT, primary_key=True, related_name="hours")
    weekdays = ArrayField(models.PositiveSmallIntegerField())  # ISO: Monday is 1
    opens = models.TimeField()
    closes = models.TimeField()  # before `opens`: on the following day
    timezone = models.CharField(max_length=64)  # a name of the tz database

    class Meta:
        constraints = (
            models.CheckConstraint(condition=~Q(weekdays=[]), name="hours_name_a_day"),
            models.CheckConstraint(condition=~Q(opens=F("closes")), name="hours_have_a_length"),
        )

    def __str__(self) -> str:
        return f"hours of {self.team_id}"
