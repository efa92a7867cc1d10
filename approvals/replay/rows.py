"""Holds the rows of people, teams, agents, keys and stops against what their entries tell (`held`). Changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import time
from typing import Any

from accounts.hours import Hours
from accounts.identities import known_as
from approvals.replay.held import HOURS, Committed, Held, Key, tell_rows
from approvals.replay.reading import UNTOLD, Replay, chunks, fetch, is_id, malformed
from audit.commitments import commitment
from audit.types import EntryType

# Many a person, and nothing that a row holds.
_SAYS_NOTHING = (EntryType.SESSION_SIGNED_IN, EntryType.REFUSAL_RECORDED, EntryType.REFUSAL_COUNTED)

#: The tables of each kind of subject: the subject, the key within it, and the columns as entries spell them.
_ROWS: dict[str, dict[str, str]] = {
    "person": {
        "accounts_user": "id::text, id::text, jsonb_build_object('active', is_active, 'email', email, 'name', name,"
        " 'password_digest', encode(sha256(convert_to(password, 'UTF8')), 'hex'))",
        "accounts_rolegrant": "user_id::text, role,"
        " jsonb_build_object('role_grant', id, 'until', accounts_moment(expires_at))",
        "accounts_invitation": "person_id::text, id::text, jsonb_build_object('kind', kind,"
        " 'until', accounts_moment(expires_at), 'token_digest', encode(sha256(token_sha256), 'hex'), 'state',"
        " CASE WHEN accepted_at IS NOT NULL THEN 'used' WHEN voided_at IS NOT NULL THEN 'void' ELSE 'open' END)",
        "accounts_rightschange": "person_id::text, id::text, jsonb_build_object('kind', kind, 'role', nullif(role, ''),"
        " 'until', accounts_moment(expires_at), 'proposed_by', proposed_by_id, 'reason', reason, 'outcome', outcome,"
        " 'ended_by', ended_by_id, 'identity', identity)",
        "mfa_authenticator": "user_id::text, id::text,"
        " jsonb_build_object('factor', type, 'factor_digest', accounts_factor_digest(data))",
        "socialaccount_socialaccount": "user_id::text, id::text, jsonb_build_object('provider', provider, 'uid', uid)",
    },
    "team": {
        "accounts_team": "id::text, id::text, jsonb_build_object('slug', slug, 'name', name)",
        "accounts_membership": "team_id::text, user_id::text, jsonb_build_object('seat', id)",
        "accounts_teamhours": "team_id::text, team_id::text, jsonb_build_object('weekdays', to_jsonb(weekdays),"
        " 'opens', to_char(opens, 'HH24:MI:SS.US'), 'closes', to_char(closes, 'HH24:MI:SS.US'), 'timezone', timezone)",
    },
    "delegation": {
        "accounts_delegation": "id::text, id::text, jsonb_build_object('delegator', delegator_id,"
        " 'delegate', delegate_id, 'starts_at', accounts_moment(starts_at), 'ends_at', accounts_moment(ends_at),"
        " 'named_by', named_by_id, 'reason', reason, 'ended_at', accounts_moment(ended_at), 'ended_by', ended_by_id)",
    },
    "agent": {
        "agents_agent": "id::text, id::text, jsonb_build_object('slug', slug, 'owner', owner_id, 'level', level,"
        " 'state', state, 'purpose', purpose)",
    },
    "executor": {"agents_executor": "id::text, id::text, jsonb_build_object('slug', slug)"},
    "credential": {
        "agents_credential": "id::text, id::text, jsonb_build_object('key', public_id, 'scopes', to_jsonb(scopes),"
        " 'expires_at', accounts_moment(expires_at), 'secret_digest', encode(sha256(secret_sha256), 'hex'),"
        " 'revoked', revoked_at IS NOT NULL, 'revoked_at', accounts_moment(revoked_at), 'holder',"
        " jsonb_build_object('kind', CASE WHEN agent_id IS NOT NULL THEN 'agent'"
        " WHEN executor_id IS NOT NULL THEN 'executor' ELSE 'person' END,"
        " 'id', coalesce(agent_id, executor_id, auditor_id)))",
    },
    "stop": {
        "agents_stop": "number::text, number::text, jsonb_build_object('by', started_by_id, 'reason', reason,"
        " 'lifted_by', lifted_by_id, 'lift_reason', lift_reason, 'lifted_at', accounts_moment(lifted_at))",
    },
}

#: The table whose rows are the subjects themselves, and its key.
_SUBJECTS = {
    "person": ("accounts_user", "id"),
    "team": ("accounts_team", "id"),
    "delegation": ("accounts_delegation", "id"),
    "agent": ("agents_agent", "id"),
    "executor": ("agents_executor", "id"),
    "credential": ("agents_credential", "id"),
    "stop": ("agents_stop", "number"),
}

_DETAILS = """
SELECT entry_id::text, content FROM audit_detail WHERE subject_kind = %(kind)s AND subject_id = ANY(%(ids)s)
"""


def compare_rows(done: Replay) -> None:
    """Compare every row of people's and agents' tables with the log, in the caller's transaction."""
    for kind, (table, key) in _SUBJECTS.items():
        for chunk in chunks(kind, done, without=_SAYS_NOTHING):
            ids = [subject for subject, _ in chunk if _may_be(kind, subject)]
            rows = _rows(kind, ids)
            details = dict(fetch(_DETAILS, kind=kind, ids=ids))
            for subject, leaves in chunk:
                done.entries += len(leaves)
                with malformed(done, f"{kind} {subject}"):
                    held = tell_rows(kind, subject, leaves, uid=known_as)
                    for about, what in _differences(held, rows.get(subject, {}), details):
                        done.fault(about, what)
        untold = UNTOLD.format(kind=f"'{kind}'", id=f"r.{key}::text")
        for (subject,) in fetch(f"SELECT r.{key}::text FROM {table} r WHERE {untold} LIMIT 20"):  # noqa: S608
            done.fault(f"{table} {subject}", "a row without any entry")


