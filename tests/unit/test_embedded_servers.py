"""The embedded PostgreSQL and Redis as they run: who gets in, over what, and what survives which end."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import psutil
import psycopg
import pytest
import redis

from config.embedded import cluster, places, postgres, up
from config.embedded.errors import CannotStart
from tests.support.eventually import eventually
from tests.support.unprivileged import as_nobody

HOUSE = Path(__file__).resolve().parent.parent.parent


@contextmanager
def temporary_root() -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="countersign-tests-servers-"))
    try:
        yield root
    finally:
        places.discard(root)


@pytest.fixture(scope="module")
def running() -> Iterator[cluster.Services]:
    """One pair of servers for all tests that only look."""
    with temporary_root() as root, cluster.running(root, for_tests=True) as services:
        yield services


def place_of(services: cluster.Services) -> places.Place:
    assert services.place is not None
    return services.place


def with_password(url: str, password: str) -> str:
    parts = urlsplit(url)
    return url.replace(f":{parts.password}@", f":{password}@")


def who(url: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT current_user").fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.parametrize("role", ["owner", "app", "sealer", "eraser"])
def test_each_role_signs_in_with_its_own_password(running: cluster.Services, role: str) -> None:
    assert who(running.database_urls[role]) == f"countersign_{role}"


@pytest.mark.parametrize("password", ["", "wrong"])
def test_no_role_signs_in_without_its_password(running: cluster.Services, password: str) -> None:
    for url in running.database_urls.values():
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(with_password(url, password))


def test_one_roles_password_is_refused_for_every_other_role(running: cluster.Services) -> None:
    passwords = {role: str(urlsplit(url).password) for role, url in running.database_urls.items()}
    assert len(set(passwords.values())) == len(passwords)
    for role, url in running.database_urls.items():
        for other in passwords.keys() - {role}:
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                psycopg.connect(with_password(url, passwords[other]))


def test_the_superuser_has_no_password_and_only_who_started_the_servers_is_let_in_as_it(
    running: cluster.Services,
) -> None:
    with postgres.superuser(place_of(running)) as connection:
        hashes = connection.execute("SELECT rolname FROM pg_authid WHERE rolsuper AND rolpassword IS NOT NULL")
        rules = connection.execute(
            "SELECT type, user_name, auth_method FROM pg_hba_file_rules ORDER BY rule_number"
        ).fetchall()
        mapped = connection.execute("SELECT sys_name, pg_username FROM pg_ident_file_mappings").fetchall()
        assert hashes.fetchall() == []
    us = psutil.Process().username()
    assert mapped == [(us, "postgres")]
    assert rules == [
        ("local", ["postgres"], "peer"),
        ("local", [*postgres.ROLES.values(), postgres.AUDITOR], "scram-sha-256"),
    ]


def test_no_role_of_ours_is_more_than_it_must_be(running: cluster.Services) -> None:
    with postgres.superuser(place_of(running)) as connection:
        powers = connection.execute(
            "SELECT rolname FROM pg_roles WHERE rolname LIKE 'countersign_%%' AND"
            " (rolsuper OR rolcreaterole OR rolreplication OR rolbypassrls OR (rolcreatedb AND rolname <> %s))",
            [postgres.ROLES["owner"]],
        ).fetchall()
        auditor = connection.execute("SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", [postgres.AUDITOR])
        assert (powers, auditor.fetchone()) == ([], (False,))


def test_the_app_may_neither_create_tables_nor_shadow_them_with_temporary_ones(running: cluster.Services) -> None:
    with psycopg.connect(running.database_urls["app"], autocommit=True) as app:
        for statement in ("CREATE TABLE mine (id int)", "CREATE TEMPORARY TABLE mine (id int)", "CREATE SCHEMA s"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute(statement)


def test_nothing_of_the_servers_listens_on_tcp(running: cluster.Services) -> None:
    for server in running.servers:
        assert server.process is not None
        family = psutil.Process(server.process.pid)
        assert family.net_connections(kind="inet") == []
        for process in family.children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # a worker of the server's that ended meanwhile
                assert process.net_connections(kind="inet") == []


def test_another_user_of_the_machine_can_reach_neither_server(running: cluster.Services) -> None:
    if os.geteuid() != 0:
        assert stat.S_IMODE(place_of(running).sockets.stat().st_mode) == 0o700
        return
    url = running.database_urls["app"]
    assert "Permission denied" in as_nobody(lambda: psycopg.connect(url))
    assert "Permission denied" in as_nobody(lambda: redis.Redis.from_url(running.redis_url).ping())


def test_as_root_the_servers_run_as_another_user_who_cannot_change_who_may_connect(
    running: cluster.Services,
) -> None:
    place = place_of(running)
    for server in running.servers:
        assert server.process is not None
        runs_as = psutil.Process(server.process.pid).uids().real
        assert runs_as != 0
        assert runs_as == (place.server_user.pw_uid if place.server_user else os.geteuid())
    rules = (place.home / "pg_hba.conf").stat()
    assert stat.S_IMODE(rules.st_mode) == (0o640 if place.server_user else 0o600)
    assert rules.st_uid == os.geteuid()


def test_passwords_are_kept_in_a_file_that_only_we_read(running: cluster.Services) -> None:
    assert stat.S_IMODE(place_of(running).passwords.stat().st_mode) == 0o600


def test_every_socket_has_a_path_that_the_kernel_takes(running: cluster.Services) -> None:
    sockets = list(place_of(running).sockets.iterdir())
    assert len(sockets) >= 2
    assert all(len(os.fsencode(path)) <= places.SOCKET_PATH_LIMIT for path in sockets)


def test_urls_name_the_sockets_folder_and_the_database(running: cluster.Services) -> None:
    parts = urlsplit(running.database_urls["app"])
    assert parts.path == "/countersign"
    assert unquote(parse_qs(parts.query)["host"][0]) == str(place_of(running).sockets)


def keep(services: cluster.Services) -> None:
    """Say that the database was filled, as make up does after the first run, and leave a row."""
    place_of(services).unfinished.unlink()
    with psycopg.connect(services.database_urls["owner"], autocommit=True) as owner:
        owner.execute("CREATE TABLE kept (what text)")
        owner.execute("INSERT INTO kept VALUES ('the row')")


def kept(services: cluster.Services) -> object:
    with psycopg.connect(services.database_urls["owner"]) as owner:
        return owner.execute("SELECT what FROM kept").fetchone()


def test_a_second_start_finds_the_data_and_the_passwords_of_the_first() -> None:
    with temporary_root() as root:
        with cluster.running(root, for_tests=True) as first:
            keep(first)
            passwords = {role: urlsplit(url).password for role, url in first.database_urls.items()}
        with cluster.running(root, for_tests=True) as second:
            assert kept(second) == ("the row",)
            assert {role: urlsplit(url).password for role, url in second.database_urls.items()} == passwords


def test_a_database_whose_first_filling_was_interrupted_is_made_anew() -> None:
    with temporary_root() as root:
        with cluster.running(root, for_tests=True) as first:
            keep(first)
            place_of(first).unfinished.touch()
        with (
            cluster.running(root, for_tests=True) as second,
            psycopg.connect(second.database_urls["owner"]) as owner,
            pytest.raises(psycopg.errors.UndefinedTable),
        ):
            owner.execute("SELECT FROM kept")


def test_an_interrupted_initdb_is_begun_anew() -> None:
    with temporary_root() as root:
        with places.prepared(root) as place:
            half_made = place.home / "postgres-new"
            half_made.mkdir()
            (half_made / "PG_VERSION").write_text("18\n")
        with cluster.running(root, for_tests=True) as services:
            assert who(services.database_urls["app"]) == "countersign_app"


@pytest.mark.parametrize("pid", ["99999999", "ours", "nonsense", ""])
def test_a_stale_pid_file_is_no_obstacle_whoever_has_that_number_now(pid: str) -> None:
    pid = str(os.getpid()) if pid == "ours" else pid
    with temporary_root() as root:
        with cluster.running(root, for_tests=True) as first:
            keep(first)
            data = place_of(first).data
        (data / "postmaster.pid").write_text(f"{pid}\n{data}\n1\n5432\n\n\n\nready\n")
        with cluster.running(root, for_tests=True) as second:
            assert kept(second) == ("the row",)


def test_data_of_another_major_version_is_refused_in_a_sentence_and_left_alone() -> None:
    with temporary_root() as root:
        with places.prepared(root) as place:
            place.make_for_servers(place.data)
            (place.data / "PG_VERSION").write_text("17\n")
        with pytest.raises(CannotStart, match=r"is of PostgreSQL 17, not 18; move it away\.$"), cluster.running(root):
            raise AssertionError("it started")
        assert (place.data / "PG_VERSION").read_text() == "17\n"


HOLD = """
import sys, time
from pathlib import Path
from config.embedded import cluster
with cluster.running(Path(sys.argv[1]), for_tests=True) as services:
    services.place.unfinished.unlink(missing_ok=True)
    print(*(server.process.pid for server in services.servers), flush=True)
    time.sleep(600)
