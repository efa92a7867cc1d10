"""The embedded PostgreSQL: its cluster, who may connect to it and how, its start and stop.

Tables and what a role may do with them are the migrations' and `audit.roles`'s business.
"""

from __future__ import annotations

import json
import os
import pwd
import secrets
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from config.embedded import processes
from config.embedded.errors import CannotStart
from config.embedded.places import Place, write_private
from config.embedded.processes import Server

SUPERUSER = "postgres"
ROLES = {role: f"countersign_{role}" for role in ("owner", "app", "sealer", "eraser")}
AUDITOR = "countersign_auditor"  # reads views; cannot sign in until an operator gives it a password
START_SECONDS = 120.0  # recovery after a crash reads the log of writes again
STOPPING = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0))  # fast (roll back, write, stop), then immediate


@contextmanager
def running(place: Place, *, database: str, for_tests: bool = False) -> Iterator[tuple[Server, dict[str, str]]]:
    """Start the server and give the URL of each role to `database`, which belongs to the owner; stop on exit.

    `for_tests` lets the owner create databases and put triggers to rest, and trades durability for speed.
    """
    _prepare_cluster(place, for_tests=for_tests)
    server = Server(
        name="PostgreSQL",
        argv=_command(place, for_tests=for_tests),
        place=place,
        answers=lambda: _answers(place),
        stopping=STOPPING,
        start_seconds=START_SECONDS,
    )
    try:
        server.start()
        passwords = _passwords(place)
        _set_roles_up(place, passwords, database, for_tests=for_tests)
        yield server, {role: url(place, name, passwords[role], database) for role, name in ROLES.items()}
    finally:
        server.stop()


def url(place: Place, user: str, password: str, database: str) -> str:
    """`postgresql://user:password@/database?host=<socket folder>`, as both Django and libpq read it."""
    folder = quote(str(place.sockets), safe="")
    return f"postgresql://{user}:{quote(password, safe='')}@/{database}?host={folder}"


def superuser(place: Place, database: str = "postgres") -> psycopg.Connection:
    """A connection as the superuser, which only the operating system's user who started the servers gets."""
    return psycopg.connect(host=str(place.sockets), user=SUPERUSER, dbname=database, autocommit=True, connect_timeout=5)


def _command(place: Place, *, for_tests: bool) -> list[str | Path]:
    settings = {
        "hba_file": str(place.home / "pg_hba.conf"),  # beside the data: the server itself can't rewrite them
        "ident_file": str(place.home / "pg_ident.conf"),
        "listen_addresses": "",  # no TCP: whoever can't open the folder can't knock
        "unix_socket_directories": str(place.sockets),
        "unix_socket_permissions": "0700",
        "max_connections": "300" if for_tests else "200",
        "shared_buffers": "128MB",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "password_encryption": "scram-sha-256",
    }
    if for_tests:
        # A test's database dies with its session: nothing of it need be on a disk.
        settings |= {"fsync": "off", "full_page_writes": "off", "autovacuum_naptime": "1h"}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return [place.programs.postgres / "postgres", "-D", place.data, *options]


def _prepare_cluster(place: Place, *, for_tests: bool) -> None:
    """Make the cluster when there is none, end or forget an earlier server, write who may connect."""
    version = place.data / "PG_VERSION"
    if not version.exists():
        # Under another name until it is whole: initdb writes PG_VERSION early on.
        fresh = place.home / "postgres-new"
        shutil.rmtree(fresh, ignore_errors=True)
        place.make_for_servers(fresh)
        processes.run(
            [
                place.programs.postgres / "initdb",
                "--pgdata", fresh, "--username", SUPERUSER, "--auth", "peer", "--encoding", "UTF8",
                # Sorting that is the same on every machine and under every library version.
                "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C",
                *(["--no-sync"] if for_tests else []),
            ],
            place,
        )  # fmt: skip
        fresh.rename(place.data)
    elif version.read_text().strip() != "18":
        raise CannotStart(
            f"The data in {place.data} is of PostgreSQL {version.read_text().strip()}, not 18; move it away."
        )
    _end_earlier_server(place)
    place.write_for_servers(place.home / "pg_hba.conf", _who_may_connect())
    place.write_for_servers(place.home / "pg_ident.conf", _who_is_superuser())


