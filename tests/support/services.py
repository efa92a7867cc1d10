"""One private PostgreSQL and Redis for a run of the suite, and a migrated database for each of its workers.

The suite runs on the app's role, as the house does; migrating and emptying go through the owner's. Nothing of
the domain is made here.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import redis
from psycopg import sql

from config.embedded import cluster, keys, places

ROLES = ("app", "owner", "sealer", "eraser")
VARIABLES = {role: "DATABASE_URL" if role == "app" else f"DATABASE_{role.upper()}_URL" for role in ROLES}
TEMPLATE = "test_template"
_ROOT = "COUNTERSIGN_TEST_ROOT"  # tells a worker of pytest-xdist where its controller's services live
_PATTERN = "countersign-tests-*"

_tables: list[str] = []  # all of them but Django's own record of migrations
_after_migrating: dict[str, bytes] = {}  # rows that migrations made, which emptying must bring back


def begin() -> None:
    """Start the services (the controller) or find them (its workers), and set what settings read."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if not (worker and _ROOT in os.environ):
        _start()
    root = Path(os.environ[_ROOT])
    number = int(worker.removeprefix("gw")) + 1 if worker else 0
    os.environ |= {
        "REDIS_URL": os.environ["COUNTERSIGN_TEST_REDIS"].replace("?db=0", f"?db={number}"),
        "AUDIT_OUTSIDE_PATH": str(root / f"outside-{number}"),
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }


def _start() -> None:
    places.discard_abandoned(_PATTERN)
    root = Path(tempfile.mkdtemp(prefix=_PATTERN.rstrip("*")))
    stack = ExitStack()
    stack.callback(places.discard, root)
    services = stack.enter_context(cluster.running(root, for_tests=True))
    atexit.register(stack.close)
    made = keys.made_once(root)
    os.environ |= {VARIABLES[role]: services.database_urls[role] for role in ROLES}
    os.environ |= {
        _ROOT: str(root),
        "COUNTERSIGN_TEST_REDIS": services.redis_url,
        "COUNTERSIGN_TESTING": "1",
        "PENDING_PER_AGENT": "100000",  # the cast has one agent; tests of the cap set their own
        "SHOW_LINKS": "1",  # tests have no mailbox to open; one of them sees to the default
        "COUNTERSIGN_ROLE": "app",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "SECRET_KEY": made.secret_key,
        "GRANT_KEY_PATH": str(made.grant_key),
        "AUDIT_KEY_PATH": str(made.audit_key),
        "AUDIT_ORIGIN_HOST": "localhost",
        "BASE_URL": "http://localhost:8000",
        # Playwright's synchronous interface keeps an event loop in the thread that also asks the database.
        "DJANGO_ALLOW_ASYNC_UNSAFE": "1",
    }
    for unwanted in ("DEBUG", "DEMO", "DATABASE_POOL", "STATIC_ROOT"):
        os.environ.pop(unwanted, None)


def database_name() -> str:
    """The name of this worker's database."""
    return f"test_countersign_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"


def url(role: str, database: str | None = None) -> str:
    """A role's URL to this worker's database (or to another)."""
    given = os.environ[VARIABLES[role]]
    return given.replace(f"{urlsplit(given).path}?", f"/{database or database_name()}?")


def process_environment(**more: str) -> dict[str, str]:
    """The environment for a process of the house (web, sealer …) that works on this worker's database."""
    return os.environ | {VARIABLES[role]: url(role) for role in ROLES} | more


@contextmanager
def connection(role: str) -> Iterator[psycopg.Connection]:
    """A connection of its own to this worker's database as one of the roles, in autocommit."""
    with psycopg.connect(url(role), autocommit=True) as opened:
        yield opened


def make_database() -> None:
    """Make this worker's database as the owner and point Django's default connection at it as the app.

    The first worker migrates a template; all copy it. Call it with access to databases unblocked.
    """
    from django.db import connections

    with (
        (Path(os.environ[_ROOT]) / "template.lock").open("w") as lock,
        psycopg.connect(url("owner", "postgres"), autocommit=True) as owner,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not owner.execute("SELECT 1 FROM pg_database WHERE datname = %s", [TEMPLATE]).fetchone():
            _migrate(owner)
        name = sql.Identifier(database_name())
        owner.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        owner.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(name, sql.Identifier(TEMPLATE)))
        owner.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
        for role in ROLES[:1] + ROLES[2:]:
            user = sql.Identifier(str(urlsplit(url(role)).username))
            owner.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name, user))
    connections["default"].close()
    connections.settings["default"]["NAME"] = connections["default"].settings_dict["NAME"] = database_name()
    _remember()


def _migrate(owner: psycopg.Connection) -> None:
    """Run the migrations as the owner in the template, under a working name until they are all through."""
    from django.core.management import call_command
    from django.db import connections

    unfinished = sql.Identifier(f"{TEMPLATE}_unfinished")
    owner.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(unfinished))
    owner.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(unfinished))
    default = connections["default"]
    settings = default.settings_dict
    parts = urlsplit(url("owner"))
    kept = {key: settings[key] for key in ("NAME", "USER", "PASSWORD")}
    default.close()
    settings |= {"NAME": f"{TEMPLATE}_unfinished", "USER": parts.username, "PASSWORD": parts.password}
    try:
        call_command("migrate", verbosity=0, interactive=False)
    finally:
        default.close()
        settings |= kept
    owner.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(unfinished, sql.Identifier(TEMPLATE)))


def _remember() -> None:
    """Note the tables and the rows that the migrations left in them."""
    with connection("owner") as owner:
        _tables[:] = [
            name
            for (name,) in owner.execute(
                "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                " WHERE n.nspname = 'public' AND c.relkind = 'r' AND c.relname <> 'django_migrations'"
            )
        ]
        _after_migrating.clear()
        for table in _with_rows(owner):
            with owner.cursor().copy(sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(table))) as rows:
                _after_migrating[table] = b"".join(bytes(part) for part in rows)


def _with_rows(owner: psycopg.Connection) -> list[str]:
    if not _tables:
        return []
    asks = [
        sql.SQL("SELECT {} WHERE EXISTS (SELECT FROM {})").format(sql.Literal(table), sql.Identifier(table))
        for table in _tables
    ]
    return [name for (name,) in owner.execute(sql.SQL(" UNION ALL ").join(asks))]


def restore_database() -> None:
    """Bring this worker's database back to what the migrations left, as the owner, its triggers at rest.

    The app may not delete evidence, and triggers refuse it to everybody; so Django's own flush can't do this.
    DELETE and not TRUNCATE: for a test's few rows it is ten times faster, and it waits for no reader.
    """
    with psycopg.connect(url("owner")) as owner:
        owner.execute("SET LOCAL session_replication_role = replica")
        owner.execute("SET LOCAL lock_timeout = '10s'")
        for table in {*_with_rows(owner), *_after_migrating}:
            owner.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
        for table, rows in _after_migrating.items():
            with owner.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(table))) as copy:
                copy.write(rows)


def empty_redis() -> None:
    """Forget all rate counters, messages and cached values of this worker."""
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    client.flushdb()
    client.close()
