"""The sealer: takes pending entries into the tree, signs a checkpoint, copies it outside, publishes it.

One at a time, by advisory lock, on a connection of its own as the role `sealer`. It judges no entry's meaning
and changes none: what it cannot trust goes to quarantine, with an alarm and a leaf that says so.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit import continuity, leaves, merkle, origins, outside
from audit.admission import Admission, Admitted, LookFurther, Refused, Row
from audit.continuity import LogRefused, NotContinued
from audit.growth import Growth, Own, missing, quarantined
from audit.leaves import Party
from audit.notes import Signer
from audit.store import State, Store
from audit.types import EntryType


@dataclass(frozen=True)
class Pace:
    """How much at once (rows), and how often (seconds). The defaults are what the docs promise; tests hurry."""

    batch: int = 4096
    pause: float = 0.25  # between two looks at pending when the last batch was not full
    alive: float = 1.0
    heartbeat: float = 60.0
    full_scan: float = 60.0
    # Over the 30 s that a trigger allows between recording an entry and its commit: no row can appear below the floor.
    floor: float = 35.0


log = structlog.get_logger(__name__)

OF_A_ROW = (ValueError, psycopg.DataError, psycopg.IntegrityError)
"""What only a row's content can cause. The database being away, or another sealer, is none of these."""


class AlreadySealing(Exception):
    """Another process is this log's sealer."""


