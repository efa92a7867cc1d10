"""`make backup`: the database as one file, and beside it the log's checkpoint that it must contain.

`pg_dump` is the wheel's, so that a bare machine has one. Restoring is tried in `restore_drill`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from audit import outside
from config.embedded import environment, programs
from config.embedded.errors import CannotStart

ROOT = Path(__file__).resolve().parent.parent.parent


class BackupFailed(Exception):
    """Says why in one sentence."""


def main(arguments: list[str]) -> int:
    """`backup.py [FOLDER]`: write `<time>.dump` and `<time>.checkpoint` there, by default in var/backups."""
    environment.join_running(ROOT / "var" / "embedded", "migrate")  # the tables' owner reads all of them
    folder = Path(arguments[0]) if arguments else ROOT / "var" / "backups"
    try:
        dump, checkpoint = write(folder, os.environ)
    except (BackupFailed, CannotStart) as error:
        print(f"countersign: {error}", file=sys.stderr)
        return 1
    print(f"{dump} ({dump.stat().st_size:,} bytes)\n{checkpoint}")
    return 0


def write(folder: Path, told: Mapping[str, str]) -> tuple[Path, Path]:
    """Both files, of mode 0600, made in `folder`; the first stands under its name only once it is whole. Neither stays
    where that fails."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BackupFailed(f"The folder {folder} can't be made: {error.strerror}.") from error
    name = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    dump, checkpoint = folder / f"{name}.dump", folder / f"{name}.checkpoint"
    owner = owner_url(told)
    # Before the database: a sealer commits first and copies then, so that the dump contains what this says.
    note = published(told)
    unfinished = dump.with_suffix(".unfinished")
    made: list[Path] = []
    try:
        made.append(_private(checkpoint))
        checkpoint.write_text(note)
        made.append(_private(unfinished))
        run("pg_dump", owner, "--format=custom", f"--file={unfinished}")
        unfinished.rename(dump)
    except BaseException:
        for each in made:
            each.unlink(missing_ok=True)
        raise
    return dump, checkpoint


def published(told: Mapping[str, str]) -> str:
    """The checkpoint at AUDIT_OUTSIDE_PATH. Raises BackupFailed where there is none to hold a dump against."""
    place = told.get("AUDIT_OUTSIDE_PATH")
    if not place:
        raise BackupFailed("Which log? Give AUDIT_OUTSIDE_PATH, or run this beside `make up`.")
    try:
        note = outside.read(Path(place))
    except (OSError, ValueError) as error:
        raise BackupFailed(f"The copy of the checkpoint outside the database can't be read: {error}.") from error
    if note is None:
        raise BackupFailed(f"There is no copy of the checkpoint at {place}: has the sealer ever run?")
    return note


def owner_url(told: Mapping[str, str]) -> str:
    """Whose tables they are. Raises BackupFailed where nothing says it."""
    url = told.get("DATABASE_OWNER_URL") or told.get("DATABASE_URL")
    if not url:
        raise BackupFailed("Which database? Give DATABASE_OWNER_URL, or run this beside `make up`.")
    return url


def run(program: str, url: str, *arguments: str) -> None:
    """One of PostgreSQL's programs on the database at `url`, its password in no command line. Raises BackupFailed."""
    password = unquote(urlsplit(url).password or "")
    done = subprocess.run(
        [programs.wheels().postgres / program, f"--dbname={environment.without_password(url)}", *arguments],
        env={**os.environ, "PGPASSWORD": password, "PGCONNECT_TIMEOUT": "10"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise BackupFailed(f"{program} failed: {said[0]}")


def _private(path: Path) -> Path:
    """A new file that its owner alone reads; never one that somebody put there, nor what their link leads to."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise BackupFailed(f"{path} can't be made: {error.strerror}.") from error
    return path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
