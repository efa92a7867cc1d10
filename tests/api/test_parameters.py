"""What no endpoint takes: unknown and doubled query parameters and encoded bodies; and what `null` and `wait` mean."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from tests.support import contract
from tests.support.live import Caller, filing

ID = "0192f0c0-0000-7000-8000-000000000000"


@pytest.mark.parametrize(
    ("path", "query", "names"),
    [
        ("requests", "limt=5", ["/limt"]),
        ("requests", "limit=5&limit=5", ["/limit"]),
        ("requests", "status=pending&status=approved&x=", ["/status", "/x"]),
        ("requests", "created_after=2026-01-01T00:00:00Z&createdBefore=x", ["/createdBefore"]),
        ("requests", "a%2Fb~=1", ["/a~1b~0"]),
        ("requests", "x%00=1", ["/x\N{REPLACEMENT CHARACTER}"]),
        ("requests/{id}", "wait=1&wait=1", ["/wait"]),
        ("requests/{id}", "wait=1&wiat=30", ["/wiat"]),
        ("requests/{id}/events", "wait=1", ["/wait"]),
    ],
)
def test_get_with_unknown_or_doubled_parameter_is_422(agent: Caller, path: str, query: str, names: list[str]) -> None:
    address = path.format(id=agent.file().json()["id"])
    assert contract.pointers(agent.http.get(f"/api/v1/{address}?{query}")) == names


@pytest.mark.parametrize("path", ["requests", f"requests/{ID}/withdraw", f"requests/{ID}/answer"])
def test_post_with_any_parameter_is_422(agent: Caller, path: str) -> None:
    answer = agent.post(f"{path}?dry_run=1", filing(), key="k")
    assert contract.pointers(answer) == ["/dry_run"]
    assert agent.get("requests").json()["results"] == []


def test_redeem_with_any_parameter_is_422(executor: Caller) -> None:
    answer = executor.post("grants/redeem?really=1", {"grant": "x", "parameters": {}})
    assert contract.pointers(answer) == ["/really"]


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "GZIP", "identity, gzip", "x"])
def test_body_with_content_encoding_is_415(agent: Caller, coding: str) -> None:
    body = gzip.compress(json.dumps(filing()).encode())
    contract.problem(agent.post("requests", body, key="k", headers={"Content-Encoding": coding}), "not-json-media-type")


def test_body_with_identity_encoding_is_taken(agent: Caller) -> None:
    body = json.dumps(filing()).encode()
    assert agent.post("requests", body, key="k", headers={"Content-Encoding": "Identity"}).status_code == 201


def test_null_for_an_optional_member_is_absent(agent: Caller) -> None:
    plain = agent.file(context=None, timeout_seconds=None)
    assert (plain.status_code, plain.json()["context"]) == (201, {})
    context: dict[str, Any] = {"session": None, "sources": None, "tool_calls": [{"tool": None, "status": None}]}
    kept = agent.file(context=context)
    assert (kept.status_code, kept.json()["context"]) == (201, context)
    assert agent.post(f"requests/{plain.json()['id']}/withdraw", {"reason": None}).status_code == 200


def test_null_for_optional_members_of_a_redemption_is_absent(agent: Caller, executor: Caller) -> None:
    body: dict[str, Any] = {"grant": "x", "parameters": {}, "action": None, "resource": None}
    contract.problem(executor.post("grants/redeem", body), "grant-invalid")
    assert agent.get("requests").json()["results"] == []


@pytest.mark.parametrize("member", ["action", "resource", "parameters", "summary", "rationale"])
def test_null_for_a_required_member_is_422(agent: Caller, member: str) -> None:
    fields: dict[str, Any] = {member: None}
    assert contract.pointers(agent.file(**fields)) == [f"/{member}"]
