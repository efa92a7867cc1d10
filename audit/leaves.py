"""The leaf: the one byte string that stands for an entry in the tree, built and read back here.

Pure: no table, no clock, no Django. `build` is what writers and the sealer use, `parse` what the sealer and
the verifier use; docs/reference/evidence-log.md describes the fields.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from audit.canonical import NotCanonical, dumps, loads, timestamp
from audit.types import EntryType

VERSION = 1
MAX_BYTES = 64 * 1024
FIELDS = frozenset(
    (
        *("v", "id", "type", "at", "actor", "subject", "ordinal", "previous"),
        *("auth", "digests", "facts", "commitments"),
    )
)

LOG = "log"
"""The kind of subject that is the log itself; its chain is the sealer's alone."""

SEALER_ONLY = frozenset(
    {
        EntryType.HEARTBEAT,
        EntryType.FORK_DECLARED,
        EntryType.ENTRY_QUARANTINED,
        EntryType.ENTRY_MISSING,
    }
)
"""What no writer may claim. Starts, stops and keys of other processes are writers' entries; the log's are the
sealer's."""

MAX_PARTY = 200
"""Characters of a party's id: it is part of an index, and ids are UUIDs, slugs and names of hosts."""

_KIND = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_TYPE = re.compile(r"[a-z_]{1,40}(\.[a-z_]{1,40}){0,3}")
_HEX = re.compile(r"[0-9a-f]{64}")
_AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


class Party(NamedTuple):
    """Who acted, or what was acted on: a kind (agent, executor, person, system, request, …) and an id."""

    kind: str
    id: str


@dataclass(frozen=True)
class Leaf:
    """What a leaf's bytes say. `body` is the whole object, `previous` raw bytes.

    `type` is any dotted name: a sealer of yesterday must not put the entries of a newer writer in quarantine.
    """

    id: UUID
    type: str
    at: datetime
    actor: Party
    subject: Party
    ordinal: int
    previous: bytes | None
    commitments: Mapping[str, str]
    facts: Mapping[str, Any]
    body: Mapping[str, Any]


def build(
    *,
    entry_id: UUID,
    type: str,
    at: datetime,
    actor: Party,
    subject: Party,
    ordinal: int,
    previous: bytes | None,
    auth: Mapping[str, Any] | None,
    digests: Mapping[str, str],
    facts: Mapping[str, Any],
    commitments: Mapping[str, str],
) -> bytes:
    """The canonical bytes of a leaf. NotCanonical for a value without canonical form or over 64 KiB."""
    leaf = dumps(
        {
            "v": VERSION,
            "id": str(entry_id),
            "type": type,
            "at": timestamp(at),
            "actor": {"kind": actor.kind, "id": actor.id},
            "subject": {"kind": subject.kind, "id": subject.id},
            "ordinal": ordinal,
            "previous": previous.hex() if previous is not None else None,
            "auth": auth,
            "digests": digests,
            "facts": facts,
            "commitments": commitments,
        }
    )
    if len(leaf) > MAX_BYTES:
        raise NotCanonical(f"a leaf of {len(leaf)} bytes, over the limit of {MAX_BYTES}")
    return leaf


def parse(data: bytes) -> Leaf:
    """What the bytes of a leaf say; NotCanonical where they are not exactly a leaf that `build` could have
    written."""
    if len(data) > MAX_BYTES:
        raise NotCanonical(f"a leaf of {len(data)} bytes, over the limit of {MAX_BYTES}")
    body = loads(data)
    if not isinstance(body, dict) or body.keys() != FIELDS:
        raise NotCanonical("not an object with exactly a leaf's fields")
    if body["v"] != VERSION or body["v"] is True:
        raise NotCanonical(f"version {body['v']!r} is not {VERSION}")
    ordinal = body["ordinal"]
    if not isinstance(ordinal, int) or isinstance(ordinal, bool) or ordinal < 1:
        raise NotCanonical("the ordinal does not count from 1")
    try:
        kind = body["type"] if _TYPE.fullmatch(body["type"]) else None
        entry_id = UUID(body["id"])
        at = datetime.fromisoformat(body["at"]) if _AT.fullmatch(body["at"]) else None
    except (ValueError, TypeError, AttributeError):
        raise NotCanonical("type, id or time are not what a leaf's are") from None
    if kind is None or at is None or str(entry_id) != body["id"]:
        raise NotCanonical("type, id or time are not in their canonical spelling")
    previous, commitments = body["previous"], body["commitments"]
    if previous is not None and not (isinstance(previous, str) and _HEX.fullmatch(previous)):
        raise NotCanonical("`previous` is not the hex of a hash")
    if not _mapping_of_hex(commitments):
        raise NotCanonical("`commitments` are not names and hashes")
    for name in ("digests", "facts"):
        if not isinstance(body[name], dict):
            raise NotCanonical(f"`{name}` is not an object")
    _check_auth(body["auth"])
    return Leaf(
        id=entry_id,
        type=kind,
        at=at,
        actor=_party(body["actor"]),
        subject=_party(body["subject"]),
        ordinal=ordinal,
        previous=bytes.fromhex(previous) if previous is not None else None,
        commitments=commitments,
        facts=body["facts"],
        body=body,
    )


def check_party(party: Party) -> None:
    """NotCanonical unless kind and id are text of the shape that leaves and indexes take."""
    if not isinstance(party.kind, str) or not _KIND.fullmatch(party.kind):
        raise NotCanonical(f"{party.kind!r} is not a kind of party")
    if not isinstance(party.id, str) or not 0 < len(party.id) <= MAX_PARTY or "\x00" in party.id:
        raise NotCanonical(f"a {party.kind}'s id is 1 to {MAX_PARTY} characters of text")


def _party(value: Any) -> Party:
    if not isinstance(value, dict) or value.keys() != {"kind", "id"}:
        raise NotCanonical("a party is an object of kind and id")
    party = Party(value["kind"], value["id"])
    check_party(party)
    return party


def _mapping_of_hex(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(v, str) and _HEX.fullmatch(v) for v in value.values())


def _check_auth(auth: Any) -> None:
    if auth is None:
        return
    if not isinstance(auth, dict) or auth.keys() != {"method", "at", "assertion"}:
        raise NotCanonical("`auth` is not an object of method, at and assertion")
