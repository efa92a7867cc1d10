"""Filing: what is accepted, what is answered, and what each field may be."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import pytest
import rfc8785

from agents import registration
from agents.models import Agent, Scope
from tests.support import contract, services
from tests.support.cast import SETTING_UP, Cast
from tests.support.forging import forging
from tests.support.live import Caller, filing


def test_a_filing_is_answered_201_with_its_place_its_validator_and_the_whole_request(agent: Caller) -> None:
    body = filing(context={"session": "s-91", "ticket": {"unknown": [1, None]}})
    response = agent.post("requests", body, key="k-1")
    assert response.status_code == 201
    assert response.headers["content-type"] == "application/json"
    document = contract.request(response.json(), "pending")
    assert response.headers["location"] == f"/api/v1/requests/{document['id']}"
    assert {name: document[name] for name in body} == body
    again = agent.get(f"requests/{document['id']}")
    assert again.content == response.content
    assert again.headers["etag"] == response.headers["etag"]
    assert response.headers["etag"].startswith('"')


def test_the_digest_is_of_the_canonical_parameters(agent: Caller) -> None:
    document = agent.post(
        "requests", b'{"action":"a.b","resource":"r","parameters":{"b":1.0,"a":"\\u00e9","c":-0.0},'
        b'"summary":"s","rationale":"because"}', key="k"
    ).json()  # fmt: skip
    assert rfc8785.dumps(document["parameters"]) == '{"a":"é","b":1,"c":0}'.encode()
    digest = hashlib.sha256('{"a":"é","b":1,"c":0}'.encode()).hexdigest()
    assert document["parameters_digest"] == f"sha256:{digest}"


def test_without_a_context_an_empty_one_is_answered(agent: Caller) -> None:
    assert agent.file().json()["context"] == {}


@pytest.mark.parametrize(
    ("action", "status", "reason", "retry"),
    [
        ("docs.read", "approved", "Allowed.", None),
        ("backup.delete", "blocked", "Backups are not deleted by agents.", "never"),
        ("unknown.thing", "blocked", "This action is not open to you.", "later"),
    ],
)
def test_policy_answers_at_once_where_it_asks_nobody(
    agent: Caller, action: str, status: str, reason: str, retry: str | None
) -> None:
    filed = agent.file(action)
    document = contract.request(filed.json(), status)
    again = agent.get(f"requests/{document['id']}")
    assert (again.content, again.headers["etag"]) == (filed.content, filed.headers["etag"])
    decision = document["decision"]
    assert (decision["reason"], decision["retry"], decision["stop"]) == (reason, retry, False)
    assert decision["decided_at"] == document["created_at"]
    assert (document["grant"] is not None) == (status == "approved")


def test_parameters_that_do_not_fit_the_action_are_blocked_and_may_be_changed(agent: Caller) -> None:
    decision = agent.file(parameters={"amount_cents": 0, "currency": "USD"}).json()["decision"]
    assert (decision["outcome"], decision["retry"]) == ("blocked", "changed")


def test_an_unknown_action_and_one_that_is_not_permitted_are_told_apart_by_nothing(agent: Caller, cast: Cast) -> None:
    low = registration.register_agent(by=SETTING_UP, slug="low", purpose="p", owner=cast["owner1"], level=1)
    _, key = registration.issue_credential(by=SETTING_UP, holder=low, scopes=(Scope.FILE, Scope.READ))
    caller = Caller(str(agent.http.base_url), key)
    parameters = {"to": "a@b.example", "subject": "s", "body": "b"}
    permitted, unknown = (
        caller.post("requests", filing(action, resource="r", parameters=parameters), key=action)
        for action in ("email.send", "email.none")
    )

    def told(response: Any) -> tuple[Any, ...]:
        document = response.json()
        decided = contract.moment(document["decision"]["decided_at"]) - contract.moment(document["created_at"])
        lasts = contract.moment(document["expires_at"]) - contract.moment(document["created_at"])
        own = {"id", "action", "created_at", "expires_at", "decision"}
        decision = {**document["decision"], "decided_at": decided}
        names = sorted(name for name in response.headers if name not in ("date", "location", "ratelimit"))
        return decision, lasts, {k: v for k, v in document.items() if k not in own}, names, response.headers["etag"]

    assert told(permitted) == told(unknown)
    assert len(permitted.content) == len(unknown.content)


def test_an_agent_can_shorten_its_time_and_never_lengthen_it(agent: Caller) -> None:
    def lasts(**fields: Any) -> timedelta:
        document = agent.file(**fields).json()
        return contract.moment(document["expires_at"]) - contract.moment(document["created_at"])

    assert lasts() == timedelta(minutes=30)
    assert lasts(timeout_seconds=90) == timedelta(seconds=90)
    assert lasts(timeout_seconds=604_800) == timedelta(minutes=30)


_FITS: list[dict[str, Any]] = [
    {"action": "a.b"},
    {"action": "a." + "b" * 98},
    {"action": "a_1.b2.c_"},
    {"resource": "é" * 500},
    {"summary": "𝄞" * 200},
    {"rationale": "x" * 8_000},
    {"rationale": "  two\nlines "},
    {"timeout_seconds": 1},
    {"timeout_seconds": 604_800},
    {"timeout_seconds": 60.0},
    {"parameters": {}},
    {"context": {"sources": [{"uri": "u", "digest": "d", "more": 1}], "tool_calls": [{"tool": "t", "status": 200}]}},
]


def test_what_lies_within_the_limits_is_taken(agent: Caller) -> None:
    for fields in _FITS:
        response = agent.file(**{"action": "unknown.thing", **fields})
        assert response.status_code == 201, (fields, response.text)
        document = response.json()
        assert all(document[name] == value for name, value in fields.items() if name != "timeout_seconds")


_DOES_NOT_FIT: list[tuple[str, Any]] = [
    ("action", "refund"),
    ("action", "Refund.create"),
    ("action", "refund..create"),
    ("action", ".refund"),
    ("action", "refund.create\n"),
    ("action", "réfund.create"),
    ("action", "1a.b"),
    ("action", "a." + "b" * 99),
    ("action", 7),
    ("action", None),
    ("resource", "r" * 501),
    ("resource", ""),
    ("resource", ["r"]),
    ("parameters", []),
    ("parameters", "{}"),
    ("parameters", None),
    ("summary", "s" * 201),
    ("summary", "two\nlines"),
    ("summary", "two\rlines"),
    ("summary", "a line's end\u2028"),
    ("summary", ""),
    ("rationale", "r" * 8_001),
    ("rationale", " \n\t "),
    ("rationale", True),
    ("context", []),
    ("timeout_seconds", 0),
    ("timeout_seconds", 604_801),
    ("timeout_seconds", 1.5),
    ("timeout_seconds", "60"),
    ("timeout_seconds", True),
    ("reviewer", "support1@example.test"),
    ("status", "approved"),
]


def test_what_does_not_fit_is_422_and_points_at_the_field(agent: Caller) -> None:
    for name, value in _DOES_NOT_FIT:
        assert contract.pointers(agent.file(**{name: value})) == [f"/{name}"], (name, value)
    assert agent.get("requests").json()["results"] == []


@pytest.mark.parametrize("name", ["action", "resource", "parameters", "summary", "rationale"])
def test_a_required_field_that_is_missing_is_pointed_at(agent: Caller, name: str) -> None:
    body = filing()
    del body[name]
    assert contract.pointers(agent.post("requests", body, key="k")) == [f"/{name}"]


def test_every_fault_of_a_body_is_named_at_once_those_of_unknown_members_too(agent: Caller) -> None:
    body = filing(action="BAD", summary="two\nlines", urgency="high")
    assert contract.pointers(agent.post("requests", body, key="k")) == ["/action", "/summary", "/urgency"]


def test_what_is_wrong_inside_the_context_is_pointed_at_where_it_stands(agent: Caller) -> None:
    response = agent.file(context={"session": 1, "sources": [{"uri": "ok"}, {"uri": 2}], "tool_calls": "none"})
    assert contract.pointers(response) == ["/context/session", "/context/sources/1/uri", "/context/tool_calls"]


def test_a_body_that_is_no_object_is_422(agent: Caller) -> None:
    for body in (b"[]", b'"text"', b"1", b"null"):
        assert contract.pointers(agent.post("requests", body, key="k")) == [""]


def test_a_suspended_agents_filing_is_blocked_and_told_to_stop(agent: Caller, cast: Cast) -> None:
    with forging():
        Agent.objects.filter(pk=cast.agent.pk).update(state="suspended")
    decision = contract.request(agent.file("docs.read").json(), "blocked")["decision"]
    assert (decision["retry"], decision["stop"]) == ("never", True)


def test_without_a_policy_nothing_is_allowed(agent: Caller, cast: Cast) -> None:
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        owner.execute("DELETE FROM approvals_policyactivation")
    decision = contract.request(agent.file("docs.read").json(), "blocked")["decision"]
    assert decision["retry"] == "later"


@pytest.mark.parametrize("member", ["resource", "summary"])
@pytest.mark.parametrize("text", [" x", "x ", "x\u00a0", "\u200bx", "x\u202e", "x\ufe0f", "\u3164x"])
def test_file_with_an_unseen_end_of_resource_or_summary_is_422(agent: Caller, member: str, text: str) -> None:
    assert contract.pointers(agent.file(**{member: text})) == [f"/{member}"]
