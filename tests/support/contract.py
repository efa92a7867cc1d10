"""The contract's shapes, for tests to hold answers against: a request, a problem, a time, an id.

Written from the contract and not from the code: nothing here imports what it measures.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import httpx

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
REQUEST = [
    "id",
    "status",
    "action",
    "resource",
    "parameters",
    "parameters_digest",
    "summary",
    "rationale",
    "context",
    "created_at",
    "expires_at",
    "question",
    "decision",
    "grant",
    "outcome",
]
QUESTION = ["id", "text", "asked_at", "answer"]
DECISION = ["outcome", "decided_at", "reason", "retry", "stop", "parameters", "amended", "valid_until"]
FINAL = ("approved", "rejected", "expired", "blocked", "withdrawn")
STATUS_OF = {
    "not-json": 400,
    "idempotency-key-missing": 400,
    "unauthenticated": 401,
    "missing-scope": 403,
    "not-found": 404,
    "method-not-allowed": 405,
    "not-acceptable": 406,
    "in-progress": 409,
    "not-pending": 409,
    "already-redeemed": 409,
    "outcome-already-reported": 409,
    "not-redeemed": 409,
    "no-question": 409,
    "grant-lapsed": 410,
    "too-large": 413,
    "not-json-media-type": 415,
    "invalid": 422,
    "idempotency-key-reused": 422,
    "parameters-mismatch": 422,
    "grant-invalid": 422,
    "too-many-requests": 429,
    "evidence-unavailable": 503,
    "busy": 503,
}


def problem(response: httpx.Response, slug: str) -> dict[str, Any]:
    """The problem document, after holding status, media type and members against the contract."""
    assert response.status_code == STATUS_OF[slug], (response.status_code, response.text)
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document["type"] == f"urn:countersign:problem:{slug}", document
    assert document["status"] == response.status_code
    assert document["title"]
    assert document["detail"]
    return document


def pointers(response: httpx.Response, slug: str = "invalid") -> list[str]:
    """Where the problem says the body does not fit, in order of the pointers."""
    errors = problem(response, slug).get("errors", [])
    assert all(set(error) == {"pointer", "detail"} and error["detail"] for error in errors), errors
    return sorted(error["pointer"] for error in errors)


def moment(text: str) -> datetime:
    """A time of the contract as a datetime, its format checked."""
    assert TIME.fullmatch(text), text
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


def question(document: dict[str, Any] | None) -> dict[str, Any] | None:
    """The newest question of a request, or None, its members held against the contract."""
    if document is not None:
        assert list(document) == QUESTION
        assert UUID7.fullmatch(document["id"])
        assert document["text"].strip()
        asked = moment(document["asked_at"])
        if document["answer"] is not None:
            assert list(document["answer"]) == ["text", "at"]
            assert document["answer"]["text"].strip()
            assert moment(document["answer"]["at"]) >= asked
    return document


def request(document: dict[str, Any], status: str, *, amended: bool = False) -> dict[str, Any]:
    """The document, after holding every member of it against the contract; `amended`: with changes."""
    assert list(document) == REQUEST
    assert document["status"] == status, document
    assert UUID7.fullmatch(document["id"])
    assert DIGEST.fullmatch(document["parameters_digest"])
    assert moment(document["created_at"]) < moment(document["expires_at"])
    question(document["question"])
    if status == "pending":
        assert (document["decision"], document["grant"], document["outcome"]) == (None, None, None)
        return document
    decision = document["decision"]
    assert list(decision) == DECISION
    assert decision["outcome"] == status
    assert moment(decision["decided_at"]) <= moment(document["expires_at"])
    assert decision["reason"].strip()
    assert isinstance(decision["stop"], bool)
    assert decision["amended"] is amended
    if status == "approved":
        assert decision["retry"] is None
        assert (decision["parameters"] == document["parameters"]) is not amended
        assert moment(decision["valid_until"]) > moment(decision["decided_at"])
    else:
        assert decision["retry"] in ("never", "changed", "later")
        assert (decision["parameters"], decision["valid_until"], document["grant"]) == (None, None, None)
    return document
