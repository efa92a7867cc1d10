"""256 KiB for the API and 1 MiB elsewhere, enforced while a body is received: by what it declares and what arrives.

No method and no address is exempt, and a body that trickles in is not waited for.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from config.body_limit import BodyLimit, Message, Receive, Scope, Send
from tests.support import contract
from tests.support.live import Caller, Server, filing
from tests.support.loops import run

LIMIT = 256 * 1024
PAGE_LIMIT = 1024 * 1024


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


def _refused(server: Server, method: str, path: str, declared: str, most: int) -> bytes:
    """What a bare socket is answered when it sends more than `most` bytes; without any key."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{declared}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as raw:
        raw.sendall(head.encode())
        if "chunked" in declared:
            for _ in range(most // 0x4000 + 1):
                raw.sendall(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += raw.recv(65_536) or b"(closed)\r\n\r\n"
    return answer


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
@pytest.mark.parametrize("chunked", [False, True])
def test_no_method_is_exempt(server: Server, method: str, chunked: bool) -> None:
    declared = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {LIMIT + 1}"
    assert _refused(server, method, "/api/v1/schema", declared, LIMIT).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("path", ["/accounts/login/", "/healthz", "/.well-known/jwks.json", "/nothing", "/api"])
@pytest.mark.parametrize("chunked", [False, True])
def test_no_address_is_exempt(server: Server, path: str, chunked: bool) -> None:
    declared = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {PAGE_LIMIT + 1}"
    answer = _refused(server, "POST", path, declared, PAGE_LIMIT)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"content-type: text/plain" in answer


def test_a_form_may_be_larger_than_what_an_agent_sends(server: Server, agent: Caller) -> None:
    assert agent.http.post("/accounts/login/", content=b"x" * (LIMIT + 1)).status_code != 413


def _answer_to_a_trickle(path: str) -> tuple[dict[str, Any], bytes]:
    """The head and body of the answer to a body of which one byte comes, and then nothing."""
    sent: list[Message] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("half a body was passed on")

    async def receive() -> Message:
        if arrived:
            await asyncio.Event().wait()
        arrived.append(True)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message)

    arrived: list[bool] = []
    front = BodyLimit(application, api_limit=10, page_limit=10, seconds=0.05)
    run(front({"type": "http", "path": path, "method": "POST", "headers": []}, receive, send))
    return dict(sent[0]), sent[1]["body"]


@pytest.mark.parametrize(
    ("path", "media_type"),
    [("/api/v1/requests", b"application/problem+json"), ("/queue/", b"text/plain; charset=utf-8")],
)
def test_a_body_that_does_not_arrive_in_time_is_408_and_the_connection_ends(path: str, media_type: bytes) -> None:
    head, body = _answer_to_a_trickle(path)
    headers = dict(head["headers"])
    assert (head["status"], headers[b"content-type"], headers[b"connection"]) == (408, media_type, b"close")
    assert b"did not arrive in time" in body
