"""Requests lose the index on their agent alone: two more begin with the agent, each filing wrote all three, and the
planner took this one where `filings_of_an_agent` ends at the hour that was asked for."""

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models

NAME = "approvals_request_agent_id_18fbd2de"  # as Django's first migration made it


class Migration(migrations.Migration):
    atomic = False  # dropped while others file
    dependencies = [("agents", "0002_stops"), ("approvals", "0016_edit_guard_whole")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    "request",
                    "agent",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="requests",
                        to="agents.agent",
                    ),
                ),
            ],
            database_operations=[
                migrations.RunSQL(
                    f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}",
                    f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {NAME} ON approvals_request (agent_id)",
                ),
            ],
        ),
    ]
