"""The licence that an approval becomes, spent once; and the public halves of the keys that signed."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from agents.models import Credential
from approvals.models.request import Request


class Grant(models.Model):
    """Single use: `redeemed_at` is set at most once, and never on a voided grant (a trigger holds both)."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)  # the JWS's jti
    request = models.OneToOneField(Request, on_delete=models.PROTECT, related_name="grant")
    audience = models.CharField(max_length=300)
    issued_at = models.DateTimeField()  # the approval's time; reads renew from here in steps of 5 minutes
    valid_until = models.DateTimeField()
    level = models.CharField(max_length=8)  # the risk it was approved at: the stricter of filing and decision
    fork = models.PositiveIntegerField()  # forks of the log declared before it; a later one voids it
    epoch = models.PositiveIntegerField(db_default=0)  # stops of all agents begun before it; a later one voids it
    redeemed_at = models.DateTimeField(null=True)
    redeemed_by = models.ForeignKey(Credential, on_delete=models.PROTECT, null=True, related_name="+")
    voided_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=Q(redeemed_at__isnull=True, redeemed_by__isnull=True)
                | Q(redeemed_at__isnull=False, redeemed_by__isnull=False),
                name="a_redemption_has_a_redeemer",
            ),
        )
        indexes = (
            models.Index(
                fields=["valid_until", "epoch"],
                condition=Q(redeemed_at__isnull=True, voided_at__isnull=True),
                name="grants_unspent",
            ),
            models.Index(fields=["redeemed_at"], condition=Q(redeemed_at__isnull=False), name="grants_by_redemption"),
        )

    def __str__(self) -> str:
        return f"grant for {self.request_id}"


class SigningKey(models.Model):
    """The public half of a grant key: published 24 h before use, kept until its last grant has lapsed."""

    kid = models.CharField(max_length=64, primary_key=True)
    x = models.CharField(max_length=64)  # base64url of the Ed25519 public key
    published_at = models.DateTimeField(db_default=Now())
    retired_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.kid
