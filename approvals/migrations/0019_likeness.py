"""What makes two requests the same thing, beside each: null where older code filed or edited it."""

from __future__ import annotations

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

REJECTED = models.Q(("status", "rejected"))


class Migration(migrations.Migration):
    atomic = False  # its indexes are made concurrently: a release in service goes on filing

    dependencies = (("approvals", "0018_pending_of_agents"),)

    operations = (
        migrations.AddField("request", "likeness", models.CharField(max_length=64, null=True)),
        migrations.AddField("request", "amended_likeness", models.CharField(max_length=64, null=True)),
        AddIndexConcurrently(
            "request", models.Index(condition=REJECTED, fields=["likeness", "decided_at"], name="denials_alike")
        ),
        AddIndexConcurrently(
            "request",
            models.Index(condition=REJECTED, fields=["amended_likeness", "decided_at"], name="denied_edits_alike"),
        ),
    )
