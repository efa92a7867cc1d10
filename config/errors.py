"""What is answered when nothing else answers: problems to the API's callers, pages to people, never a stack trace."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from agents.problems import MEDIA_TYPE, Problem
from agents.wire import dumps

_API = ("/api/", "/.well-known/")


def problem(refusal: Problem) -> HttpResponse:
    """A problem as Django's response."""
    return HttpResponse(
        dumps(refusal.document()), status=refusal.status, content_type=MEDIA_TYPE, headers=refusal.headers
    )


def _untyped(status: int, title: str, detail: str) -> HttpResponse:
    """A problem that the contract has no slug for: the status says it all."""
    document = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return HttpResponse(dumps(document), status=status, content_type=MEDIA_TYPE)


def _for_machines(request: HttpRequest) -> bool:
    return request.path.startswith(_API)


@login_not_required
def api_not_found(request: HttpRequest) -> HttpResponse:
    """An address under /api/ that is none."""
    return problem(Problem("not-found", "There is no such address."))


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """404."""
    return api_not_found(request) if _for_machines(request) else render(request, "404.html", status=404)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """400: the request itself is malformed, or names a host we do not answer for."""
    if _for_machines(request):
        if isinstance(exception, DisallowedHost):
            return _untyped(400, "Bad request", "The Host header names no host that is answered for here.")
        return problem(Problem("not-json", "The request could not be read."))
    return render(request, "400.html", status=400)


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """403."""
    return render(request, "403.html", {"reason": str(exception or "")}, status=403)


def server_error(request: HttpRequest) -> HttpResponse:
    """500: a fault of ours; the log has it, the caller learns only that it was one."""
    if _for_machines(request):
        return _untyped(500, "Internal error", "Something failed here. A retry with the same Idempotency-Key is safe.")
    # without the request: what broke may be what a page is made with
    return HttpResponse(render_to_string("500.html"), status=500)


def csrf_failure(request: HttpRequest, reason: str = "", **_: Any) -> HttpResponse:
    """403 for a form whose token does not fit; what was typed is shown again, so that nothing is lost."""
    kept = {name: request.POST[name] for name in ("rationale", "note") if request.POST.get(name)}
    return render(request, "403_csrf.html", {"reason": reason, "kept": kept}, status=403)
