"""A reviewer's own browser, without its drawing: signs in by password, reads the queue, opens a request, sends the
form with the page's ticket. Whom to decide for, and what its answer means, is the bench's.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import httpx

from tests.support.forms import fields_of

RATIONALE = "The carrier's report matches what we have on record."


class _SignIn(HTMLParser):
    """The fields of the sign-in form as they stand."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "input" and given.get("name"):
            self.fields.setdefault(str(given["name"]), given.get("value") or "")


class Reviewer:
    """One signed-in person. Every method raises httpx.TransportError where the server is away."""

    def __init__(self, url: str, email: str, password: str) -> None:
        self.email = email
        self._password = password
        self.http = httpx.Client(base_url=url, timeout=20, trust_env=False)

    def sign_in(self) -> None:
        """By the login page; RuntimeError where it is refused."""
        form = _SignIn()
        form.feed(self.http.get("/accounts/login/").text)
        answer = self.http.post(
            "/accounts/login/", data={**form.fields, "login": self.email, "password": self._password}
        )
        if answer.status_code != 302:
            raise RuntimeError(f"signing in as {self.email} was answered {answer.status_code}")

    def queue(self) -> list[str]:
        """The ids on the first page of the queue."""
        answer = self._page("/queue/")
        return list(dict.fromkeys(re.findall(r"/requests/([0-9a-f-]{36})/", answer.text)))

    def open(self, request_id: str, *, url: str = "") -> dict[str, str]:
        """The fields of the decision form of a request's page; empty where there is nothing to decide."""
        answer = self._page(f"{url}/requests/{request_id}/")
        return fields_of(answer) if answer.status_code == 200 else {}

    def send(self, request_id: str, fields: dict[str, str], verdict: str, *, url: str = "") -> httpx.Response:
        """Send the form: 303 is recorded."""
        return self.http.post(
            f"{url}/requests/{request_id}/decide/", data={**fields, "verdict": verdict, "rationale": RATIONALE}
        )

    def _page(self, path: str) -> Any:
        answer = self.http.get(path)
        if answer.status_code == 302 and "/accounts/login/" in answer.headers.get("location", ""):
            self.sign_in()
            answer = self.http.get(path)
        return answer
