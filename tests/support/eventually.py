"""Waiting for something to become true, with a deadline.

Never a fixed pause: a test that sleeps for its result is slow when right and wrong when slow.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


def eventually(check: Callable[[], Result], *, within: float = 10.0, every: float = 0.02, what: str = "") -> Result:
    """Call `check` until it returns something truthy, and return that.

    An AssertionError in `check` counts as not yet. After `within` seconds: AssertionError saying `what` was
    waited for, with the last value or failure.
    """
    deadline = time.monotonic() + within
    while True:
        failure: AssertionError | None = None
        value: Result | None = None
        try:
            value = check()
            if value:
                return value
        except AssertionError as error:
            failure = error
        if time.monotonic() > deadline:
            last = f"last failure: {failure}" if failure else f"last value: {value!r}"
            raise AssertionError(f"waited {within} s for {what or 'a condition'}; {last}") from failure
        time.sleep(every)
