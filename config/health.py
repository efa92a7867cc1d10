"""Whether this process is up, whether it can answer, and what is behind; nothing is repaired here."""

from __future__ import annotations

import structlog
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from agents.problems import Problem
from agents.redis_link import Away, link
from approvals import grants
from audit import health
from audit.entries import EvidenceUnavailable
from config.errors import problem

log = structlog.get_logger(__name__)


@login_not_required
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """200 while the process runs."""
    return JsonResponse({"status": "up"})


@login_not_required
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """503 only where nothing can be answered (database, migrations); else 200 naming what is behind.

    A dead broker must not take the nodes that still say no out of the balancer.
    """
    try:
        migrated = _migrated()
        degraded = [*health.status().degraded, *signing()]
    except Error:
        return JsonResponse({"status": "the database cannot be reached"}, status=503)
    if not migrated:
        return JsonResponse({"status": "migrations are missing"}, status=503)
    try:
        link().call(lambda client: client.ping())
    except Away:
        degraded.append("broker")
    if not settings.ROLES_SEPARATED and "roles" not in degraded:
        degraded.append("roles")
    return JsonResponse({"degraded": sorted(set(degraded))})


def signing() -> list[str]:
    """`signing` where no approval could be signed from now on, by the keys that this process reads."""
    try:
        grants.assert_can_sign(grants.LATER)
    except (grants.CannotSign, EvidenceUnavailable):  # the latter: a key on disk that can't be made known
        return ["signing"]
    return []


_known_migrated = False


def _migrated() -> bool:
    global _known_migrated
    if not _known_migrated:
        executor = MigrationExecutor(connection)
        _known_migrated = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    else:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    return _known_migrated


@login_not_required
@require_safe
def audit_key(request: HttpRequest) -> HttpResponse:
    """`/.well-known/audit-key`: the verifier key string of the log."""
    key = health.verifier_key()
    if not key:
        return problem(Problem("not-found", "The log has not been started yet."))
    return HttpResponse(key + "\n", content_type="text/plain; charset=utf-8")
