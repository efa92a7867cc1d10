"""What every endpoint refuses alike, in the contract's words: keys, methods, media types, addresses, bodies."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest
from django.db.models.functions import Now

from agents import keys, registration
from agents.models import Credential, Scope
from tests.support import contract
from tests.support.cast import SETTING_UP, Cast
from tests.support.forging import forging
from tests.support.live import Caller, Server, filing

SOMEBODY = "01920000-0000-7000-8000-000000000000"
READS = ["requests", f"requests/{SOMEBODY}", f"requests/{SOMEBODY}/events"]
WRITES = {
    "requests": "requests:file",
    f"requests/{SOMEBODY}/answer": "requests:file",
    f"requests/{SOMEBODY}/withdraw": "requests:file",
    f"requests/{SOMEBODY}/outcome": "outcomes:report",
    f"requests/{SOMEBODY}/activity": "outcomes:report",
    "grants/redeem": "grants:redeem",
}


def key_of(cast: Cast, *scopes: Scope) -> str:
    """Another key of helpdesk's."""
    return registration.issue_credential(by=SETTING_UP, holder=cast.agent, scopes=scopes)[1]


# ---- keys
def test_without_a_key_every_endpoint_is_401_and_says_how_to_authenticate(server: Server, cast: Cast) -> None:
    nobody = Caller(server.url, None)
    answers = [nobody.get(path) for path in READS] + [nobody.post(path, key="k") for path in WRITES]
    assert len(answers) == 9
    for response in answers:
        contract.problem(response, "unauthenticated")
        assert response.headers["www-authenticate"] == "Bearer"


def test_a_key_that_is_not_good_is_401_with_the_same_body_whatever_is_wrong(server: Server, cast: Cast) -> None:
    good = key_of(cast, Scope.READ)
    other = keys.Key(good[4:12], keys.new().secret)  # a real public id, another secret, a checksum that fits
    revoked, expired = key_of(cast, Scope.READ), key_of(cast, Scope.READ)
    registration.revoke_credential(by=SETTING_UP, credential=Credential.objects.get(public_id=revoked[4:12]))
    with forging():
        Credential.objects.filter(public_id=expired[4:12]).update(expires_at=Now() - timedelta(seconds=1))
    flipped = good[:-1] + ("0" if good[-1] != "0" else "1")
    said = set()
    for header in (
        f"Bearer {other}", f"Bearer {revoked}", f"Bearer {expired}", f"Bearer {flipped}", f"Bearer {keys.new()}",
        f"Basic {good}", good, "Bearer", f"Bearer {good} {good}", f"Bearer {good[:-1]}", "Bearer é",
    ):  # fmt: skip
        response = httpx.get(
            f"{server.url}/api/v1/requests", headers={b"Authorization": header.encode()}, trust_env=False
        )
        contract.problem(response, "unauthenticated")
        said.add(response.content)
    assert len(said) == 1
    assert Caller(server.url, good).get("requests").status_code == 200


def test_the_scheme_is_read_in_any_case(server: Server, cast: Cast) -> None:
    headers = {"Authorization": f"bEaReR {cast.keys['agent']}"}
    assert httpx.get(f"{server.url}/api/v1/requests", headers=headers, trust_env=False).status_code == 200


def test_a_key_without_the_scope_is_403_and_names_the_scope(server: Server, cast: Cast) -> None:
    auditor = Caller(server.url, cast.keys["auditor"])
    for path in READS:
        assert "requests:read" in contract.problem(auditor.get(path), "missing-scope")["detail"]
    for path, scope in WRITES.items():
        assert scope in contract.problem(auditor.post(path, filing(), key="k"), "missing-scope")["detail"]


def test_a_reading_key_cannot_file_and_a_filing_key_cannot_redeem(server: Server, cast: Cast, agent: Caller) -> None:
    reader = Caller(server.url, key_of(cast, Scope.READ))
    assert reader.get("requests").status_code == 200
    contract.problem(reader.file(), "missing-scope")
    grant = agent.file("docs.read").json()["grant"]
    response = agent.post("grants/redeem", {"grant": grant, "parameters": {"path": "/handbook/refunds.md"}})
    assert "grants:redeem" in contract.problem(response, "missing-scope")["detail"]


def test_no_identity_is_taken_from_a_body_a_query_or_another_header(server: Server, cast: Cast) -> None:
    nobody = Caller(server.url, None)
    headers = {"X-Api-Key": cast.keys["agent"], "X-Agent": "helpdesk", "Cookie": f"key={cast.keys['agent']}"}
    response = nobody.post(f"requests?key={cast.keys['agent']}", filing(), key="k", headers=headers)
    contract.problem(response, "unauthenticated")


# ---- addresses and methods
@pytest.mark.parametrize("path", ["nothing", "requests/nothing", "requests/1", f"requests/{SOMEBODY}/else", ""])
def test_an_address_that_is_none_is_a_404_problem_and_never_a_page(agent: Caller, path: str) -> None:
    contract.problem(agent.get(path), "not-found")
    contract.problem(agent.post(path, {}, key="k"), "not-found")


def test_an_id_of_the_right_length_that_is_none_is_404(agent: Caller) -> None:
    contract.problem(agent.get(f"requests/{'-' * 36}"), "not-found")
    contract.problem(agent.get(f"requests/{'-' * 36}", wait=5), "not-found")


