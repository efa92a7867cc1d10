"""Many at once: threads that start together, each on a database connection of its own.

What they race for, and who should win, is the test's to say.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from django.db import connection


def race(*contenders: Callable[[], Any]) -> list[Any]:
    """Run all at the same moment and return what each returned or raised, in the order given."""
    start = threading.Barrier(len(contenders), timeout=60)
    results: list[Any] = [None] * len(contenders)

    def run(number: int, act: Callable[[], Any]) -> None:
        try:
            connection.ensure_connection()  # so that connecting is no part of the race
            start.wait()
            results[number] = act()
        except Exception as error:
            results[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number, act)) for number, act in enumerate(contenders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads), "a contender is still running after a minute"
    return results


def split(results: Sequence[Any]) -> tuple[list[Any], list[Exception]]:
    """What was returned, and what was raised."""
    return [one for one in results if not isinstance(one, Exception)], [
        one for one in results if isinstance(one, Exception)
    ]
