"""The rows of changes to people's rights: links that let somebody in, changes that wait for a second person, reviews.

What they mean is the verbs' (`invitations`, `two_people`, `reviews`); nothing is changed here.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

if TYPE_CHECKING:  # `models` imports this room, so that Django finds the rows in one place
    from accounts.models import User  # noqa: F401 - named by the strings below


#: Of links: neither used nor void; and of these, those that are still good by the database's clock.
UNUSED = Q(accepted_at__isnull=True, voided_at__isnull=True)
GOOD = UNUSED & Q(expires_at__gt=Now())


class Invitation(models.Model):
    """A one-time link by which a person chooses a password. The token is not kept, only its SHA-256."""

    class Kind(models.TextChoices):
        SETUP = "setup"  # the first administrator, from the command line
        INVITATION = "invitation"
        RESET = "reset"  # for somebody who lost all they signed in with

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    person = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="invitations")
    token_sha256 = models.BinaryField(max_length=32, unique=True)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    accepted_at: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(null=True)
    voided_at: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["person"],
                condition=UNUSED,
                name="one_open_link_per_person",
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} of {self.person_id}"


class RightsChange(models.Model):
    """A change that takes effect when a second administrator confirms it."""

    class Kind(models.TextChoices):
        GIVE = "give-role"
        TAKE = "take-role"
        DEACTIVATE = "deactivate"
        REACTIVATE = "reactivate"
        RESET = "reset-sign-in"
        LINK = "link-sign-in"  # tie a user of the provider's to this person

    class Outcome(models.TextChoices):
        CONFIRMED = "confirmed"
        CANCELLED = "cancelled"
        LAPSED = "lapsed"
        BOOTSTRAP = "bootstrap"  # carried out by the operator, while nobody else could confirm it

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=15, choices=Kind.choices)
    role = models.CharField(max_length=30, blank=True)  # of giving and taking
    person = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="rights_changes")
    reason = models.CharField(max_length=500)
    # Of a link: {"issuer", "sub"} of the provider's user. It is fixed when the change is proposed.
    identity: models.JSONField[dict[str, str] | None, dict[str, str] | None] = models.JSONField(null=True)
    proposed_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    outcome = models.CharField(max_length=10, choices=Outcome.choices, null=True)
    ended_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, null=True, related_name="+")
    ended_at: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            # What the verb checks, held by the database too: neither who proposed nor whom it is about confirms.
            models.CheckConstraint(
                condition=~Q(outcome="confirmed")
                | (Q(ended_by__isnull=False) & ~Q(ended_by=F("proposed_by")) & ~Q(ended_by=F("person"))),
                name="a_second_person_confirms",
            ),
            models.UniqueConstraint(
                fields=["person", "kind", "role"], condition=Q(outcome__isnull=True), name="proposed_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.role} of {self.person_id}"


class AccessReview(models.Model):
    """One look at everybody's rights, begun by an administrator and signed off when every line is answered."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    begun_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    begun_at = models.DateTimeField(db_default=Now())
    signed_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, null=True, related_name="+")
    signed_at: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(null=True)
    kept = models.PositiveIntegerField(default=0)
    removed = models.PositiveIntegerField(default=0)
    digest = models.CharField(max_length=71, blank=True)  # of what was reviewed, as in the entry

    class Meta:
        constraints = (
            models.UniqueConstraint(
                models.Value(1), condition=Q(signed_at__isnull=True), name="one_open_access_review"
            ),
        )

    def __str__(self) -> str:
        return f"access review {self.pk}"


class AccessLine(models.Model):
    """One person in a review; answered by an administrator who is not that person."""

    class Verdict(models.TextChoices):
        KEEP = "keep"
        REMOVE = "remove"
        GONE = "gone"  # deactivated before anybody answered

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    review = models.ForeignKey(AccessReview, on_delete=models.PROTECT, related_name="lines")
    person = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    verdict = models.CharField(max_length=6, choices=Verdict.choices, null=True)
    teams = models.JSONField(default=list)  # as they were when the line was answered
    roles = models.JSONField(default=list)
    answered_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, null=True, related_name="+")
    answered_at: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["review", "person"], name="one_line_per_person"),
            models.CheckConstraint(
                condition=Q(answered_by__isnull=True) | ~Q(answered_by=F("person")), name="nobody_reviews_themselves"
            ),
        )

    def __str__(self) -> str:
        return f"{self.person_id} in {self.review_id}"
