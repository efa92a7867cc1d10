"""What the agents' endpoints share: reading a body by its serializer, and answering an act once a key."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request as APIRequest
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from agents.models import Agent, Credential
from agents.problems import MEDIA_TYPE, FieldError, Problem, pointer
from agents.wire import MAX_ERRORS, dumps, parameter_errors, shown
from approvals.idempotency import Answer, OncePerKey, Replay, fingerprint

R = TypeVar("R")
# As we write ids. `UUID()` and PostgreSQL each take other forms too, and not the same ones.
ID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


@lru_cache(maxsize=64)
def _made(serializer: type[Serializer[Any]]) -> Serializer[Any]:
    return serializer()


def _fields_of(serializer: type[Serializer[Any]], data: dict[str, Any]) -> dict[str, Any]:
    """What `serializer` makes of the data, or DRF's ValidationError. Made once and asked by all: copying its fields for
    each call takes as long as using them, and nothing of a call stays in them."""
    fields: dict[str, Any] = _made(serializer).run_validation(data)
    return fields


class Endpoint(APIView):
    """An endpoint of the agents' API: the key's scopes by method, the limit's headers, no OPTIONS."""

    http_method_names = ["get", "head", "post"]
    #: Which query parameters a method takes, by the serializer that reads them; none where it is not named.
    queries: Mapping[str, type[Serializer[Any]]] = {}

    def initial(self, request: Any, *args: Any, **kwargs: Any) -> None:
        """As DRF, and then what no endpoint takes: an encoded body, and query parameters that it doesn't know."""
        super().initial(request, *args, **kwargs)
        coding = request.headers.get("Content-Encoding", "").strip().lower()
        if coding not in ("", "identity"):
            raise Problem("not-json-media-type", "Send the body as it is, without a Content-Encoding.")
        self._refuse_unknown_parameters(request)

    def _refuse_unknown_parameters(self, request: Any) -> None:
        serializer = self.queries.get("GET" if request.method == "HEAD" else request.method)
        known = _made(serializer).fields if serializer is not None else {}
        errors: list[FieldError] = []
        for name, values in request.query_params.lists():
            if name not in known:
                errors.append({"pointer": pointer(shown(name)), "detail": "This parameter is not known."})
            elif len(values) > 1:
                errors.append({"pointer": pointer(shown(name)), "detail": "This parameter is given more than once."})
        if errors:
            raise Problem("invalid", "A query parameter does not fit.", errors=errors[:MAX_ERRORS])

    def check_permissions(self, request: Any) -> None:
        """As DRF, after the rate limit: a key that may not do this has a limit all the same."""
        super().check_throttles(request)
        super().check_permissions(request)

    def check_throttles(self, request: Any) -> None:
        """Done with the permissions."""

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        """As DRF, with the rate limit's headers on every answer."""
        response = super().finalize_response(request, response, *args, **kwargs)
        for name, value in getattr(request, "limit_headers", {}).items():
            response.headers.setdefault(name, value)
        response.headers.pop("Vary", None)
        response.headers["Cache-Control"] = "no-store"
        return response

    @property
    def credential(self) -> Credential:
        """The caller's key."""
        credential: Credential = self.request.auth  # type: ignore[assignment]  # HasScope lets nothing else through
        return credential

    @property
    def agent(self) -> Agent:
        """The agent whose key this is; an executor's or an auditor's key sees no requests: 404."""
        if self.credential.agent is None:
            raise Problem("not-found", "There is nothing here that this key may see.")
        return self.credential.agent

    def body(self, serializer: type[Serializer[Any]]) -> dict[str, Any]:
        """The posted body, validated; the problem `invalid` with pointers otherwise."""
        raw: bytes = self.request._request.body  # before DRF reads the stream: a key's fingerprint is over the bytes
        if len(raw) > settings.API_BODY_LIMIT_BYTES:  # the ASGI front refuses it earlier, while it is received
            raise Problem("too-large", "A body may be 256 KiB at most.")
        if not raw.strip():  # DRF would take it for an empty object, whatever its media type
            raise Problem("not-json", "Send a JSON object as the body.")
        data = self.request.data
        if not isinstance(data, dict):
            raise Problem(
                "invalid", "The body must be a JSON object.", errors=[{"pointer": "", "detail": "An object."}]
            )
        errors: list[FieldError] = []  # looked for first: what is too large or too deep is not worth validating
        for name in ("parameters", "context", "detail", "tool_calls"):
            if isinstance(data.get(name), (dict, list)):
                errors += parameter_errors(data[name], at=(name,))
        if errors:
            raise Problem("invalid", "What was sent does not fit.", errors=errors)
        return _fields_of(serializer, data)

    def query(self, serializer: type[Serializer[Any]]) -> dict[str, Any]:
        """The query string, validated; the problem `invalid` otherwise. NUL is refused as in bodies."""
        parameters = self.request.query_params
        if any("\x00" in value for value in parameters.values()):
            raise Problem("invalid", "NUL is not allowed in text.")
        return _fields_of(serializer, parameters.dict())

    def answer_once(
        self,
        act: Callable[[OncePerKey | None], R],
        render: Callable[[R], Answer],
        *,
        key_required: bool = False,
    ) -> Response:
        """Run a verb under the caller's Idempotency-Key, where one was sent, and answer it.

        A replay says `Idempotency-Replayed: true`. Raises 400 `idempotency-key-missing` where a key is required and
        missing, or is not 1–255 visible ASCII characters.
        """
        key = self.request.headers.get("Idempotency-Key")
        if key is None and not key_required:
            return as_response(render(act(None)))
        if key is None or not _KEY.fullmatch(key):
            raise Problem("idempotency-key-missing", "Send an Idempotency-Key of 1 to 255 visible ASCII characters.")
        raw = self.request._request
        once = OncePerKey(
            holder=self.credential.holder,
            key=key,
            fingerprint=fingerprint(str(raw.method), raw.path.rstrip("/"), raw.body),
            render=render,
            refuse=lambda problem: Answer(
                problem.status, dumps(problem.document()), {"Content-Type": MEDIA_TYPE, **problem.headers}
            ),
        )
        try:
            result = act(once)
        except Replay as replay:
            response = as_response(replay.answer)
            response.headers["Idempotency-Replayed"] = "true"
            return response
        return as_response(once.answer or render(result))


def as_response(answer: Answer) -> Response:
    """An answer's bytes as DRF's response."""
    headers = dict(answer.headers)
    media_type = headers.pop("Content-Type", "application/json")
    response = Response(answer.body, status=answer.status, headers=headers)
    response.content_type = media_type
    return response


class OneMediaType(BaseContentNegotiation):
    """For endpoints that can only answer one media type: `Accept` is ignored."""

    def select_parser(self, request: APIRequest, parsers: Any) -> Any:
        """The first parser."""
        return parsers[0] if parsers else None

    def select_renderer(self, request: APIRequest, renderers: Any, format_suffix: str | None = None) -> Any:
        """The first renderer."""
        return renderers[0], renderers[0].media_type


def parse_id(text: str) -> UUID:
    """An id in a path or a cursor; what is not one is not found."""
    try:
        return UUID(text)
    except ValueError as error:
        raise Problem("not-found", "There is nothing here that this key may see.") from error
