"""A log line a request: method, path, caller's address and status; no query and no key that stands in a path.

The lines' form is `config.logs`; whose address it is, `config.addresses`.
"""

from __future__ import annotations

import structlog
from django.http import HttpRequest
from django.utils.encoding import escape_uri_path
from django_structlog.middlewares import RequestMiddleware

from config.addresses import client_address


class RequestLog(RequestMiddleware):
    """django-structlog's own would log whole addresses (searches, reset keys) and believe any X-Forwarded-For."""

    @staticmethod
    def format_request(request: HttpRequest) -> str:
        """`GET /history/`; keys in paths are masked where lines are made (`config.logs.without_keys`)."""
        return f"{request.method} {escape_uri_path(request.path)}"

    @classmethod
    def bind_ip(cls, request: HttpRequest) -> None:
        """The address that rate limits and evidence know."""
        structlog.contextvars.bind_contextvars(ip=client_address(request))
