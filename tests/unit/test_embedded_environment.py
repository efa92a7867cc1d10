"""What each process is told: the whole environment of an installation, and the part that each role gets."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from config.embedded import banner, environment, keys

HOUSE = Path(__file__).resolve().parent.parent.parent
URLS = {role: f"postgresql://cs_{role}:secret-{role}@/cs?host=%2Frun" for role in ("app", "owner", "sealer", "eraser")}


@pytest.fixture
def whole(tmp_path: Path) -> dict[str, str]:
    return environment.complete({"PATH": "/bin"}, tmp_path, database_urls=URLS, redis_url="unix:///run/r?db=0")


def test_it_listens_on_loopback_unless_told_otherwise(tmp_path: Path) -> None:
    for given in ({}, {"HOST": ""}):
        assert environment.complete(given, tmp_path, database_urls={}, redis_url="")["HOST"] == "127.0.0.1"
    told = environment.complete({"HOST": "0.0.0.0", "PORT": "9000"}, tmp_path, database_urls={}, redis_url="")
    assert (told["HOST"], told["PORT"], told["BASE_URL"]) == ("0.0.0.0", "9000", "http://localhost:9000")


def hosts(tmp_path: Path, **given: str) -> tuple[str, set[str]]:
    """The address that is given out, and the hosts that are answered for; none where settings' own default does."""
    told = environment.complete(given, tmp_path, database_urls={}, redis_url="")
    return told["BASE_URL"], set(told["ALLOWED_HOSTS"].split(",")) if "ALLOWED_HOSTS" in told else set()


def test_on_loopback_the_settings_own_hosts_do(tmp_path: Path) -> None:
    for host in ("127.0.0.1", "localhost", "::1"):
        assert hosts(tmp_path, HOST=host) == ("http://localhost:8000", set())


def test_on_an_address_of_its_own_it_is_known_by_that_and_answers_for_it(tmp_path: Path) -> None:
    loopback = {"localhost", "127.0.0.1", "[::1]"}
    assert hosts(tmp_path, HOST="127.0.0.2") == ("http://127.0.0.2:8000", {"127.0.0.2", *loopback})
    assert hosts(tmp_path, HOST="fd00::5") == ("http://[fd00::5]:8000", {"[fd00::5]", *loopback})


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_everywhere_it_answers_for_every_name_and_address_of_the_machine(tmp_path: Path, host: str) -> None:
    url, answered = hosts(tmp_path, HOST=host)
    assert url == "http://localhost:8000"
    cards = [each for card in psutil.net_if_addrs().values() for each in card]
    own = {each.address for each in cards if each.family == socket.AF_INET}
    assert {*own, "localhost", "127.0.0.1", "[::1]", socket.gethostname().lower()} <= answered
    assert host not in answered
    assert "*" not in answered


def test_what_the_operator_gives_is_what_is_answered_for(tmp_path: Path) -> None:
    url, answered = hosts(tmp_path, HOST="0.0.0.0", BASE_URL="https://countersign.example.test")
    assert url == "https://countersign.example.test"
    assert "countersign.example.test" in answered
    assert hosts(tmp_path, HOST="0.0.0.0", ALLOWED_HOSTS="a.example.test")[1] == {"a.example.test"}


def test_the_address_it_gives_is_a_name_and_not_a_bare_address(whole: dict[str, str]) -> None:
    assert whole["BASE_URL"] == "http://localhost:8000"


def test_what_was_given_wins_over_what_was_made(tmp_path: Path) -> None:
    given = {"SECRET_KEY": "given", "BASE_URL": "https://countersign.example.test", "DATABASE_URL": "postgresql://x/y"}
    told = environment.complete(given, tmp_path, database_urls={}, redis_url="")
    assert {name: told[name] for name in given} == given


def test_the_demo_is_on_only_where_the_database_is_embedded(tmp_path: Path, whole: dict[str, str]) -> None:
    assert whole["DEMO"] == "1"
    assert "DEMO" not in environment.complete({}, tmp_path, database_urls={}, redis_url="")
    assert environment.complete({"DEMO": "0"}, tmp_path, database_urls=URLS, redis_url="")["DEMO"] == "0"


@pytest.mark.parametrize(
    ("process", "role"), [("web", "app"), ("worker", "app"), ("beat", "app"), ("sealer", "sealer")]
)
def test_a_process_can_sign_in_as_its_own_role_alone(whole: dict[str, str], process: str, role: str) -> None:
    told = environment.for_process(process, whole)
    assert told["COUNTERSIGN_ROLE"] == role
    able = {name for name, variable in environment.ROLE_VARIABLES.items() if urlsplit(told[variable]).password}
    assert able == {role}
    assert not [value for value in told.values() for other in URLS if other != role and f"secret-{other}" in value]


def test_the_roles_names_and_the_database_stay_known_to_every_process(whole: dict[str, str]) -> None:
    told = environment.for_process("web", whole)
    assert told["DATABASE_OWNER_URL"] == "postgresql://cs_owner@/cs?host=%2Frun"


