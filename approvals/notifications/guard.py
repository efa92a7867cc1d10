"""The one way out to an address that somebody typed in: checked, resolved once, pinned, bounded. Pure of Django.

What is sent, and to whom, is not known here. Refused are addresses that are not public, in whatever notation they come:
a webhook must not become a way to talk to our own network (server-side request forgery).
"""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpcore
import httpx

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int], Iterable[str]]

CONNECT_SECONDS = 5.0
WHOLE_SECONDS = 15.0  # from the first look at the name to the last byte of the answer
ANSWER_AT_MOST = 64 * 1024  # bytes of headers; the body is never read

# IANA's special-purpose registries, and what clouds answer with secrets on although it looks public. Python's own
# `is_global` is asked too; it lets by ::/96, 6to4 and Azure's 168.63.129.16.
_NOT_PUBLIC_4 = tuple(
    ipaddress.IPv4Network(block)
    for block in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32",
    )
)  # fmt: skip
_UNICAST_6 = ipaddress.IPv6Network("2000::/3")  # mapped, compatible, NAT64, local and multicast lie outside it
_NOT_PUBLIC_6 = tuple(
    ipaddress.IPv6Network(block)
    for block in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")  # Teredo and kin, examples, 6to4
)
_LOCAL_NAMES = (".localhost", ".local", ".internal", ".localdomain")


class Refused(Exception):
    """The address must not be talked to; the text says why, for an administrator. Trying again changes nothing."""


class Unreachable(Exception):
    """No answer came, or none that ended in time; trying again may help."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a deployment allows beyond https to public addresses: nothing, but in the demo and its tests."""

    http: bool = False
    loopback: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """An address taken apart: `literal` where the host was written as an IP address, else None."""

    scheme: str
    host: str
    port: int
    path: str
    literal: Address | None


def check_url(url: str, rules: Rules) -> Target:
    """Take an address apart; raises `Refused` for what can be told without asking anybody."""
    if len(url) > 2000 or re.search(r"[\x00-\x20\x7f\\\s]", url):
        raise Refused("The address holds spaces, backslashes or control characters, or is too long.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Refused("This is not an address.") from error
    if parts.scheme not in (("https", "http") if rules.http else ("https",)):
        raise Refused("The address must begin with https://.")
    if parts.username is not None or parts.password is not None:
        raise Refused("The address must not carry a name or a password.")
    if parts.fragment:
        raise Refused("The address must not have a fragment (#…).")
    if port == 0:
        raise Refused("Port 0 is no port.")
    host = _plain_host(parts.hostname or "")
    literal = _literal(host, bracketed="[" in parts.netloc)
    if literal is not None:
        _refuse_unless_public(literal, rules)
    elif not (rules.loopback and host == "localhost") and f".{host}".endswith(_LOCAL_NAMES):
        raise Refused("The address names this network's own machines.")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, port or (443 if parts.scheme == "https" else 80), path, literal)


def _plain_host(host: str) -> str:
    """The host as the wire will carry it: other scripts' digits, dots and letters turned into plain ones."""
    if not host or "%" in host:  # an IPv6 zone, or an escape that somebody downstream might undo
        raise Refused("The address has no host, or one with an escape or a zone in it.")
    try:
        return host.encode("idna").decode("ascii").lower().rstrip(".") if not host.isascii() else host.rstrip(".")
    except UnicodeError as error:
        raise Refused("The host is not a name.") from error


def _literal(host: str, *, bracketed: bool) -> Address | None:
    """The IP address that `host` is; None for a name. Numbers in other notations than the plain one are refused."""
    try:
        return ipaddress.IPv6Address(host) if bracketed else ipaddress.IPv4Address(host)
    except ValueError as error:
        # 127.1, 0x7f000001, 0177.0.0.1, 2130706433: names to us, addresses to the C library
        if bracketed or ":" in host or re.fullmatch(r"(0x[0-9a-f]*|[0-9]+)", host.rpartition(".")[2]):
            raise Refused("The host is a number, but not an address in its plain notation.") from error
    if not re.fullmatch(r"([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", host):
        raise Refused("The host is not a name.")
    return None


def is_public(address: Address) -> bool:
    """Whether the address lies in the public internet, and not in any block with a special purpose."""
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not any(address in block for block in _NOT_PUBLIC_4)
    return address in _UNICAST_6 and address.is_global and not any(address in block for block in _NOT_PUBLIC_6)


