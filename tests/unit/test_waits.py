"""How long a caller is held: what may be asked for, and what is waited."""

from __future__ import annotations

import pytest

from config.waits import _seconds


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        ("", 0), ("wait=0", 0), ("wait=1", 1), ("wait=55", 55), ("wait=56", 55), ("wait=60", 55),
        ("wait=61", 0), ("wait=-1", 0), ("wait=x", 0), ("wait=1&wait=2", 0), ("other=5", 0),
    ],
)  # fmt: skip
def test_seconds_of_a_wait_end_at_55(query: str, seconds: int) -> None:
    assert _seconds({"query_string": query.encode()}) == seconds
