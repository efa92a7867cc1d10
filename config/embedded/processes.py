"""Starting and stopping the servers' processes so that none outlives whoever started it.

Which servers, and with what arguments, is said in `postgres` and `redis`; files and users in `places`.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from config.embedded.errors import CannotStart
from config.embedded.places import Place

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
# Loaded here and not in the child: between fork and exec nothing may be imported.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(number: signal.Signals) -> Callable[[], None]:
    """A function for the child to call before exec: the kernel sends it `number` when its parent dies.

    So that `kill -9` of the parent stops PostgreSQL in order instead of leaving it behind. Linux only;
    elsewhere the next start finds the leftover by its pid file and stops it.
    """

    def ask_the_kernel() -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)

    return ask_the_kernel


def adopt_orphans() -> None:
    """From now on the descendants of this process whose parent died become its children (Linux only)."""
    if _libc is not None:
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _environment() -> dict[str, str]:
    """What a server sees of the environment: no PG* variable of the caller's shell reaches it."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _as_user(place: Place) -> dict[str, Any]:
    if place.server_user is None:
        return {}
    return {"user": place.server_user.pw_uid, "group": place.server_user.pw_gid, "extra_groups": []}


def run(argv: Sequence[str | Path], place: Place) -> None:
    """Run a short command as the servers' user; CannotStart with its last line of output when it fails."""
    done = subprocess.run(
        [str(part) for part in argv],
        env=_environment(),
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        umask=0o077,
        **_as_user(place),
    )
    if done.returncode:
        said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise CannotStart(f"{Path(argv[0]).name} failed: {said[-1] if said else done.returncode}")


@dataclass
class Server:
    """One server: how it is started, how it is known to answer, how it is stopped."""

    name: str
    argv: Sequence[str | Path]
    place: Place
    answers: Callable[[], bool]
    stopping: Sequence[tuple[signal.Signals, float]]  # each signal, and the seconds it is given
    start_seconds: float
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.place.root / f"{self.name.lower()}.log"

    def start(self) -> None:
        """Start it as the servers' user and wait until it answers; CannotStart with its last words otherwise.

        In a session of its own because a Ctrl-C in the terminal must reach the supervisor alone: the servers
        stop last, after whoever still writes to them.
        """
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [str(part) for part in self.argv],
                env=_environment(),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                umask=0o077,
                preexec_fn=die_with_parent(self.stopping[0][0]),
                **_as_user(self.place),
            )
        deadline = time.monotonic() + self.start_seconds
        while not self.answers():
            if self.ended() or time.monotonic() > deadline:
                why = "stopped while starting" if self.ended() else f"gave no answer in {self.start_seconds:.0f} s"
                self.stop()
                raise CannotStart(f"{self.name} {why}: {last_line(self.log)} (its log is {self.log}).")
            time.sleep(0.02)

    def ended(self) -> bool:
        """Whether it was started and is no more."""
        return self.process is not None and self.process.poll() is not None

    def stop(self) -> None:
        """Send each signal in turn, giving it its seconds; SIGKILL comes last. Nothing when it has ended."""
        for number, seconds in (*self.stopping, (signal.SIGKILL, 5.0)):
            if self.process is None or self.ended():
                return
            self.process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)


def last_line(log: Path) -> str:
    """The last line of a server's log that tells most, without its time stamp."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    telling = [line for line in lines if re.search("FATAL|PANIC|ERROR", line, re.IGNORECASE)]
    return re.sub(r"^[\d-]+ [\d:.]+ UTC \[\d+\] ", "", (telling or lines or ["it said nothing"])[-1])


def stop_leftover(
    pid: int, looks_right: Callable[[list[str]], bool], number: signal.Signals, seconds: float = 30
) -> bool:
    """Stop a server that outlived its supervisor. False when no process with that pid is such a server.

    The command line is asked because a pid in a stale file may belong to anything by now.
    """
    try:
        process = psutil.Process(pid)
        if not looks_right(process.cmdline()):
            return False
        process.send_signal(number)
        process.wait(seconds)
    except psutil.NoSuchProcess:
        return False
    except psutil.TimeoutExpired as error:
        raise CannotStart(f"A server of an earlier run (process {pid}) does not stop; end it and try again.") from error
    return True