@pytest.mark.parametrize(
    ("command", "role"),
    [
        ("migrate", "owner"),
        ("makemigrations", "owner"),
        ("seal_audit_log", "sealer"),
        ("erase_details", "eraser"),
        ("verify_audit_log", "app"),
        ("make_demo", "app"),
        ("shell", "app"),
        ("", "app"),
    ],
)
def test_a_command_works_as_the_role_it_is_for(whole: dict[str, str], command: str, role: str) -> None:
    told = environment.for_command(command, whole)
    assert told["COUNTERSIGN_ROLE"] == role
    assert urlsplit(told[environment.ROLE_VARIABLES[role]]).password == f"secret-{role}"


def test_the_key_of_the_log_goes_to_the_sealer_alone(whole: dict[str, str]) -> None:
    assert environment.for_process("sealer", whole)["AUDIT_KEY_PATH"] == whole["AUDIT_KEY_PATH"]
    for process in ("web", "worker", "beat"):
        assert "AUDIT_KEY_PATH" not in environment.for_process(process, whole)
    for command in ("migrate", "make_demo", "erase_details"):
        assert "AUDIT_KEY_PATH" not in environment.for_command(command, whole)


def test_with_one_url_for_all_everything_runs_on_it(tmp_path: Path) -> None:
    one = {"DATABASE_URL": "postgresql://one:secret@db/cs"}
    told = environment.complete(one, tmp_path, database_urls={}, redis_url="")
    for process in ("web", "sealer"):
        assert environment.for_process(process, told)["DATABASE_URL"] == one["DATABASE_URL"]
    same = told | {"DATABASE_OWNER_URL": one["DATABASE_URL"]}
    assert environment.for_process("web", same)["DATABASE_URL"] == one["DATABASE_URL"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:p@db.example.test:5432/cs", "postgresql://u@db.example.test:5432/cs"),
        ("postgresql://u:p%40ss@/cs?host=%2Frun", "postgresql://u@/cs?host=%2Frun"),
        ("postgresql://u@/cs", "postgresql://u@/cs"),
        ("postgresql:///cs", "postgresql:///cs"),
    ],
)
def test_a_url_without_its_password_is_otherwise_the_same(url: str, expected: str) -> None:
    assert environment.without_password(url) == expected


def test_keys_are_made_once_each_apart_and_readable_by_us_alone(tmp_path: Path) -> None:
    first, second = keys.made_once(tmp_path), keys.made_once(tmp_path)
    assert first == second
    assert len({first.secret_key, first.grant_key.read_text(), first.audit_key.read_text()}) == 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    assert first.grant_key.read_text().startswith("-----BEGIN PRIVATE KEY-----")


def test_the_record_of_a_running_installation_is_readable_by_us_alone(tmp_path: Path, whole: dict[str, str]) -> None:
    record = environment.publish(tmp_path, whole, {"PATH": "/bin"})
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    assert "PATH" not in json.loads(record.read_text())


ASK = """
import os, sys
from pathlib import Path
from config.embedded.environment import join_running
join_running(Path(sys.argv[1]), sys.argv[2])
print(os.environ.get("DATABASE_OWNER_URL"), os.environ["COUNTERSIGN_ROLE"])
"""


def joined(root: Path, command: str, **given: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(root), command],
        cwd=HOUSE,
        env={"PATH": os.environ["PATH"], **given},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_a_command_joins_a_running_installation_as_its_own_role(tmp_path: Path, whole: dict[str, str]) -> None:
    environment.publish(tmp_path, whole, {})
    assert joined(tmp_path, "migrate") == [URLS["owner"], "owner"]
    assert joined(tmp_path, "shell") == ["postgresql://cs_owner@/cs?host=%2Frun", "app"]


def test_a_command_with_a_database_of_its_own_joins_nothing(tmp_path: Path, whole: dict[str, str]) -> None:
    environment.publish(tmp_path, whole, {})
    assert joined(tmp_path, "migrate", DATABASE_URL="postgresql://mine/db") == ["None", "owner"]


def test_the_banner_gives_the_sign_ins_and_a_line_that_the_shell_reads_as_one_command(
    tmp_path: Path, whole: dict[str, str]
) -> None:
    demo = tmp_path / "demo.json"
    users = [{"email": "support1@example.test", "password": "a b", "roles": ["reviewer"]}]
    demo.write_text(json.dumps({"url": "", "users": users, "keys": {"agent": "csk_example"}}))
    text = banner.text(whole, demo)
    assert "http://localhost:8000" in text
    assert "support1@example.test  a b  reviewer" in text
    line = text[text.index("curl -s") : text.index("\n\n  It then waits")]
    said = subprocess.run(["sh", "-c", line.replace("curl -s", "printf '%s\\n'", 1)], capture_output=True, text=True)
    words = said.stdout.splitlines()
    assert words[0] == "http://localhost:8000/api/v1/requests"
    assert "Authorization: Bearer csk_example" in words
    assert json.loads(words[-1])["action"] == "refund.create"


def test_the_banner_gives_no_sign_ins_of_another_database_than_the_one_it_runs_on(
    tmp_path: Path, whole: dict[str, str]
) -> None:
    demo = tmp_path / "demo.json"
    demo.write_text(json.dumps({"users": [], "keys": {}}))
    assert "Sign in" not in banner.text({**whole, "DEMO": ""}, demo)


def test_without_a_demo_the_banner_has_no_sign_ins(tmp_path: Path, whole: dict[str, str]) -> None:
    assert "Sign in" not in banner.text(whole, tmp_path / "missing.json")
