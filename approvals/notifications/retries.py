"""How long to wait before trying again, and when to stop. Pure; who waits for what is `sending`'s to know."""

from __future__ import annotations

from datetime import timedelta

GIVE_UP_AFTER = timedelta(hours=24)
# Soon at first, for a receiver that was being restarted; then less and less often.
_PAUSES = (5, 30, 120, 300, 900, 1800, 3600, 7200)
_LANE_AT_MOST = 900  # a receiver that came back is noticed within a quarter of an hour


def pause_after(attempts: int) -> timedelta:
    """How long a delivery waits after its `attempts`-th failure in a row (1 is the first)."""
    return timedelta(seconds=_PAUSES[min(max(attempts, 1), len(_PAUSES)) - 1])


def quiet_after(failures: int) -> timedelta:
    """How long nothing is tried on a lane that failed `failures` times in a row."""
    return min(pause_after(failures), timedelta(seconds=_LANE_AT_MOST))
