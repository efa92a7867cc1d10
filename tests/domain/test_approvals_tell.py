"""Whoever speaks SQL as the application writes no approval, policy or key that no entry tells: each is refused."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.db import connection

from approvals import grants, policies
from approvals.models import Request
from approvals.rules.ruling import people_at_least
from tests.domain import test_approvals_guards as guards
from tests.domain.test_approvals_guards import MOVED, NO_QUORUM, approval, edit, entry, entry_of, refused, told, vote
from tests.support import services
from tests.support.cast import Cast, demo_policy, file_request, make_cast

app = guards.app  # its fixture

COLUMNS = [
    field.column for field in Request._meta.concrete_fields if field.column not in ("id", "standing_risk")
    and not field.generated
]  # fmt: skip
FILED = """
jsonb_build_object('action', made.action, 'status', made.status, 'risk', made.risk,
 'risk_unknown', made.risk_unknown, 'quorum', made.quorum, 'people_floor', made.people_floor,
 'credential', made.credential_id, 'policy', made.policy_id, 'expires_at', approvals_moment(made.expires_at),
 'escalates_at', approvals_moment(made.escalates_at), 'escalation_team', made.escalation_team)
"""
ALLOWED = "jsonb_build_object('action', r.action, 'status', r.status, 'risk', r.risk)"


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    """helpdesk, one of support, and two of finance."""
    return make_cast(only=("support1", "finance1", "finance2"))


def filed(model: Request, **changes: str) -> tuple[str, dict[str, Any]]:
    """A copy of a request, with these columns as SQL says."""
    given = ", ".join(changes.get(column, column) for column in COLUMNS)
    return (
        f"INSERT INTO approvals_request (id, {', '.join(COLUMNS)}) SELECT %(new)s, {given}"
        " FROM approvals_request WHERE id = %(id)s",
        {"new": uuid4(), "id": model.pk},
    )


def telling(insert: tuple[str, dict[str, Any]], **facts: Any) -> list[tuple[str, dict[str, Any]]]:
    """The row, and then its filing as an entry, whose facts are the row's but for these."""
    agent = "jsonb_build_object('actor', jsonb_build_object('kind', 'agent', 'id', r.agent_id))"
    told_facts = FILED.replace("made.", "r.") + " || %(facts)s::jsonb"
    new = {"id": insert[1]["new"], "type": "request.filed", "facts": json.dumps(facts)}
    return [insert, (told(told_facts, members=agent), new)]


def granted(insert: tuple[str, dict[str, Any]], level: str) -> tuple[str, dict[str, Any]]:
    """The grant of that copy, with its entry."""
    made = (
        "INSERT INTO approvals_grant (id, request_id, audience, issued_at, valid_until, level, fork) VALUES"
        " (gen_random_uuid(), %(id)s, 'a', now(), now() + interval '1 hour', %(level)s, 0)"
    )
    facts = (
        "jsonb_build_object('grant', made.id, 'risk', made.level, 'executor', NULL,"
        " 'valid_until', approvals_moment(made.valid_until))"
    )
    return told(facts, made=made), {"id": insert[1]["new"], "level": level, "type": "grant.issued"}


