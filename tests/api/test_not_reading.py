"""Callers who ask for much and never read it: they hold nobody else up."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

from django.core.signals import request_finished

from tests.support import contract, loops
from tests.support.cast import Cast
from tests.support.live import Caller, Server, filing


def _big(agent: Caller, count: int) -> list[str]:
    """That many requests of some 200 KB each, oldest first."""
    return [
        agent.post("requests", filing(parameters={"text": "x" * 200_000, "n": number}), key=f"big-{number}").json()[
            "id"
        ]
        for number in range(count)
    ]


def test_a_page_of_a_list_ends_after_a_megabyte_and_the_next_goes_on_where_it_ended(agent: Caller) -> None:
    wanted = _big(agent, 8)[::-1]
    found: list[str] = []
    sizes: list[int] = []
    cursor: dict[str, Any] = {}
    while True:
        response = agent.get("requests", limit=100, **cursor)
        page = response.json()
        found += [document["id"] for document in page["results"]]
        sizes.append(len(response.content))
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert found == wanted
    assert len(sizes) > 1
    assert max(sizes) < 1.5 * 1024 * 1024


def test_more_callers_who_never_read_than_the_pool_has_connections_stop_nobody(
    agent: Caller, server: Server, cast: Cast
) -> None:
    _big(agent, 6)
    where = urlsplit(server.url)
    sockets = []
    try:
        for _ in range(40):
            deaf = socket.socket()
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            deaf.connect((where.hostname, where.port))
            deaf.sendall(
                f"GET /api/v1/requests?limit=100 HTTP/1.1\r\nHost: localhost\r\n"
                f"Authorization: Bearer {cast.keys['agent']}\r\n\r\n".encode()
            )
            sockets.append(deaf)
        contract.request(agent.file().json(), "pending")
    finally:
        for deaf in sockets:
            deaf.close()


def test_an_answer_is_sent_once_django_has_let_go_of_it() -> None:
    from config.asgi import InOneThread

    order: list[str] = []

    def finished(**_: Any) -> None:
        order.append("finished")

    async def send(message: Any) -> None:
        order.append(message["type"])

    async def receive() -> Any:
        if "asked" in order:
            return await loops.never()
        order.append("asked")
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {
        "type": "http", "method": "GET", "path": "/healthz", "query_string": b"", "headers": [(b"host", b"localhost")],
        "scheme": "http", "server": ("localhost", 80), "client": ("127.0.0.1", 1), "http_version": "1.1",
    }  # fmt: skip
    request_finished.connect(finished)
    try:
        loops.run(InOneThread()(scope, receive, send))
    finally:
        request_finished.disconnect(finished)
    assert order[0] == "asked"
    assert order.index("finished") < order.index("http.response.start") < order.index("http.response.body")
