"""Whose address a request came from: the connection's, or the n-th from the right of X-Forwarded-For."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """The client's address as text; the connection's own where no proxy is trusted or the header is too short."""
    connection = str(request.META.get("REMOTE_ADDR", ""))
    hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop.strip()]
    if settings.TRUSTED_PROXIES and len(hops) >= settings.TRUSTED_PROXIES:
        return hops[-settings.TRUSTED_PROXIES]
    return connection


def is_loopback(address: str) -> bool:
    """Whether the address is this machine's own; anything that is not an address is not."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