def _refuse_unless_public(address: Address, rules: Rules) -> None:
    if rules.loopback and address in (ipaddress.IPv4Address("127.0.0.1"), ipaddress.IPv6Address("::1")):
        return
    if not is_public(address):
        raise Refused(f"{address} is not a public address.")


def system_resolver(host: str, port: int) -> list[str]:
    """Every address the system knows for a name, as text; raises `OSError`."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def resolve(target: Target, rules: Rules, resolver: Resolver = system_resolver) -> Address:
    """The one address that will be connected to: the name is looked up once, and every answer must be public.

    Raises `Refused`, or `Unreachable` where the name has no address.
    """
    if target.literal is not None:
        return target.literal
    pool = ThreadPoolExecutor(1)  # the system's resolver has no time-out of its own
    try:
        found = list(pool.submit(resolver, target.host, target.port).result(CONNECT_SECONDS))
        addresses = [ipaddress.ip_address(text.partition("%")[0]) for text in found]
    except (OSError, UnicodeError, TookTooLong) as error:
        raise Unreachable("The name could not be resolved.") from error
    finally:
        pool.shutdown(wait=False)
    if not addresses:
        raise Unreachable("The name has no address.")
    for address in addresses:
        _refuse_unless_public(address, rules)
    return addresses[0]


def post(
    url: str,
    *,
    content: bytes,
    headers: Mapping[str, str],
    rules: Rules,
    resolver: Resolver = system_resolver,
    ssl_context: ssl.SSLContext | None = None,
    whole_seconds: float = WHOLE_SECONDS,
) -> int:
    """POST `content` and return the answer's status code, whatever it is; redirects are not followed.

    The connection goes to the address that was checked, while the certificate is verified for, and `Host` names, the
    host of the URL. No proxy of the environment is used: it would look the name up again. Raises `Refused`,
    `Unreachable`.
    """
    ends = time.monotonic() + whole_seconds
    target = check_url(url, rules)
    wire = _Wire(resolve(target, rules, resolver), ends)
    host = f"[{target.host}]" if ":" in target.host else target.host
    try:
        with (
            httpcore.ConnectionPool(
                ssl_context=ssl_context or httpx.create_ssl_context(),
                network_backend=wire,
                max_connections=1,
                retries=0,
            ) as pool,
            pool.stream(
                "POST",
                f"{target.scheme}://{host}:{target.port}{target.path}",
                headers=list(headers.items()),
                content=content,
                extensions={
                    "timeout": {"connect": CONNECT_SECONDS, "read": whole_seconds, "write": whole_seconds, "pool": 1}
                },
            ) as answer,
        ):
            return int(answer.status)  # its body is nobody's business, and stays unread
    except (httpcore.TimeoutException, TimeoutError) as error:
        raise Unreachable("No answer came in time.") from error
    except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
        raise Unreachable(_said(error)) from error


def _said(error: BaseException) -> str:
    cause = error.__cause__ or error.__context__ or error
    if "CERTIFICATE" in str(error) or isinstance(cause, ssl.SSLError):
        return "The connection is not secure: the certificate could not be verified."
    return "The connection failed or broke off."


class _Wire(httpcore.NetworkBackend):
    """Connects to one address, whatever it is asked for, and ends with the time and the bytes an answer may take."""

    def __init__(self, address: Address, ends: float) -> None:
        self._address, self._ends = address, ends

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        inner = httpcore.SyncBackend().connect_tcp(str(self._address), port, left(self._ends, timeout))
        return _Bounded(inner, self._ends)


class _Bounded(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, ends: float) -> None:
        self._inner, self._ends, self._read = inner, ends, 0

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = self._inner.read(max_bytes, left(self._ends, timeout))
        self._read += len(data)
        if self._read > ANSWER_AT_MOST:
            raise httpcore.ReadError("The answer is too large.")
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, left(self._ends, timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Bounded(self._inner.start_tls(ssl_context, server_hostname, left(self._ends, timeout)), self._ends)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def left(ends: float, timeout: float | None) -> float:
    """The shorter of a time-out and what is left until `ends` (monotonic seconds); raises `ReadTimeout` at nought."""
    remaining = ends - time.monotonic()
    if remaining <= 0:
        raise httpcore.ReadTimeout("The time is over.")
    return remaining if timeout is None else min(timeout, remaining)
