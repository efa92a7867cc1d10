"""What each role may do to each table of evidence: all of it, tried on real connections, and nothing more."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import connection
from psycopg import sql

from audit import roles
from tests.support import services
from tests.support.database_roles import default_connection_as

pytestmark = pytest.mark.django_db(transaction=True)

TABLES = (
    *("audit_pending", "audit_detail", "audit_head", "audit_leaf", "audit_node", "audit_checkpoint"),
    *("audit_quarantine", "audit_sealerstate", "audit_refusalwindow"),
)
VIEWS = (
    *("audit_log_entries", "audit_log_nodes", "audit_log_checkpoints", "audit_log_quarantine"),
    "audit_log_state",
)
VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")

# Role by role, what docs/reference/evidence-log.md gives: a second time, so that a slip in audit.roles shows.
ALLOWED: dict[str, dict[str, str]] = {
    "app": {
        "audit_pending": "SELECT INSERT",
        "audit_detail": "SELECT INSERT",
        "audit_head": "SELECT INSERT UPDATE",
        "audit_refusalwindow": "SELECT INSERT UPDATE",
        "audit_leaf": "SELECT",
        "audit_node": "SELECT",
        "audit_checkpoint": "SELECT",
        "audit_quarantine": "SELECT",
        "audit_sealerstate": "SELECT",
    }
    | dict.fromkeys(VIEWS, "SELECT"),
    "sealer": {
        "audit_pending": "SELECT DELETE",
        "audit_leaf": "SELECT INSERT",
        "audit_node": "SELECT INSERT",
        "audit_checkpoint": "SELECT INSERT",
        "audit_quarantine": "INSERT",
        "audit_sealerstate": "SELECT UPDATE",
    },
    "eraser": {
        "audit_detail": "SELECT DELETE",
        "audit_head": "SELECT INSERT UPDATE",
        "audit_pending": "INSERT",
    },
    "auditor": dict.fromkeys(VIEWS, "SELECT"),
}

STATEMENTS = {
    "SELECT": "SELECT count(*) FROM {table}",
    "INSERT": "INSERT INTO {table} ({column}) SELECT (NULL::{table}).{column} WHERE false",
    "UPDATE": "UPDATE {table} SET {column} = {column} WHERE false",
    "DELETE": "DELETE FROM {table} WHERE false",
    "TRUNCATE": "TRUNCATE {table}",
    "LOCK": "SELECT FROM {table} FOR UPDATE",
}
# A column that a statement can name; an identity column could not be.
COLUMNS = dict.fromkeys(TABLES, "subject_id") | {
    "audit_node": "hash",
    "audit_checkpoint": "note",
    "audit_sealerstate": "floor",
    "audit_refusalwindow": "cause",
}


@contextmanager
def connected(role: str) -> Iterator[psycopg.Connection[Any]]:
    with services.connection(role) as opened:
        yield opened


def statement(verb: str, table: str) -> sql.Composed:
    return sql.SQL(STATEMENTS[verb]).format(table=sql.Identifier(table), column=sql.Identifier(COLUMNS[table]))


def allowed(role: str, table: str, verb: str) -> bool:
    return verb in ALLOWED[role].get(table, "").split()


@pytest.mark.parametrize(("role", "table"), list(itertools.product(ALLOWED, (*TABLES, *VIEWS))))
def test_a_role_holds_exactly_its_privileges(role: str, table: str) -> None:
    name = roles.role_names()[role]
    with connection.cursor() as cursor:
        for verb in VERBS:
            cursor.execute("SELECT has_table_privilege(%s, %s, %s)", [name, table, verb])
            assert cursor.fetchone() == (allowed(role, table, verb),), verb


@pytest.mark.parametrize("role", ["app", "sealer", "eraser"])
@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("verb", STATEMENTS)
def test_a_statement_beyond_a_roles_privileges_is_refused_by_the_database(role: str, table: str, verb: str) -> None:
    if verb == "LOCK":
        may = allowed(role, table, "SELECT") and allowed(role, table, "UPDATE")
    else:
        may = allowed(role, table, verb)
    with connected(role) as opened:
        if may:
            opened.execute(statement(verb, table))
        else:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                opened.execute(statement(verb, table))


@pytest.mark.parametrize("table", ["audit_leaf", "audit_node", "audit_checkpoint", "audit_quarantine"])
@pytest.mark.parametrize("verb", ["UPDATE", "DELETE"])
def test_even_the_owner_is_refused_a_change_to_what_is_sealed(table: str, verb: str) -> None:
    with connected("owner") as owner, pytest.raises(psycopg.errors.RestrictViolation, match="may not be changed"):
        owner.execute(statement(verb, table))


@pytest.mark.parametrize("table", ["audit_pending", "audit_detail"])
def test_even_the_owner_is_refused_an_update_of_what_waits_or_explains(table: str) -> None:
    with connected("owner") as owner, pytest.raises(psycopg.errors.RestrictViolation, match="may not be changed"):
        owner.execute(sql.SQL("UPDATE {} SET subject_id = ''").format(sql.Identifier(table)))


@pytest.mark.parametrize("role", ["app", "sealer", "eraser"])
def test_no_role_can_switch_the_triggers_off(role: str) -> None:
    with connected(role) as opened:
        for statement in (
            "SET session_replication_role = replica",
            "ALTER TABLE audit_leaf DISABLE TRIGGER ALL",
            "DROP TRIGGER audit_leaf_append_only ON audit_leaf",
            "ALTER FUNCTION audit_refuse_change() RENAME TO harmless",
            "CREATE TABLE audit_leaf_2 ()",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                opened.execute(statement)


@pytest.mark.parametrize("role", ["app", "sealer", "eraser"])
def test_no_role_can_draw_or_set_a_position(role: str) -> None:
    with connected(role) as opened:
        for function in ("nextval('audit_pending_position_seq')", "setval('audit_pending_position_seq', 1)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                opened.execute(sql.SQL("SELECT {}").format(sql.SQL(function)))


@pytest.mark.parametrize("role", ["sealer", "eraser"])
def test_sealer_and_eraser_see_nothing_outside_evidence(role: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')"
            " AND relname NOT LIKE 'audit\\_%%' AND has_table_privilege(%s, oid, 'SELECT, INSERT, UPDATE, DELETE')",
            [roles.role_names()[role]],
        )
        assert cursor.fetchall() == []


def test_the_app_works_on_every_table_outside_evidence_and_only_reads_which_migrations_ran() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
            " AND relname NOT LIKE 'audit\\_%%' AND NOT (has_table_privilege(oid, 'SELECT')"
            "  AND has_table_privilege(oid, 'INSERT') AND has_table_privilege(oid, 'UPDATE')"
            "  AND has_table_privilege(oid, 'DELETE'))"
        )
        assert cursor.fetchall() == [("django_migrations",)]
        cursor.execute("SELECT has_table_privilege('django_migrations', 'SELECT')")
        assert cursor.fetchone() == (True,)


def test_every_table_of_evidence_is_covered_by_these_tests() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')"
            " AND relname LIKE 'audit\\_%'"
        )
        assert {name for (name,) in cursor.fetchall()} == {*TABLES, *VIEWS}


def test_no_view_of_the_auditors_holds_details_or_quarantined_bytes() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_name LIKE 'audit\\_log\\_%'"
        )
        columns = set(cursor.fetchall())
    assert not {column for _, column in columns} & {"content", "salt"}
    assert ("audit_log_quarantine", "leaf") not in columns


def test_granting_again_changes_nothing() -> None:
    def held() -> list[Any]:
        with connected("owner") as owner:
            return owner.execute(
                "SELECT relname, relacl::text FROM pg_class WHERE relname LIKE 'audit\\_%' ORDER BY 1"
            ).fetchall()

    before = held()
    with default_connection_as("owner"):
        roles.grant_all()
    assert held() == before