class Sealer:
    """One log's sealer. `start` it before sealing; `run` does all of it until told to stop."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        key: Ed25519PrivateKey,
        host: str,
        outside_path: Path,
        *,
        pace: Pace = Pace(),
    ) -> None:
        """`host` becomes part of the log's origin at its first start, and is not looked at again."""
        self._store = Store(connection)
        self._key = key
        self._host = host
        self._outside = outside_path
        self._pace = pace
        self._frontier = merkle.Frontier()
        self._signer: Signer | None = None
        self._newest_note: str | None = None
        self._reads: deque[tuple[float, int]] = deque()
        self._floor = 0
        self._scanned_at = 0.0
        self._appended_at = self._published_at = time.monotonic()

    # -- starting and stopping
    # -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Become the sealer: take the lock, check that this database continues what was published, say so in
        a leaf.

        Raises AlreadySealing, LogRefused (NotContinued where a fork would have to be declared),
        psycopg.Error.
        """
        self._lock()
        try:
            self._stand()
            # Before anything new is said: a copy that can't be written stops the start, once.
            self.publish()
            self._seal([], [Own(EntryType.PROCESS_STARTED, {"process": "sealer"})])
            self.publish()
        except BaseException:
            self._store.unlock()
            raise

    def stop(self) -> None:
        """Say in a leaf that sealing stops, publish it, and let another process take over. Raises
        psycopg.Error."""
        self._seal([], [Own(EntryType.PROCESS_STOPPED, {"process": "sealer"})])
        self.publish()
        self._store.unlock()

    def declare_fork(self, *, reason: str, actor: Party) -> int:
        """Go on from a database that does not contain what was published, by an operator's word; the fork's
        number.

        Voids outstanding grants: each is issued under the number of forks then declared (see
        `health.fork_number`). Raises LogRefused where there is nothing to declare, AlreadySealing,
        psycopg.Error.
        """
        self._lock()
        try:
            return self._fork(reason, actor)
        finally:
            self._store.unlock()

    def _lock(self) -> None:
        if not self._store.try_lock():
            raise AlreadySealing("another process is the sealer")

    def _stand(self) -> None:
        state = self._state()
        signer = Signer(origins.of(state.origin, self._host, self._key, self._outside), self._key)
        standing = continuity.stand(self._store, state, signer, self._outside)
        if standing.left_behind:
            kept = outside.set_aside(self._outside, state.forks)
            log.warning("outside_copy_set_aside", kept=str(kept), fork=state.forks)
        self._signer, self._frontier = signer, standing.frontier
        self._newest_note = standing.newest_note

    def _fork(self, reason: str, actor: Party) -> int:
        state = self._state()
        signer = Signer(origins.of(state.origin, self._host, self._key, self._outside), self._key)
        try:
            continuity.stand(self._store, state, signer, self._outside)
        except NotContinued as refusal:
            note, why = refusal.note, str(refusal)
        else:
            raise LogRefused("this database continues what was published: there is no fork to declare")
        self._signer, self._frontier = signer, continuity.read_frontier(self._store, state.size)
        number = state.forks + 1
        facts = {
            "fork": number,
            "reason": reason,
            "cause": why,
            "abandoned": note or None,
            "size": state.size,
        }
        with self._store.connection.transaction():
            self._store.fork(number, note)
            self._seal([], [Own(EntryType.FORK_DECLARED, facts, actor)])
        if note:
            outside.set_aside(self._outside, number)
        self.publish()
        return number

    # -- sealing
    # ---------------------------------------------------------------------------------------------------

    def seal_batch(self) -> int:
        """Take up to one batch of pending rows into the tree, or quarantine; how many were taken out of
        pending.

        Everything of a batch is one transaction; then the outside copy is written and the size published.
        Raises LogRefused, psycopg.Error, OSError (the outside copy could not be written: nothing is
        published).
        """
        now = time.monotonic()
        full_scan = now - self._scanned_at >= self._pace.full_scan or not self._scanned_at
        rows = self._store.pending(None if full_scan else self._floor, self._pace.batch)
        if full_scan and len(rows) < self._pace.batch:
            self._scanned_at = now
        own = [Own(EntryType.HEARTBEAT)] if not rows and now - self._appended_at >= self._pace.heartbeat else []
        if rows or own:
            try:
                self._take(rows, own, all_read=full_scan)
            except LookFurther:
                rows = self._store.pending(None, self._pace.batch)
                self._take(rows, own, all_read=True)
            self.publish()
        self._move_floor(now, rows)
        return len(rows)

    def publish(self) -> None:
        """Copy the newest checkpoint outside, then say the sealer lives. Raises OSError, psycopg.Error."""
        if self._newest_note is not None:
            outside.write(self._outside, self._newest_note)
            self._newest_note = None
        self._store.publish(self._frontier.size, self._floor)
        self._published_at = time.monotonic()

    def run(self, stop: threading.Event) -> None:
        """Seal until `stop` is set. Raises what `start` and `seal_batch` raise; only a clean stop writes its
        leaf."""
        self.start()
        while not stop.is_set():
            try:
                if self.seal_batch() == self._pace.batch:
                    continue
                if time.monotonic() - self._published_at >= self._pace.alive:
                    self.publish()
            except OSError as error:
                # Sealed, not published: `alive_at` goes stale, and what needs live evidence is refused.
                log.error("outside_copy_not_written", error=str(error))
            stop.wait(self._pace.pause)
        self.stop()

    def _take(self, rows: Sequence[Row], own: Sequence[Own], *, all_read: bool) -> None:
        """Seal a batch; where the whole of it fails for something in it, row by row, so that one row alone is kept
        out."""
        try:
            self._seal(rows, own, all_read=all_read)
        except OF_A_ROW as error:
            if not rows:
                raise
            log.error("batch_not_sealed", rows=len(rows), error=ascii(str(error)))
            for row in rows:
                try:
                    self._seal([row], [], all_read=all_read)
                except OF_A_ROW as why:
                    self._seal([row], [], condemned=Refused.because("the row could not be sealed", why))

    def _seal(
        self, rows: Sequence[Row], own: Sequence[Own], *, all_read: bool = False, condemned: Refused | None = None
    ) -> None:
        """Append what can be trusted of `rows` (nothing of them, where they are `condemned`), and the sealer's own
        words, under one new checkpoint."""
        store, signer = self._store, self._signer
        if signer is None:
            raise RuntimeError("the sealer was not started")
        with store.connection.transaction():
            state = self._state()
            own = [*self._name(state, signer), *own]
            before = self._frontier
            if state.size != before.size:
                raise LogRefused(f"the tree has {state.size} leaves and not the {before.size} this sealer left")
            chain = Party(leaves.LOG, signer.name)
            tails = store.tails({chain, *(row.subject for row in rows)})
            admission = Admission(tails, store.taken([row.entry_id for row in rows]), all_read=all_read)
            growth = Growth(before.copy())
            refused: list[tuple[Row, Refused]] = []
            for row in rows:
                verdict = condemned or admission.judge(row)
                if isinstance(verdict, Admitted):
                    growth.add(verdict.leaf, row.leaf, row.leaf_hash)
                    own += missing(verdict)
                else:
                    refused.append((row, verdict))
                    own.append(quarantined(row, verdict.cause))
            tail = tails.get(chain)
            for item in own:
                tail = growth.say(item, chain, tail, state)
            note = growth.sign(before, signer)
            store.append(growth.placed, growth.nodes)
            store.add_checkpoint(growth.frontier.size, growth.frontier.root(), note)
            store.quarantine(refused)
            store.remove(rows)
            store.grow(before.size, growth.frontier.size)
        self._frontier, self._newest_note = growth.frontier, note
        self._appended_at = time.monotonic()
        for row, verdict in refused:
            log.error("entry_quarantined", entry=str(row.entry_id), subject=row.subject, cause=verdict.cause)
        for item in own:
            if item.type is EntryType.ENTRY_MISSING:
                log.error("entries_missing", **item.facts)

    def _state(self) -> State:
        state = self._store.state()
        if state is None:
            raise LogRefused("the sealer's state row is missing: run the migrations as the owner")
        return state

    def _name(self, state: State, signer: Signer) -> list[Own]:
        """At the log's first start: fix its origin and key, and say so first of all."""
        if state.origin:
            return []
        self._store.name_log(signer.name, str(signer.verifier))
        return [Own(EntryType.KEY_CREATED, {"use": "log", "verifier_key": str(signer.verifier)})]

    def _move_floor(self, now: float, rows: Sequence[Row]) -> None:
        if rows:
            self._reads.append((now, rows[-1].position))
        while self._reads and now - self._reads[0][0] >= self._pace.floor:
            self._floor = max(self._floor, self._reads.popleft()[1])
