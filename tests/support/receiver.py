"""A real webhook receiver: an HTTP server in a thread that keeps what it gets and answers what it is told to."""

from __future__ import annotations

import ssl
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook as Verifier


@dataclass(frozen=True)
class Received:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    def verified(self, secret: str) -> dict[str, object]:
        """The body, once the public library agrees that it is signed with this secret; raises otherwise."""
        found: dict[str, object] = Verifier(secret).verify(self.body, self.headers)
        return found


@dataclass
class Receiver:
    """Its address, what it got, and the answers it will give: status codes first in, first out, then 204."""

    url: str
    got: list[Received] = field(default_factory=list)
    answers: deque[int | bytes] = field(default_factory=deque)  # bytes: sent raw instead of an answer
    hang: threading.Event | None = None  # answers nothing until it is set
    port: int = 0


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that break off are what these tests are about."""


@contextmanager
def receiving(*, path: str = "/hooks", tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A receiver on loopback until the block ends."""
    receiver = Receiver("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.got.append(Received(self.path, headers, body))
            if receiver.hang is not None:
                receiver.hang.wait(30)
            answer = receiver.answers.popleft() if receiver.answers else 204
            if isinstance(answer, bytes):
                self.wfile.write(answer)
                return
            self.send_response(answer)
            if 300 <= answer < 400:
                self.send_header("Location", f"{receiver.url}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing on the terminal."""

    server = _Quiet(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    receiver.port = int(server.server_address[1])
    receiver.url = f"{'https' if tls else 'http'}://127.0.0.1:{receiver.port}{path}"
    thread = threading.Thread(target=server.serve_forever, args=[0.02], daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        if receiver.hang is not None:
            receiver.hang.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
