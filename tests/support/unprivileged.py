"""Doing something as a user without rights, where the suite runs as root; as ourselves where it doesn't.

By a fork, so that it works wherever the checkout and its Python are kept.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable

NOBODY = 65534


def as_nobody(act: Callable[[], object]) -> str:
    """Call `act` in a forked process as nobody and return what it returned as text.

    An exception comes back as its last line, `module.Type: words`.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            said = str(act())
        except BaseException as error:
            said = "".join(traceback.format_exception_only(error)).strip()
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as result:
        said = result.read()
    os.waitpid(child, 0)
    return said
