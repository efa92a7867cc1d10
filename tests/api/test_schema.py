"""The OpenAPI document: valid, whole, and true: no answer of the running API that it does not declare."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support import contract, sealing
from tests.support.cast import Cast
from tests.support.live import Caller, Server, web

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
OPERATIONS = {
    ("post", "/api/v1/requests"),
    ("get", "/api/v1/requests"),
    ("get", "/api/v1/requests/{id}"),
    ("get", "/api/v1/requests/{id}/events"),
    ("post", "/api/v1/requests/{id}/answer"),
    ("post", "/api/v1/requests/{id}/withdraw"),
    ("post", "/api/v1/requests/{id}/outcome"),
    ("post", "/api/v1/requests/{id}/activity"),
    ("post", "/api/v1/grants/redeem"),
}


@pytest.fixture
def document(server: Server, cast: Cast) -> dict[str, Any]:
    """The document as it is served, to whoever asks."""
    response = httpx.get(f"{server.url}/api/v1/schema", headers={"Accept": "text/html"}, trust_env=False)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("application/json")
    served: dict[str, Any] = response.json()
    return served


def test_it_is_openapi_3_1_and_describes_every_endpoint_of_the_contract(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    described = {(method, path) for path, methods in document["paths"].items() for method in methods}
    assert described == OPERATIONS
    ids = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(ids) == len(set(ids))


def test_each_schema_in_it_is_a_json_schema_and_each_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for shape in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(shape)

    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [one for value in node.values() for one in references(value)]
        return [one for item in node for one in references(item)] if isinstance(node, list) else []

    for reference in references(document):
        target: Any = document
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]
        assert target


def test_every_operation_declares_its_key_and_the_problems_of_the_contract(document: dict[str, Any]) -> None:
    assert [one for one in document["components"]["securitySchemes"].values() if one.get("scheme") == "bearer"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            responses = operation["responses"]
            assert {"401", "403", "429"} <= set(responses), (method, path)
            assert operation["security"], (method, path)
            for status, response in responses.items():
                if int(status) >= 400:
                    assert list(response["content"]) == ["application/problem+json"], (method, path, status)
            if method == "post":
                names = {one["name"]: one for one in operation["parameters"]}
                assert names["Idempotency-Key"].get("required", False) == (path == "/api/v1/requests")
                assert {"409", "413", "415", "422", "503"} <= set(responses)


def test_a_real_answer_fits_its_schema(document: dict[str, Any], agent: Caller) -> None:
    shape = {**document["components"]["schemas"]["RequestOutput"], "components": document["components"]}
    for action in ("docs.read", "refund.create", "backup.delete"):
        context = {"more": [None, {"a": None}]}
        filed = agent.file(action, context=context).json()
        assert sorted(shape["properties"]) == sorted(contract.REQUEST)
        Draft202012Validator(shape).validate(filed)


def test_the_page_drawn_from_it_is_plain_html_under_the_content_policy(server: Server, cast: Cast) -> None:
    page = httpx.get(f"{server.url}/api/v1/docs", trust_env=False)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    for path in ("/api/v1/requests/{id}/withdraw", "/api/v1/grants/redeem"):
        assert path in page.text
    assert "<script>" not in page.text
    assert "cdn" not in page.text.lower()


def test_schemathesis_finds_no_5xx_and_no_undeclared_answer(document: dict[str, Any], cast: Cast) -> None:
    seen: dict[str, set[int]] = {}
    with web(API_RATE_PER_SECOND="100000", API_RATE_BURST="100000") as server, sealing.running():
        filed = Caller(server.url, cast.keys["agent"]).file("docs.read").json()
        for found in schemathesis.openapi.from_dict(document).get_all_operations():
            operation: Any = found.ok()  # type: ignore[union-attr]  # the document is a valid one
            key = cast.keys["executor" if operation.path.endswith("redeem") else "agent"]
            ask(operation, server, key, filed["id"], seen)
    assert set(seen) == {f"{method.upper()} {path}" for method, path in OPERATIONS}
    assert 201 in seen["POST /api/v1/requests"]
    assert {200, 404} <= seen["GET /api/v1/requests/{id}"]


def ask(operation: Any, server: Server, key: str, own: str, seen: dict[str, set[int]]) -> None:
    """Ask one operation what Hypothesis can think of, half the time of a request that is there."""

    @settings(
        max_examples=25,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), there=st.booleans())
    def once(case: Any, there: bool) -> None:
        if case.query and "wait" in case.query:
            case.query["wait"] = 0  # what a wait answers is a read's; an hour of them is not needed
        if there and case.path_parameters:
            case.path_parameters["id"] = own
        response = case.call(base_url=server.url, headers={"Authorization": f"Bearer {key}"}, timeout=30)
        # An event stream is text to the document; schemathesis would have its events in it.
        checks = CHECKS[:-1] if operation.path.endswith("/events") else CHECKS
        case.validate_response(response, checks=checks)
        seen.setdefault(operation.label, set()).add(response.status_code)

    once()
