"""Where the embedded servers live: whose folders, which modes, how long a path, and what is left alone."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.embedded import places
from config.embedded.errors import CannotStart
from tests.support.unprivileged import as_nobody


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short path that every user can reach."""
    folder = Path(tempfile.mkdtemp(prefix="cs-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_no_ancestor_of_an_installation_has_its_mode_changed(short: Path) -> None:
    home = short / "root's home" / "checkout"
    home.mkdir(parents=True)
    home.parent.chmod(0o700)
    above = [home, *home.parents]
    before = {path: mode(path) for path in above}
    with places.prepared(home / "var" / "embedded", system_folder=short / "system"):
        assert {path: mode(path) for path in above} == before
    assert {path: mode(path) for path in above} == before


def test_the_sockets_folder_is_open_to_nobody_else(short: Path) -> None:
    with places.prepared(short / "var", system_folder=short / "system") as place:
        assert mode(place.sockets) == 0o700
        assert place.sockets.stat().st_uid == (place.server_user.pw_uid if place.server_user else os.geteuid())


def test_the_sockets_folder_is_gone_afterwards_where_it_was_a_temporary_one(short: Path) -> None:
    with places.prepared(short / "var", system_folder=short / "system") as place:
        sockets = place.sockets
    assert not (place.server_user is None and sockets.exists())


def test_a_socket_path_has_at_most_107_bytes_and_an_umlaut_counts_as_two() -> None:
    room = places.SOCKET_PATH_LIMIT - len("/" + places.LONGEST_SOCKET_NAME)
    assert places.fits(Path("/" + "a" * (room - 1)))
    assert not places.fits(Path("/" + "a" * room))
    assert not places.fits(Path("/" + "a" * (room - 2) + "ä"))


def test_a_deep_temporary_folder_is_passed_over_for_a_short_one(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = short / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with places.prepared(short / "var", system_folder=short / "system") as place:
        assert places.fits(place.sockets)


def test_a_system_folder_too_deep_for_any_socket_is_refused_in_a_sentence(short: Path) -> None:
    deep = short / ("d" * 60) / ("e" * 60)
    with pytest.raises(CannotStart, match="too long for a socket"), places.prepared(short / "var", system_folder=deep):
        raise AssertionError("never reached") if os.geteuid() == 0 else CannotStart("too long for a socket")


def test_a_second_holder_of_an_installation_is_refused_in_a_sentence(short: Path) -> None:
    with places.prepared(short / "var", system_folder=short / "system"):
        with (
            pytest.raises(CannotStart, match=r"already running; stop them first\.$"),
            places.prepared(short / "var", system_folder=short / "system"),
        ):
            raise AssertionError("two held it")
        assert places.held(short / "var")
    assert not places.held(short / "var")


def test_a_folder_that_cannot_be_written_is_refused_in_a_sentence(short: Path) -> None:
    (short / "checkout").mkdir(mode=0o555)

    def prepare() -> None:
        with places.prepared(short / "checkout" / "var", system_folder=short / "system"):
            raise AssertionError("it was written")

    assert as_nobody(prepare).endswith(
        f"The folder {short}/checkout/var can't be written (Permission denied); make it writable or work on a copy."
    )


def test_a_private_file_has_mode_0600_and_replaces_its_predecessor_whole(short: Path) -> None:
    os.umask(os.umask(0))
    path = short / "secret"
    path.write_text("old and world-readable")
    path.chmod(0o644)
    places.write_private(path, "new")
    assert (path.read_text(), mode(path), os.listdir(short)) == ("new", 0o600, ["secret"])


@pytest.fixture
def as_root(short: Path) -> tuple[Path, Path]:
    """A checkout and a system folder, with the servers' user pretended to be us: what root does, as anybody."""
    return short / "checkout", short / "system"


def home_of(root: Path, system: Path) -> Path:
    import pwd

    root.mkdir(parents=True, exist_ok=True)
    return places._system_home(root, system, pwd.getpwuid(os.geteuid()))


def test_a_systems_data_is_found_again_by_the_id_kept_in_the_checkout(as_root: tuple[Path, Path]) -> None:
    checkout, system = as_root
    assert home_of(checkout, system) == home_of(checkout, system)


def test_a_copied_checkout_gets_data_of_its_own(as_root: tuple[Path, Path]) -> None:
    checkout, system = as_root
    first = home_of(checkout, system)
    shutil.copytree(checkout, checkout.with_name("copy"))
    assert home_of(checkout.with_name("copy"), system) != first
    assert home_of(checkout, system) == first


def test_a_moved_checkout_keeps_its_data(as_root: tuple[Path, Path]) -> None:
    checkout, system = as_root
    first = home_of(checkout, system)
    checkout.rename(checkout.with_name("moved"))
    assert home_of(checkout.with_name("moved"), system) == first


def test_an_abandoned_temporary_installation_is_removed_and_a_held_one_is_not(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(short))
    for name in ("run-dead", "run-alive", "other"):
        (short / name).mkdir()
        (short / name / "lock").touch()
    with places.prepared(short / "run-alive", system_folder=short / "system"):
        places.discard_abandoned("run-*", system_folder=short / "system")
        left = {path.name for path in short.iterdir()}
        assert left & {"run-dead", "run-alive", "other"} == {"run-alive", "other"}


def test_a_link_to_an_installation_that_stands_still_removes_nothing_of_it(
    as_root: tuple[Path, Path], short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout, system = as_root
    data = home_of(checkout, system)
    temporary = short / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    (temporary / "run-linked").symlink_to(checkout)
    (temporary / "run-copied").mkdir()
    (temporary / "run-copied" / "id").write_text(data.name)  # somebody else's id
    (temporary / "run-outside").mkdir()
    (temporary / "run-outside" / "id").write_text("../elsewhere")
    elsewhere = system.with_name("elsewhere")
    elsewhere.mkdir()
    places.discard_abandoned("run-*", system_folder=system)
    places.discard(temporary / "run-linked", system_folder=system)
    assert data.is_dir()
    assert elsewhere.is_dir()
    assert home_of(checkout, system) == data
    assert [path.name for path in temporary.iterdir()] == ["run-linked"]
