"""The database's own promises, asked of it in raw SQL on the role the application runs as."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from approvals import states
from approvals.models import Decision, Request
from tests.support import services
from tests.support.cast import Cast, decide, file_request, make_cast, make_person, overdue
from tests.support.forging import forging

MOVED, LATE, NO_QUORUM = "CS409", "CS410", "CS422"
STATUSES = [status.value for status in states.Status]

APPROVE = (
    "UPDATE approvals_request SET status = 'approved', decided_at = now(), reason = 'Approved.', version = version + 1,"
    " valid_until = now() + interval '1 hour' WHERE id = %(id)s"
)
END = (
    "UPDATE approvals_request SET status = %(status)s::text, decided_at = now(), reason = 'x', retry = 'later',"
    " valid_until = CASE WHEN %(status)s::text = 'approved' THEN now() END WHERE id = %(id)s"
)


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    """helpdesk, two of finance, one of support who is nobody's owner, and the owner, who sits in support too."""
    return make_cast(only=("support1", "finance1", "finance2"))


@pytest.fixture
def app(transactional_db: None) -> Iterator[psycopg.Connection]:
    """A connection as the application's role."""
    with services.connection("app") as opened:
        yield opened


def refused(app: psycopg.Connection, *statements: tuple[str, dict[str, Any]]) -> str | None:
    """The SQLSTATE with which the statements, in one transaction, were refused; None where they were committed."""
    try:
        with app.transaction():
            for statement, values in statements:
                app.execute(statement, values)
    except psycopg.Error as error:
        return error.sqlstate
    return None


TOLD = (
    "INSERT INTO audit_pending (entry_id, subject_kind, subject_id, ordinal, leaf, leaf_hash)"
    " SELECT gen_random_uuid(), 'request', r.id::text, 99, convert_to((jsonb_build_object("
    "  'type', %(type)s::text, 'subject', jsonb_build_object('kind', 'request', 'id', r.id),"
    "  'commitments', jsonb_build_object('parameters_digest', approvals_committed({digest}, r.digest_salt)),"
    "  'facts', {facts}) || {members})::text, 'UTF8'), sha256('x') FROM {rows} WHERE r.id = %(id)s"
)


def told(facts: str, *, digest: str = "r.parameters_digest", members: str = "'{}'", made: str = "") -> str:
    """An INSERT of the entry with these facts about the request `r`, or about the row `made` that it makes first."""
    rows = "approvals_request r" + (", made" if made else "")
    with_made = f"WITH made AS ({made} RETURNING *) " if made else ""
    return with_made + TOLD.format(facts=facts, digest=digest, members=members, rows=rows)


def grant(request: Request) -> tuple[str, dict[str, Any]]:
    """A grant for the request, with its entry."""
    made = (
        "INSERT INTO approvals_grant (id, request_id, audience, issued_at, valid_until, level, fork)"
        " VALUES (%(grant)s, %(id)s, 'a', now(), now() + interval '1 hour', 'low', 0)"
    )
    facts = (
        "jsonb_build_object('grant', made.id, 'risk', made.level, 'executor', NULL,"
        " 'valid_until', approvals_moment(made.valid_until))"
    )
    statement = told(facts, digest="coalesce(r.amended_digest, r.parameters_digest)", made=made)
    return statement, {"grant": uuid4(), "id": request.pk, "type": "grant.issued"}


def vote(request: Request, person: Any, verdict: str = "approve", *, voided: bool = False) -> Any:
    """A decision with its entry as one statement, and the id it gets."""
    key = uuid4()
    made = (
        "INSERT INTO approvals_decision (id, request_id, person_id, verdict, rationale, note, reason_code, teams,"
        " display_digest, parameters_digest, view_nonce, opened_at, auth_method, auth_at, decided_at, voided_at,"
        " void_reason) VALUES (%(key)s, %(id)s, %(person)s, %(verdict)s, 'r', '', '',"
        " (SELECT coalesce(jsonb_agg(t.slug), '[]') FROM accounts_membership m JOIN accounts_team t ON t.id = m.team_id"
        "   WHERE m.user_id = %(person)s), 'd', %(digest)s, %(nonce)s,"
        " now(), 'password', now(), now(), CASE WHEN %(voided)s THEN now() END, '')"
    )
    facts = (
        "jsonb_build_object('decision', made.id, 'verdict', made.verdict, 'reason_code', '', 'teams', made.teams,"
        " 'delegated_from', made.delegated_from, 'amends', false, 'opened_at', approvals_moment(made.opened_at))"
    )
    members = "approvals_person(made.person_id, made.auth_method, made.auth_at)"
    return key, (
        told(facts, digest="made.parameters_digest", members=members, made=made),
        {
            "key": key,
            "id": request.pk,
            "person": person.pk,
            "verdict": verdict,
            "nonce": key.hex,
            "digest": request.parameters_digest,
            "voided": voided,
            "type": "decision.recorded",
        },
    )