def allowed(insert: tuple[str, dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    """The entry of an approval at once."""
    return told(ALLOWED), {"id": insert[1]["new"], "type": "request.allowed"}


def forged(model: Request, **changes: str) -> list[tuple[str, dict[str, Any]]]:
    """All that an approval at once writes, of a copy with these columns."""
    insert = filed(model, **changes)
    return [*telling(insert), granted(insert, "low"), allowed(insert)]


# ---- requests
def test_people_at_least_is_the_same_in_code_and_database(app: psycopg.Connection) -> None:
    for risk in ("low", "medium", "high", "critical"):
        row = app.execute("SELECT approvals_people_at_least(%s)", [risk]).fetchone()
        assert row == (people_at_least(risk),)


def test_a_request_inserted_as_approved_without_entries_is_refused(app: psycopg.Connection, cast: Cast) -> None:
    model = file_request(cast, "docs.read")
    insert = filed(model, quorum="'[]'", risk="'critical'")
    assert refused(app, insert) == NO_QUORUM
    assert refused(app, insert, granted(insert, "critical")) == NO_QUORUM
    assert refused(app, insert, granted(insert, "critical"), allowed(insert)) == NO_QUORUM
    assert refused(app, *telling(insert), granted(insert, "critical")) == NO_QUORUM
    assert Request.objects.count() == 1


def test_a_request_told_in_full_is_taken_as_policy_may_file_it(app: psycopg.Connection, cast: Cast) -> None:
    assert refused(app, *forged(file_request(cast, "docs.read"))) is None
    assert refused(app, *telling(filed(file_request(cast)))) is None


@pytest.mark.parametrize("risk", ["'high'", "'critical'"])
def test_an_approval_at_once_of_a_high_risk_is_refused(app: psycopg.Connection, cast: Cast, risk: str) -> None:
    assert refused(app, *forged(file_request(cast, "docs.read"), risk=risk)) == NO_QUORUM
    assert refused(app, *forged(file_request(cast, "docs.read"), risk_unknown="true")) == NO_QUORUM


def test_an_approval_at_once_takes_the_newest_policy_and_a_live_key(app: psycopg.Connection, cast: Cast) -> None:
    model = file_request(cast, "docs.read")
    for other in ("executor", "auditor"):
        assert refused(app, *forged(model, credential_id=f"'{cast.credentials[other].pk}'")) == NO_QUORUM, other
    assert refused(app, *forged(model, policy_id="NULL")) == NO_QUORUM
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        owner.execute("UPDATE agents_credential SET revoked_at = now()")
    assert refused(app, *forged(model)) == NO_QUORUM


@pytest.mark.parametrize(("risk", "floor"), [("critical", 0), ("critical", 1), ("high", 0)])
def test_a_pending_request_below_its_floor_is_refused(
    app: psycopg.Connection, cast: Cast, risk: str, floor: int
) -> None:
    insert = filed(file_request(cast), risk=f"'{risk}'", people_floor=str(floor))
    assert refused(app, *telling(insert)) == NO_QUORUM
    enough = filed(file_request(cast), risk=f"'{risk}'", people_floor=str(floor + 2))
    assert refused(app, *telling(enough)) is None


@pytest.mark.parametrize(
    "other",
    [
        {"risk": "low"}, {"risk_unknown": True}, {"quorum": []}, {"quorum": [[]]}, {"people_floor": 9},
        {"action": "docs.read"}, {"policy": None}, {"credential": str(uuid4())}, {"status": "approved"},
        {"expires_at": "2026-01-01T00:00:00.000000Z"}, {"escalation_team": "finance"},
    ],
)  # fmt: skip
def test_a_filing_that_tells_something_else_is_refused(app: psycopg.Connection, cast: Cast, other: Any) -> None:
    assert refused(app, *telling(filed(file_request(cast)), **other)) == NO_QUORUM


def test_a_filing_that_commits_to_other_parameters_is_refused(app: psycopg.Connection, cast: Cast) -> None:
    insert = filed(file_request(cast))
    row, (statement, values) = telling(insert)
    other = statement.replace("approvals_committed(r.parameters_digest", "approvals_committed('sha256:00'")
    assert other != statement
    assert refused(app, row, (other, values)) == NO_QUORUM


def test_an_entry_of_an_earlier_transaction_or_another_subject_is_refused(app: psycopg.Connection, cast: Cast) -> None:
    request, other = file_request(cast), file_request(cast)
    end = (guards.END, {"id": request.pk, "status": "rejected"})
    assert refused(app, entry(request, "request.rejected")) is None
    assert refused(app, end) == NO_QUORUM
    assert refused(app, entry(other, "request.rejected"), end) == NO_QUORUM
    statement, values = entry(other, "request.rejected")  # filed under this subject, though its leaf says another
    moved = statement.replace("'request', r.id::text", "'request', %(mine)s::text")
    assert refused(app, (moved, {**values, "mine": request.pk}), end) == NO_QUORUM
    assert refused(app, entry(request, "request.rejected"), end) is None


def test_the_number_of_a_transaction_cannot_be_given(app: psycopg.Connection, cast: Cast) -> None:
    request = file_request(cast)
    statement, values = entry(request, "request.rejected")
    named = statement.replace("ordinal, leaf,", "ordinal, xact, leaf,").replace("99,", "99, %(xact)s::text::xid8,")
    row = app.execute("SELECT pg_current_xact_id()::text").fetchone()
    assert row is not None
    app.rollback()
    for ahead in range(1, 6):
        assert refused(app, (named, {**values, "xact": str(int(row[0]) + ahead)})) is None
    end = (guards.END, {"id": request.pk, "status": "rejected"})
    assert [refused(app, end) for _ in range(6)] == [NO_QUORUM] * 6


def test_an_entry_that_is_rolled_back_to_a_savepoint_tells_nothing(app: psycopg.Connection, cast: Cast) -> None:
    request = file_request(cast)
    end: tuple[str, dict[str, Any]] = (guards.END, {"id": request.pk, "status": "rejected"})
    save: tuple[str, dict[str, Any]] = ("SAVEPOINT told", {})
    back: tuple[str, dict[str, Any]] = ("ROLLBACK TO SAVEPOINT told", {})
    asked: tuple[str, dict[str, Any]] = ("SET CONSTRAINTS ALL IMMEDIATE", {})
    told_of = entry(request, "request.rejected")
    assert refused(app, end, save, told_of, back) == NO_QUORUM
    assert refused(app, end, save, told_of, asked, back) == NO_QUORUM
    assert refused(app, asked, end) == NO_QUORUM
    assert refused(app, asked, end, told_of) == NO_QUORUM
    assert refused(app, told_of, asked, end, ("SET CONSTRAINTS ALL DEFERRED", {})) is None


def test_a_change_there_and_back_or_in_two_steps_is_told_each_time(app: psycopg.Connection, cast: Cast) -> None:
    request = file_request(cast)
    asks = edit(request, cast["support1"])
    lower = ("UPDATE approvals_request SET amended_quorum = '[]' WHERE id = %(id)s", {"id": request.pk})
    again = (
        "UPDATE approvals_request SET amended_quorum = %(quorum)s WHERE id = %(id)s",
        {"id": request.pk, "quorum": asks[1]["amended_quorum"]},
    )
    assert refused(app, entry_of(request, asks[1]), asks, lower, again) == NO_QUORUM
    assert refused(app, entry_of(request, asks[1]), asks) is None
    assert refused(app, lower) == NO_QUORUM


def test_an_edit_below_the_floor_of_its_risk_is_refused(app: psycopg.Connection, cast: Cast) -> None:
    request = file_request(cast)
    for risk, floor in (("high", 0), ("critical", 1)):
        low = edit(request, cast["support1"], amended_risk=risk, amended_people_floor=floor)
        assert refused(app, entry_of(request, low[1]), low) == NO_QUORUM, risk


# ---- votes, seats, grants
def test_a_vote_whose_entry_says_otherwise_is_refused(app: psycopg.Connection, cast: Cast) -> None:
    request = file_request(cast)
    for said, instead in (
        ("'verdict', made.verdict", "'verdict', 'reject'"),
        ("'decision', made.id", "'decision', gen_random_uuid()"),
        ("'teams', made.teams", "'teams', '[]'::jsonb"),
        ("approvals_committed(made.parameters_digest", "approvals_committed('sha256:00'"),
        ("approvals_person(made.person_id, made.auth_method", "approvals_person(made.person_id, 'mfa:totp'"),
        ("approvals_person(made.person_id", "approvals_person(gen_random_uuid()"),
    ):
        statement, values = vote(request, cast["support1"])[1]
        assert said in statement
        assert refused(app, (statement.replace(said, instead), values)) == NO_QUORUM, instead
    assert refused(app, vote(request, cast["support1"])[1]) is None


def test_an_approval_whose_entry_names_other_seats_is_refused(app: psycopg.Connection, cast: Cast) -> None:
    request = file_request(cast)
    whole = approval(request, (cast["support1"], "support"))
    other = json.dumps({"seats": [{"team": "support", "person": str(cast["finance1"].pk)}]})
    statement, values = whole[-2]
    assert refused(app, *whole[:-2], (statement, {**values, "more": other}), whole[-1]) == NO_QUORUM
    assert refused(app, *whole) is None


@pytest.mark.parametrize("instead", ["'grant', gen_random_uuid()", "'risk', 'high'", "'executor', 'payments'"])
def test_a_grant_whose_entry_says_otherwise_is_refused(app: psycopg.Connection, cast: Cast, instead: str) -> None:
    request = file_request(cast)
    *votes, (statement, values), told_of, moved = approval(request, (cast["support1"], "support"))
    said = {"'gr": "'grant', made.id", "'ri": "'risk', made.level", "'ex": "'executor', NULL"}[instead[:3]]
    assert said in statement
    assert refused(app, *votes, (statement.replace(said, instead), values), told_of, moved) == NO_QUORUM


def test_a_redemption_that_no_entry_tells_is_refused(app: psycopg.Connection, cast: Cast) -> None:
    request = file_request(cast, "docs.read")
    values = {"id": request.pk, "by": cast.credentials["executor"].pk, "type": "grant.redeemed"}
    spend = "UPDATE approvals_grant SET redeemed_at = {0}, redeemed_by_id = %(by)s WHERE request_id = %(id)s"
    facts = "jsonb_build_object('grant', made.id, 'credential', {0}, 'action', r.action)"
    mine = facts.format("made.redeemed_by_id")
    assert refused(app, (spend.format("now()"), values)) == NO_QUORUM
    another = facts.format("gen_random_uuid()")
    assert refused(app, (told(another, made=spend.format("now()")), values)) == NO_QUORUM
    assert refused(app, (told(mine, digest="'sha256:00'", made=spend.format("now()")), values)) == NO_QUORUM
    for moment in ("now() - interval '1 minute'", "now() + interval '1 minute'"):
        assert refused(app, (told(mine, made=spend.format(moment)), values)) == MOVED
    void = "UPDATE approvals_grant SET voided_at = now() WHERE request_id = %(id)s"
    assert refused(app, (void, values)) == NO_QUORUM
    assert refused(app, (told(mine, made=spend.format("now()")), values)) is None


def test_nothing_that_was_told_is_deleted_or_written_over(app: psycopg.Connection, cast: Cast) -> None:
    request = file_request(cast, parameters={"amount_cents": 50_000})
    seats = (cast["finance1"], "finance"), (cast["finance2"], "finance")
    assert refused(app, *approval(request, *seats)) is None
    grants.publish_keys()
    for table in ("request", "decision", "seat", "grant", "policyversion", "policyactivation", "signingkey"):
        assert refused(app, (f"DELETE FROM approvals_{table}", {})) in (MOVED, "42501"), table
    over = (
        "INSERT INTO approvals_signingkey (kid, x) SELECT kid, x FROM approvals_signingkey"
        " ON CONFLICT (kid) DO UPDATE SET x = 'AA'"
    )
    assert refused(app, (over, {})) == MOVED


# ---- policies and keys
def test_a_policy_put_in_force_by_two_inserts_is_refused(app: psycopg.Connection, cast: Cast) -> None:
    before = policies.in_force().version_id
    values = {"id": uuid4(), "files": json.dumps(dict(demo_policy())), "old": before}
    version = (
        "INSERT INTO approvals_policyversion (id, number, digest, files) SELECT %(id)s, 2, digest, %(files)s"
        " FROM approvals_policyversion WHERE id = %(old)s",
        values,
    )
    activation = ("INSERT INTO approvals_policyactivation (version_id) VALUES (%(id)s)", values)
    assert refused(app, version, activation) == NO_QUORUM
    assert refused(app, version) == NO_QUORUM
    assert refused(app, ("INSERT INTO approvals_policyactivation (version_id) VALUES (%(old)s)", values)) == NO_QUORUM
    assert policies.in_force().version_id == before


def test_a_signing_key_that_no_entry_tells_is_refused(app: psycopg.Connection, cast: Cast) -> None:
    served = grants.jwks()
    insert = "INSERT INTO approvals_signingkey (kid, x) VALUES ('mine', 'AA')"
    assert refused(app, (insert, {})) == NO_QUORUM
    assert refused(app, (f"{insert} ON CONFLICT DO NOTHING", {})) == NO_QUORUM
    assert grants.jwks() == served


# ---- the log's own
@pytest.mark.parametrize("level", ["off", "local"])
def test_an_entry_that_would_not_be_durable_is_refused(app: psycopg.Connection, cast: Cast, level: str) -> None:
    told_of = entry(file_request(cast), "request.undecidable")
    lax: tuple[str, dict[str, Any]] = (f"SET LOCAL synchronous_commit = {level}", {})
    assert refused(app, lax, told_of) == "23001"
    assert refused(app, told_of, lax) == "23001"
    for kept in ("on", "remote_write", "remote_apply"):
        assert refused(app, (f"SET LOCAL synchronous_commit = {kept}", {}), told_of) is None


def test_every_guard_finds_its_tables_in_the_schema_alone(transactional_db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT proname FROM pg_proc WHERE pronamespace = current_schema()::regnamespace"
            " AND (proname LIKE 'approvals\\_%%' OR proname LIKE 'audit\\_tells') AND NOT EXISTS"
            " (SELECT FROM unnest(proconfig) setting WHERE setting LIKE 'search_path=pg_catalog,%%pg_temp')"
        )
        loose = {row[0] for row in cursor.fetchall()}
    assert loose <= {"approvals_may_move", "approvals_never_changes"}, "these read no table"
