"""Runs the Procfile's processes under honcho, each with its own environment, until told to stop.

Started by `up`, which started the servers before and stops them after; no server is started here.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from honcho.environ import parse_procfile
from honcho.manager import Manager
from honcho.printer import Printer
from honcho.process import Process

from config.embedded.environment import for_process

LEADER = "web"  # when it is asked to end, or ends in error soon after its start (a setting is wrong), everything ends
ASKED = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGTERM,
)  # whoever sends web these means all of it: a terminal that closes
PAUSE_SECONDS = 0.25  # between a process's end and its new start
LONG_PAUSE_SECONDS = 2.0  # where it lived for less than SOON_SECONDS: what can't start must not keep the machine busy
SOON_SECONDS = 10.0


class Outlet:
    """Standard output that may go away: a closed terminal must not keep us from stopping in order."""

    def write(self, text: str) -> None:
        with suppress(OSError):
            sys.stdout.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stdout.flush()

    def isatty(self) -> bool:
        return sys.stdout.isatty()


class Lasting(Process):
    """A process that is started again when it ends by itself.

    No process's death takes the others along, as it would in honcho as it comes. A web process that ends in error soon
    after its start does: it has said which setting is wrong, and would end so again.
    """

    stopping: Any = None  # an event that all processes share, set once when the end has come

    def run(self, events: Any = None, ignore_signals: bool = False) -> None:
        """Relay the output of one incarnation after the other, and report the end of the last."""
        if ignore_signals:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
        self._events = events
        supervisor = os.getppid()
        while True:
            began = time.monotonic()
            self._child = self._child_ctor(self.cmd, env=self.env, cwd=self.cwd, preexec_fn=_heed_signals)
            self._send_message({"pid": self._child.pid}, type="start")
            for line in iter(self._child.stdout.readline, b""):
                self._send_message(line)
            self._child.wait()
            soon = time.monotonic() - began < SOON_SECONDS
            gave_up = self.name == LEADER and (
                -self._child.returncode in ASKED or (soon and self._child.returncode >= 0)
            )
            if gave_up or self.stopping.is_set() or os.getppid() != supervisor:
                break
            self._send_message(f"ended ({self._child.returncode}); starting it again\n".encode())
            pause = LONG_PAUSE_SECONDS if soon else PAUSE_SECONDS
            if self.stopping.wait(pause) or os.getppid() != supervisor:
                break
        self._send_message({"returncode": self._child.returncode}, type="stop")


def _heed_signals() -> None:
    """An ignored signal stays ignored over exec; the processes must be stoppable."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


class Supervisor(Manager):
    """honcho's manager, whose processes know when the end has come."""

    def __init__(self) -> None:
        super().__init__(Printer(Outlet()))
        self.stopping = multiprocessing.Event()
        self._process_ctor = Lasting

    def add_process(self, name: str, cmd: str, **more: Any) -> Process:
        process = super().add_process(name, cmd, **more)
        process.stopping = self.stopping
        return process

    def terminate(self) -> None:
        self.stopping.set()
        super().terminate()


def main() -> int:
    """Exit status 0 after a signal, else that of the web process, which could not start."""
    manager = Supervisor()
    root = Path(__file__).resolve().parent.parent.parent
    for name, command in parse_procfile((root / "Procfile").read_text()).processes.items():
        manager.add_process(name, command, env=for_process(name, os.environ), cwd=str(root))
    manager.loop()
    stopped_by_signal = manager.returncode in {128 + signal.SIGINT, 128 + signal.SIGTERM}
    return 0 if stopped_by_signal else manager.returncode or 1


if __name__ == "__main__":
    sys.exit(main())
