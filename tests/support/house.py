"""A copy of the checkout that `make up` is run in, as on a machine of its own: its own data, port and processes.

What is expected of it is said in the tests.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from config.embedded import places
from tests.support.eventually import eventually

CHECKOUT = Path(__file__).resolve().parent.parent.parent
LEFT_OUT = shutil.ignore_patterns(".venv", "var", ".git", "__pycache__", ".*_cache", ".hypothesis", "test-results")
# What a shell has; nothing of the suite's own services.
PLAIN = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
START_SECONDS = 90.0


@dataclass
class House:
    """One copy; `start` and `stop` may be called as often as wanted."""

    root: Path
    port: int
    make: subprocess.Popen[bytes] | None = None
    family: list[psutil.Process] = field(default_factory=list)
    patience: float = START_SECONDS  # for the banner

    @classmethod
    def copied(cls) -> House:
        """A fresh copy that shares the virtual environment which this suite runs in."""
        root = Path(tempfile.mkdtemp(prefix="countersign-house-", dir="/tmp"))
        shutil.copytree(CHECKOUT, root, dirs_exist_ok=True, ignore=LEFT_OUT)
        (root / ".venv").symlink_to(sys.prefix)
        return cls(root, free_port())

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def log(self) -> str:
        """What the last start has said so far."""
        return (self.root / "up.log").read_text(errors="replace")

    @property
    def demo(self) -> dict[str, Any]:
        """var/demo.json."""
        known: dict[str, Any] = json.loads((self.root / "var" / "demo.json").read_text())
        return known

    def run(self, **given: str) -> subprocess.CompletedProcess[str]:
        """`make up` to its end, for those that are refused."""
        return subprocess.run(
            ["make", "up"],
            cwd=self.root,
            env=PLAIN | {"PORT": str(self.port)} | given,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
        )

    def start(self, **given: str) -> None:
        """`make up`, in a session of its own, until its banner is shown."""
        with (self.root / "up.log").open("wb") as log:
            self.make = subprocess.Popen(
                ["make", "up"],
                cwd=self.root,
                env=PLAIN | {"PORT": str(self.port)} | given,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        eventually(self._shown_or_ended, within=self.patience, what="the banner of make up")
        assert self.make.poll() is None, self.log
        self.remember()

    def _shown_or_ended(self) -> bool:
        assert self.make is not None
        return "Ctrl-C stops all of it" in self.log or self.make.poll() is not None

    def remember(self) -> None:
        """Note every process there is now, so that it can be asked later whether it is gone."""
        assert self.make is not None
        leader = psutil.Process(self.make.pid)
        known = {process.pid for process in self.family}
        self.family += [each for each in (leader, *leader.children(recursive=True)) if each.pid not in known]

    def named(self, *words: str) -> list[psutil.Process]:
        """The living processes whose command line holds all these words."""
        self.remember()
        return [each for each in self.alive() if all(word in " ".join(_command(each)) for word in words)]

    def alive(self) -> list[psutil.Process]:
        """Those of the processes noted so far that still run."""
        return [each for each in self.family if _runs(each)]

    def tell_group(self, number: signal.Signals) -> None:
        """Send a signal as a terminal does: to make and to what it started in its group."""
        assert self.make is not None
        os.killpg(self.make.pid, number)

    def wait_until_gone(self) -> None:
        """Wait for make to end, and fail when any process of it is still there."""
        assert self.make is not None
        self.make.wait(30)
        eventually(lambda: not self.alive(), within=15, what=f"these to end: {self.alive()}")
        self.family.clear()

    def stop(self) -> None:
        """SIGTERM to make, and wait."""
        if self.make is not None and self.make.poll() is None:
            self.make.terminate()
            self.wait_until_gone()

    def kill_everything(self) -> None:
        """SIGKILL to all of it at once, as when a machine loses power."""
        self.remember()
        for process in self.family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.wait_until_gone()

    def get(self, path: str, **more: Any) -> httpx.Response:
        """A page or resource of the running house."""
        return httpx.get(self.url + path, timeout=10, **more)

    def remove(self) -> None:
        """Stop it, and remove the copy and its data."""
        self.stop()
        places.discard(self.root / "var" / "embedded")
        shutil.rmtree(self.root)


def free_port() -> int:
    """A port that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
