"""`make up` as a person meets it: the first run, every way to end it, what it survives, and what it refuses."""

from __future__ import annotations

import json
import shlex
import signal
import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from config.embedded import cluster, environment, places
from tests.support.eventually import eventually
from tests.support.house import PLAIN, House

# They share one copy of the checkout and its first run, which takes its time.
pytestmark = pytest.mark.timeout(300)


@dataclass
class FirstRun:
    """What was seen while the house ran for the first time."""

    house: House
    banner: str
    users: list[dict[str, str]]  # those of the demo
    filed: httpx.Response
    queue: httpx.Response
    second: str  # what another `make up` beside it said
    listening: set[str]  # the addresses that any process of it listened on
    records: dict[str, int]  # modes of the files of a running house
    left: set[str]  # what says where a house runs, once it had stopped


@pytest.fixture(scope="module")
def first_run() -> Iterator[FirstRun]:
    house = House.copied()
    try:
        house.start()
        var = house.root / "var"
        seen = FirstRun(
            house=house,
            banner=house.log,
            users=house.demo["users"],
            filed=_as_pasted(house.log),
            queue=house.get("/queue/", follow_redirects=True),
            second=house.run(PORT=str(house.port + 1)).stderr,
            listening=_listening(house),
            records={
                name: stat.S_IMODE((var / name).stat().st_mode)
                for name in ("demo.json", "embedded", "embedded/environment.json", "embedded/database-passwords.json")
            },
            left=set(),
        )
        house.stop()
        seen.left.update(name for name in ("up.json", "embedded/environment.json") if (var / name).exists())
        yield seen
    finally:
        house.remove()


@pytest.fixture
def house(first_run: FirstRun) -> Iterator[House]:
    """The house after its first run, stopped."""
    yield first_run.house
    first_run.house.stop()


def _as_pasted(log: str) -> httpx.Response:
    """Do what the banner's curl line does (the machine need not have curl)."""
    line = log[log.index("curl -s ") : log.index("\n\n  It then waits")].replace("\\\n", " ")
    words = shlex.split(line.replace("$(date +%s)", "1"))
    headers = dict(words[at + 1].split(": ", 1) for at, word in enumerate(words) if word == "-H")
    return httpx.post(words[2], headers=headers, content=words[words.index("-d") + 1], timeout=10)


def _listening(house: House) -> set[str]:
    return {
        connection.laddr.ip
        for process in house.alive()
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }


def test_the_first_run_answers_at_the_address_it_gives(first_run: FirstRun) -> None:
    assert f"answers at {first_run.house.url}" in first_run.banner
    assert first_run.queue.status_code == 200


def test_the_line_in_the_banner_files_a_request_as_pasted(first_run: FirstRun) -> None:
    assert (first_run.filed.status_code, first_run.filed.json().get("status")) == (201, "pending")


def test_everyone_of_the_demo_can_be_read_in_the_banner(first_run: FirstRun) -> None:
    assert first_run.users
    for user in first_run.users:
        assert user["email"] in first_run.banner
        assert user["password"] in first_run.banner


def test_it_listens_on_loopback_alone(first_run: FirstRun) -> None:
    assert first_run.listening == {"127.0.0.1"}


def test_a_second_one_beside_it_is_refused_in_a_sentence(first_run: FirstRun) -> None:
    said = [line for line in first_run.second.splitlines() if not line.startswith("make")]
    assert len(said) == 1
    assert said[0].startswith(
        f"countersign: Countersign is already running from this folder at {first_run.house.url} (process "
    )


def test_what_holds_secrets_is_readable_by_its_owner_alone(first_run: FirstRun) -> None:
    assert first_run.records == {
        "demo.json": 0o600,
        "embedded": 0o700,
        "embedded/environment.json": 0o600,
        "embedded/database-passwords.json": 0o600,
    }


def test_nothing_of_a_running_house_is_claimed_once_it_has_stopped(first_run: FirstRun) -> None:
    assert first_run.left == set()


def _filed(house: House) -> int:
    """How many requests the demo's agent has filed, up to a hundred."""
    key = house.demo["keys"]["agent"]
    found = house.get("/api/v1/requests?limit=100", headers={"Authorization": f"Bearer {key}"})
    return len(found.json()["results"])


def test_a_second_start_finds_its_data_and_makes_no_demo_again(house: House, first_run: FirstRun) -> None:
    before = json.dumps(house.demo)
    house.start()
    assert "demo organisation" not in house.log
    assert json.dumps(house.demo) == before
    key = house.demo["keys"]["agent"]
    again = house.get(f"/api/v1/requests/{first_run.filed.json()['id']}", headers={"Authorization": f"Bearer {key}"})
    assert again.status_code == 200


