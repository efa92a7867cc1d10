"""Policy versions, immutable and digested, and which was in force since when."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from accounts.models import User


class PolicyVersion(models.Model):
    """One pack of policies and catalogue, as text by file name; never changed after it was proposed."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    number = models.PositiveIntegerField(unique=True)
    digest = models.CharField(max_length=71)  # sha256:<hex> over the canonical {name: text}
    files = models.JSONField()
    proposed_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")  # null: bootstrap
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"policy {self.number}"


class PolicyActivation(models.Model):
    """From `activated_at` this version is in force, until the next activation."""

    id = models.BigAutoField(primary_key=True)
    version = models.ForeignKey(PolicyVersion, on_delete=models.PROTECT, related_name="activations")
    activated_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")  # null: bootstrap
    activated_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.version_id} from {self.activated_at}"
