"""Where the embedded servers keep their data and sockets, and as which user they run.

No server is started here, and the mode of a folder that we did not make is never touched.
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import re
import secrets
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from config.embedded.errors import CannotStart
from config.embedded.programs import Programs, reachable_copy, wheels

SERVER_USER = "countersign"  # the system user whose only task is to run the servers where we are root
SYSTEM_FOLDER = Path("/var/lib/countersign")  # reachable by that user, unlike a checkout under root's home
SOCKET_PATH_LIMIT = 107  # bytes of sun_path on Linux, its terminating zero apart
_ID = re.compile(r"[0-9a-f]{8}")  # of a folder in SYSTEM_FOLDER
LONGEST_SOCKET_NAME = ".s.PGSQL.5432.lock"  # the longest name that a server puts beside its socket


@dataclass(frozen=True)
class Place:
    """One installation: `root` is the caller's (secrets, records), `home` the servers' (data)."""

    root: Path
    home: Path
    sockets: Path
    server_user: pwd.struct_passwd | None  # None: they run as whoever we are
    programs: Programs

    @property
    def data(self) -> Path:
        return self.home / "postgres"

    def make_for_servers(self, folder: Path) -> None:
        """A folder of mode 0700 that the servers own."""
        folder.mkdir(mode=0o700, exist_ok=True)
        if self.server_user is not None:
            os.chown(folder, self.server_user.pw_uid, self.server_user.pw_gid)

    def write_for_servers(self, path: Path, text: str) -> None:
        """A file that the servers may read and, where they run as another user than we, not change."""
        write_private(path, text)
        if self.server_user is not None:
            os.chown(path, 0, self.server_user.pw_gid)
            path.chmod(0o640)

    @property
    def unfinished(self) -> Path:
        """Stands from just before a database is created until whoever fills it first has done so.

        A start that finds it makes the database anew: a first filling that was interrupted can't be resumed.
        """
        return self.root / "unfinished-database"

    @property
    def passwords(self) -> Path:
        return self.root / "database-passwords.json"


@contextmanager
def prepared(root: Path, *, system_folder: Path = SYSTEM_FOLDER) -> Iterator[Place]:
    """Make the folders of an installation, hold it against a second one, and give it.

    `root` must be a folder of ours; it is made with mode 0700 when it isn't there. Raises CannotStart when it
    can't be written or another process holds it. Sockets live in a fresh short folder of mode 0700.
    """
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CannotStart(
            f"The folder {root} can't be written ({error.strerror}); make it writable or work on a copy."
        ) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CannotStart(f"The embedded servers of {root} are already running; stop them first.") from error
        _drop_sockets(root)
        user = _server_user() if os.geteuid() == 0 else None
        home = root if user is None else _system_home(root, system_folder, user)
        programs = wheels() if user is None else reachable_copy(system_folder)
        sockets = _socket_folder(root, home, user)
        try:
            yield Place(root, home, sockets, user, programs)
        finally:
            _drop_sockets(root)
    finally:
        os.close(lock)


def discard(root: Path, *, system_folder: Path = SYSTEM_FOLDER) -> None:
    """Remove an installation that nobody holds any more, wherever its data lives."""
    if root.is_symlink():  # somebody else's link to an installation that only stands still
        return
    _drop_sockets(root)
    known = root / "id"
    name = known.read_text().strip() if known.exists() else ""
    if os.geteuid() == 0 and _ID.fullmatch(name):
        home = system_folder / name
        if not _belongs_to_another(home, root):
            shutil.rmtree(home, ignore_errors=True)
            home.with_name(f"{name}.json").unlink(missing_ok=True)
    shutil.rmtree(root, ignore_errors=True)


def discard_abandoned(pattern: str, *, system_folder: Path = SYSTEM_FOLDER) -> None:
    """Remove the temporary installations whose process was killed before it could remove them itself."""
    for root in Path(tempfile.gettempdir()).glob(pattern):
        mode = root.lstat()  # a link may lead to an installation that is wanted: links are left alone
        if stat.S_ISDIR(mode.st_mode) and mode.st_uid == os.geteuid() and not held(root):
            discard(root, system_folder=system_folder)


def held(root: Path) -> bool:
    """Whether a living process holds this installation."""
    try:
        lock = os.open(root / "lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600, whole or not at all: it never stands half-written under its name."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _server_user() -> pwd.struct_passwd:
    """The unprivileged user for the servers (PostgreSQL refuses to run as root), made when it is missing."""
    try:
        return pwd.getpwnam(SERVER_USER)
    except KeyError:
        pass
    for command in (
        ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SERVER_USER],
        ["adduser", "-S", "-D", "-H", SERVER_USER],  # busybox
    ):
        if shutil.which(command[0]):
            subprocess.run(command, capture_output=True, check=False)
    try:
        return pwd.getpwnam(SERVER_USER)
    except KeyError as error:
        raise CannotStart(
            f"PostgreSQL doesn't run as root and the user {SERVER_USER!r} can't be created here; "
            "create it, or run as another user."
        ) from error


def _system_home(root: Path, system_folder: Path, user: pwd.struct_passwd) -> Path:
    """The servers' own folder where we are root, found again by the id kept in `root`.

    A copied checkout brings the id along: the folder remembers whose it is, so that the copy gets its own
    and a moved one keeps its data.
    """
    try:
        system_folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        kept = root / "id"
        home = system_folder / kept.read_text().strip() if kept.exists() else None
        if home is None or not home.is_dir() or _belongs_to_another(home, root):
            home = system_folder / secrets.token_hex(4)
            home.mkdir(mode=0o700)
            write_private(kept, home.name)
        os.chown(home, os.geteuid(), user.pw_gid)  # ours, for the servers to read; they own data and run alone
        home.chmod(0o710)
        write_private(system_folder / f"{home.name}.json", json.dumps({"root": str(root.resolve())}))
    except OSError as error:
        raise CannotStart(f"The folder {system_folder} can't be used ({error.strerror}); make it writable.") from error
    return home


def _belongs_to_another(home: Path, root: Path) -> bool:
    record = home.with_name(f"{home.name}.json")
    owner = Path(json.loads(record.read_text())["root"]) if record.exists() else root
    if owner.resolve() == root.resolve():
        return False
    kept = owner / "id"
    return kept.exists() and kept.read_text().strip() == home.name


def _socket_folder(root: Path, home: Path, user: pwd.struct_passwd | None) -> Path:
    """A folder of mode 0700 whose sockets' paths fit in 107 bytes; made anew, so no stale socket is in it."""
    if user is not None:
        folder = home / "run"
        # Aside first: a server that outlived its starter may be putting its sockets there just now.
        aside = home / f"run-{secrets.token_hex(4)}"
        with suppress(FileNotFoundError):
            folder.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)
        folder.mkdir(mode=0o700)
        os.chown(folder, user.pw_uid, user.pw_gid)
    else:
        folder = Path(tempfile.mkdtemp(prefix="countersign-"))
        if not fits(folder):
            folder.rmdir()
            folder = Path(tempfile.mkdtemp(prefix="countersign-", dir="/tmp"))  # TMPDIR is too deep for a socket
        write_private(root / "sockets", str(folder))
    if not fits(folder):
        raise CannotStart(f"The path {folder} is too long for a socket, which may have {SOCKET_PATH_LIMIT} bytes.")
    return folder


def fits(folder: Path) -> bool:
    """Whether every socket in this folder has a path that the kernel takes."""
    return len(os.fsencode(folder / LONGEST_SOCKET_NAME)) <= SOCKET_PATH_LIMIT


def _drop_sockets(root: Path) -> None:
    record = root / "sockets"
    if record.exists():
        shutil.rmtree(record.read_text(), ignore_errors=True)
        record.unlink(missing_ok=True)
