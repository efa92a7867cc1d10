"""`make up`: servers, migrations, the demo on the first run, processes, the banner; then the way back.

What each of these does is its own module's; the order and the leaving-nothing-behind are here.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import psutil

from config.embedded import banner, cluster, demo_file, environment, processes
from config.embedded.errors import CannotStart
from config.embedded.install import CannotInstall, check_python

ROOT = Path(__file__).resolve().parent.parent.parent
STOP_SECONDS = 12.0  # honcho gives its processes five and then kills them
ANSWER_SECONDS = 60.0
TRIES = 5  # at starting a server again that had run


class Told(BaseException):
    """A signal told us to stop. Not an Exception: nothing on the way may take it for a failure."""


def main() -> int:
    """0 after being told to stop, 1 after one sentence that says why it can't go on."""
    _heed_signals()
    try:
        check_python()
        with _only_one(ROOT / "var", os.environ) as note:
            _run(ROOT / "var", dict(os.environ), note)
    except (CannotStart, CannotInstall) as error:
        _say(f"countersign: {error}", sys.stderr)
        return 1
    except Told:
        _say("Countersign has stopped; its data stays.")
    return 0


def _heed_signals() -> None:
    """Stop on Ctrl-C, SIGTERM and a terminal that goes away, once; what started ignored stays ignored."""

    def stop(number: int, frame: FrameType | None) -> None:
        for each in heeded:
            signal.signal(each, signal.SIG_IGN)  # already stopping: a second one must not cut that short
        raise Told

    heeded = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup asks to outlive the terminal
        heeded.append(signal.SIGHUP)
    for each in heeded:
        signal.signal(each, stop)
    if "MAKELEVEL" in os.environ:  # a killed make can't pass anything on
        processes.die_with_parent(signal.SIGTERM)()


