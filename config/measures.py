"""What this web process measures of itself: how long it takes to answer, and to wake who waits.

Kept in the process, as Prometheus expects of a process that it scrapes; what the whole house knows is in `metrics`.
"""

from __future__ import annotations

import re
import time
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, Histogram, ProcessCollector, disable_created_metrics

from config.body_limit import App, Message, Receive, Scope, Send

disable_created_metrics()  # a second series beside each of these, that nothing asks for
REGISTRY = CollectorRegistry(auto_describe=False)
ProcessCollector(registry=REGISTRY)

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ANSWERS = Histogram(
    "countersign_http_duration_seconds",
    "From a request whose body has arrived to the beginning of its answer; a wait's reads singly, without the wait.",
    ["operation", "outcome"],
    buckets=_BUCKETS,
    registry=REGISTRY,
)
WAKES = Histogram(
    "countersign_wake_seconds",
    "From the moment a request was decided, or its deadline, to the read that answers who waited for it.",
    ["status"],
    buckets=_BUCKETS,
    registry=REGISTRY,
)
WAITERS = Gauge(
    "countersign_waiters", "Agents that this process holds: waits and streams of events.", ["kind"], registry=REGISTRY
)

_ID = r"[0-9a-fA-F-]{36}"
#: (method or None for any, path, operation), the first that fits: few names, whatever is asked of us.
_OPERATIONS = [
    (method, re.compile(path, re.DOTALL), operation)  # a path may have a line's end in it, as %0A
    for method, path, operation in (
        (None, r"/(healthz|readyz|metrics|static/.*|assets/.*)", None),
        ("POST", r"/api/v1/requests/?", "file"),
        ("GET", rf"/api/v1/requests/{_ID}(/events)?/?", "read"),
        ("POST", r"/api/v1/grants/redeem/?", "redeem"),
        (None, r"/(api|\.well-known)/.*", "other_api"),
        ("POST", rf"/requests/{_ID}/decide/", "decide"),
        ("GET", r"/queue/(poll/)?", "queue"),
        ("GET", rf"/requests/{_ID}/(poll/)?", "review"),
    )
]


def operation(method: str, path: str) -> str | None:
    """What is asked, as the label `operation` has it; None for what is not measured (probes and files)."""
    fitting = (
        name
        for wanted, pattern, name in _OPERATIONS
        if wanted in (None, method) and pattern.fullmatch(path) is not None
    )
    return next(fitting, "other_page")


class Measured:
    """Measures every answer of the application it holds."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and note how long its answer took to begin."""
        name = operation(scope["method"], scope["path"]) if scope["type"] == "http" else None
        if name is None:
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        took: list[tuple[str, float]] = []

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                took.append((f"{message['status'] // 100}xx", time.perf_counter() - began))
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            # No answer at all: the caller hung up first, perhaps because we were slow.
            outcome, seconds = took[0] if took else ("gone", time.perf_counter() - began)
            ANSWERS.labels(name, outcome).observe(seconds)


def woken(seen: dict[str, Any]) -> None:
    """Note what the read that answers a waiter says of a request that became final meanwhile."""
    WAKES.labels(seen["status"]).observe(max(0.0, seen["seconds_since"]))
