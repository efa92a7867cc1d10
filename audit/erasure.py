"""Erasing what may be personal: the details of a subject's entries go, and an entry says who did it and why.

Leaves, tree and proofs stand: they hold commitments only. How long details are kept, and legal hold, are
decided elsewhere; this is the act itself, and it runs as the role `eraser`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import Error, connection, transaction

from audit.entries import Draft, EvidenceUnavailable, Party, record_many
from audit.types import EntryType


class UnknownSubject(ValueError):
    """A subject without any entry: a slip in typing, for there is nothing to erase."""


def erase_details(*, subjects: Sequence[Party], basis: str, by: Party) -> int:
    """Delete the details of every entry of these subjects; how many rows went. One transaction.

    Each subject gets an `erasure` entry with the basis; it covers the subject's entries of lower ordinal,
    which is how a verifier tells erased from lost. `basis` stays in the log for ever and names nobody. Raises
    UnknownSubject where one of them has no entry, and then nothing is erased; EvidenceUnavailable.
    """
    unique = sorted(set(subjects))
    facts = {"basis": basis, "scope": "subject"}
    try:
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            _refuse_unknown(cursor, unique)
            # First the entries: that takes the subjects' heads, so no entry of lower ordinal is still on its
            # way.
            record_many([Draft(EntryType.ERASURE, by, subject, facts=facts) for subject in unique])
            cursor.execute(
                "DELETE FROM audit_detail AS d USING unnest(%s::text[], %s::text[]) AS s (kind, id)"
                " WHERE d.subject_kind = s.kind AND d.subject_id = s.id",
                [[subject.kind for subject in unique], [subject.id for subject in unique]],
            )
            return int(cursor.rowcount)
    except Error as error:
        raise EvidenceUnavailable("the details could not be erased, so none were") from error


def _refuse_unknown(cursor: Any, subjects: Sequence[Party]) -> None:
    cursor.execute(
        "SELECT s.kind, s.id FROM unnest(%s::text[], %s::text[]) AS s (kind, id) WHERE NOT EXISTS ("
        " SELECT FROM audit_head h WHERE h.subject_kind = s.kind AND h.subject_id = s.id)",
        [[subject.kind for subject in subjects], [subject.id for subject in subjects]],
    )
    if unknown := [f"{kind}:{one}" for kind, one in cursor.fetchall()]:
        raise UnknownSubject(f"Nothing was erased: the log has no entry about {', '.join(unknown)}.")
