"""Starting and stopping the servers' processes so that none outlives whoever started it.

Which servers, and with what arguments, is said in `postgres` and `redis`; files and users in `places`.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

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


def start(argv: Sequence[str | Path], place: Place, log: IO[bytes], stop: signal.Signals) -> subprocess.Popen[bytes]:
    """Start a server as the servers' user, in a session of its own, its output going to `log`.

    In a session of its own because a Ctrl-C in the terminal must reach the supervisor alone: the servers
    stop last, after whoever still writes to them.
    """
    return subprocess.Popen(
        [str(part) for part in argv],
        env=_environment(),
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
        umask=0o077,
        preexec_fn=die_with_parent(stop),
        **_as_user(place),
    )


def stop(process: subprocess.Popen[bytes], *signals: tuple[signal.Signals, float]) -> None:
    """Send each signal in turn, waiting its number of seconds for the process to end; SIGKILL comes last."""
    for number, seconds in (*signals, (signal.SIGKILL, 5.0)):
        if process.poll() is not None:
            return
        process.send_signal(number)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], *, name: str, log: Path, seconds: float) -> None:
    """Ask `ready` every 20 ms; CannotStart when the process ends first or the seconds have passed."""
    deadline = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            why = "stopped while starting" if process.poll() is not None else f"did not answer within {seconds:.0f} s"
            raise CannotStart(f"{name} {why}: {last_line(log)} (its log is {log}).")
        time.sleep(0.02)


def last_line(log: Path) -> str:
    """The last line of a server's log that says something, without its time stamp's noise."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    telling = [line for line in lines if "FATAL" in line or "PANIC" in line or "ERROR" in line or "Fatal" in line]
    return (telling or lines or ["it said nothing"])[-1]


def stop_leftover(pid: int, looks_right: Callable[[list[str]], bool], number: signal.Signals, seconds: float = 30) -> bool:
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