def seat(request: Request, decision: Any, team: str) -> tuple[str, dict[str, Any]]:
    """A seat that the decision fills."""
    return (
        "INSERT INTO approvals_seat (request_id, decision_id, team) VALUES (%(id)s, %(decision)s, %(team)s)",
        {"id": request.pk, "decision": decision, "team": team},
    )


def entry(request: Request, type: str = "request.approved", more: str = "{}") -> tuple[str, dict[str, Any]]:
    """The entry that the move leaves, with the seats as they are filled by then."""
    seats = (
        "SELECT jsonb_agg(jsonb_build_object('team', s.team, 'person', d.person_id) ORDER BY s.id)"
        " FROM approvals_seat s JOIN approvals_decision d ON d.id = s.decision_id WHERE s.request_id = r.id"
    )
    facts = (
        "jsonb_build_object('action', r.action, 'status', split_part(%(type)s, '.', 2), 'risk', r.standing_risk,"
        f" 'seats', ({seats})) || %(more)s::jsonb"
    )
    return told(facts), {"id": request.pk, "type": type, "more": more}


def voiding(key: Any) -> tuple[str, dict[str, Any]]:
    """The decision made void, with its entry."""
    made = "UPDATE approvals_decision SET voided_at = now(), void_reason = 'left' WHERE id = %(key)s"
    facts = "jsonb_build_object('decision', made.id, 'person', made.person_id, 'reason', made.void_reason)"
    request = Decision.objects.get(pk=key).request_id
    return told(facts, made=made), {"key": key, "id": request, "type": "decision.void"}


