"""One person's verdict on a request, with what they saw; and the seats that a reached quorum filled."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from accounts.models import User
from approvals.models.request import Request


class Decision(models.Model):
    """A verdict. Never changed but to be voided, never deleted."""

    class Verdict(models.TextChoices):
        APPROVE = "approve"
        REJECT = "reject"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    request = models.ForeignKey(Request, on_delete=models.PROTECT, related_name="decisions")
    person = models.ForeignKey(User, on_delete=models.PROTECT, related_name="decisions")
    verdict = models.CharField(max_length=7, choices=Verdict.choices)
    rationale = models.TextField(blank=True)
    note = models.TextField(blank=True)  # for colleagues and auditors; never sent to the agent
    reason_code = models.CharField(max_length=30, blank=True)
    teams = models.JSONField()  # slugs of the teams the person sat in then
    # For whom they decided too: [{"delegation": id, "person": the delegator's, "teams": those the delegator sat in}]
    delegated_from = models.JSONField(default=list, db_default=models.Value([], output_field=models.JSONField()))
    display_digest = models.CharField(max_length=71)  # of the page they decided on; of their edit, where they made one
    parameters_digest = models.CharField(max_length=71)  # of what that page showed, or of their edit
    edited_from = models.CharField(
        max_length=71, blank=True, db_default="", default=""
    )  # with an edit: display digest of the page it began from
    view_nonce = models.CharField(max_length=32, unique=True)  # one page view, one decision
    opened_at = models.DateTimeField()  # when that page was opened
    auth_method = models.CharField(max_length=40)
    auth_at = models.DateTimeField()
    decided_at = models.DateTimeField(db_default=Now())
    voided_at = models.DateTimeField(null=True)
    void_reason = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["request", "person"],
                condition=Q(voided_at__isnull=True),
                name="one_decision_per_person",
            ),
        )

    def __str__(self) -> str:
        return f"{self.person_id} {self.verdict} {self.request_id}"


class Seat(models.Model):
    """A seat of the quorum and the decision that fills it; written when the quorum is reached, checked by a trigger."""

    id = models.BigAutoField(primary_key=True)
    request = models.ForeignKey(Request, on_delete=models.PROTECT, related_name="seats")
    decision = models.OneToOneField(Decision, on_delete=models.PROTECT, related_name="seat")
    team = models.CharField(max_length=50)

    def __str__(self) -> str:
        return f"{self.decision_id} for {self.team}"
