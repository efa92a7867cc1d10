"""What `.venv` is found to be, and the one sentence for each thing that can be wrong with a machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.embedded import install
from tests.support.unprivileged import as_nobody

HOUSE = Path(__file__).resolve().parent.parent.parent
LOCK = """# made by a command
first-thing==1.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via countersign
Second.Thing==2.0rc1 \\
    --hash=sha256:cc
only-there==3 ; sys_platform == 'win32' \\
    --hash=sha256:dd
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose virtual environment is whole."""
    for name in (install.BASE, install.DEVELOPMENT):
        (tmp_path / name).write_text(LOCK)
    environment = tmp_path / ".venv"
    packages = environment / "lib" / "python3.11" / "site-packages"
    for name in ("first_thing-1.0", "second_thing-2.0rc1"):
        (packages / f"{name}.dist-info").mkdir(parents=True)
    (environment / "bin").mkdir()
    (environment / "bin" / "python").symlink_to(sys.executable)
    install._stamp(environment, tmp_path, install.BASE)
    return tmp_path


def condition(checkout: Path, lock: str = install.BASE) -> str:
    return install.condition(checkout / ".venv", checkout, lock)


def test_an_environment_made_from_this_very_lock_is_whole(checkout: Path) -> None:
    assert condition(checkout) == "whole"


def test_nothing_is_installed_into_a_whole_one(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install.ensure(checkout, install.BASE)
    assert capsys.readouterr().out == ""


def test_no_environment_is_absent(tmp_path: Path) -> None:
    assert condition(tmp_path) == "absent"


def test_one_without_its_stamp_is_half_made(checkout: Path) -> None:
    (checkout / ".venv" / install.STAMP).unlink()
    assert condition(checkout) == "half-made"


def test_one_with_a_torn_stamp_is_half_made(checkout: Path) -> None:
    (checkout / ".venv" / install.STAMP).write_text('{"requirements')
    assert condition(checkout) == "half-made"


def test_one_without_its_python_is_half_made(checkout: Path) -> None:
    (checkout / ".venv" / "bin" / "python").unlink()
    assert condition(checkout) == "half-made"


def test_one_with_a_package_missing_is_half_made(checkout: Path) -> None:
    next((checkout / ".venv").rglob("second_thing*")).rmdir()
    assert condition(checkout) == "half-made"


def test_one_that_was_moved_is_half_made_for_its_scripts_name_the_old_place(checkout: Path) -> None:
    stamp = checkout / ".venv" / install.STAMP
    stamp.write_text(json.dumps(json.loads(stamp.read_text()) | {"path": "/elsewhere/.venv"}))
    assert condition(checkout) == "half-made"


def test_one_made_from_another_lock_is_outdated(checkout: Path) -> None:
    (checkout / install.BASE).write_text(LOCK.replace("1.0", "1.1"))
    assert condition(checkout) == "outdated"


def test_one_made_for_running_lacks_what_developing_needs(checkout: Path) -> None:
    (checkout / install.DEVELOPMENT).write_text(LOCK + "third==1 \\\n    --hash=sha256:ee\n")
    assert condition(checkout, install.DEVELOPMENT) == "outdated"


def test_one_made_for_developing_does_for_running(checkout: Path) -> None:
    install._stamp(checkout / ".venv", checkout, install.DEVELOPMENT)
    assert (condition(checkout), condition(checkout, install.DEVELOPMENT)) == ("whole", "whole")


def test_a_lock_lists_what_applies_on_every_machine(checkout: Path) -> None:
    assert install.pinned(checkout / install.BASE) == [("first-thing", "1.0"), ("Second.Thing", "2.0rc1")]


def test_the_houses_locks_carry_a_hash_for_everything_and_no_registrys_address() -> None:
    for name in (install.BASE, install.DEVELOPMENT):
        text = (HOUSE / name).read_text()
        assert "://" not in text
        entries = [entry for entry in text.split("\n") if entry and not entry.startswith((" ", "#"))]
        assert len(entries) > 50
        assert all("==" in entry and entry.endswith("\\") for entry in entries)


def test_the_lock_for_developing_holds_all_of_the_lock_for_running() -> None:
    assert set(install.pinned(HOUSE / install.BASE)) <= set(install.pinned(HOUSE / install.DEVELOPMENT))


@pytest.fixture
def reachable() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="cs-", dir="/tmp") as folder:
        Path(folder).chmod(0o555)
        yield Path(folder)


def test_a_read_only_folder_is_refused_in_a_sentence(reachable: Path) -> None:
    assert as_nobody(lambda: install.ensure(reachable, install.BASE)).endswith(
        f"CannotInstall: The folder {reachable} is read-only; make it writable or work on a copy."
    )


def run_make(checkout: Path, target: str, **given: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", "-f", str(HOUSE / "Makefile"), target],
        cwd=checkout,
        env=environment | given,
        capture_output=True,
        text=True,
        timeout=60,
    )


def sentence(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert done.returncode != 0
    return [line for line in done.stderr.splitlines() if line.startswith("countersign:")]


def with_the_houses_installer(checkout: Path) -> Path:
    (checkout / "config").mkdir()
    (checkout / "config" / "embedded").symlink_to(HOUSE / "config" / "embedded")
    return checkout


def test_another_version_of_python_is_refused_in_a_sentence(tmp_path: Path) -> None:
    other = tmp_path / "python3.12"
    other.write_text(
        f'#!/bin/sh\nexec {sys.executable} -c "import sys; sys.version_info = (3, 12, 1); sys.argv = sys.argv[1:];'
        " import runpy; sys.path[:] = [p for p in sys.path if p];"
        ' runpy.run_path(sys.argv[0], run_name=\'__main__\')" "$2" "$3"\n'
    )
    other.chmod(0o755)
    done = run_make(with_the_houses_installer(tmp_path), "install", PYTHON=str(other))
    assert sentence(done) == [
        "countersign: Python 3.11 is needed and this is 3.12.1; run make with PYTHON=/path/to/python3.11."
    ]


def test_a_machine_without_python_is_told_so_in_a_sentence(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("sh", "make"):
        (tools / tool).symlink_to(f"/usr/bin/{tool}" if os.path.exists(f"/usr/bin/{tool}") else f"/bin/{tool}")
    done = run_make(tmp_path, "install", PATH=str(tools))
    assert sentence(done) == [
        "countersign: Python 3.11 is needed and none was found; run make with PYTHON=/path/to/python3.11."
    ]


def test_a_half_made_environment_is_announced_in_a_sentence_and_made_anew(
    checkout: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """With a lock of nothing, so that the making itself is all that is left to see."""
    for name in (install.BASE, install.DEVELOPMENT):
        (checkout / name).write_text("")
    (checkout / ".venv" / install.STAMP).unlink()
    install.ensure(checkout, install.BASE)
    said = capfd.readouterr().out.splitlines()
    assert said[0] == "The virtual environment in .venv is half-made; making it anew."
    assert condition(checkout) == "whole"
    assert not list((checkout / ".venv").rglob("second_thing*"))


def test_packages_that_cannot_be_had_are_reported_in_a_sentence(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # as on a machine without a network
    (checkout / install.BASE).write_text("nothing-of-that-name==1.0 \\\n    --hash=sha256:" + "0" * 64 + "\n")
    install._create(checkout / ".venv2")
    with pytest.raises(install.CannotInstall, match=r"as pip says above; mend that and run make again\.$"):
        install._install(checkout / ".venv2", checkout / install.BASE)


def test_make_help_names_every_target_a_person_may_want() -> None:
    listed = run_make(HOUSE, "help").stdout
    for target in ("up", "test", "check", "fix", "help", "lock", "demo-agent"):
        assert f"make {target} " in listed
