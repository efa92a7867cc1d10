"""Makes `.venv` from a hash-locked list, or says in one sentence why it can't.

Only the standard library is imported here, for on a bare Python 3.11 nothing else is there yet. What is
installed stands in the lock.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

BASE, DEVELOPMENT = "requirements.txt", "requirements-dev.txt"  # the second holds all of the first
STAMP = "countersign.json"  # in .venv: which locks it was made from; written last, so its absence means half-made


class CannotInstall(Exception):
    """The environment can't be made; `str()` is one sentence that says why and what to do."""


def main(arguments: list[str]) -> int:
    """`install.py requirements.txt`: 0 when `.venv` holds what the list says, else 1 after a sentence."""
    try:
        ensure(Path.cwd(), arguments[0] if arguments else BASE)
    except CannotInstall as error:
        print(f"countersign: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ncountersign: Interrupted while installing; the next make carries on.", file=sys.stderr)
        return 130
    return 0


def ensure(root: Path, lock: str) -> None:
    """Make, repair or keep `root/.venv` so that it holds what `lock` lists, showing progress."""
    check_python()
    if not os.access(root, os.W_OK):
        raise CannotInstall(f"The folder {root} is read-only; make it writable or work on a copy.")
    environment = root / ".venv"
    state = condition(environment, root, lock)
    if state == "whole":
        return
    if state == "half-made":
        print("The virtual environment in .venv is half-made; making it anew.", flush=True)
        shutil.rmtree(environment)
    if state != "outdated":
        _create(environment)
    (environment / STAMP).unlink(missing_ok=True)
    _install(environment, root / lock)
    _stamp(environment, root, lock)


def check_python() -> None:
    """Raise CannotInstall unless this is the Python that the locks were compiled for."""
    if sys.version_info[:2] != (3, 11):
        found = ".".join(str(part) for part in sys.version_info[:3])
        raise CannotInstall(f"Python 3.11 is needed and this is {found}; run make with PYTHON=/path/to/python3.11.")


def condition(environment: Path, root: Path, lock: str) -> str:
    """`absent`, `half-made` (interrupted, moved, parts missing), `outdated` (another lock) or `whole`."""
    if not environment.exists():
        return "absent"
    try:
        stamp = json.loads((environment / STAMP).read_text())
    except (OSError, ValueError):
        return "half-made"
    works = os.access(environment / "bin" / "python", os.X_OK)
    if not works or stamp.get("path") != str(environment.resolve()):
        return "half-made"
    installed = next((name for name in (lock, DEVELOPMENT) if stamp.get(name) == digest(root / name)), None)
    if installed is None:
        return "outdated"
    return "half-made" if _missing(environment, root / lock) else "whole"


def digest(lock: Path) -> str | None:
    """SHA-256 of a lock, in hex; None when there is no such file."""
    return hashlib.sha256(lock.read_bytes()).hexdigest() if lock.exists() else None


def pinned(lock: Path) -> list[tuple[str, str]]:
    """Name and version of everything in a lock that applies on every machine."""
    lines = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+) *\\?$", lock.read_text(), re.MULTILINE)
    return [(name, version) for name, version in lines]


def _missing(environment: Path, lock: Path) -> list[str]:
    """What the lock lists and the environment hasn't: somebody deleted from it."""
    folders = (environment / "lib" / "python3.11" / "site-packages").glob("*.dist-info")
    there = {_spelt(folder.name.removesuffix(".dist-info")) for folder in folders}
    return [name for name, version in pinned(lock) if _spelt(f"{name}-{version}") not in there]


def _spelt(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _create(environment: Path) -> None:
    print("Making the virtual environment in .venv …", flush=True)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "venv", str(environment)], capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise CannotInstall(f"The virtual environment can't be made: {error}.") from error
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines()
        hint = " (on Debian: apt-get install python3.11-venv)" if "ensurepip" in done.stdout + done.stderr else ""
        shutil.rmtree(environment, ignore_errors=True)
        raise CannotInstall(f"The virtual environment can't be made{hint}: {said[-1] if said else 'no reason given'}")


def _install(environment: Path, lock: Path) -> None:
    total = len(pinned(lock))
    print(f"Installing {total} packages from {lock.name}, each checked against its hash …", flush=True)
    command = [str(environment / "bin" / "python"), "-m", "pip", "install", "--require-hashes", "--no-input"]
    command += ["--disable-pip-version-check", "--no-deps", "--progress-bar", "off", "-r", str(lock)]
    pip = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said: list[str] = []
    fetched = 0
    for line in pip.stdout or ():
        said.append(line.rstrip())
        if line.startswith(("Collecting", "Requirement already")):
            fetched += 1
            package = line.removeprefix("Collecting ").removeprefix("Requirement already satisfied: ")
            _show(f"  {fetched} of {total}: {re.split('==| ', package)[0]}", fetched == total, fetched % 20 == 0)
        elif line.startswith("Installing collected"):
            _show("  all fetched; putting them in place …", True)
    if pip.wait():
        print("\n".join(said[-15:]), file=sys.stderr)
        raise CannotInstall("Installing the packages failed, as pip says above; mend that and run make again.")


def _show(text: str, lasting: bool, now_and_then: bool = False) -> None:
    """One line that counts up on a terminal; elsewhere only what lasts, and a line now and then."""
    if sys.stdout.isatty():
        print(f"\r\033[K{text}", end="\n" if lasting else "", flush=True)
    elif lasting or now_and_then:
        print(text, flush=True)


def _stamp(environment: Path, root: Path, lock: str) -> None:
    names = [BASE, DEVELOPMENT] if lock == DEVELOPMENT else [lock]
    record = {name: digest(root / name) for name in names} | {"path": str(environment.resolve())}
    (environment / STAMP).write_text(json.dumps(record) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