@contextmanager
def _only_one(var: Path, given: os._Environ[str]) -> Iterator[Path]:
    """Hold this folder against a second `make up`; gives the file in which to note where we answer."""
    note = var / "up.json"
    try:
        var.mkdir(exist_ok=True)
        lock = os.open(var / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CannotStart(
            f"The folder {var} can't be written ({error.strerror}); make it writable or work on a copy."
        ) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CannotStart(
                f"Countersign is already running from this folder{_noted(note)}; stop it first."
            ) from error
        yield note
    finally:
        os.close(lock)


def _noted(note: Path) -> str:
    """Where the other one answers, as far as it has said so."""
    try:
        known = json.loads(note.read_text())
    except (OSError, ValueError):
        return ""
    return f" at {known['url']} (process {known['pid']})"


def _run(var: Path, given: dict[str, str], note: Path) -> None:
    host, port = given.get("HOST") or "127.0.0.1", _port(given.get("PORT") or "8000")
    _check_port(host, port)
    processes.adopt_orphans()
    root = var / "embedded"
    wants_postgres, wants_redis = not given.get("DATABASE_URL"), not given.get("REDIS_URL")
    if wants_postgres or wants_redis:
        _say("Starting PostgreSQL and Redis …")
    with cluster.running(root, with_postgres=wants_postgres, with_redis=wants_redis) as services:
        if services.place and services.place.unfinished.exists():
            (root / environment.OUTSIDE).unlink(missing_ok=True)  # it speaks of a log that is no more
        whole = environment.complete(given, root, database_urls=services.database_urls, redis_url=services.redis_url)
        whole["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), whole.get("PATH", os.defpath)])
        note.write_text(json.dumps({"url": whole["BASE_URL"], "pid": os.getpid()}))
        record = environment.publish(root, whole, given)
        try:
            _manage("Bringing the database's tables up to date …", ["migrate", "--verbosity", "0"], whole)
            demo_file.bring(var, demo_file.database_of(given.get("DATABASE_URL")))
            _make_demo(given, whole, services)
            demo_file.readdress(var, whole["BASE_URL"])
            _supervise(whole, services)
        finally:
            for file in (record, note):
                file.unlink(missing_ok=True)


def _port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise CannotStart(f"PORT is {text!r}; give a number from 1 to 65535.")
    return int(text)


def _check_port(host: str, port: int) -> None:
    """Raise CannotStart when the web process could not listen there."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen()
    except OSError as error:
        taken = error.errno in {98, 48}  # EADDRINUSE on Linux and on macOS
        raise CannotStart(
            f"Port {port} is in use; stop what listens there, or choose another: make up PORT={port + 1}."
            if taken
            else f"{host}:{port} can't be listened on ({error.strerror}); choose another HOST or PORT."
        ) from error


def _manage(what: str, command: list[str], whole: dict[str, str]) -> None:
    """Run a command of manage.py to its end, as the role it is for."""
    _say(what)
    done = subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=ROOT,
        env=environment.for_command(command[0], whole),
        start_new_session=True,  # a Ctrl-C reaches us, and we end it
        check=False,
    )
    if done.returncode:
        raise CannotStart(f"`manage.py {command[0]}` failed, as it says above.")


def _make_demo(given: dict[str, str], whole: dict[str, str], services: cluster.Services) -> None:
    """Make the demo organisation, once: in a database we have just created, or where DEMO=1 asks for it."""
    asked = given.get("DEMO") == "1" and not (ROOT / "var" / "demo.json").exists()
    unfinished = services.place.unfinished if services.place and services.database_urls else None
    first = unfinished is not None and unfinished.exists()
    if whole.get("DEMO") == "1" and (first or asked):
        with _sealing(whole):  # approvals are refused where no sealer lives, the demo's too
            _manage("Making the demo organisation, once …", ["make_demo"], whole)
    if unfinished is not None:
        unfinished.unlink(missing_ok=True)


@contextmanager
def _sealing(whole: dict[str, str]) -> Iterator[None]:
    """A sealer for the time before the supervisor starts the lasting one."""
    sealer = subprocess.Popen(
        [sys.executable, "manage.py", "seal_audit_log"],
        cwd=ROOT,
        env=environment.for_process("sealer", whole),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=processes.die_with_parent(signal.SIGTERM),
    )
    try:
        yield
    finally:
        sealer.terminate()
        with suppress(subprocess.TimeoutExpired):
            sealer.wait(5)
        sealer.kill()
        sealer.wait()


def _supervise(whole: dict[str, str], services: cluster.Services) -> None:
    """Start the Procfile's processes, show the banner once the web answers, watch until something ends."""
    supervisor = subprocess.Popen(
        [sys.executable, "-m", "config.embedded.supervisor"],
        cwd=ROOT,
        env=whole,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=processes.die_with_parent(signal.SIGTERM),
    )
    hung_up = _terminal_watch()
    failed: Counter[str] = Counter()
    shown, deadline = False, time.monotonic() + ANSWER_SECONDS
    try:
        while supervisor.poll() is None:
            if hung_up():
                raise Told
            revive(services, failed)
            if not shown and _web_answers(whole):
                _say(banner.text(whole, ROOT / "var" / "demo.json"))
                shown = True
            elif not shown and time.monotonic() > deadline:
                raise CannotStart(f"The web process gave no answer in {ANSWER_SECONDS:.0f} s; see above.")
            time.sleep(0.2)
        raise CannotStart("The web process ended, as it says above; everything else was stopped.")
    finally:
        _end(supervisor, services)


def _terminal_watch() -> Callable[[], bool]:
    """A function that tells whether the terminal that started us has gone; never, where nohup was asked.

    The kernel sends SIGHUP to the leader of the terminal's session alone, which need not pass it on.
    """
    watch = select.poll()
    if os.isatty(0) and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        watch.register(0, 0)  # no event is asked for: hanging up is reported unasked
    return lambda: bool(watch.poll(0))


def revive(services: cluster.Services, failed: Counter[str]) -> None:
    """Start a server again that ended by itself: nothing of ours is lost with it but time. What ends it may end it
    while it starts, too: CannotStart only where that happened some times on end, which `failed` counts by name."""
    for server in services.servers:
        if not server.ended():
            continue
        _say(f"{server.name} ended; starting it again …", sys.stderr)
        try:
            server.start()
        except CannotStart:
            failed[server.name] += 1
            if failed[server.name] == TRIES:
                raise
        else:
            del failed[server.name]


def _web_answers(whole: dict[str, str]) -> bool:
    # Who listens on every interface listens on loopback too.
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(whole["HOST"], environment.bracketed(whole["HOST"]))  # noqa: S104 - a comparison
    try:
        urllib.request.urlopen(f"http://{host}:{whole['PORT']}/readyz", timeout=2).close()
    except urllib.error.HTTPError:
        return True  # an answer, whatever it says
    except OSError:
        return False
    return True


def _end(supervisor: subprocess.Popen[bytes], services: cluster.Services) -> None:
    """Stop the processes in order, then whatever of them is left; the servers are stopped after this."""
    supervisor.terminate()
    with suppress(subprocess.TimeoutExpired):
        supervisor.wait(STOP_SECONDS)
    if supervisor.poll() is None:
        supervisor.kill()
        supervisor.wait()
    servers = {server.process.pid for server in services.servers if server.process is not None}
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGKILL):
        # Asked anew each time: what was started, or lost its parent, meanwhile is among our children now.
        left = [each for child in psutil.Process().children() if child.pid not in servers for each in _line(child)]
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        psutil.wait_procs(left, timeout=3)


def _line(process: psutil.Process) -> list[psutil.Process]:
    """A process and all its descendants."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _say(text: str, where: object = None) -> None:
    """Print, unless whoever listened is gone."""
    with suppress(OSError):
        print(text, file=where or sys.stdout, flush=True)  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.exit(main())
