"""What clients were told, kept on their side of the wire, and held against the tables and the log: nothing that was
acknowledged may be lost or doubled, nothing approved late, no entry missing.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import psycopg

_REQUESTS = """
SELECT request.id::text, resource, status, grants.redeemed_at IS NOT NULL,
       status = 'approved' AND decided_at >= expires_at
  FROM approvals_request AS request LEFT JOIN approvals_grant AS grants ON grants.request_id = request.id
 WHERE resource LIKE %s
"""
_DECISIONS = """
SELECT decision.request_id::text, person.email, verdict, decision.decided_at >= request.expires_at
  FROM approvals_decision AS decision JOIN accounts_user AS person ON person.id = decision.person_id
  JOIN approvals_request AS request ON request.id = decision.request_id
 WHERE decision.voided_at IS NULL AND resource LIKE %s
"""
_ENTRIES = """
SELECT subject_id, type FROM audit_leaf WHERE subject_kind = 'request'
UNION ALL
SELECT subject_id, convert_from(leaf, 'UTF8')::jsonb ->> 'type' FROM audit_pending WHERE subject_kind = 'request'
"""
_LATE_ENTRIES = """
SELECT count(*) FROM audit_leaf JOIN approvals_request AS request ON request.id::text = subject_id
 WHERE subject_kind = 'request' AND type = 'request.approved'
   AND (convert_from(leaf, 'UTF8')::jsonb ->> 'at')::timestamptz >= request.expires_at
"""
_FINAL = {"approved": ("request.approved", "request.allowed"), "blocked": ("request.blocked",)}


@dataclass
class Ledger:
    """Every acknowledged answer. Threads write to it; what they write is never taken back."""

    filed: dict[str, str] = field(default_factory=dict)  # resource → id, as 201 said
    told: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # id → every final status heard
    decided: dict[tuple[str, str], str] = field(default_factory=dict)  # (id, e-mail) → verdict, as 303 said
    redeemed: Counter[str] = field(default_factory=Counter)  # id → how often 200 was answered
    troubles: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note_filed(self, resource: str, request_id: str) -> None:
        """201: the same id for the same key, however often."""
        with self.lock:
            if self.filed.setdefault(resource, request_id) != request_id:
                self.troubles.append(f"doubled: {resource} was answered with two ids")

    def trouble(self, what: str) -> None:
        """Something that must not be, as it was seen from outside."""
        with self.lock:
            self.troubles.append(what)

    def note_status(self, request_id: str, status: str) -> None:
        """A reader was told this status."""
        if status != "pending":
            with self.lock:
                self.told[request_id].add(status)

    def counts(self) -> dict[str, int]:
        """How much was acknowledged so far."""
        with self.lock:
            return {
                "filings": len(self.filed),
                "decisions": len(self.decided),
                "redemptions": len(self.redeemed),
                "final answers": len(self.told),
            }

    def held_against(self, url: str, prefix: str) -> dict[str, list[str]]:
        """What is lost, doubled, late or missing; `prefix` begins the resources of this bench."""
        with self.lock:  # a copy first: what is acknowledged while we look is looked at next time
            filed, decided, redeemed = dict(self.filed), dict(self.decided), Counter(self.redeemed)
            told = {one: set(heard) for one, heard in self.told.items()}
            found: dict[str, list[str]] = {"lost": [], "doubled": [], "late": [], "missing": []}
            found["doubled"] += [one for one in self.troubles if one.startswith("doubled")]
            found["lost"] += [one for one in self.troubles if not one.startswith("doubled")]
        with psycopg.connect(url) as connection:  # one moment for all of it, while the house goes on
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            rows, entries, votes, late = _read(connection, prefix)
        self._filings(found, filed, rows)
        self._decisions(found, decided, votes)
        for request_id, _, status, spent, passed in rows:
            heard = told.get(request_id, set())
            if heard and heard != {_as_read(status, heard)}:
                found["lost"].append(f"{request_id} is {status}; its readers heard {sorted(heard)}")
            if redeemed[request_id] and not spent:
                found["lost"].append(f"the redemption of {request_id}")
            if redeemed[request_id] > 1:
                found["doubled"].append(f"{request_id} was redeemed {redeemed[request_id]} times")
            if passed:
                found["late"].append(f"{request_id} was approved at or after its deadline")
            _entries(found, request_id, status, spent, entries[request_id])
        recorded = Counter(request_id for request_id, *_ in votes)
        for request_id, count in recorded.items():
            if entries[request_id]["decision.recorded"] < count:
                found["missing"].append(f"{request_id} has {count} decisions, and fewer entries of them")
        found["late"] += ["an entry of an approval after the deadline"] * late
        return found

    @staticmethod
    def _filings(found: dict[str, list[str]], filed: dict[str, str], rows: list[Any]) -> None:
        by_resource: dict[str, list[str]] = defaultdict(list)
        for request_id, resource, *_ in rows:
            by_resource[resource].append(request_id)
        found["doubled"] += [f"{one} was filed {len(ids)} times" for one, ids in by_resource.items() if len(ids) > 1]
        found["lost"] += [f"the filing of {one}" for one, given in filed.items() if given not in by_resource[one]]

    @staticmethod
    def _decisions(found: dict[str, list[str]], decided: dict[tuple[str, str], str], votes: list[Any]) -> None:
        recorded: dict[tuple[str, str], list[str]] = defaultdict(list)
        for request_id, email, verdict, late in votes:
            recorded[request_id, email].append(verdict)
            if late:
                found["late"].append(f"{email} decided {request_id} at or after its deadline")
        for key, verdict in decided.items():
            if verdict not in recorded[key]:
                found["lost"].append(f"the {verdict} of {key}")
        found["doubled"] += [f"{key} decided {len(all_)} times" for key, all_ in recorded.items() if len(all_) > 1]


def _read(connection: psycopg.Connection, prefix: str) -> tuple[list[Any], dict[str, Counter[str]], list[Any], int]:
    """Requests, entries by request, decisions, and how many entries of approvals are late, all of one snapshot."""
    rows = connection.execute(_REQUESTS, [f"{prefix}%"]).fetchall()
    entries: dict[str, Counter[str]] = defaultdict(Counter)
    for subject, kind in connection.execute(_ENTRIES):
        entries[subject][kind] += 1
    votes = connection.execute(_DECISIONS, [f"{prefix}%"]).fetchall()
    late = connection.execute(_LATE_ENTRIES).fetchone()
    return rows, entries, votes, late[0] if late else 0


def _as_read(status: str, heard: set[str]) -> str:
    """What a reader should have heard: an overdue request reads `expired` before the sweep has written it."""
    return "expired" if status == "pending" and heard == {"expired"} else status


def _entries(found: dict[str, list[str]], request_id: str, status: str, spent: bool, entries: Counter[str]) -> None:
    if entries["request.filed"] != 1:
        found["missing"].append(f"{request_id} has {entries['request.filed']} entries of its filing")
    ends = _FINAL.get(status, (f"request.{status}",))
    if status != "pending" and sum(entries[one] for one in ends) != 1:
        found["missing"].append(f"{request_id} is {status} without the one entry of it")
    if spent and entries["grant.redeemed"] != 1:
        found["missing"].append(f"{request_id} was redeemed without the one entry of it")
