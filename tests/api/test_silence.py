"""What an agent is never told: who decides, which team, how many, by which rule; in no answer of any kind."""

from __future__ import annotations

import re
from typing import Any

import httpx
import jwt
import pytest

from approvals.models import Request
from tests.support import contract, sealing
from tests.support.cast import FULL_NAMES, PEOPLE, TEAMS, Cast, decide, demo_policy, make_cast, overdue
from tests.support.live import Caller


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    """Everybody."""
    return make_cast()


def forbidden() -> re.Pattern[str]:
    """Anything that names a person, a team, a rule, or speaks of policy or numbers of people."""
    policy = "\n".join(demo_policy().values())
    rules = re.findall(r'@id\("([^"]+)"\)', policy)
    because = re.findall(r'@because\("([^"]+)"\)', policy)
    controls = re.findall(r'@control\("([^"]+)"\)', policy)
    words = [*PEOPLE, *FULL_NAMES.values(), *TEAMS, "example.test", *rules, *because, *controls]
    words += ["quorum", "reviewer", "approver", "policy", "cedar", "permit", "forbid", "threshold", "catalogue"]
    words += ["risk_unknown", "people_floor", "matched", "ruling", "deployment", "phase", "observe", "level"]
    return re.compile("|".join(re.escape(word) for word in words), re.IGNORECASE)


def scan(response: httpx.Response, pattern: re.Pattern[str]) -> None:
    """Hold an answer's body, the claims of its grant and its own headers against the pattern."""
    own = {name: value for name, value in response.headers.items() if name != "content-security-policy"}
    said = [response.text, *own.values()]
    for token in re.findall(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", response.text):
        said.append(repr(jwt.decode(token, options={"verify_signature": False})))
    for text in said:
        found = pattern.search(text)
        assert found is None, (found, response.request.method, response.request.url, text)


def body(action: str, **more: Any) -> dict[str, Any]:
    """Fields that say nothing of ours themselves."""
    return {"summary": "s", "rationale": "because", "resource": "r", **more}


def test_no_answer_to_an_agent_names_a_person_a_team_a_number_or_a_rule(
    agent: Caller, executor: Caller, cast: Cast
) -> None:
    pattern, answers = forbidden(), []
    say = "We have looked at this with care."

    def file(action: str, **more: Any) -> dict[str, Any]:
        response = agent.file(action, **body(action, **more))
        answers.append(response)
        document: dict[str, Any] = response.json()
        return document

    def row(document: dict[str, Any]) -> Request:
        return Request.objects.get(pk=document["id"])

    with sealing.running():
        allowed, blocked, unknown = file("docs.read"), file("backup.delete"), file("unknown.thing")
        file("refund.create", parameters={"amount_cents": 0})
        file("docs.read", parameters={"path": "/a", "extra": 1})
        waiting = file("customer.export", resource="w")
        half = file("refund.create", parameters={"amount_cents": 99_999, "currency": "USD"})
        decide(row(half), cast["finance1"], rationale=say, note="Ask finance2 as well.")
        answers.append(agent.get(f"requests/{half['id']}"))
        whole = file("refund.create", parameters={"amount_cents": 77_777, "currency": "USD"})
        decide(row(whole), cast["finance1"], rationale=say)
        decide(row(whole), cast["finance2"], rationale=say)
        no = file("refund.create", resource="no")
        decide(row(no), cast["support1"], "reject", rationale=say, note="As owner1 asked.", reason_code="not-needed")
        file("refund.create", resource="no")  # repeats a denial
        late = file("email.send", resource="late")
        overdue(row(late))
        back = file("email.send", resource="back")
        answers.append(agent.post(f"requests/{back['id']}/withdraw", {}))
        approved = agent.read(whole["id"])
        grant = {"grant": approved["grant"], "parameters": approved["parameters"]}
        answers += [
            executor.post("grants/redeem", {**grant, "parameters": {}}),
            executor.post("grants/redeem", grant),
            executor.post("grants/redeem", grant),
            executor.post(f"requests/{whole['id']}/outcome", {"result": "succeeded"}),
            agent.post(f"requests/{waiting['id']}/answer", {"question": "q", "text": "t"}),
            agent.post(f"requests/{no['id']}/withdraw", {}),
            agent.post(f"requests/{waiting['id']}/activity", {"tool_calls": [{"tool": "t"}]}),
            agent.post("requests", {}, key="k"),
        ]
        listed = agent.get("requests", limit=100)
        for document in (allowed, blocked, unknown, waiting, half, whole, no, late, back):
            answers.append(agent.get(f"requests/{document['id']}"))
        answers.append(agent.get(f"requests/{late['id']}/events"))
    assert {one["status"] for one in listed.json()["results"]} == {"pending", *contract.FINAL}
    for response in [*answers, listed]:
        scan(response, pattern)
    decisions = [one["decision"] for one in listed.json()["results"] if one["decision"]]
    assert all(not re.search(r"\d", one["reason"]) for one in decisions)


def test_half_a_quorum_looks_to_the_agent_exactly_like_none(agent: Caller, cast: Cast) -> None:
    document = agent.file(parameters={"amount_cents": 50_000, "currency": "USD"}).json()
    path = f"requests/{document['id']}"
    before = agent.get(path)
    with sealing.running():
        decide(Request.objects.get(pk=document["id"]), cast["finance1"], rationale="We have looked at this with care.")
    after = agent.get(path)
    assert after.content == before.content
    assert after.headers["etag"] == before.headers["etag"]


def test_a_key_says_nothing_of_where_or_what_it_is_for(cast: Cast) -> None:
    shape = re.compile(r"csk_[0-9A-Za-z]{8}_[0-9A-Za-z]{49}")
    assert all(shape.fullmatch(key) for key in cast.keys.values())
