"""Who may do what to the tables: the privileges of every database role, set after each migration by the
owner.

Privileges come first, triggers second: what is not granted here is refused by PostgreSQL whatever the code
does. Creating the roles themselves, and their passwords, is the operator's work (or the embedded services').
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import connections
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper

AUDITOR = "countersign_auditor"

PRIVILEGES: dict[str, dict[str, tuple[str, ...]]] = {
    # Writes entries, reads everything, changes nothing that is evidence. Heads and windows are counters.
    "app": {
        "audit_pending": ("SELECT", "INSERT"),
        "audit_detail": ("SELECT", "INSERT"),
        "audit_head": ("SELECT", "INSERT", "UPDATE"),
        "audit_refusalwindow": ("SELECT", "INSERT", "UPDATE"),
        "audit_leaf": ("SELECT",),
        "audit_node": ("SELECT",),
        "audit_checkpoint": ("SELECT",),
        "audit_quarantine": ("SELECT",),
        "audit_sealerstate": ("SELECT",),
        "audit_log_entries": ("SELECT",),
        "audit_log_nodes": ("SELECT",),
        "audit_log_checkpoints": ("SELECT",),
        "audit_log_quarantine": ("SELECT",),
        "audit_log_state": ("SELECT",),
    },
    # Moves pending rows into the tree. Its own leaves go straight there, so it writes neither heads nor
    # pending rows; it never sees a detail. Having no UPDATE it can lock no row; the advisory lock is its only
    # lock.
    "sealer": {
        "audit_pending": ("SELECT", "DELETE"),
        "audit_leaf": ("SELECT", "INSERT"),
        "audit_node": ("SELECT", "INSERT"),
        "audit_checkpoint": ("SELECT", "INSERT"),
        "audit_quarantine": ("INSERT",),
        "audit_sealerstate": ("SELECT", "UPDATE"),
    },
    # Deletes details, and records in the same transaction that it did: head and pending row of the erasure
    # entry.
    "eraser": {
        "audit_detail": ("SELECT", "DELETE"),
        "audit_head": ("SELECT", "INSERT", "UPDATE"),
        "audit_pending": ("INSERT",),
    },
    # Reads what is sealed, through views that hold nothing personal.
    "auditor": {
        "audit_log_entries": ("SELECT",),
        "audit_log_nodes": ("SELECT",),
        "audit_log_checkpoints": ("SELECT",),
        "audit_log_quarantine": ("SELECT",),
        "audit_log_state": ("SELECT",),
    },
}

READ_ONLY_FOR_APP = frozenset({"django_migrations"})
"""Tables outside audit that the app only reads: which migrations ran is the owner's to say."""


def role_names() -> dict[str, str]:
    """The PostgreSQL role behind each of app, owner, sealer, eraser (the user of its URL) and auditor."""
    names = {role: str(conninfo_to_dict(url)["user"]) for role, url in settings.DATABASE_ROLE_URLS.items()}
    return names | {"auditor": getattr(settings, "DATABASE_AUDITOR_ROLE", AUDITOR)}


def conninfo(role: str, *, using: str = "default") -> str:
    """A psycopg connection string for `role` on the database that connection `using` is on now (in tests, the
    test database). KeyError for a role without a URL."""
    database = connections[using].settings_dict["NAME"]
    return make_conninfo(settings.DATABASE_ROLE_URLS[role], dbname=database, application_name=f"countersign-{role}")


def grant_all(*, using: str = "default") -> None:
    """Set every role's privileges on every table, to exactly what they should be. Runs as the tables' owner.

    On tables outside audit the app gets SELECT, INSERT, UPDATE and DELETE. Roles that share one login get the
    union of their privileges; where that login is the owner there is nothing to set, and `/readyz` says so.
    """
    with connections[using].cursor() as cursor:
        logins = _logins(cursor)
        if not logins:
            return
        script = [
            sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(_schema(cursor), sql.Identifier(login)) for login in logins
        ]
        for relation, kind in _relations(cursor):
            script += _for_relation(relation, kind, logins)
        raw = cursor.connection
        cursor.execute(";\n".join(statement.as_string(raw) for statement in script))


def ensure_state_row(*, using: str = "default") -> None:
    """Make the sealer's one state row where it is missing: it may UPDATE it, but not make it. Runs as the
    owner."""
    with connections[using].cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit_sealerstate"
            " (id, origin, verifier_key, size, published_size, forks, forked_from, floor)"
            " VALUES (1, '', '', 0, 0, 0, '', 0) ON CONFLICT DO NOTHING"
        )


def _schema(cursor: CursorWrapper) -> sql.Identifier:
    cursor.execute("SELECT current_schema()")
    return sql.Identifier(cursor.fetchone()[0])


def _relations(cursor: CursorWrapper) -> list[tuple[str, str]]:
    """(name, pg_class.relkind) of the tables, views and sequences that the current user owns here."""
    cursor.execute(
        "SELECT relname, relkind FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
        " AND relkind IN ('r', 'p', 'v', 'S') AND pg_has_role(relowner, 'USAGE') ORDER BY relname"
    )
    return [(str(name), str(kind)) for name, kind in cursor.fetchall()]


def _logins(cursor: CursorWrapper) -> dict[str, list[str]]:
    """The roles to set privileges for, by PostgreSQL login, leaving the owner out."""
    names = role_names()
    cursor.execute("SELECT current_user::text, array(SELECT rolname::text FROM pg_roles)")
    owner, present = cursor.fetchone()
    logins: dict[str, list[str]] = {}
    for role in PRIVILEGES:
        # The auditor is optional (made when someone asks for a login); another role's absence is a broken
        # set-up, and the GRANT will say so.
        if names[role] != owner and (role != "auditor" or names[role] in present):
            logins.setdefault(names[role], []).append(role)
    return logins


def _for_relation(relation: str, kind: str, logins: dict[str, list[str]]) -> list[sql.Composed]:
    what = sql.SQL("{} {}").format(sql.SQL("SEQUENCE" if kind == "S" else "TABLE"), sql.Identifier(relation))
    everyone = sql.SQL(", ").join([sql.SQL("PUBLIC"), *(sql.Identifier(login) for login in logins)])
    script = [sql.SQL("REVOKE ALL ON {} FROM {}").format(what, everyone)]
    for login, roles in logins.items():
        if privileges := sorted({privilege for role in roles for privilege in _privileges(role, relation, kind)}):
            script.append(
                sql.SQL("GRANT {} ON {} TO {}").format(
                    sql.SQL(", ").join(sql.SQL(privilege) for privilege in privileges),
                    what,
                    sql.Identifier(login),
                )
            )
    return script


def _privileges(role: str, relation: str, kind: str) -> tuple[str, ...]:
    if relation.startswith("audit_"):
        return PRIVILEGES[role].get(relation, ())
    if role != "app":
        return ()
    if kind == "S":
        return ("USAGE",)
    if kind == "v" or relation in READ_ONLY_FOR_APP:
        return ("SELECT",)
    return ("SELECT", "INSERT", "UPDATE", "DELETE")
