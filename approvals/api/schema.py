"""How an endpoint is described in the OpenAPI document: its body, answers and problems, said once beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.serializers import Serializer

from agents.problems import MEDIA_TYPE, PROBLEMS
from approvals.api.serializers import ProblemOutput

F = TypeVar("F", bound=Callable[..., Any])
_ALWAYS = (400, 401, 403, 405, 406, 429)


def without_trailing_slash(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """spectacular's hook: addresses as the contract writes them (one with a slash answers too)."""
    result["paths"] = {path.rstrip("/"): said for path, said in result["paths"].items()}
    return result


_ANY_OR_NULL = {"oneOf": [{}, {"type": "null"}]}


def any_value_is_any_value(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """spectacular's hook: a member that may be any JSON value is `{}`. "One of anything and null" refuses null,
    which is both."""
    plain: dict[str, Any] = _plain(result)
    return plain


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {} if node == _ANY_OR_NULL else {name: _plain(member) for name, member in node.items()}
    return [_plain(item) for item in node] if isinstance(node, list) else node


def described(
    summary: str,
    *,
    operation: str,
    answers: Mapping[int, Any],
    problems: Sequence[int],
    body: type[Serializer[Any]] | None = None,
    query: type[Serializer[Any]] | None = None,
    key: bool = False,
    conditional: bool = False,
    last_event_id: bool = False,
) -> Callable[[F], F]:
    """Describe one method. `answers` maps a status to its serializer, to a media type, or to None (no body)."""
    responses: dict[Any, Any] = {}
    for status, shape in answers.items():
        if isinstance(shape, str):
            responses[(status, shape)] = OpenApiTypes.STR
        else:
            responses[status] = OpenApiResponse(shape)
    for status in sorted({*_ALWAYS, *problems}):
        slugs = ", ".join(slug for slug, (code, _) in PROBLEMS.items() if code == status)
        responses[(status, MEDIA_TYPE)] = OpenApiResponse(ProblemOutput, description=slugs)
    parameters: list[Any] = [query] if query else []
    if body is not None:
        parameters.append(
            OpenApiParameter(
                "Idempotency-Key",
                str,
                OpenApiParameter.HEADER,
                required=key,
                description="1–255 visible ASCII characters; the same key and body get the first answer again.",
            )
        )
    if conditional:
        parameters.append(OpenApiParameter("If-None-Match", str, OpenApiParameter.HEADER))
    if last_event_id:
        parameters.append(OpenApiParameter("Last-Event-ID", str, OpenApiParameter.HEADER))
    decorate: Callable[[F], F] = extend_schema(
        summary=summary,
        operation_id=operation,
        request={"application/json": body} if body else None,
        responses=responses,
        parameters=parameters,
    )
    return decorate
