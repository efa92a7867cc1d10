"""Whether evidence is being kept right now, for those about to do what must not happen without it.

Reads one row and one small file; seals nothing and repairs nothing. Denials never ask here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import Error, connection

from audit import outside
from audit.entries import EvidenceUnavailable
from audit.notes import BadNote, Verifier

LATE_SECONDS = 10.0
"""Older than this, `alive_at` or the oldest pending row show as degraded; and without a live sealer nothing
high goes."""

LAG_SECONDS = 60.0
"""With the oldest pending row older than this, approvals of high and critical risk and redemptions are
refused."""


@dataclass(frozen=True)
class Health:
    """How the log stands. Seconds by the database's clock; None where there is nothing to measure.

    `lag_seconds`: age of the oldest pending row (0 with none). `alive_seconds`: since the sealer last said
    that it lives. `outside_size`: what the copy outside the database says, None if it can't be read or is not
    of this log. `forks`: how many forks were declared; a grant issued under a lower number is void.
    `quarantined`: a row went to quarantine within a day (older ones are for `verify_audit_log` to name).
    `degraded`: names for `/readyz`.
    """

    lag_seconds: float
    alive_seconds: float | None
    size: int
    published_size: int
    outside_size: int | None
    forks: int
    quarantined: bool
    degraded: list[str]

    @property
    def unsafe(self) -> str | None:
        """Why nothing may rely on the log now, None where it may (docs/reference/evidence-log.md, "Live or
        not")."""
        if self.alive_seconds is None or self.alive_seconds > LATE_SECONDS:
            return "the sealer of the evidence log is not running"
        if self.lag_seconds > LAG_SECONDS:
            return "the evidence log is more than a minute behind"
        if self.outside_size is None:
            return "the copy of the evidence log outside the database can't be read"
        if self.outside_size > self.size:
            return "this database is older than what was published of it"
        return None


def status() -> Health:
    """How the log stands. Raises django.db.Error when the database can't answer."""
    # The file before the row: the sealer commits before it writes the file, so a healthy row isn't behind it.
    note = _outside_note()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM clock_timestamp() - s.alive_at)::float8, s.size, s.published_size,"
            " s.forks, s.verifier_key, "
            " EXISTS (SELECT FROM audit_quarantine WHERE quarantined_at > clock_timestamp() - interval '1 day'),"
            " (SELECT extract(epoch FROM clock_timestamp() - p.recorded_at)::float8 FROM audit_pending AS p"
            "   WHERE p.position > s.floor ORDER BY p.position LIMIT 1),"
            " (SELECT leaf FROM audit_leaf WHERE subject_kind = 'replay' AND subject_id = 'nightly'"
            "   ORDER BY ordinal DESC LIMIT 1)"
            " FROM audit_sealerstate AS s WHERE s.id = 1"
        )
        row = cursor.fetchone()
    if row is None:
        return Health(0.0, None, 0, 0, None, 0, False, ["sealing", *_roles()])
    alive, size, published, forks, verifier_key, quarantined, lag, replayed = row
    outside_size = _size(note, verifier_key)
    degraded = _roles()
    if alive is None or alive > LATE_SECONDS or (lag or 0.0) > LATE_SECONDS:
        degraded.append("sealing")
    if outside_size is None or outside_size > size:
        degraded.append("outside")
    if quarantined:
        degraded.append("quarantine")
    if replayed is not None and _found_faults(bytes(replayed)):
        degraded.append("replay")
    return Health(max(lag or 0.0, 0.0), alive, size, published, outside_size, forks, quarantined, degraded)


def assert_log_is_live() -> Health:
    """Raise EvidenceUnavailable unless the log is kept right now; for redemptions, and approvals of high and
    critical risk.

    Needs `alive_at` within 10 s, no pending row older than 60 s, and a tree not smaller than the copy outside
    the database, so that a restored backup refuses from its first request (docs/reference/evidence-log.md,
    "Live or not"). One query.
    """
    try:
        health = status()
    except Error as error:
        raise EvidenceUnavailable("the evidence log can't be asked how it is") from error
    if health.unsafe:
        raise EvidenceUnavailable(health.unsafe)
    return health


def fork_number() -> int:
    """How many forks were declared. A grant keeps the number it was issued under; under a lower one it is
    void."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT forks FROM audit_sealerstate WHERE id = 1")
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def verifier_key() -> str | None:
    """The log's verifier key string as `/.well-known/audit-key` serves it; None before the sealer's first
    start."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT verifier_key FROM audit_sealerstate WHERE id = 1")
        row = cursor.fetchone()
    return str(row[0]) or None if row else None


def _found_faults(leaf: bytes) -> bool:
    """Whether the last nightly replay found what does not hold; one that can't be read counts as if it had."""
    try:
        return bool(json.loads(leaf)["facts"]["fault_count"])
    except (KeyError, TypeError, ValueError):
        return True


def _outside_note() -> str | None:
    try:
        return outside.read(Path(settings.AUDIT_OUTSIDE_PATH)) if settings.AUDIT_OUTSIDE_PATH else None
    except (OSError, BadNote):
        return None  # unreadable counts as behind


def _size(note: str | None, verifier_key: str) -> int | None:
    if note is None:
        return None
    try:
        return Verifier.parse(verifier_key).checkpoint(note).size
    except BadNote:
        return None


def _roles() -> list[str]:
    return [] if settings.ROLES_SEPARATED else ["roles"]
