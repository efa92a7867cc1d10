"""The rate limit of a key as a DRF throttle: 429 with `Retry-After`, and the limit's headers on every answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from agents import limits
from agents.authentication import record_refused
from agents.models import Credential
from agents.problems import Problem

if TYPE_CHECKING:  # DRF imports this module while its views are being imported
    from rest_framework.views import APIView


class KeyThrottle(BaseThrottle):
    """One bucket a key; open endpoints (no key) are not counted here."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        """True, or the 429 problem raised; `request.limit_headers` is what the answer says of the limit."""
        credential = request.auth
        if not isinstance(credential, Credential):
            return True
        if getattr(request._request, "scope", {}).get("countersign.again"):
            return True  # the front reads again for a caller it holds: that is not another call
        allowance = limits.take(credential.public_id)
        request._request.limit_headers = allowance.headers()  # type: ignore[attr-defined]
        if not allowance.allowed:
            record_refused(credential, "too-many-requests")
            raise Problem("too-many-requests", "Slow down, and try again after the time in Retry-After.")
        return True
