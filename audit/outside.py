"""The copy of the newest checkpoint that is kept outside the database: one small file, replaced whole.

Web and worker processes read it to notice that the database is older than what was published; the sealer
writes it. What follows from its content is decided in `health` and `sealing`, not here.
"""

from __future__ import annotations

import os
from pathlib import Path

from audit.notes import MAX_NOTE_BYTES, BadNote


def read(path: Path) -> str | None:
    """The note in the file, None where there is no file. OSError when it can't be read, BadNote when it is no
    text."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_NOTE_BYTES + 1)
    except FileNotFoundError:
        return None
    if len(data) > MAX_NOTE_BYTES:
        raise BadNote("the copy outside the database is too large for a checkpoint")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise BadNote("the copy outside the database is not text") from None


def write(path: Path, note: str) -> None:
    """Replace the file's content; on return it is on disk. A reader sees the old note or the new one.
    OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    with unfinished.open("wb") as file:
        os.fchmod(file.fileno(), 0o644)  # nothing secret, and every web and worker process must read it
        file.write(note.encode())
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    _sync_folder(path.parent)


def set_aside(path: Path, fork: int) -> Path:
    """Keep the present file beside itself as `<name>.fork-<n>`: what a fork left behind is evidence too.
    OSError."""
    kept = path.with_name(f"{path.name}.fork-{fork}")
    number = 1
    while kept.exists():  # a second fork of the same number, after a second restore of the same backup
        number += 1
        kept = path.with_name(f"{path.name}.fork-{fork}.{number}")
    path.rename(kept)
    _sync_folder(path.parent)
    return kept


def _sync_folder(folder: Path) -> None:
    # A rename is on disk once its folder is.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
