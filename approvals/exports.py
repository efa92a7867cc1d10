"""The verbs of exporting: each export is evidence before its first row leaves, and again when it ends.

Two entries, because an export is streamed: the first says who asks for what and how many rows matched then; the last
how many left, with the digest of every byte that did, so that a file can be told from a forgery. One without the other
is an export that was cut off hard. What the rows say is the door's matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID

from uuid_utils.compat import uuid7

from accounts.people import person_party
from approvals import history, queries
from approvals.access import Viewer
from approvals.history import Filter
from approvals.queries import Seen
from approvals.transactions import verb
from audit.entries import Authentication, Draft, Party, Personal, record
from audit.types import EntryType

BATCH = 500


@dataclass(frozen=True, slots=True)
class Export:
    """An export that has begun: whose, of what, in which format."""

    id: UUID
    person: Viewer
    wanted: Filter
    format: str


@verb
def begin(*, person: Viewer, wanted: Filter, format: str, asked: Mapping[str, str], auth: Authentication) -> Export:
    """Record that this person exports what matches; nothing leaves where that cannot be written.

    `asked` is the filter as it was given, by field; it may name people and things, so it is kept as personal.
    """
    export = Export(uuid7(), person, wanted, format)
    record(
        Draft(
            type=EntryType.EXPORT_MADE,
            actor=person_party(person.user),
            subject=Party("export", str(export.id)),
            facts={
                "stage": "begun",
                "of": "history",
                "format": format,
                "filtered_by": sorted(name for name, text in asked.items() if text),
                "masked": person.sees_all,
            },
            personal={"filter": Personal({name: text for name, text in asked.items() if text})},
            auth=auth,
        )
    )
    return export


@verb
def finish(*, export: Export, rows: int, sent: int, digest: str, complete: bool) -> None:
    """Record how an export ended: rows and bytes that left, and the SHA-256 of those bytes."""
    record(
        Draft(
            type=EntryType.EXPORT_MADE,
            actor=person_party(export.person.user),
            subject=Party("export", str(export.id)),
            facts={
                "stage": "complete" if complete else "interrupted",
                "of": "history",
                "format": export.format,
                "rows": rows,
                "bytes": sent,
            },
            # of a file with one row the content could be guessed from a bare digest
            personal={"sha256": Personal(digest)},
        )
    )


def batches(export: Export) -> Iterator[list[Seen]]:
    """Every row that matches, newest first, a batch at a time: flat in memory, no limit on how many.

    Keyset batches instead of one cursor: a slow reader would hold a transaction open for as long as they read. A row
    whose status changes meanwhile is exported as it is when its batch is read.
    """
    rows = history.matching(export.person, export.wanted)
    older_than: UUID | None = None
    while True:
        page: queries.Page = history.page_of(rows, export.wanted.status, limit=BATCH, older_than=older_than)
        if page.rows:
            yield page.rows
        if page.next_id is None:
            return
        older_than = page.next_id