"""


@contextmanager
def held_by_another(root: Path) -> Iterator[tuple[subprocess.Popen[str], list[psutil.Process]]]:
    """The servers, started by a process of its own; with it, the two of them."""
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(root)], cwd=HOUSE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        yield holder, [psutil.Process(int(pid)) for pid in holder.stdout.readline().split()]
    finally:
        holder.kill()
        holder.communicate()


def gone(processes: list[psutil.Process]) -> bool:
    return not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in processes)


def test_killing_whoever_started_the_servers_ends_them_too_and_the_next_start_finds_its_data() -> None:
    with temporary_root() as root:
        with held_by_another(root) as (holder, servers):
            holder.send_signal(signal.SIGKILL)
            holder.wait()
            assert len(servers) == 2
            eventually(lambda: gone(servers), what="the servers to follow their starter")
        with cluster.running(root, for_tests=True) as services:
            assert who(services.database_urls["app"]) == "countersign_app"


def test_after_everything_was_killed_at_once_the_next_start_recovers() -> None:
    with temporary_root() as root:
        with held_by_another(root) as (holder, servers):
            family = [each for server in servers for each in (server, *server.children(recursive=True))]
            for process in [*family, psutil.Process(holder.pid)]:
                process.kill()
            holder.wait()
            eventually(lambda: gone(family), what="all of it to be dead")
        with cluster.running(root, for_tests=True) as services:
            assert who(services.database_urls["app"]) == "countersign_app"


def test_a_server_that_outlived_its_starter_is_stopped_by_the_next_start() -> None:
    with temporary_root() as root:
        with places.prepared(root) as place:
            postgres._prepare_cluster(place, for_tests=False)
            server = subprocess.Popen(
                [str(part) for part in postgres._command(place, for_tests=False)],
                start_new_session=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                user=place.server_user.pw_uid if place.server_user else None,
                group=place.server_user.pw_gid if place.server_user else None,
            )
            eventually((place.data / "postmaster.pid").exists, what="the first server to be up")
        with cluster.running(root, for_tests=True) as services:
            assert server.wait(10) is not None
            assert who(services.database_urls["app"]) == "countersign_app"


def test_a_server_that_cannot_start_says_why_in_its_own_last_words() -> None:
    with temporary_root() as root:
        with cluster.running(root, for_tests=True, with_redis=False) as services:
            place_of(services).unfinished.unlink()
            settings = place_of(services).data / "postgresql.conf"
        settings.write_text("no_such_setting = 1\n")
        with (
            pytest.raises(CannotStart, match=r"^PostgreSQL stopped while starting: FATAL: .*postgresql\.conf"),
            cluster.running(root),
        ):
            raise AssertionError("it started")


def test_a_server_that_is_killed_while_it_starts_again_is_started_once_more() -> None:
    with temporary_root() as root, cluster.running(root, for_tests=True) as services:
        server = next(one for one in services.servers if one.name == "Redis")
        right, failed = server.argv, Counter[str]()
        assert server.process is not None
        server.process.kill()
        server.process.wait()
        server.argv = ["/bin/false"]
        for _ in range(up.TRIES - 1):
            up.revive(services, failed)
            assert server.ended()
        server.argv = right
        up.revive(services, failed)
        assert redis.Redis.from_url(services.redis_url).ping()
        assert not failed
        server.process.kill()
        server.process.wait()
        server.argv = ["/bin/false"]
        for _ in range(up.TRIES - 1):
            up.revive(services, failed)
        with pytest.raises(CannotStart, match="Redis stopped while starting"):
            up.revive(services, failed)
        server.argv = right
