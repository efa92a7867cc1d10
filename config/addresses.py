"""Whose address a request came from: the connection's, or the n-th from the right of X-Forwarded-For."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """The client's address as text; the connection's own where no proxy is trusted or the header is too short."""
    connection = str(request.META.get("REMOTE_ADDR", ""))
    hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop.strip()]
    if settings.TRUSTED_PROXIES and len(hops) >= settings.TRUSTED_PROXIES:
        return hops[-settings.TRUSTED_PROXIES]
    return connection


#: Headers that only a proxy adds. A call that carries one came from elsewhere, whoever passed it on.
_FORWARDED = (
    "Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port",
    "X-Forwarded-Server", "X-Forwarded-Prefix", "X-Forwarded", "X-Original-Forwarded-For", "X-Real-IP", "X-Client-IP",
    "X-Cluster-Client-IP", "X-Original-Host", "True-Client-IP", "CF-Connecting-IP", "Fastly-Client-IP",
)  # fmt: skip


def is_own_machines(request: HttpRequest) -> bool:
    """Whether a program on this very machine calls by itself; a call that a proxy here passed on is not."""
    forwarded = any(name in request.headers for name in _FORWARDED)
    return not forwarded and is_loopback(str(request.META.get("REMOTE_ADDR", "")))


def names_an_address(host: str) -> bool:
    """Whether a Host header is an IP address, with or without a port: no web page can make a browser send another
    site's name so."""
    try:
        return bool(ipaddress.ip_address(urlsplit(f"//{host}").hostname or ""))
    except ValueError:
        return False


def is_loopback(address: str) -> bool:
    """Whether the address is this machine's own; anything that is not an address is not."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
