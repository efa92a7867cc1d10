"""The OpenAPI document and a readable page drawn from it on the server. Neither needs a key."""

from __future__ import annotations

from functools import lru_cache
from threading import Lock
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator
from rest_framework.permissions import AllowAny
from rest_framework.request import Request as APIRequest
from rest_framework.response import Response

from approvals.api.base import Endpoint, OneMediaType

_one_at_a_time = Lock()  # drf_spectacular loads itself while it draws, and a second thread finds it half loaded


def document() -> dict[str, Any]:
    """The OpenAPI 3.1 document; made once a process, since code does not change under it."""
    with _one_at_a_time:
        return _drawn()


@lru_cache(maxsize=1)
def _drawn() -> dict[str, Any]:
    from django.urls import include, path

    schema: dict[str, Any] = SchemaGenerator(patterns=[path("api/v1/", include("approvals.api.urls"))]).get_schema(
        request=None, public=True
    )
    return schema


class Schema(Endpoint):
    """`/api/v1/schema`."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = ()
    content_negotiation_class = OneMediaType
    schema = None

    def get(self, request: APIRequest) -> Response:
        """The document as JSON."""
        return Response(document())


@login_not_required
@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """`/api/v1/docs`: every operation on one page, in the order of the addresses."""
    schema = document()
    operations = [
        {
            "method": method.upper(),
            "path": path,
            "summary": operation.get("summary", ""),
            "description": operation.get("description", ""),
            "parameters": operation.get("parameters", []),
            "body": _properties(schema, _content(operation.get("requestBody", {}))),
            "responses": [
                {"status": status, "text": _said(response)}
                for status, response in operation.get("responses", {}).items()
            ],
        }
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]
    return render(request, "approvals/docs.html", {"schema": schema, "operations": operations})


def _content(described: dict[str, Any]) -> dict[str, Any]:
    first: dict[str, Any] = next(iter(described.get("content", {}).values()), {})
    shape: dict[str, Any] = first.get("schema", {})
    return shape


def _said(response: dict[str, Any]) -> str:
    media = ", ".join(response.get("content", {}))
    return " · ".join(part for part in (response.get("description", ""), media) if part)


def _properties(schema: dict[str, Any], shape: dict[str, Any]) -> list[dict[str, Any]]:
    reference = shape.get("$ref", "")
    if reference:
        shape = schema["components"]["schemas"][reference.rsplit("/", 1)[-1]]
    required = shape.get("required", [])
    return [
        {"name": name, "required": name in required, "type": _type(said), "limits": _limits(said)}
        for name, said in shape.get("properties", {}).items()
    ]


def _type(said: dict[str, Any]) -> str:
    kind = said.get("type")
    if isinstance(kind, list):
        return " or ".join(str(one) for one in kind)
    return str(kind or said.get("$ref", "").rsplit("/", 1)[-1] or "any")


def _limits(said: dict[str, Any]) -> str:
    names = {"minLength": "at least", "maxLength": "at most", "minimum": "from", "maximum": "to"}
    return ", ".join(f"{word} {said[name]}" for name, word in names.items() if name in said)
