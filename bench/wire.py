"""As little HTTP/1.1 as a bench's clients need: connections that are kept, a request, an answer with its length."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, field

IDLE_SECONDS = 3.0  # uvicorn closes what was idle for 5
_LENGTH = re.compile(rb"(?i)content-length: (\d+)")
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Pool:
    """Connections to one server, as many as are in use at once; raises OSError or asyncio.IncompleteReadError."""

    host: str
    port: int
    _idle: list[tuple[float, Connection]] = field(default_factory=list)  # since when, the newest last

    async def call(
        self, method: str, path: str, key: str, body: bytes = b"", idempotency_key: str = ""
    ) -> tuple[int, bytes]:
        """Status and body of one request."""
        reader, writer = self._kept() or await asyncio.open_connection(self.host, self.port)
        more = f"Idempotency-Key: {idempotency_key}\r\n" if idempotency_key else ""
        writer.write(
            f"{method} {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode()
            + body
        )
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            found = _LENGTH.search(head)
            answer = await reader.readexactly(int(found[1]) if found else 0)
        except BaseException:
            writer.close()
            raise
        if b"connection: close" in head.lower():
            writer.close()
        else:
            self._idle.append((time.monotonic(), (reader, writer)))
        return int(head.split(b" ", 2)[1]), answer

    def _kept(self) -> Connection | None:
        while self._idle:
            since, connection = self._idle.pop()
            if time.monotonic() - since < IDLE_SECONDS:
                return connection
            connection[1].close()
        return None

    def close(self) -> None:
        """Close those that are idle."""
        for _, (_, writer) in self._idle:
            writer.close()
