"""A token bucket a key: 20 calls a second and a burst of 200 by default. Only counting; refusing is the throttle's.

With Redis away each process counts for itself and allows a tenth: fewer than before, never everything.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass

from django.conf import settings

from agents.redis_link import Away, link

# KEYS[1] bucket · ARGV rate a second, burst. Returns {taken (0|1), whole tokens left, milliseconds until one is there}.
# Redis's own clock counts, so that many web processes agree.
_TAKE = """
local rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = math.min(burst, (tonumber(kept[1]) or burst) + math.max(0, now - (tonumber(kept[2]) or now)) * rate)
local taken = 0
if tokens >= 1 then tokens = tokens - 1 taken = 1 end
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(burst / rate * 1000) + 1000)
return {taken, math.floor(tokens), math.ceil(math.max(0, 1 - tokens) / rate * 1000)}
"""


@dataclass(frozen=True, slots=True)
class Allowance:
    """Whether one call may go on, and what to say of the limit in headers (whole calls and whole seconds)."""

    allowed: bool
    rate: int
    burst: int
    remaining: int
    retry_after: int

    def headers(self) -> dict[str, str]:
        """`RateLimit-Policy` and `RateLimit`, and `Retry-After` on a refusal."""
        window = math.ceil(self.burst / self.rate)
        headers = {
            "RateLimit-Policy": f'"key";q={self.burst};w={window}',
            "RateLimit": f'"key";r={self.remaining};t={self.retry_after}',
        }
        if not self.allowed:
            headers["Retry-After"] = str(max(1, self.retry_after))
        return headers


_local: dict[str, tuple[float, float]] = {}
_lock = threading.Lock()


def take(name: str) -> Allowance:
    """Take one token from the bucket `name`."""
    rate, burst = settings.API_RATE_PER_SECOND, settings.API_RATE_BURST
    try:
        taken, left, wait_ms = link().call(
            lambda client: client.eval(_TAKE, 1, f"countersign:limit:{name}", rate, burst)
        )
        return Allowance(bool(taken), rate, burst, int(left), math.ceil(wait_ms / 1000))
    except Away:
        return _take_here(name, rate / 10, max(1, burst // 10))


def _take_here(name: str, rate: float, burst: int) -> Allowance:
    now = time.monotonic()
    with _lock:
        if len(_local) > 10_000:  # names are ids of real keys; still, memory has an end
            _local.clear()
        tokens, at = _local.get(name, (float(burst), now))
        tokens = min(float(burst), tokens + (now - at) * rate)
        allowed = tokens >= 1
        tokens -= 1 if allowed else 0
        _local[name] = (tokens, now)
    wait = 0 if tokens >= 1 else math.ceil((1 - tokens) / rate)
    return Allowance(allowed, max(1, round(rate)), burst, int(tokens), wait)