def _end_earlier_server(place: Place) -> None:
    """Stop a server that outlived its supervisor, and drop a pid file that speaks of another process.

    PostgreSQL itself refuses to start when the pid in its file is alive, whatever that process is; after a
    reboot or in a container the number has often gone to something else. We hold the installation's lock,
    so nobody else is starting it.
    """
    record = place.data / "postmaster.pid"
    if not record.exists():
        return
    first = record.read_text().partition("\n")[0].strip()
    data = str(place.data)
    if first.isdigit():
        processes.stop_leftover(
            int(first),
            lambda command: any("postgres" in part for part in command[:1]) and data in command,
            signal.SIGINT,
        )
    record.unlink(missing_ok=True)


def _who_may_connect() -> str:
    ours = ",".join([*ROLES.values(), AUDITOR])
    return (
        "# Written at each start. Nobody else connects, and nobody over TCP.\n"
        f"local all {SUPERUSER} peer map=starter\n"
        f"local all {ours} scram-sha-256\n"
    )


def _who_is_superuser() -> str:
    return f"# Written at each start: who started the servers.\nstarter {_our_name()} {SUPERUSER}\n"


def _our_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError as error:
        raise CannotStart(
            f"The user id {os.geteuid()} has no name here, and PostgreSQL needs one; add it to /etc/passwd."
        ) from error


def _answers(place: Place) -> bool:
    try:
        superuser(place).close()
    except psycopg.OperationalError:
        return False
    return True


def _passwords(place: Place) -> dict[str, str]:
    """Each role's password, made once and kept in a file of mode 0600."""
    kept: dict[str, str] = json.loads(place.passwords.read_text()) if place.passwords.exists() else {}
    missing = [role for role in ROLES if role not in kept]
    if missing:
        kept |= {role: secrets.token_urlsafe(24) for role in missing}
        write_private(place.passwords, json.dumps(kept, indent=2) + "\n")
    return kept


def _set_roles_up(place: Place, passwords: dict[str, str], database: str, *, for_tests: bool) -> None:
    """Make roles and database what they should be, whatever they were."""
    with superuser(place) as connection:
        there = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
        for role, name in ROLES.items():
            # The verifier is computed here, so that no log of statements could hold the password.
            verifier = connection.pgconn.encrypt_password(passwords[role].encode(), name.encode(), b"scram-sha-256")
            connection.execute(
                sql.SQL("{} ROLE {} LOGIN NOSUPERUSER NOCREATEROLE NOREPLICATION NOBYPASSRLS {} PASSWORD {}").format(
                    sql.SQL("ALTER" if name in there else "CREATE"),
                    sql.Identifier(name),
                    sql.SQL("CREATEDB" if for_tests and role == "owner" else "NOCREATEDB"),
                    sql.Literal(verifier.decode()),
                )
            )
        if AUDITOR not in there:
            connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(AUDITOR)))
        if for_tests:  # the suite empties tables whose triggers refuse just that
            connection.execute(
                sql.SQL("GRANT SET ON PARAMETER session_replication_role TO {}").format(sql.Identifier(ROLES["owner"]))
            )
        wanted = sql.Identifier(database)
        if place.unfinished.exists():
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(wanted))
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone():
            place.unfinished.touch()
            owner = sql.Identifier(ROLES["owner"])
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(wanted, owner))
        _keep_others_out(connection, database)


def _keep_others_out(connection: psycopg.Connection, database: str) -> None:
    """What PUBLIC gets by default (connecting, temporary tables that could shadow ours) goes to nobody."""
    name = sql.Identifier(database)
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
    for role in (*ROLES.values(), AUDITOR):
        connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name, sql.Identifier(role)))