def _may_be(kind: str, subject: str) -> bool:
    return subject.isascii() and subject.isdecimal() and len(subject) < 10 if kind == "stop" else is_id(subject)


def _rows(kind: str, ids: Sequence[str]) -> dict[str, dict[Key, dict[str, Any]]]:
    found: dict[str, dict[Key, dict[str, Any]]] = {}
    cast = "int[]" if kind == "stop" else "uuid[]"
    for table, columns in _ROWS[kind].items():
        of = columns.partition("::text")[0]
        for subject, key, row in fetch(f"SELECT {columns} FROM {table} WHERE {of} = ANY(%(ids)s::{cast})", ids=ids):  # noqa: S608
            held = json.loads(row)
            if table == HOURS:
                held["hours"] = str(_hours(held))
            found.setdefault(subject, {})[table, key] = held
    return found


def _hours(row: Mapping[str, Any]) -> Hours:
    opens, closes = (time.fromisoformat(row[name]) for name in ("opens", "closes"))
    return Hours(frozenset(row["weekdays"]), opens, closes, row["timezone"])


def _differences(
    held: Held, rows: Mapping[Key, Mapping[str, Any]], details: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """What does not hold of the rows of one subject: which row, and a sentence."""
    for (table, key), told in held.rows.items():
        row = rows.get((table, key))
        about = f"{table} {key}" if key == held.subject else f"{table} {key} of {held.subject}"
        if row is None:
            yield about, "the log has this row, and the table does not"
            continue
        for column, value in told.items():
            if isinstance(value, Committed):
                what = _of_details(held, value, row[column], details)
            else:
                what = "" if row[column] == value else "not as the log has it"
            if what:
                yield about, f"{column}: {what}"
    unnamed = held.unnamed.copy()
    for table, key in rows.keys() - held.rows.keys():
        if unnamed[table] > 0:  # from before entries named rows
            unnamed[table] -= 1
        else:
            yield f"{table} {key} of {held.subject}", "a row without an entry"


def _of_details(held: Held, told: Committed, value: Any, details: Mapping[str, Any]) -> str:
    """What is wrong with a value that an entry commits to; nothing where its details were erased."""
    content = details.get(str(told.leaf.id))
    if content is None:
        erased = told.leaf.ordinal < held.erased_to
        return "" if erased else "the details of its entry are gone, and no entry says that they were erased"
    kept = json.loads(content)
    values = []
    for name in told.names:
        salt, text = bytes.fromhex(kept[name]["salt"]), kept[name]["value"]
        if commitment(salt, text.encode()) != told.leaf.commitments[name]:
            return "the details of its entry are not what the log commits to"
        values.append(json.loads(text))
    return "" if told.make(*values) == value else "not as the log has it"
