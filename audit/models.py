"""The tables of evidence: what waits to be sealed, what is sealed, and what may be erased.

Rows are written by `entries`, `refusals` (the application's role) and `sealing` (the sealer's own connection)
in SQL; nothing calls `.save()` here. Which role may do what to which table is in `roles`; triggers in the
migrations refuse changes to sealed rows a second time.
"""

from __future__ import annotations

from django.db import models


class Head(models.Model):
    """The last ordinal drawn for a subject and the hash of that leaf: a counter and a lock, not evidence."""

    pk = models.CompositePrimaryKey("subject_kind", "subject_id")
    subject_kind = models.TextField()
    subject_id = models.TextField()
    ordinal = models.BigIntegerField()
    leaf_hash = models.BinaryField(null=True)


class Pending(models.Model):
    """An entry committed with the change it describes, waiting for the sealer, who deletes it once it is a
    leaf.

    `position` is drawn one at a time (identity with CACHE 1) while the subject's head is locked, so within
    one subject its order is the order of the ordinals. Across subjects it is not the order of commits.
    """

    position = models.BigAutoField(primary_key=True)
    entry_id = models.UUIDField()
    subject_kind = models.TextField()
    subject_id = models.TextField()
    ordinal = models.BigIntegerField()
    previous = models.BinaryField(null=True)
    leaf = models.BinaryField()
    leaf_hash = models.BinaryField()
    recorded_at = models.DateTimeField()


class Detail(models.Model):
    """The salts and values behind one entry's commitments: `{name: {"salt": hex, "value": canonical text}}`.

    Deleting the row is erasure; the leaf and the tree stand without it.
    """

    entry_id = models.UUIDField(primary_key=True)
    subject_kind = models.TextField()
    subject_id = models.TextField()
    content = models.JSONField()

    class Meta:
        indexes = [models.Index(fields=["subject_kind", "subject_id"], name="audit_detail_by_subject")]


class Leaf(models.Model):
    """A sealed entry at its place in the tree. All but `leaf` are copies of what its bytes say, for finding
    it."""

    index = models.BigIntegerField(primary_key=True)
    entry_id = models.UUIDField(unique=True)
    type = models.TextField()
    at = models.DateTimeField()
    actor_kind = models.TextField()
    actor_id = models.TextField()
    subject_kind = models.TextField()
    subject_id = models.TextField()
    ordinal = models.BigIntegerField()
    leaf = models.BinaryField()
    leaf_hash = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["subject_kind", "subject_id", "ordinal"], name="audit_leaf_one_per_ordinal"
            ),
            models.CheckConstraint(condition=models.Q(index__gte=0), name="audit_leaf_index_from_zero"),
        ]


class Node(models.Model):
    """The hash of a completed subtree: `level` 1 covers two leaves, `position` counts from 0 within the
    level.

    Level 0 is `Leaf.leaf_hash`. With these a proof in n leaves reads at most 2·log₂ n rows.
    """

    pk = models.CompositePrimaryKey("level", "position")
    level = models.SmallIntegerField()
    position = models.BigIntegerField()
    hash = models.BinaryField()


class Checkpoint(models.Model):
    """The sealer's signed statement of the tree at one size: a C2SP signed note, kept as it was signed."""

    size = models.BigIntegerField(primary_key=True)
    root = models.BinaryField()
    note = models.TextField()
    signed_at = models.DateTimeField()


class Quarantine(models.Model):
    """A pending row that the sealer could not trust, as it was found, with the reason.

    `position` is no key here: whoever may insert into pending may choose it, and a row must never fail to
    land.
    """

    id = models.BigAutoField(primary_key=True)
    position = models.BigIntegerField()
    entry_id = models.UUIDField()
    subject_kind = models.TextField()
    subject_id = models.TextField()
    ordinal = models.BigIntegerField()
    previous = models.BinaryField(null=True)
    leaf = models.BinaryField()
    leaf_hash = models.BinaryField()
    recorded_at = models.DateTimeField()
    cause = models.TextField()
    quarantined_at = models.DateTimeField()


class SealerState(models.Model):
    """One row, made by the owner, updated by the sealer alone: what it is, how far it got, when it last
    lived.

    `origin` and `verifier_key` are fixed at the first start. `size` is the tree's, committed with each batch;
    `published_size` follows once the outside copy is on disk. `forks` counts declared forks: a grant issued
    under a lower number than the present one is void; `forked_from` is the outside note that the last of them
    left behind. `floor` is a position up to which no pending row is expected any more.
    """

    id = models.SmallIntegerField(primary_key=True)
    origin = models.TextField(default="")
    verifier_key = models.TextField(default="")
    size = models.BigIntegerField(default=0)
    published_size = models.BigIntegerField(default=0)
    alive_at = models.DateTimeField(null=True)
    forks = models.IntegerField(default=0)
    forked_from = models.TextField(default="")
    floor = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="audit_sealerstate_one_row")]


class RefusalWindow(models.Model):
    """How often one actor was refused for one cause lately, so that a flood becomes one entry with a count.

    `seen` counts within the minute that began at `started_at`; `uncounted` are those no entry speaks of yet.
    """

    pk = models.CompositePrimaryKey("actor_kind", "actor_id", "cause")
    actor_kind = models.TextField()
    actor_id = models.TextField()
    cause = models.TextField()
    started_at = models.DateTimeField()
    seen = models.IntegerField()
    uncounted = models.IntegerField()
    uncounted_from = models.DateTimeField(null=True)
    uncounted_to = models.DateTimeField(null=True)
