"""`GET /metrics`: what an operator watches. State is read at the moment of the scrape, from the database and Redis, so
that any node answers for all; what a process measures of itself (`measures`) is added to it.

Shown to loopback, or to whoever has the token. A scrape never counts the whole table of requests, which only grows:
those that wait are counted exactly and those that ended by the hour, both by an index; of all of them there is
PostgreSQL's own estimate. A database or Redis that is away takes its own families away, and the rest is answered;
a database that hangs takes the scrape with it (`up` is 0).
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import Error, connection, transaction
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agents.authentication import unauthenticated
from agents.redis_link import Away
from approvals.states import FINAL
from audit import health
from config import celery, measures, task_outcomes
from config.addresses import is_own_machines, names_an_address
from config.errors import problem
from config.health import signing

TEXT = "text/plain; version=0.0.4; charset=utf-8"

# As of the last ANALYZE; before the first (autovacuum's comes at some 50 rows) there is nothing but to count.
_ESTIMATE = """
SELECT CASE WHEN reltuples < 0 THEN (SELECT count(*) FROM approvals_request) ELSE reltuples END
  FROM pg_class WHERE oid = 'approvals_request'::regclass
"""
_ENDED = """
SELECT status, count(*) FROM approvals_request
 WHERE decided_at > now() - interval '1 hour' GROUP BY status
"""
_PENDING = """
SELECT CASE WHEN standing_risk_unknown THEN 'unknown' ELSE standing_risk END, count(*),
       extract(epoch FROM clock_timestamp() - min(created_at)),
       count(*) FILTER (WHERE expires_at <= clock_timestamp()),
       coalesce(extract(epoch FROM clock_timestamp() - min(expires_at)
                                   FILTER (WHERE expires_at <= clock_timestamp())), 0),
       count(*) FILTER (WHERE undecidable IS NOT NULL AND expires_at > clock_timestamp())
  FROM approvals_request WHERE status = 'pending' GROUP BY 1
"""
# What was told to nobody yet, what a receiver has not taken though it was due, and redemptions of the last day without
# an outcome; each by a partial index.
_OUTBOX = """
SELECT (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(at)), 0) FROM approvals_notice
         WHERE addressed_at IS NULL),
       (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(due_at)), 0) FROM approvals_delivery
         WHERE state = 'waiting' AND due_at <= clock_timestamp()),
       (SELECT count(*) FROM approvals_grant g
         WHERE g.redeemed_at > now() - interval '1 day' AND g.redeemed_at <= now() - interval '15 minutes'
           AND NOT EXISTS (SELECT FROM approvals_outcome o WHERE o.request_id = g.request_id))
"""
_UNSENT = """
SELECT channel, count(*) FROM approvals_delivery
 WHERE state = 'failed' AND ended_at > now() - interval '1 hour' GROUP BY channel
"""
_CHANNELS = ("email", "webhook", "chat")
#: A table that a migration holds must not hold the scrape as well: Prometheus gives up after 10 s and knows nothing.
_PATIENCE = "SET LOCAL statement_timeout = '2s'"


class _Now(Collector):
    """State of the whole house, of this moment."""

    def collect(self) -> Iterator[Metric]:
        """What the database says, what Redis says, and whether each could be asked."""
        answered = True
        try:
            yield from list(_of_database())
        except Error:
            answered = False
        yield GaugeMetricFamily("countersign_database_up", "Whether the database answered this scrape.", answered)
        yield from _of_pool()
        yield GaugeMetricFamily("countersign_connections_max", "Connections this process takes.", settings.CONNECTIONS)
        answered = True
        try:
            yield task_outcomes.family(entry["task"] for entry in celery.app.conf.beat_schedule.values())
        except Away:
            answered = False
        yield GaugeMetricFamily("countersign_redis_up", "Whether Redis answered this scrape.", answered)


def _of_pool() -> Iterator[Metric]:
    """How this process's pool of connections stands; nothing where it has none."""
    pool = getattr(connection, "pool", None)  # PostgreSQL's backend alone has one
    if pool is None:
        return
    stats = pool.get_stats()
    size, free = stats["pool_size"], stats["pool_available"]
    held = GaugeMetricFamily("countersign_pool_connections", "Connections of this process's pool.", labels=["state"])
    held.add_metric(["used"], size - free)
    held.add_metric(["free"], free)
    yield held
    yield GaugeMetricFamily("countersign_pool_max", "How many it may have.", stats["pool_max"])
    yield GaugeMetricFamily("countersign_pool_waiting", "Who waits for one of them.", stats["requests_waiting"])