def test_another_agents_request_is_404_in_the_same_words_as_none_at_all(
    server: Server, cast: Cast, agent: Caller
) -> None:
    other = registration.register_agent(by=SETTING_UP, slug="other", purpose="p", owner=cast["owner1"], level=3)
    scopes = (Scope.FILE, Scope.READ, Scope.REPORT)
    stranger = Caller(server.url, registration.issue_credential(by=SETTING_UP, holder=other, scopes=scopes)[1])
    theirs = agent.file().json()["id"]
    for path, body in {
        "": None, "/events": None, "/withdraw": {}, "/answer": {"question": "q", "text": "t"},
        "/outcome": {"result": "failed"}, "/activity": {"tool_calls": [{"tool": "t"}]},
    }.items():  # fmt: skip
        if body is None:
            real, none = stranger.get(f"requests/{theirs}{path}"), stranger.get(f"requests/{SOMEBODY}{path}")
        else:
            real = stranger.post(f"requests/{theirs}{path}", body)
            none = stranger.post(f"requests/{SOMEBODY}{path}", body)
        contract.problem(real, "not-found")
        assert real.content == none.content
    assert stranger.get("requests").json() == {"results": [], "next": None}
    assert agent.read(theirs)["status"] == "pending"


def test_a_path_with_a_slash_at_its_end_answers_the_same_resource(agent: Caller) -> None:
    response = agent.http.post("/api/v1/requests/", json=filing(), headers={"Idempotency-Key": "slash"})
    assert response.status_code == 201
    path = f"requests/{response.json()['id']}"
    assert agent.get(f"{path}/").content == agent.get(path).content
    assert agent.get("requests/").content == agent.get("requests").content
    assert agent.post(f"{path}/withdraw/").status_code == 200


def test_another_method_is_405_and_says_which_are_answered(agent: Caller, executor: Caller) -> None:
    own = agent.file().json()["id"]
    for caller, method, path in [
        (agent, "DELETE", "requests"), (agent, "PUT", f"requests/{own}"), (agent, "PATCH", f"requests/{own}"),
        (agent, "POST", f"requests/{own}"), (agent, "GET", f"requests/{own}/withdraw"), (agent, "OPTIONS", "requests"),
        (executor, "GET", "grants/redeem"),
    ]:  # fmt: skip
        response = caller.http.request(method, f"/api/v1/{path}", headers={"Idempotency-Key": "k"})
        contract.problem(response, "method-not-allowed")
        assert method not in response.headers["allow"]
    assert agent.read(own)["status"] == "pending"


def test_a_decision_is_never_taken_on_get_or_by_any_key(agent: Caller) -> None:
    own = agent.file().json()["id"]
    for verdict in ("approve", "reject", "decide", "decisions"):
        contract.problem(agent.get(f"requests/{own}/{verdict}"), "not-found")
        contract.problem(agent.post(f"requests/{own}/{verdict}", {"verdict": "approve"}), "not-found")
    assert agent.read(own)["status"] == "pending"


# ---- media types
@pytest.mark.parametrize("accept", ["text/html", "application/xml", "application/jsonp, text/plain"])
def test_what_cannot_be_answered_as_asked_is_406(agent: Caller, accept: str) -> None:
    contract.problem(agent.get("requests", headers={"Accept": accept}), "not-acceptable")


@pytest.mark.parametrize("accept", ["*/*", "application/*", "application/json", "text/html, application/json;q=0.1"])
def test_json_is_answered_to_whoever_takes_it(agent: Caller, accept: str) -> None:
    response = agent.get("requests", headers={"Accept": accept})
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")


def test_the_stream_ignores_accept(agent: Caller) -> None:
    path = f"requests/{agent.file('docs.read').json()['id']}/events"
    response = agent.get(path, headers={"Accept": "application/json"})
    assert (response.status_code, response.headers["content-type"]) == (200, "text/event-stream")


@pytest.mark.parametrize(
    "media", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml"]
)
def test_a_body_that_is_not_declared_as_json_is_415(agent: Caller, media: str) -> None:
    headers = {"Content-Type": media, "Idempotency-Key": "k"}
    response = agent.http.post("/api/v1/requests", content=b'{"action":"a.b"}', headers=headers)
    contract.problem(response, "not-json-media-type")


def test_json_with_a_charset_is_json(agent: Caller) -> None:
    headers = {"Content-Type": "application/json; charset=UTF-8"}
    assert agent.post("requests", filing(), key="k", headers=headers).status_code == 201


@pytest.mark.parametrize(
    "body", [b"{", b" ", b"{'a':1}", b"\xff\xfe", b'{"a":1}x', b'\xef\xbb\xbf{"a":1}', b'{"a":01}']
)
def test_a_body_that_is_not_json_is_400(agent: Caller, body: bytes) -> None:
    contract.problem(agent.post("requests", body, key="k"), "not-json")


# ---- the server's own silence
def test_no_answer_names_the_software_or_carries_a_cookie(agent: Caller) -> None:
    for response in (agent.get("requests"), agent.get("nothing"), agent.post("requests", b"{", key="k")):
        assert not {"server", "set-cookie", "x-powered-by", "vary"} & set(response.headers)
        assert response.headers["cache-control"] == "no-store"
