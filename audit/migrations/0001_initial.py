"""The tables of evidence, as `audit.models` describes them. Triggers, views and identity options are in 0002."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Checkpoint",
            fields=[
                ("size", models.BigIntegerField(primary_key=True, serialize=False)),
                ("root", models.BinaryField()),
                ("note", models.TextField()),
                ("signed_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="Head",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "subject_kind",
                        "subject_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("subject_kind", models.TextField()),
                ("subject_id", models.TextField()),
                ("ordinal", models.BigIntegerField()),
                ("leaf_hash", models.BinaryField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="Node",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "level", "position", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("level", models.SmallIntegerField()),
                ("position", models.BigIntegerField()),
                ("hash", models.BinaryField()),
            ],
        ),
        migrations.CreateModel(
            name="Pending",
            fields=[
                ("position", models.BigAutoField(primary_key=True, serialize=False)),
                ("entry_id", models.UUIDField()),
                ("subject_kind", models.TextField()),
                ("subject_id", models.TextField()),
                ("ordinal", models.BigIntegerField()),
                ("previous", models.BinaryField(null=True)),
                ("leaf", models.BinaryField()),
                ("leaf_hash", models.BinaryField()),
                ("recorded_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="Quarantine",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("position", models.BigIntegerField()),
                ("entry_id", models.UUIDField()),
                ("subject_kind", models.TextField()),
                ("subject_id", models.TextField()),
                ("ordinal", models.BigIntegerField()),
                ("previous", models.BinaryField(null=True)),
                ("leaf", models.BinaryField()),
                ("leaf_hash", models.BinaryField()),
                ("recorded_at", models.DateTimeField()),
                ("cause", models.TextField()),
                ("quarantined_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="RefusalWindow",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "actor_kind",
                        "actor_id",
                        "cause",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("actor_kind", models.TextField()),
                ("actor_id", models.TextField()),
                ("cause", models.TextField()),
                ("started_at", models.DateTimeField()),
                ("seen", models.IntegerField()),
                ("uncounted", models.IntegerField()),
                ("uncounted_from", models.DateTimeField(null=True)),
                ("uncounted_to", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="Detail",
            fields=[
                ("entry_id", models.UUIDField(primary_key=True, serialize=False)),
                ("subject_kind", models.TextField()),
                ("subject_id", models.TextField()),
                ("content", models.JSONField()),
            ],
            options={
                "indexes": [models.Index(fields=["subject_kind", "subject_id"], name="audit_detail_by_subject")],
            },
        ),
        migrations.CreateModel(
            name="Leaf",
            fields=[
                ("index", models.BigIntegerField(primary_key=True, serialize=False)),
                ("entry_id", models.UUIDField(unique=True)),
                ("type", models.TextField()),
                ("at", models.DateTimeField()),
                ("actor_kind", models.TextField()),
                ("actor_id", models.TextField()),
                ("subject_kind", models.TextField()),
                ("subject_id", models.TextField()),
                ("ordinal", models.BigIntegerField()),
                ("leaf", models.BinaryField()),
                ("leaf_hash", models.BinaryField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("subject_kind", "subject_id", "ordinal"), name="audit_leaf_one_per_ordinal"
                    ),
                    models.CheckConstraint(condition=models.Q(("index__gte", 0)), name="audit_leaf_index_from_zero"),
                ],
            },
        ),
        migrations.CreateModel(
            name="SealerState",
            fields=[
                ("id", models.SmallIntegerField(primary_key=True, serialize=False)),
                ("origin", models.TextField(default="")),
                ("verifier_key", models.TextField(default="")),
                ("size", models.BigIntegerField(default=0)),
                ("published_size", models.BigIntegerField(default=0)),
                ("alive_at", models.DateTimeField(null=True)),
                ("forks", models.IntegerField(default=0)),
                ("forked_from", models.TextField(default="")),
                ("floor", models.BigIntegerField(default=0)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("id", 1)), name="audit_sealerstate_one_row")
                ],
            },
        ),
    ]