def _of_database() -> Iterator[Metric]:
    """The state of queue, outbox and log. Raises django.db.Error where that can't be asked."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_PATIENCE)
        cursor.execute(_ESTIMATE)
        (estimate,) = cursor.fetchone()
        cursor.execute(_ENDED)
        by_status = cursor.fetchall()
        cursor.execute(_PENDING)
        pending = cursor.fetchall()
        cursor.execute(_OUTBOX)
        untold, undelivered, unknown = cursor.fetchone()
        cursor.execute(_UNSENT)
        unsent = dict.fromkeys(_CHANNELS, 0) | dict(cursor.fetchall())
        log = health.status()
    yield GaugeMetricFamily("countersign_requests", "Requests filed, PostgreSQL's estimate.", float(estimate))
    ended = GaugeMetricFamily(
        "countersign_requests_ended_last_hour", "Requests that ended within the hour, by how.", labels=["status"]
    )
    counts = dict.fromkeys(sorted(FINAL), 0) | dict(by_status)
    for status, count in counts.items():
        ended.add_metric([str(status)], count)
    yield ended
    depth = GaugeMetricFamily("countersign_pending_requests", "Requests that wait for people.", labels=["risk"])
    age = GaugeMetricFamily("countersign_pending_oldest_seconds", "Age of the oldest of them.", labels=["risk"])
    overdue = GaugeMetricFamily("countersign_unswept_requests", "Denied by default, not yet swept.", labels=["risk"])
    late = GaugeMetricFamily("countersign_sweep_late_seconds", "How long the oldest has not been.", labels=["risk"])
    undecidable = GaugeMetricFamily(
        "countersign_undecidable_requests", "Of those that wait, which nobody can decide.", labels=["risk"]
    )
    for risk, count, oldest, unswept, lateness, hopeless in pending:
        depth.add_metric([risk], count)
        age.add_metric([risk], float(oldest))
        overdue.add_metric([risk], unswept)
        late.add_metric([risk], float(lateness))
        undecidable.add_metric([risk], hopeless)
    yield from (depth, age, overdue, late, undecidable)
    yield GaugeMetricFamily(
        "countersign_outcomes_unknown", "Redeemed within the day, over 15 minutes ago, without an outcome.", unknown
    )
    yield GaugeMetricFamily("countersign_outbox_oldest_seconds", "Since what nobody was told of.", float(untold))
    yield GaugeMetricFamily(
        "countersign_delivery_late_seconds", "How long the oldest due message has not gone.", float(undelivered)
    )
    failed = GaugeMetricFamily(
        "countersign_deliveries_failed_last_hour", "Messages given up within the hour.", labels=["channel"]
    )
    for channel, count in unsent.items():
        failed.add_metric([channel], count)
    yield failed
    yield GaugeMetricFamily("countersign_log_lag_seconds", "Age of the oldest unsealed entry.", log.lag_seconds)
    yield GaugeMetricFamily("countersign_log_size", "Leaves in the evidence log.", log.size)
    alive = log.alive_seconds if log.alive_seconds is not None else float("inf")
    yield GaugeMetricFamily("countersign_sealer_silent_seconds", "Since the sealer last said it lives.", alive)
    degraded = GaugeMetricFamily("countersign_degraded", "What /readyz names as degraded.", labels=["what"])
    named = {*log.degraded, *signing()}
    for what in ("outside", "quarantine", "replay", "roles", "sealing", "signing"):
        degraded.add_metric([what], what in named)
    yield degraded


@login_not_required
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text; 401 for anyone but loopback and the holder of METRICS_TOKEN.

    The Host header names us, or is an address: scrapers come by address. Another name is 400, as on every page.
    """
    if not names_an_address(request.headers.get("Host", "")):
        request.get_host()  # raises DisallowedHost
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    known = bool(settings.METRICS_TOKEN) and hmac.compare_digest(token.encode(), settings.METRICS_TOKEN.encode())
    if not known and not is_own_machines(request):
        return problem(unauthenticated())
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Now())
    return HttpResponse(generate_latest(measures.REGISTRY) + generate_latest(registry), content_type=TEXT)
