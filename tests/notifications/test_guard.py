"""The way out refuses every address that is not public, in whatever notation, and talks only to the one it checked."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpcore
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from approvals.notifications import guard
from approvals.notifications.guard import Refused, Rules, Unreachable
from tests.support.receiver import Receiver, receiving

STRICT = Rules()
DEMO = Rules(http=True, loopback=True)

# Each is a way to write an address inside: ours, the machine's, the provider's.
INTERNAL = [
    "127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0x7F.1", "0177.0.0.1",
    "017700000001", "127.0.0.01", "00000127.0.0.1", "4294967295", "0", "0.0.0.0", "0x0", "127.000.000.001",
    "１２７.0.0.1", "127。0。0。1", "①②⑦.⓪.⓪.①", "127%2e0.0.1", "%31%32%37.0.0.1",
    "10.0.0.1", "10.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "192.168.257", "100.64.0.1", "100.127.255.254",
    "169.254.169.254", "0xa9fea9fe", "2852039166", "0251.0376.0251.0376", "168.63.129.16", "100.100.100.200",
    "192.0.0.192", "192.0.2.1", "198.18.0.1", "198.51.100.7", "203.0.113.9", "192.88.99.1", "224.0.0.1",
    "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[0000::0001]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]",
    "[::ffff:8.8.8.8]", "[::ffff:0:127.0.0.1]", "[64:ff9b::127.0.0.1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::1]",
    "[2002:7f00:1::]", "[2002:a9fe:a9fe::1]", "[2001:0:4136:e378:8000:63bf:3fff:fdd2]", "[2001:db8::1]", "[3fff::1]",
    "[fe80::1]", "[fe80::1%25eth0]", "[fe80::1%eth0]", "[fec0::1]", "[fc00::1]", "[fd00:ec2::254]", "[ff02::1]",
    "[100::1]", "[5f00::1]", "[127.0.0.1]",
    "localhost", "LOCALHOST", "localhost.", "db.localhost", "printer.local", "metadata.google.internal",
    "ｌocalhost",
]  # fmt: skip


@pytest.mark.parametrize("host", INTERNAL)
def test_an_internal_address_is_refused_in_this_notation(host: str) -> None:
    with pytest.raises(Refused):
        guard.check_url(f"https://{host}/hooks", STRICT)


def _notations(octets: tuple[int, int, int, int]) -> list[str]:
    """An IPv4 address in every notation the C library takes, but the plain one."""
    a, b, c, d = octets
    whole = int.from_bytes(octets)
    parts = [
        (a, b, c, d),
        (a, b, c << 8 | d),
        (a, b << 16 | c << 8 | d),
        (whole,),
    ]
    written = [".".join(f(part) for part in some) for some in parts for f in (str, hex, lambda n: f"0{n:o}")]
    return [text for text in written if text != f"{a}.{b}.{c}.{d}"]


@given(st.tuples(*[st.integers(0, 255)] * 4))
def test_an_address_in_another_notation_than_the_plain_one_is_never_taken_for_a_name(
    octets: tuple[int, int, int, int],
) -> None:
    for host in _notations(octets):
        assert socket.inet_aton(host) == bytes(octets)  # to the C library it is that address
        with pytest.raises(Refused):
            guard.check_url(f"https://{host}/", STRICT)


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "ftp://hooks.example.com/",
        "gopher://hooks.example.com/",
        "file:///etc/passwd",
        "//hooks.example.com/",
        "https:///hooks",
        "https://",
        "https://user@hooks.example.com/",
        "https://user:pw@hooks.example.com/",
        "https://@hooks.example.com/",
        "https://hooks.example.com@127.0.0.1/",
        "https://127.0.0.1#@hooks.example.com/",
        "https://hooks.example.com/#there",
        "https://hooks.example.com\\@127.0.0.1/",
        "https://hooks.example.com/a b",
        "https://hooks.example.com/\r\nHost: inside",
        "https://hooks.example.com\t/",
        "https://hooks.example.com:0/",
        "https://hooks.example.com:99999/",
        "https://hooks.example.com:x/",
        "https://[::1/",
        "https://[2606:2800:21f:cb07::1%eth0]/",
        "https://[2606:2800:21f:cb07::1%25eth0]/",
        "https://exa mple.com/",
        "https://-.example.com/",
        "https://a..b/",
        "https://hooks.example.com/" + "a" * 2000,
    ],
)
def test_an_address_that_is_not_plain_https_to_a_host_is_refused(url: str) -> None:
    with pytest.raises(Refused):
        guard.check_url(url, STRICT)


def test_public_addresses_and_names_pass() -> None:
    assert guard.check_url("https://hooks.example.com/a?b=c", STRICT) == guard.Target(
        "https", "hooks.example.com", 443, "/a?b=c", None
    )
    assert guard.check_url("https://bücher.example:8443", STRICT).host == "xn--bcher-kva.example"
    assert guard.check_url("https://93.184.215.14/", STRICT).literal == ipaddress.ip_address("93.184.215.14")
    assert guard.check_url("https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/", STRICT).literal is not None


def test_the_demo_reaches_loopback_and_still_nothing_else_inside() -> None:
    assert guard.check_url("http://127.0.0.1:8080/", DEMO).port == 8080
    assert guard.check_url("http://localhost:8080/", DEMO).host == "localhost"
    for host in ("127.0.0.2", "127.1", "10.0.0.1", "169.254.169.254", "[::ffff:127.0.0.1]", "db.internal"):
        with pytest.raises(Refused):
            guard.check_url(f"http://{host}/", DEMO)


@pytest.mark.parametrize(
    "answers",
    [
        ["10.0.0.5"],
        ["93.184.215.14", "10.0.0.5"],
        ["2606:2800:21f:cb07::1", "fe80::1%eth0"],
        ["::ffff:10.0.0.5"],
        ["64:ff9b::a00:5"],
        ["169.254.169.254"],
    ],
)
def test_a_name_with_one_inner_address_among_its_answers_is_refused(answers: list[str]) -> None:
    target = guard.check_url("https://hooks.example.com/", STRICT)
    with pytest.raises(Refused):
        guard.resolve(target, STRICT, lambda host, port: answers)


def test_a_name_that_does_not_resolve_may_be_tried_again() -> None:
    target = guard.check_url("https://hooks.example.com/", STRICT)

    def nobody(host: str, port: int) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    resolvers: list[guard.Resolver] = [nobody, lambda host, port: []]
    for resolver in resolvers:
        with pytest.raises(Unreachable):
            guard.resolve(target, STRICT, resolver)


def test_a_name_is_resolved_once_so_that_it_cannot_change_its_mind(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    connected: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["93.184.215.14"] if len(asked) == 1 else ["127.0.0.1"]

    def connect(self: object, host: str, port: int, *rest: object, **more: object) -> httpcore.NetworkStream:
        connected.append(host)
        raise httpcore.ConnectError("not in a test")

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connect)  # the network, not a part of ours
    with pytest.raises(Unreachable):
        guard.post("https://rebind.example/", content=b"", headers={}, rules=STRICT, resolver=rebinding)
    assert (asked, connected) == (["rebind.example"], ["93.184.215.14"])


def test_the_connection_goes_to_the_checked_address_while_host_names_the_name() -> None:
    with receiving() as receiver:
        port = receiver.url.split(":")[2].split("/")[0]
        code = guard.post(
            f"http://hooks.example.test:{port}/hooks",
            content=b"{}",
            headers={"x-mark": "1"},
            rules=DEMO,
            resolver=lambda host, port: ["127.0.0.1"],
        )
    assert (code, receiver.got[0].headers["host"]) == (204, f"hooks.example.test:{port}")
    assert receiver.got[0].headers["x-mark"] == "1"


def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as receiver, receiving() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert guard.post(receiver.url, content=b"{}", headers={}, rules=DEMO) == 204
    assert (len(receiver.got), proxy.got) == (1, [])


def test_an_endless_answer_is_left_unread() -> None:
    with receiving() as receiver:
        receiver.answers.append(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 300_000)
        assert guard.post(receiver.url, content=b"{}", headers={}, rules=DEMO) == 200


def test_endless_headers_are_cut_off() -> None:
    with receiving() as receiver:
        receiver.answers.append(b"HTTP/1.1 200 OK\r\n" + b"X-Much: " + b"y" * 80_000 + b"\r\n\r\n")
        with pytest.raises(Unreachable):
            guard.post(receiver.url, content=b"{}", headers={}, rules=DEMO)


def test_a_receiver_that_says_nothing_is_left_in_time() -> None:
    with receiving() as receiver:
        receiver.hang = threading.Event()
        with pytest.raises(Unreachable, match="in time"):
            guard.post(receiver.url, content=b"{}", headers={}, rules=DEMO, whole_seconds=0.3)


# ---- https: the certificate is verified for the name, though the connection goes to a pinned address


@contextmanager
def over_tls(folder: Path, name: str) -> Iterator[tuple[Receiver, int, ssl.SSLContext]]:
    """A receiver behind TLS with a certificate for `name`, and a client's context that trusts its maker."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (folder / "pair.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + pem
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "pair.pem")
    with receiving(tls=server) as receiver:
        yield receiver, receiver.port, ssl.create_default_context(cadata=pem.decode())


def post_to(name: str, port: int, context: ssl.SSLContext | None) -> int:
    return guard.post(
        f"https://{name}:{port}/hooks",
        content=b"{}",
        headers={},
        rules=Rules(loopback=True),
        resolver=lambda host, port: ["127.0.0.1"],
        ssl_context=context,
    )


def test_a_certificate_for_the_name_is_accepted_at_the_pinned_address(tmp_path: Path) -> None:
    with over_tls(tmp_path, "hooks.example.test") as (receiver, port, context):
        assert post_to("hooks.example.test", port, context) == 204
        assert len(receiver.got) == 1


def test_a_certificate_for_another_name_is_not(tmp_path: Path) -> None:
    with over_tls(tmp_path, "other.example.test") as (receiver, port, context):
        with pytest.raises(Unreachable, match="certificate"):
            post_to("hooks.example.test", port, context)
        assert receiver.got == []


def test_a_certificate_that_nobody_vouches_for_is_not(tmp_path: Path) -> None:
    with over_tls(tmp_path, "hooks.example.test") as (receiver, port, _):
        with pytest.raises(Unreachable, match="certificate"):
            post_to("hooks.example.test", port, None)
        assert receiver.got == []
