"""`make restore-drill`: whether a backup can be restored, seen by restoring it on a server of its own.

The server is the wheel's, started for this and gone afterwards, so that nothing is asked of the one in use but a dump
and a few rows. Nothing is repaired, and no database of anybody's is written to.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from audit.notes import BadNote, Verifier
from config.embedded import backup, cluster, environment, places
from config.embedded.backup import ROOT, BackupFailed
from config.embedded.errors import CannotStart

_FOLDERS = "countersign-drill-*"
_HEAD = "SELECT size, root FROM audit_checkpoint ORDER BY size DESC LIMIT 1"
_SAME = "SELECT root FROM audit_checkpoint WHERE size = %s"
_KEY = "SELECT verifier_key FROM audit_sealerstate"


@dataclass
class Report:
    """What was done, how long it took and what came of it, in order."""

    lines: list[tuple[str, float, str]] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[list[str]]:
        """Time the block; what it appends to the list is said beside it."""
        began, said = time.monotonic(), list[str]()
        yield said
        self.lines.append((name, time.monotonic() - began, ", ".join(said)))

    def __str__(self) -> str:
        whole = sum(seconds for _, seconds, _ in self.lines)
        return "\n".join(f"{name:<12}{took:>9.2f} s  {said}" for name, took, said in [*self.lines, ("all", whole, "")])


def main(arguments: list[str]) -> int:
    """0 and a table where the backup holds, else 1 after a sentence that says what does not."""
    parser = ArgumentParser(prog="make restore-drill", description=__doc__)
    parser.add_argument("--dump", type=_file, help="a backup there is (pg_dump's custom format); else one is made now")
    parser.add_argument("--checkpoint", type=_file, help="the checkpoint it must contain; else AUDIT_OUTSIDE_PATH's")
    given = parser.parse_args(arguments)
    environment.join_running(ROOT / "var" / "embedded", "migrate")
    report = Report()
    places.discard_abandoned(_FOLDERS)
    root = Path(tempfile.mkdtemp(prefix=_FOLDERS.rstrip("*")))  # TMPDIR says where: it holds dump and copy
    try:
        drill(root, os.environ, report, dump=given.dump, checkpoint=given.checkpoint)
    except (BackupFailed, CannotStart, BadNote, OSError, psycopg.Error) as error:
        if report.lines:
            print(report)
        print(f"countersign: THE DRILL FAILED. {str(error).strip()}", file=sys.stderr)
        return 1
    finally:
        places.discard(root)
    print(report)
    print("The backup holds: it restores, its evidence verifies, and its requests are what its evidence tells.")
    return 0


def _file(name: str) -> Path:
    if not name:  # a timer whose variable was empty would try another backup than it means
        raise ArgumentTypeError("it is empty; name a file, or leave it out to try a backup made now")
    return Path(name)


def drill(root: Path, told: Mapping[str, str], report: Report, *, dump: Path | None, checkpoint: Path | None) -> None:
    """Dump, restore into a server of its own in `root`, check everything there. Raises BackupFailed."""
    live = backup.owner_url(told)
    # The server first: while it runs `root` is held, and no other drill takes it for abandoned.
    with cluster.running(root, for_tests=True, with_redis=False) as services:
        urls = services.database_urls
        kept = root / "checkpoint"
        kept.write_text(_note(checkpoint) if checkpoint else backup.published(told))
        if dump is None:
            with report.step("dump") as said:
                dump, _ = backup.write(root / "backup", told)
                said.append(f"{dump.stat().st_size:,} bytes")
        with report.step("restore") as said:
            # In one transaction and to the first error: half a database is none. Roles and what they may do are the
            # installation's and not the backup's: `migrate` sets them.
            options = ("--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error")
            backup.run("pg_restore", urls["owner"], *options, str(dump))
            said.append(f"{_size(urls['owner']):,} bytes in the database")
        # What the copy is told: its own database, and the checkpoint that it must contain.
        ours = {environment.ROLE_VARIABLES[role]: url for role, url in urls.items()}
        whole = {**told, **ours, "AUDIT_OUTSIDE_PATH": str(kept)}
        for name, command in (
            ("migrations", "migrate --check"),
            ("privileges", "migrate --verbosity 0"),
            ("evidence", "verify_audit_log"),
            ("replay", "replay_log --restored"),
        ):
            with report.step(name) as said:
                said.append(_command(command, whole))
        with report.step("head") as said:
            said += _heads(urls["owner"], live, kept.read_text())


def _note(checkpoint: Path) -> str:
    try:
        return checkpoint.read_text()
    except UnicodeDecodeError as error:
        raise BackupFailed(f"{checkpoint} is no checkpoint: it is not text.") from error


def _command(line: str, whole: Mapping[str, str]) -> str:
    """The last line that a command of manage.py says of the copy; BackupFailed with its words where it fails."""
    command = shlex.split(line)
    done = subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=ROOT,
        env=environment.for_command(command[0], dict(whole)),
        capture_output=True,
        text=True,
        check=False,
    )
    said = [each for each in (done.stdout + done.stderr).splitlines() if each.strip()]
    if done.returncode:
        raise BackupFailed(f"`manage.py {line}` on the restored copy: {'; '.join(said[-5:]) or 'failed'}")
    return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else "nothing missing"


def _heads(copy: str, live: str, note: str) -> list[str]:
    """How the copy's tree stands to the one in use and to what was published; BackupFailed where they are not one."""
    with psycopg.connect(copy) as restored, psycopg.connect(live, connect_timeout=10) as now:
        head = restored.execute(_HEAD).fetchone()
        if head is None:
            raise BackupFailed("The restored copy holds no checkpoint: its log was never sealed.")
        size, root = head
        same = now.execute(_SAME, [size]).fetchone()
        newest = now.execute(_HEAD).fetchone()
        key = restored.execute(_KEY).fetchone()
    if same is None or newest is None or bytes(same[0]) != bytes(root):
        raise BackupFailed(
            f"The restored copy's tree of {size} leaves is not the one that the database in use had at that size: "
            "this is a backup of another log, or of a history that was given up."
        )
    published = Verifier.parse(key[0] if key else "").checkpoint(note)
    return [
        f"{size} leaves, root {bytes(root).hex()[:16]}…",
        f"the database in use has {newest[0] - size} more",
        f"published were {published.size}",
    ]


def _size(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    return int(row[0]) if row else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
