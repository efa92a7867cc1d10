"""Those who use a running house from outside: an agent, an executor and people, each through their own door.

What is expected of the answers is said in the tests.
"""

from __future__ import annotations

import re
import uuid
from types import TracebackType
from typing import Any, Self

import httpx

from tests.support.eventually import eventually
from tests.support.forms import fields_of
from tests.support.house import House

PATIENCE = 60.0  # how long an outsider tries again until somebody answers
RATIONALE = "The carrier confirmed the loss to us as well."


class Machine:
    """A client with one key; each call by itself, so that no connection of before is in the way."""

    def __init__(self, house: House, key: str) -> None:
        self._house = house
        self._key = house.demo["keys"][key]

    def _call(self, method: str, path: str, *, timeout: float = 10, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._key}", **more.pop("headers", {})}
        url = f"{self._house.url}/api/v1/{path}"
        return httpx.request(method, url, headers=headers, timeout=timeout, trust_env=False, **more)


class Agent(Machine):
    """helpdesk: files with a key of its own each time, and tries again with the same key until it is answered."""

    def __init__(self, house: House) -> None:
        super().__init__(house, "agent")

    def post(self, name: str, **fields: Any) -> httpx.Response:
        """File once; any transport error is the caller's to see."""
        body = {
            "action": "refund.create",
            "resource": f"order/{name}",
            "parameters": {"amount_cents": 4200, "currency": "usd"},
            "summary": "Refund for a parcel that never came",
            "rationale": "The carrier confirmed the loss.",
            **fields,
        }
        return self._call("POST", "requests", json=body, headers={"Idempotency-Key": name})

    def file(self, name: str, *, refused: set[str] | None = None, **fields: Any) -> dict[str, Any]:
        """File until it is acknowledged, always with the same key; what was answered instead goes to `refused`."""

        def acknowledged() -> dict[str, Any]:
            try:
                answer = self.post(name, **fields)
            except httpx.TransportError:
                return {}
            if answer.status_code != 201 and refused is not None:
                refused.add(f"{answer.status_code} {answer.headers.get('content-type')} {answer.text}")
            return dict(answer.json()) if answer.status_code == 201 else {}

        return eventually(acknowledged, within=PATIENCE, what=f"{name} to be acknowledged")

    def get(self, path: str, *, timeout: float = 70, **query: Any) -> httpx.Response:
        """GET /api/v1/<path>."""
        return self._call("GET", path, timeout=timeout, params=query)

    def read(self, request_id: str, **query: Any) -> dict[str, Any]:
        """The request as the agent is told."""
        answer = self.get(f"requests/{request_id}", **query)
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document


class Executor(Machine):
    """payments: redeems."""

    def __init__(self, house: House) -> None:
        super().__init__(house, "executor")

    def redeem(self, document: dict[str, Any]) -> httpx.Response:
        """Spend the grant in a request's document, for its parameters."""
        body = {"grant": document["grant"], "parameters": document["parameters"]}
        return self._call("POST", "grants/redeem", json=body)


class Person:
    """One of the demo's people at a browser without JavaScript, signed in by password on entering."""

    def __init__(self, house: House, name: str) -> None:
        (self._user,) = (one for one in house.demo["users"] if one["email"].partition("@")[0] == name)
        self.http = httpx.Client(base_url=house.url, timeout=10, trust_env=False)

    def __enter__(self) -> Self:
        answer = self.sign_in()
        assert answer.status_code == 302, answer.text
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.http.close()

    def sign_in(self) -> httpx.Response:
        """The form of signing in, with address and password."""
        return self.send("/accounts/login/", {"login": self._user["email"], "password": self._user["password"]})

    def send(self, path: str, fields: dict[str, str]) -> httpx.Response:
        """POST a form of that page; it is opened first for its token."""
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.http.get(path).text)
        assert token is not None, path
        return self.http.post(path, data={**fields, "csrfmiddlewaretoken": token[1]})

    def open(self, request_id: str) -> dict[str, str]:
        """The fields of the decision's form as the page gives them; empty where there is none."""
        return self.fields(self.http.get(f"/requests/{request_id}/decide/"))

    @staticmethod
    def fields(page: httpx.Response) -> dict[str, str]:
        """The fields of the decision's form on a page."""
        return fields_of(page)

    def decide(self, request_id: str, form: dict[str, str], verdict: str = "approve", **more: str) -> httpx.Response:
        """Send the form with a verdict."""
        typed = {"rationale": RATIONALE, **more, "verdict": verdict}
        return self.http.post(f"/requests/{request_id}/decide/", data={**form, **typed})

    def approve(self, request_id: str) -> int:
        """Open the page and approve; the status of the answer."""
        return self.decide(request_id, self.open(request_id)).status_code


def fresh(name: str) -> str:
    """A name that no run before has used."""
    return f"{name}-{uuid.uuid4().hex[:12]}"
