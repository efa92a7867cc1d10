"""Runs commands of manage.py (`with_services "migrate" "check"`) against private servers, gone afterwards.

For checks that need settings and perhaps a database, and must not touch anybody's.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from config.embedded import cluster, environment, places
from config.embedded.errors import CannotStart

ROOT = Path(__file__).resolve().parent.parent.parent


def main(commands: list[str]) -> int:
    """Run each command line in turn; the exit status of the first that fails, else 0."""
    root = Path(tempfile.mkdtemp(prefix="countersign-check-"))
    try:
        with cluster.running(root, for_tests=True) as services:
            whole = environment.complete(
                os.environ, root, database_urls=services.database_urls, redis_url=services.redis_url
            )
            for line in commands:
                command = shlex.split(line)
                done = subprocess.run(
                    [sys.executable, "manage.py", *command],
                    cwd=ROOT,
                    env=environment.for_command(command[0], whole),
                    check=False,
                )
                if done.returncode:
                    return done.returncode
    except CannotStart as error:
        print(f"countersign: {error}", file=sys.stderr)
        return 1
    finally:
        places.discard(root)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
