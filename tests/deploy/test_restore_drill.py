"""`make restore-drill`, run as an operator does: a good backup passes, and whatever is wrong with one is said."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
import time_machine
from django.conf import settings

from config.embedded.backup import BackupFailed, write
from config.embedded.environment import for_command
from tests.support import sealing, services
from tests.support.cast import Cast, decide, file_request, make_cast
from tests.support.eventually import eventually
from tests.support.notifications import send_all

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(600),
]  # each starts a server of its own or two


def told() -> dict[str, str]:
    """What an operator gives: the URLs of a real server's roles, and where the outside copy is."""
    return for_command("migrate", services.process_environment())


def run(
    module: str, *arguments: str | Path, given: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"config.embedded.{module}", *map(str, arguments)],
        cwd=settings.BASE_DIR,
        env=told() if given is None else given,
        capture_output=True,
        text=True,
        check=False,
    )


def failed(*arguments: str | Path) -> str:
    """What a drill says that must fail."""
    done = run("restore_drill", *arguments)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "The backup holds" not in done.stdout
    (sentence,) = [line for line in done.stderr.splitlines() if line.startswith("countersign: THE DRILL FAILED. ")]
    return sentence


def backup(folder: Path) -> tuple[Path, Path]:
    done = run("backup", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    dump = Path(done.stdout.split(" (")[0])
    checkpoint = Path(done.stdout.splitlines()[1])
    assert {path.stat().st_mode & 0o777 for path in (dump, checkpoint)} == {0o600}
    return dump, checkpoint


def wait_until_sealed() -> None:
    with services.connection("app") as app:
        eventually(lambda: app.execute("SELECT count(*) FROM audit_pending").fetchone() == (0,), what="the sealer")


@pytest.fixture
def history() -> Iterator[Cast]:
    """Some requests, decided, sealed; the sealer works on."""
    cast = make_cast(only=("support1",))
    with sealing.running():
        for verdict in ("approve", "reject"):
            decide(file_request(cast), cast["support1"], verdict, rationale="Seen, and meant so.")
        file_request(cast)
        wait_until_sealed()
        yield cast


def test_a_fresh_backup_restores_and_everything_in_it_verifies(
    history: Cast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    done = run("restore_drill")
    assert done.returncode == 0, done.stdout + done.stderr
    steps = re.findall(r"^(\w+) +\d+\.\d\d s  (.*)$", done.stdout, re.M)
    assert [name for name, _ in steps] == [
        "dump", "restore", "migrations", "privileges", "evidence", "replay", "head", "all",
    ]  # fmt: skip
    said = dict(steps)
    assert said["evidence"] == "VERIFIED"
    assert said["replay"].startswith("3 requests hold as their ")
    assert re.match(r"\d+ leaves, root [0-9a-f]{16}…, the database in use has \d+ more", said["head"])
    assert list(tmp_path.iterdir()) == []


def test_a_backup_from_before_is_drilled_with_the_checkpoint_that_was_kept_with_it(
    history: Cast, tmp_path: Path
) -> None:
    dump, checkpoint = backup(tmp_path)
    file_request(history)
    wait_until_sealed()
    assert run("restore_drill", "--dump", dump, "--checkpoint", checkpoint).returncode == 0
    # Of itself it is older than what was published since, which is what a restored database is refused for.
    assert "verify_audit_log" in failed("--dump", dump)
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        owner.execute("UPDATE audit_checkpoint SET root = sha256(root)")
    assert "another log" in failed("--dump", dump, "--checkpoint", checkpoint)


def test_what_waited_to_be_told_when_the_dump_was_made_is_not_late_in_the_copy(history: Cast) -> None:
    send_all()
    decide(file_request(history), history["support1"], "reject", rationale="No such parcel is known here.")
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        for before in (
            "UPDATE approvals_notice SET at = at - interval '1 h' WHERE addressed_at IS NULL",
            "UPDATE approvals_delivery SET state = 'waiting', ended_at = NULL, due_at = now() - interval '1 h'",
        ):
            assert owner.execute(before).rowcount >= 1
    wait_until_sealed()
    done = run("restore_drill")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_second_drill_leaves_the_first_one_alone(
    history: Cast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump, checkpoint = backup(tmp_path)
    places = tmp_path / "places"
    places.mkdir()
    monkeypatch.setenv("TMPDIR", str(places))
    with ThreadPoolExecutor(1) as pool:
        with services.connection("owner") as owner, owner.transaction():
            owner.execute("LOCK TABLE approvals_outcome IN ACCESS EXCLUSIVE MODE")  # so that the first goes on dumping
            first = pool.submit(run, "restore_drill")
            eventually(lambda: list(places.glob("*/backup/*.unfinished")), within=60, what="the first one's dump")
            second = run("restore_drill", "--dump", dump, "--checkpoint", checkpoint)
        assert second.returncode == 0, second.stdout + second.stderr
        assert first.result().returncode == 0, first.result().stderr
    assert list(places.iterdir()) == []


def test_a_dump_that_fails_leaves_nothing_that_looks_like_one(history: Cast, tmp_path: Path) -> None:
    given = {**told(), "DATABASE_OWNER_URL": services.process_environment()["DATABASE_URL"]}  # may not read it all
    done = run("backup", tmp_path, given=given)
    assert done.returncode == 1
    assert "pg_dump failed" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("end", ["checkpoint", "unfinished"])
def test_a_backup_writes_into_nothing_that_somebody_put_there(history: Cast, tmp_path: Path, end: str) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text("as it was")
    folder = tmp_path / "backups"
    folder.mkdir()
    with time_machine.travel(datetime(2026, 11, 21, 12, tzinfo=UTC), tick=False):
        (folder / f"20261121T120000Z.{end}").symlink_to(theirs)
        with pytest.raises(BackupFailed, match="can't be made: File exists"):
            write(folder, told())
    assert theirs.read_text() == "as it was"
    assert [path.name for path in folder.iterdir()] == [f"20261121T120000Z.{end}"]


def test_a_backup_that_is_cut_short_is_noticed(history: Cast, tmp_path: Path) -> None:
    dump, checkpoint = backup(tmp_path)
    cut = tmp_path / "cut.dump"
    cut.write_bytes(dump.read_bytes()[:-2000])
    assert "pg_restore failed" in failed("--dump", cut, "--checkpoint", checkpoint)


def test_a_row_that_its_evidence_does_not_tell_of_is_noticed(history: Cast) -> None:
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        owner.execute("UPDATE approvals_request SET status = 'withdrawn' WHERE status = 'rejected'")
    assert "replay_log" in failed()


def test_a_backup_of_another_schema_is_noticed(history: Cast, tmp_path: Path) -> None:
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("DELETE FROM django_migrations WHERE app = 'approvals' AND name LIKE '0016%'")
    try:
        assert "migrate --check" in failed()
    finally:
        with services.connection("owner") as owner:
            owner.execute(
                "INSERT INTO django_migrations (app, name, applied)"
                " VALUES ('approvals', '0016_edit_guard_whole', now())"
            )


def test_without_a_checkpoint_nothing_is_called_a_backup(history: Cast, tmp_path: Path) -> None:
    os.environ["AUDIT_OUTSIDE_PATH"], kept = str(tmp_path / "none"), os.environ["AUDIT_OUTSIDE_PATH"]
    try:
        done = run("backup", tmp_path / "backups")
    finally:
        os.environ["AUDIT_OUTSIDE_PATH"] = kept
    assert done.returncode == 1
    assert "no copy of the checkpoint" in done.stderr
    assert not list((tmp_path / "backups").glob("*.dump"))


def test_what_a_backup_is_not_told_or_cannot_make_is_said_in_a_sentence(history: Cast, tmp_path: Path) -> None:
    there = tmp_path / "a-file"
    there.touch()
    whole = told()
    for given, folder, says in (
        (whole, there, f"The folder {there} can't be made: File exists."),
        ({**whole, "AUDIT_OUTSIDE_PATH": ""}, tmp_path / "b", "Which log? Give AUDIT_OUTSIDE_PATH"),
        (
            {**whole, "DATABASE_URL": "", "DATABASE_OWNER_URL": ""},
            tmp_path / "b",
            "Which database? Give DATABASE_OWNER",
        ),
    ):
        done = run("backup", folder, given=given)
        assert done.returncode == 1
        assert done.stderr.startswith(f"countersign: {says}"), done.stderr


def test_a_dump_in_the_place_of_its_checkpoint_is_noticed(history: Cast, tmp_path: Path) -> None:
    dump, checkpoint = backup(tmp_path)
    assert f"{dump} is no checkpoint" in failed("--dump", checkpoint, "--checkpoint", dump)


@pytest.mark.parametrize("name", ["--dump", "--checkpoint"])
def test_a_name_that_is_empty_is_not_taken_for_none(name: str) -> None:
    done = run("restore_drill", name, "")
    assert done.returncode == 2
    assert "it is empty; name a file" in done.stderr
