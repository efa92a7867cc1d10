"""The replay of each night: says in the log, and to operators' alerts, whether everything held. Mends nothing."""

from __future__ import annotations

import structlog

from approvals.lifecycle import SYSTEM
from approvals.replay.tables import Replay, replay
from approvals.transactions import verb
from audit.entries import Draft, Party, record
from audit.types import EntryType

log = structlog.get_logger(__name__)

TOLD = 20  # faults spelt out in the entry; their number is whole


def run() -> Replay:
    """Replay everything and leave an entry of what was found; faults are an error in the log besides."""
    done = replay()
    if done.fault_count:
        log.error("replay.faults", faults=done.fault_count, first=done.faults[:TOLD])
    _keep(done=done)
    return done


@verb
def _keep(*, done: Replay) -> None:
    record(
        Draft(
            type=EntryType.LOG_REPLAYED,
            actor=SYSTEM,
            subject=Party("replay", "nightly"),
            facts={
                "requests": done.requests,
                "entries": done.entries,
                "fault_count": done.fault_count,
                "faults": done.faults[:TOLD],
            },
        )
    )
