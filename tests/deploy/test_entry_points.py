"""The image's entry point, run for real in a tree of exactly what the image holds: each process starts, writes nothing
there, and ends when told to."""

from __future__ import annotations

import fnmatch
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from django.conf import settings

from config.embedded.environment import for_command, for_process
from tests.support import sealing, services
from tests.support.eventually import eventually
from tests.support.live import SLOW, free_port

ROOT = Path(settings.BASE_DIR)
# What an engine gives a container between SIGTERM and SIGKILL, as our Compose file says.
GRACE = float(re.findall(r"stop_grace_period: (\d+)s", (ROOT / "deploy" / "compose.yml").read_text())[0])


def test_make_backup_takes_a_folder_with_a_space_in_its_name() -> None:
    said = subprocess.run(
        ["make", "-n", "-o", "install", "backup", "TO=a folder"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert shlex.split(said.stdout.strip().splitlines()[-1])[-1] == "a folder"


def files_of_the_image() -> list[Path]:
    """What .dockerignore lets through, as an engine reads it: all is left out but for the lines with `!`."""
    lines = (ROOT / ".dockerignore").read_text().split()
    assert lines[0] == "*"
    kept = [line[1:] for line in lines if line.startswith("!")]
    dropped = [line.removeprefix("**/") for line in lines[1:] if not line.startswith("!")]
    found = []
    for top in kept:
        path = ROOT / top
        assert path.exists(), f".dockerignore lets {top} through, which is not there"
        found += [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return [
        path for path in found if not any(fnmatch.fnmatch(part, pattern) for part in path.parts for pattern in dropped)
    ]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Path:
    """The tree, its static files collected, with this virtual environment in the place of the image's."""
    tree = tmp_path_factory.mktemp("image")
    for path in files_of_the_image():
        place = tree / path.relative_to(ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, place)
    run(tree, "collectstatic", "--noinput", "--verbosity", "0")
    return tree


def in_image(tree: Path, told: dict[str, str]) -> dict[str, str]:
    """What a process is told, with the image's own variables."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**told, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1", "STATIC_ROOT": str(tree / "staticfiles")}


def run(tree: Path, *command: str) -> str:
    """A command of manage.py through the entry point, to its end."""
    told = for_command(command[0], services.process_environment())
    done = subprocess.run(
        [tree / "deploy" / "run", *command], env=in_image(tree, told), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def contents(tree: Path) -> set[tuple[Path, int]]:
    return {(path, path.stat().st_mtime_ns) for path in tree.rglob("*") if path.is_file()}


@pytest.fixture
def untouched(image: Path) -> Iterator[None]:
    """Nothing in the image is written while it runs: its root may be read-only."""
    before = contents(image)
    yield
    assert contents(image) == before


def started(tree: Path, name: str, log: Path, **more: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [tree / "deploy" / "run", name],
        env=in_image(tree, for_process(name, services.process_environment(**more))),
        stdout=log.open("wb"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def ended(process: subprocess.Popen[bytes], log: Path) -> None:
    """Told to end, it does so in order and in time."""
    assert process.poll() is None, log.read_text()
    process.terminate()
    try:
        assert process.wait(GRACE) in (0, -signal.SIGTERM, 128 + signal.SIGTERM), log.read_text()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def test_the_web_process_answers_and_serves_its_files(image: Path, untouched: None, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log"
    web = started(image, "web", log, HOST="127.0.0.1", PORT=str(port))
    http = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False)

    def up() -> bool:
        try:
            return http.get("/healthz").status_code == 200
        except httpx.TransportError:
            return False

    try:
        eventually(up, within=SLOW, what="the web process to answer")
        for path in ("/readyz", "/accounts/login/", "/static/favicon.svg"):
            assert http.get(path).status_code == 200, path
    finally:
        ended(web, log)


@pytest.mark.parametrize("name", ["worker", "beat", "sealer"])
def test_each_other_process_says_in_the_log_that_it_started(
    image: Path, untouched: None, tmp_path: Path, transactional_db: None, name: str
) -> None:
    log = tmp_path / "log"
    sealing.forget_outside_copies()  # of the logs of tests before: this one begins anew
    process = started(image, name, log)

    def said() -> bool:
        with services.connection("owner") as owner:
            row = owner.execute(
                "SELECT count(*) FROM (SELECT leaf FROM audit_pending UNION ALL SELECT leaf FROM audit_leaf) told"
                " WHERE convert_from(leaf, 'UTF8')::jsonb ->> 'type' = %s"
                " AND convert_from(leaf, 'UTF8') LIKE %s",
                ["process.started", f'%"{name}"%'],
            ).fetchone()
        return bool(row and row[0])

    try:
        eventually(said, within=SLOW, what=f"{name} to start")
    finally:
        ended(process, log)


def test_anything_else_is_a_command_of_manage_py(image: Path, untouched: None) -> None:
    run(image, "migrate", "--check")  # fails where a migration is missing
    assert "[X] 0001_initial" in run(image, "showmigrations", "approvals")