def _ctrl_c(house: House) -> None:
    house.tell_group(signal.SIGINT)


def _terminal_gone(house: House) -> None:
    house.tell_group(signal.SIGHUP)


def _make_told(house: House) -> None:
    assert house.make is not None
    house.make.terminate()


def _make_killed(house: House) -> None:
    assert house.make is not None
    house.make.kill()


def _up_killed(house: House) -> None:
    house.named("config.embedded.up")[0].kill()


def _supervisor_killed(house: House) -> None:
    for process in house.named("config.embedded.supervisor"):
        if process.ppid() == house.named("config.embedded.up")[0].pid:
            process.kill()


@pytest.mark.parametrize(
    "end",
    [_ctrl_c, _terminal_gone, _make_told, _make_killed, _up_killed, _supervisor_killed],
    ids=lambda end: end.__name__,
)
def test_every_way_to_end_it_leaves_no_process_behind(house: House, end: object) -> None:
    assert callable(end)
    house.start()
    assert len(house.named("bin/postgres", "-D")) == len(house.named("redis-server")) == 1
    assert house.named("celery", "worker")
    end(house)
    house.wait_until_gone()


def test_with_worker_and_beat_killed_the_web_answers_and_they_come_back(house: House) -> None:
    house.start()
    before = house.named("celery")
    for process in before:
        process.kill()
    assert _filed(house) > 0
    eventually(lambda: house.named("celery", "worker") and house.named("celery", "beat"), what="both to come back")
    assert not {process.pid for process in before} & {process.pid for process in house.named("celery")}


def test_a_killed_redis_and_a_killed_postgres_are_started_again_with_their_data(house: House) -> None:
    house.start()
    filed = _filed(house)
    house.named("redis-server")[0].kill()
    house.named("bin/postgres", "-D")[0].kill()
    eventually(lambda: _filed(house) == filed, within=60, what="the house to be whole again")
    eventually(lambda: len(house.named("redis-server")) == 1, what="Redis to be back")


def test_after_everything_was_killed_at_once_the_next_start_finds_its_data(house: House) -> None:
    house.start()
    filed = _filed(house)
    house.kill_everything()
    house.start()
    assert _filed(house) == filed


def test_servers_that_are_given_are_used_and_none_is_started_and_host_moves_it(house: House) -> None:
    root = Path(tempfile.mkdtemp(prefix="countersign-tests-given-"))
    try:
        with cluster.running(root, for_tests=True) as given:
            urls = {environment.ROLE_VARIABLES[role]: url for role, url in given.database_urls.items()}
            house.start(HOST="127.0.0.2", REDIS_URL=given.redis_url, **urls)
            assert not house.named("bin/postgres")
            assert not house.named("redis-server")
            assert not house.named("make_demo")
            assert _listening(house) == {"127.0.0.2"}
            url = f"http://127.0.0.2:{house.port}"
            assert f"answers at {url}" in house.log
            assert httpx.get(f"{url}/accounts/login/", timeout=10).status_code == 200
            assert "Sign in as" not in house.log
            house.stop()
    finally:
        places.discard(root)


def test_manage_py_joins_the_running_house_without_being_told_where_it_is(house: House) -> None:
    house.start()
    done = subprocess.run(
        [str(house.root / ".venv" / "bin" / "python"), "manage.py", "verify_audit_log"],
        cwd=house.root,
        env=PLAIN,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_port_in_use_is_refused_in_a_sentence(house: House) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = house.run(PORT=str(port))
    assert done.returncode != 0
    assert done.stderr.splitlines()[0] == (
        f"countersign: Port {port} is in use; stop what listens there, or choose another: make up PORT={port + 1}."
    )


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1"])
def test_a_port_that_is_none_is_refused_in_a_sentence(house: House, port: str) -> None:
    done = house.run(PORT=port)
    assert done.stderr.splitlines()[0] == f"countersign: PORT is '{port}'; give a number from 1 to 65535."


def test_a_host_that_is_not_ours_is_refused_in_a_sentence(house: House) -> None:
    said = house.run(HOST="192.0.2.1").stderr.splitlines()[0]
    assert said.startswith(f"countersign: 192.0.2.1:{house.port} can't be listened on (")
    assert said.endswith("; choose another HOST or PORT.")


def test_with_web_killed_it_is_started_again_and_nothing_else_ends(house: House) -> None:
    house.start()
    before = {process.pid for process in house.named("celery")}
    for process in house.named("uvicorn"):
        process.kill()
    eventually(lambda: _answers(house), within=60, what="the web to be back")
    assert before <= {process.pid for process in house.named("celery")}
    house.stop()


def _answers(house: House) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{house.port}/healthz", timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
