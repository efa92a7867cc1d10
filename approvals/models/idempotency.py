"""Answers remembered by Idempotency-Key; written in the transaction of the act they answer."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class RememberedAnswer(models.Model):
    """The first answer to a key, to be given again byte for byte. The unique row is also the lock between twins."""

    id = models.BigAutoField(primary_key=True)
    holder_kind = models.CharField(max_length=10)
    holder_id = models.UUIDField()
    key = models.CharField(max_length=255)
    fingerprint = models.BinaryField(max_length=32)  # SHA-256 over method, path and body
    status = models.PositiveSmallIntegerField(default=0)
    headers = models.JSONField(default=dict)
    body = models.BinaryField(default=b"")
    request_id = models.UUIDField(null=True)  # kept until 24 h after this request is final
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = (models.UniqueConstraint(fields=["holder_kind", "holder_id", "key"], name="one_answer_per_key"),)

    def __str__(self) -> str:
        return f"{self.holder_kind} {self.holder_id} {self.key}"
