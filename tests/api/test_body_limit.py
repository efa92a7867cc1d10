"""256 KiB, enforced while a body is received: by what it declares and by what arrives, before any view."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from tests.support import contract
from tests.support.live import Caller, Server, filing

LIMIT = 256 * 1024


def body_of(size: int) -> bytes:
    """A filing of exactly so many bytes."""
    frame = filing(parameters={"a": ""}, action="unknown.thing")
    return json.dumps({**frame, "parameters": {"a": "x" * (size - len(json.dumps(frame)))}}).encode()


def test_a_body_of_the_limit_is_taken_and_one_byte_more_is_413(agent: Caller) -> None:
    body = body_of(LIMIT)
    assert len(body) == LIMIT
    assert agent.post("requests", body, key="k").status_code == 201
    contract.problem(agent.post("requests", body + b" ", key="k2"), "too-large")


def test_a_chunked_body_is_counted_as_it_arrives(agent: Caller) -> None:
    def chunks(size: int) -> Iterator[bytes]:
        body = body_of(size)
        yield from (body[at : at + 8_192] for at in range(0, len(body), 8_192))

    headers = {"Content-Type": "application/json", "Idempotency-Key": "chunked"}
    within = agent.http.post("/api/v1/requests", content=chunks(LIMIT), headers=headers)
    assert within.status_code == 201
    contract.problem(agent.http.post("/api/v1/requests", content=chunks(LIMIT + 1), headers=headers), "too-large")


@pytest.mark.parametrize("declared", [f"Content-Length: {LIMIT + 1}", "Transfer-Encoding: chunked"])
def test_the_refusal_comes_before_the_body_has_been_sent_whole(agent: Caller, server: Server, declared: str) -> None:
    """Over a bare socket: what is declared too large is refused unseen, what streams on for ever at the limit."""
    authorization = agent.http.headers["authorization"]
    head = f"POST /api/v1/requests HTTP/1.1\r\nHost: localhost\r\nAuthorization: {authorization}\r\n{declared}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as raw:
        raw.sendall(head.encode())
        if "chunked" in declared:
            for _ in range(LIMIT // 0x4000 + 1):
                raw.sendall(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += raw.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"application/problem+json" in answer


def test_the_limit_holds_for_every_post_and_without_a_key(server: Server, agent: Caller) -> None:
    for path in ("requests", "grants/redeem", "requests/x/withdraw", "nothing"):
        contract.problem(agent.post(path, b" " * (LIMIT + 1), key="k"), "too-large")
    contract.problem(Caller(server.url, None).post("requests", b" " * (LIMIT + 1)), "too-large")