def entry_of(request: Request, values: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The entry of an edit that is assigned by `values`, saying what they ask."""
    facts = {
        "quorum": json.loads(values["amended_quorum"]),
        "people_floor": values["amended_people_floor"],
        "risk": values["amended_risk"],
        "risk_unknown": values["amended_risk_unknown"],
    }
    actor = {"actor": {"kind": "person", "id": str(values["amended_by_id"])}}
    statement = told("%(facts)s::jsonb", digest="%(digest)s", members="%(members)s::jsonb")
    given = {"digest": values["amended_digest"], "facts": json.dumps(facts), "members": json.dumps(actor)}
    return statement, {"id": request.pk, "type": "request.amended", **given}


def edit(request: Request, person: Any, **changes: Any) -> tuple[str, dict[str, Any]]:
    """A reviewer's edit as it stands in the row; it asks for one of support, or as `changes` say."""
    values = {
        "amended_text": "{}", "amended_digest": "x", "amended_ruling": "{}", "amended_people_floor": 0,
        "amended_quorum": '[[{"team": "support", "count": 1}]]', "amended_risk": "medium",
        "amended_risk_unknown": False, "amended_teams": ["support"], "amended_by_id": person.pk, **changes,
    }  # fmt: skip
    columns = ", ".join(f"{name} = %({name})s" for name in values)
    return f"UPDATE approvals_request SET {columns}, amended_at = now() WHERE id = %(id)s", values | {"id": request.pk}


def approval(request: Request, *seats: tuple[Any, str]) -> list[tuple[str, dict[str, Any]]]:
    """Votes, seats, grant, entry and the move itself, as an approval writes them."""
    statements = []
    for person, team in seats:
        key, statement = vote(request, person)
        statements += [statement, seat(request, key, team)]
    return [*statements, grant(request), entry(request), (APPROVE, {"id": request.pk})]


# ---- transitions
def test_the_databases_table_of_moves_is_the_codes(app: psycopg.Connection) -> None:
    for source in (None, *STATUSES):
        for target in STATUSES:
            row = app.execute("SELECT approvals_may_move(%s, %s)", [source, target]).fetchone()
            assert row is not None
            allowed = states.transition_for(states.Status(source) if source else None, states.Status(target))
            assert row[0] == (allowed is not None), (source, target)


def test_no_final_status_has_a_way_out(app: psycopg.Connection, cast: Cast) -> None:
    for source in sorted(states.FINAL):
        request = file_request(cast, {"approved": "docs.read", "blocked": "backup.delete"}.get(source, "refund.create"))
        if source in ("rejected", "withdrawn", "expired"):
            if source == "expired":
                overdue(request)
            end = (END, {"id": request.pk, "status": source})
            assert refused(app, end) == NO_QUORUM
            assert refused(app, entry(request, f"request.{source}"), end) is None
        for target in STATUSES:
            if target != source:
                assert refused(app, (END, {"id": request.pk, "status": target})) in (MOVED, "23514"), (source, target)
        assert Request.objects.get(pk=request.pk).status == source


@pytest.mark.parametrize("status", ["rejected", "expired", "withdrawn"])
def test_a_request_cannot_begin_as_what_only_follows(app: psycopg.Connection, cast: Cast, status: str) -> None:
    request = file_request(cast)
    columns = sql.SQL(", ").join(
        sql.Identifier(f.column) for f in Request._meta.fields if f.column not in ("id", "status") and not f.generated
    )
    copy = sql.SQL(
        "INSERT INTO approvals_request (id, status, {0}) SELECT %s, %s, {0} FROM approvals_request WHERE id = %s"
    ).format(columns)
    with pytest.raises(psycopg.Error) as error:
        app.execute(copy, [uuid4(), status, request.pk])
    assert error.value.sqlstate == MOVED


def test_what_was_filed_does_not_change(app: psycopg.Connection, cast: Cast) -> None:
    request = file_request(cast)
    for change in (
        "parameters_text = '{}'", "parameters_digest = 'x'", "resource = 'else'", "action = 'docs.read'",
        "expires_at = expires_at + interval '1 day'", "expires_at = now()", "quorum = '[]'",
        "people_floor = people_floor + 1",
        "risk = 'low'", "ruling = '{}'", "asked = '{}'", "valid_seconds = 1", "created_at = now()", "teams = '{}'",
        "rationale = 'x'", "summary = 'x'", "context_text = '[]'", "digest_salt = ''", "policy_id = NULL",
        "version = 0",
    ):  # fmt: skip
        values = {"id": request.pk}
        assert refused(app, (f"UPDATE approvals_request SET {change} WHERE id = %(id)s", values)) == MOVED, change


def test_how_a_request_ended_does_not_change(app: psycopg.Connection, cast: Cast) -> None:
    request = decide(file_request(cast), cast["support1"], "reject", rationale="Not this one.")
    for change in ("reason = 'y'", "retry = 'never'", "decided_at = now()", "stop = true", "amended_text = '{}'"):
        values = {"id": request.pk}
        assert refused(app, (f"UPDATE approvals_request SET {change} WHERE id = %(id)s", values)) == MOVED, change


# ---- an approval has its quorum
def test_an_approval_with_its_quorum_and_its_grant_is_taken(app: psycopg.Connection, cast: Cast) -> None:
    small = file_request(cast)
    assert refused(app, *approval(small, (cast["support1"], "support"))) is None
    large = file_request(cast, parameters={"amount_cents": 50_000})
    assert refused(app, *approval(large, (cast["finance1"], "finance"), (cast["finance2"], "finance"))) is None


def test_an_approval_without_its_quorum_is_refused(app: psycopg.Connection, cast: Cast) -> None:
    small = file_request(cast)
    large = file_request(cast, parameters={"amount_cents": 50_000})
    owner, finance1 = (cast["owner1"], "support"), (cast["finance1"], "finance")
    assert refused(app, *approval(small)) == NO_QUORUM
    assert refused(app, *approval(small, (cast["support1"], "finance"))) == NO_QUORUM
    assert refused(app, *approval(small, owner)) == NO_QUORUM
    assert refused(app, *approval(large, finance1)) == NO_QUORUM
    assert refused(app, *approval(large, finance1, (cast["owner1"], "finance"))) == NO_QUORUM
    assert refused(app, *approval(large, finance1, (cast["support1"], "support"))) == NO_QUORUM
    key, ballot = vote(small, cast["support1"])
    whole = [grant(small), entry(small), (APPROVE, {"id": small.pk})]
    assert refused(app, ballot, *whole) == NO_QUORUM  # a vote, but no seat
    key, ballot = vote(small, cast["support1"], "reject")
    assert refused(app, ballot, seat(small, key, "support"), *whole) == NO_QUORUM
    key, ballot = vote(small, cast["support1"], voided=True)
    assert refused(app, ballot, seat(small, key, "support"), *whole) == NO_QUORUM
    assert {request.status for request in Request.objects.all()} == {"pending"}


def test_one_person_cannot_fill_two_seats(app: psycopg.Connection, cast: Cast) -> None:
    large = file_request(cast, parameters={"amount_cents": 50_000})
    finance1 = (cast["finance1"], "finance")
    assert refused(app, *approval(large, finance1, finance1)) == "23505"  # one decision a person
    key, ballot = vote(large, cast["finance1"])
    twice = [ballot, seat(large, key, "finance"), seat(large, key, "finance")]
    assert refused(app, *twice, grant(large), (APPROVE, {"id": large.pk})) == "23505"  # one seat a decision


def test_a_seat_filled_for_another_request_counts_nothing(app: psycopg.Connection, cast: Cast) -> None:
    one, other = file_request(cast), file_request(cast)
    key, ballot = vote(other, cast["support1"])
    whole = [grant(one), entry(one), (APPROVE, {"id": one.pk})]
    assert refused(app, ballot, seat(one, key, "support"), *whole) == NO_QUORUM


def test_an_approval_without_a_grant_and_a_grant_without_an_approval_are_refused(
    app: psycopg.Connection, cast: Cast
) -> None:
    request = file_request(cast)
    with_grant = approval(request, (cast["support1"], "support"))
    assert refused(app, *(one for one in with_grant if "approvals_grant" not in one[0])) == NO_QUORUM
    assert refused(app, grant(request)) == NO_QUORUM


def test_an_approval_without_its_entry_is_refused(app: psycopg.Connection, cast: Cast) -> None:
    request = file_request(cast)
    whole = approval(request, (cast["support1"], "support"))
    silent = [one for one in whole if one[1].get("type") != "request.approved"]
    assert refused(app, *silent) == NO_QUORUM
    assert refused(app, *silent[:-1], entry(request, "request.filed"), silent[-1]) == NO_QUORUM
    assert refused(app, *whole) is None


def test_an_approval_by_votes_on_other_parameters_is_refused(app: psycopg.Connection, cast: Cast) -> None:
    request = file_request(cast)
    whole = approval(request, (cast["support1"], "support"))
    amended = edit(request, cast["support1"])
    assert refused(app, *whole[:-1], entry_of(request, amended[1]), amended, whole[-1]) == NO_QUORUM


# ---- in time
def test_an_approval_at_or_after_the_deadline_is_refused(app: psycopg.Connection, cast: Cast) -> None:
    request = overdue(file_request(cast))
    assert refused(app, *approval(request, (cast["support1"], "support"))) == LATE


def test_the_deadline_is_looked_at_again_as_the_last_thing_before_the_commit(
    app: psycopg.Connection, cast: Cast
) -> None:
    request = file_request(cast, timeout_seconds=1)
    in_time = approval(request, (cast["support1"], "support"))
    until_late: tuple[str, dict[str, Any]] = (
        "SELECT pg_sleep(1.2)",
        {},
    )  # the database's own clock passes the deadline inside the transaction
    assert refused(app, *in_time, until_late) == LATE
    assert Request.objects.get(pk=request.pk).status == "pending"


# ---- decisions, grants and records
def test_only_a_pending_request_is_decided(app: psycopg.Connection, cast: Cast) -> None:
    for action in ("docs.read", "backup.delete"):
        assert refused(app, vote(file_request(cast, action), cast["support1"])[1]) == MOVED


def test_a_person_has_one_standing_decision_and_a_page_one_decision(app: psycopg.Connection, cast: Cast) -> None:
    request = file_request(cast, parameters={"amount_cents": 50_000})
    assert refused(app, vote(request, cast["finance1"])[1]) is None
    assert refused(app, vote(request, cast["finance1"], "reject")[1]) == "23505"
    statement, values = vote(request, cast["finance2"])[1]
    nonce = Decision.objects.get().view_nonce
    assert refused(app, (statement, {**values, "nonce": nonce})) == "23505"


def test_a_decision_does_not_change_but_to_be_voided_once(app: psycopg.Connection, cast: Cast) -> None:
    request = file_request(cast, parameters={"amount_cents": 50_000})
    key, ballot = vote(request, cast["finance1"])
    assert refused(app, ballot) is None
    for change in ("verdict = 'reject'", "rationale = 'y'", "decided_at = now()", "person_id = gen_random_uuid()"):
        values = {"key": key}
        assert refused(app, (f"UPDATE approvals_decision SET {change} WHERE id = %(key)s", values)) == MOVED, change
    void = voiding(key)
    assert refused(app, void) is None
    assert refused(app, void) == MOVED


def test_a_grant_does_not_change_but_to_be_redeemed_or_voided_once(app: psycopg.Connection, cast: Cast) -> None:
    request = file_request(cast, "docs.read")
    values = {"id": request.pk, "by": cast.credentials["executor"].pk, "other": cast.credentials["agent"].pk}

    def change(assignment: str) -> str | None:
        made = f"UPDATE approvals_grant SET {assignment} WHERE request_id = %(id)s"
        facts = "jsonb_build_object('grant', made.id, 'credential', made.redeemed_by_id, 'action', r.action)"
        kind = "grant.redeemed" if "redeemed_at" in assignment else "grant.voided"
        return refused(app, (told(facts, made=made), values | {"type": kind}))

    for never in ("audience = 'b'", "issued_at = now()", "valid_until = now() + interval '9 days'"):
        assert change(never) == MOVED, never
    assert change("redeemed_at = now()") == "23514"  # a redemption has a redeemer
    assert change("redeemed_at = now(), redeemed_by_id = %(by)s") is None
    assert change("redeemed_at = now(), redeemed_by_id = %(other)s") == MOVED
    assert change("redeemed_at = NULL, redeemed_by_id = NULL") == MOVED
    other = file_request(cast, "docs.read")
    values["id"] = other.pk
    assert change("voided_at = now()") is None
    assert change("redeemed_at = now(), redeemed_by_id = %(by)s") == MOVED
    assert change("voided_at = NULL") == MOVED


def test_nothing_is_ever_deleted(app: psycopg.Connection, cast: Cast) -> None:
    large = file_request(cast, parameters={"amount_cents": 50_000})
    assert refused(app, *approval(large, (cast["finance1"], "finance"), (cast["finance2"], "finance"))) is None
    for table in ("request", "decision", "seat", "grant", "policyversion", "policyactivation"):
        assert refused(app, (f"DELETE FROM approvals_{table}", {})) in (MOVED, "42501"), table
        assert refused(app, (f"TRUNCATE approvals_{table} CASCADE", {})) == "42501", table


def test_the_triggers_cannot_be_put_to_rest_by_the_application(app: psycopg.Connection, cast: Cast) -> None:
    for statement in (
        "SET session_replication_role = replica",
        "ALTER TABLE approvals_request DISABLE TRIGGER ALL",
        "DROP TRIGGER approvals_request_guard ON approvals_request",
        "CREATE OR REPLACE FUNCTION approvals_may_move(source text, target text) RETURNS boolean LANGUAGE sql"
        " AS 'SELECT true'",
    ):
        assert refused(app, (statement, {})) == "42501", statement


def test_whoever_answers_for_the_agent_now_fills_no_seat(app: psycopg.Connection, cast: Cast) -> None:
    new = make_person("newowner", teams=[cast.teams["support"]])
    request = file_request(cast)
    with forging():
        type(cast.agent).objects.filter(pk=cast.agent.pk).update(owner=new)
    assert refused(app, *approval(request, (new, "support"))) == NO_QUORUM


def test_whoever_answers_for_the_agent_since_their_vote_fills_no_seat(app: psycopg.Connection, cast: Cast) -> None:
    new = make_person("newowner", teams=[cast.teams["support"]])
    request = file_request(cast)
    key, ballot = vote(request, new)
    assert refused(app, ballot) is None
    with forging():
        type(cast.agent).objects.filter(pk=cast.agent.pk).update(owner=new)
    approves = [seat(request, key, "support"), grant(request), entry(request), (APPROVE, {"id": request.pk})]
    assert refused(app, *approves) == NO_QUORUM
    with forging():
        type(cast.agent).objects.filter(pk=cast.agent.pk).update(owner=cast["owner1"])
    assert refused(app, *approves) is None
