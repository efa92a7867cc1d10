"""Indexes for two questions asked by time: what an agent has pending, and which redemptions have no outcome yet."""

from __future__ import annotations

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # concurrently: a release in service goes on filing

    dependencies = (("approvals", "0017_one_index_less"),)

    operations = (
        AddIndexConcurrently(
            "request",
            models.Index(
                condition=models.Q(("status", "pending")),
                fields=["agent", "expires_at"],
                name="pending_of_an_agent",
            ),
        ),
        AddIndexConcurrently(
            "grant",
            models.Index(
                condition=models.Q(("redeemed_at__isnull", False)), fields=["redeemed_at"], name="grants_by_redemption"
            ),
        ),
    )
