"""The main job end to end over HTTP alone: an agent asks, a person decides on the page, an executor redeems, once."""

from __future__ import annotations

import threading

import httpx
from django.conf import settings

from accounts.models import User
from tests.support import contract, sealing
from tests.support.cast import Cast
from tests.support.forms import fields_of
from tests.support.live import Caller, Server
from tests.support.web import session_cookie


def browser(server: Server, person: User) -> httpx.Client:
    """A client with the session of somebody who has just signed in."""
    cookies = {settings.SESSION_COOKIE_NAME: session_cookie(person)}
    return httpx.Client(base_url=server.url, cookies=cookies, trust_env=False, timeout=30)


def test_ask_decide_proceed(server: Server, cast: Cast, agent: Caller, executor: Caller) -> None:
    filed = agent.file()
    document = contract.request(filed.json(), "pending")
    path = f"requests/{document['id']}"
    answers: list[httpx.Response] = []
    waiting = threading.Thread(target=lambda: answers.append(agent.get(path, wait=60)))
    with browser(server, cast["support1"]) as person, sealing.running():
        page = person.get(f"/requests/{document['id']}/decide/")
        form = fields_of(page)
        assert "csrfmiddlewaretoken" in form
        waiting.start()
        said = {**form, "verdict": "approve", "rationale": "It matches our records."}
        posted = person.post(f"/requests/{document['id']}/decide/", data=said)
        assert (posted.status_code, posted.headers["location"]) == (303, f"/requests/{document['id']}/")
        waiting.join()
        told = contract.request(answers[0].json(), "approved")
        body = {"grant": told["grant"], "parameters": told["parameters"]}
        contract.problem(executor.post("grants/redeem", {**body, "parameters": {}}), "parameters-mismatch")
        contract.problem(agent.post("grants/redeem", body), "missing-scope")
        assert executor.post("grants/redeem", body).status_code == 200
        contract.problem(executor.post("grants/redeem", body), "already-redeemed")
        reported = executor.post(f"{path}/outcome", {"result": "succeeded", "response_code": 200})
    assert reported.status_code == 200
    assert agent.read(document["id"]) == reported.json()


def test_a_page_posted_after_two_seconds_is_410_with_no_worker_and_no_beat(
    server: Server, cast: Cast, agent: Caller
) -> None:
    document = agent.file(timeout_seconds=2).json()
    with browser(server, cast["support1"]) as person:
        form = fields_of(person.get(f"/requests/{document['id']}/decide/"))
        told = contract.request(agent.read(document["id"], wait=30), "expired")
        assert told["decision"]["decided_at"] == document["expires_at"]
        said = {**form, "verdict": "approve", "rationale": "It matches our records."}
        assert person.post(f"/requests/{document['id']}/decide/", data=said).status_code == 410
    assert agent.read(document["id"]) == told


def test_an_agents_key_opens_no_page_and_a_session_opens_no_endpoint(server: Server, cast: Cast, agent: Caller) -> None:
    document = agent.file().json()
    assert agent.http.get(f"/requests/{document['id']}/").status_code == 302  # to sign-in
    assert agent.http.post(f"/requests/{document['id']}/decide/", data={"verdict": "approve"}).status_code in (302, 403)
    with browser(server, cast["support1"]) as person:
        contract.problem(person.get(f"/api/v1/requests/{document['id']}"), "unauthenticated")
        contract.problem(person.post("/api/v1/requests", json={}), "unauthenticated")
    assert agent.read(document["id"]) == document
