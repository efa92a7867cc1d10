"""A key's way to the API over plain HTTP: what may be sent again is sent again, unchanged, and no faster than asked.

What is asked for, and what an answer means, is its callers' to know.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import httpx

ATTEMPTS = 6
LONGEST_PAUSE = 30.0
HOLD = 50  # seconds one `?wait=` holds the line; the server allows 60


class Refused(Exception):
    """The server said no to the call itself; `slug` is the problem's name, `document` the whole of it."""

    def __init__(self, response: httpx.Response) -> None:
        try:
            self.document: dict[str, Any] = response.json()
        except ValueError:
            self.document = {}
        self.status = response.status_code
        self.slug = str(self.document.get("type", "")).rpartition(":")[2] or str(response.status_code)
        super().__init__(self.document.get("detail") or f"The server answered {response.status_code}.")


class Unreachable(Exception):
    """No answer, or none that could be used, after several tries."""


class Client:
    """One key at one server. Every POST carries an Idempotency-Key, so a second try can't be a second act."""

    def __init__(self, url: str, key: str, *, say: Callable[[str], None]) -> None:
        self._say = say
        self._http = httpx.Client(
            base_url=f"{url}/api/v1",
            headers={"Authorization": f"Bearer {key}"},
            timeout=httpx.Timeout(10, read=HOLD + 20),
            trust_env=False,  # the demo is on this machine, where a proxy of the network's would not find it
        )

    def post(self, path: str, body: dict[str, Any], *, key: str) -> dict[str, Any]:
        """POST; raises `Refused` for a 4xx that says no, `Unreachable` when the tries are used up."""
        return self._sent("POST", path, json=body, headers={"Idempotency-Key": key}).json()

    def get(self, path: str) -> tuple[dict[str, Any], str]:
        """GET: the document and its ETag."""
        response = self._sent("GET", path)
        return response.json(), response.headers.get("ETag", "")

    def get_changed(self, path: str, etag: str, *, within: float) -> tuple[dict[str, Any], str] | None:
        """GET once it differs from what `etag` stands for; None where that did not happen within so many seconds."""
        hold = max(1, min(HOLD, int(within)))
        response = self._sent("GET", path, params={"wait": hold}, headers={"If-None-Match": etag})
        return None if response.status_code == 304 else (response.json(), response.headers.get("ETag", ""))

    def _sent(self, method: str, path: str, **more: Any) -> httpx.Response:
        why = asked = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                pause = self._pause(attempt, asked)
                self._say(f"{why}; the same again in {pause:.1f} s")
                time.sleep(pause)
            try:
                response = self._http.request(method, path, **more)
            except httpx.TransportError as error:
                why, asked = f"no answer ({type(error).__name__})", ""
                continue
            if response.is_success or response.status_code == 304:
                return response
            refused = Refused(response)
            if not (response.status_code == 429 or response.status_code >= 500 or refused.slug == "in-progress"):
                raise refused
            why, asked = f"{refused.status} {refused.slug}", response.headers.get("Retry-After", "")
        raise Unreachable(f"{method} {path} got no usable answer in {ATTEMPTS} tries: {why}.")

    @staticmethod
    def _pause(attempt: int, asked: str) -> float:
        """As long as the server asked, else longer each time, with a little chance in it so that many don't march."""
        if asked.isdigit():
            return min(LONGEST_PAUSE, float(asked))
        return min(LONGEST_PAUSE, 0.5 * 2**attempt) * random.uniform(0.7, 1.0)  # noqa: S311 - no secret
