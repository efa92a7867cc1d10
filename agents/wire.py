"""JSON in and out of the API: parsed so that it has one meaning, errors as RFC 9457. No rule of the domain is here."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import islice
from typing import IO, Any

from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.response import Response

from agents.problems import MEDIA_TYPE, FieldError, Problem, pointer
from audit.entries import EvidenceUnavailable

MAX_SAFE_INTEGER = 2**53 - 1
MAX_DEPTH = 32
MAX_VALUES = 5_000
MAX_VALUES_OF_A_BODY = 20_000  # counted before anything is validated: an error an item would be a bomb
RESERVED_NAMES = frozenset({"__entity", "__extn", "__expr"})  # policy engines read these as escapes
MAX_ERRORS = 20  # enough to mend a body by; a hostile one cannot make the answer long


class _Members(dict[str, Any]):
    """An object as parsed, with the names that stood in it more than once."""

    repeated: tuple[str, ...] = ()


def _members(pairs: list[tuple[str, Any]]) -> _Members:
    members = _Members(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        members.repeated = tuple({name for name, _ in pairs if name in seen or seen.add(name)})  # type: ignore[func-returns-value]
    return members


class _Constant(float):
    """NaN, Infinity or -Infinity, which are not JSON."""


def _integer(digits: str) -> int | float:
    """An integer; one of hundreds of digits as the infinity that a double makes of it. Python would refuse over
    4 300 digits as no number at all, and it is one, only too large: 422 and not 400."""
    return int(digits) if len(digits) < 400 else float(digits)


def parse_json(raw: bytes) -> Any:
    """The body, or a problem: 400 where it is not JSON, 422 with pointers where it has no single meaning.

    Refused anywhere: NUL and lone surrogates in strings, duplicate object names, NaN and Infinity.
    """
    try:
        text = raw.decode("utf-8")
        body = json.loads(text, object_pairs_hook=_members, parse_constant=_Constant, parse_int=_integer)
    except RecursionError as error:  # it may well be JSON; it is deeper than anything here may be
        too_deep: FieldError = {"pointer": "", "detail": f"Nested more than {MAX_DEPTH} deep."}
        raise Problem("invalid", "The body is nested too deeply.", errors=[too_deep]) from error
    except ValueError as error:
        sentence = str(error).splitlines()[0]
        raise Problem("not-json", f"The body could not be read as JSON in UTF-8: {sentence}") from error
    errors = list(islice(_ambiguities(body), MAX_ERRORS))
    if errors:
        raise Problem("invalid", "The body does not have one meaning.", errors=errors)
    return body


def _ambiguities(body: Any) -> Iterator[FieldError]:
    """What would let two readers of the body differ, by pointer; walks without recursion."""
    stack: list[tuple[tuple[str | int, ...], Any]] = [((), body)]
    count = 0
    while stack:
        path, value = stack.pop()
        count += 1
        if count > MAX_VALUES_OF_A_BODY:
            yield {"pointer": "", "detail": f"At most {MAX_VALUES_OF_A_BODY} values in a body."}
            return
        if isinstance(value, str):
            if detail := _bad_text(value):
                yield {"pointer": pointer(*path), "detail": detail}
        elif isinstance(value, float):
            if isinstance(value, _Constant) or not math.isfinite(value):
                yield {"pointer": pointer(*path), "detail": "NaN and Infinity are not numbers in JSON."}
        elif isinstance(value, dict):
            for name in getattr(value, "repeated", ()):
                yield {
                    "pointer": pointer(*path, shown(name)),
                    "detail": "This name stands in the object more than once.",
                }
            for name, member in value.items():
                if detail := _bad_text(name):
                    yield {"pointer": pointer(*path, shown(name)), "detail": detail}
                stack.append(((*path, shown(name)), member))
        elif isinstance(value, list):
            stack.extend(((*path, index), item) for index, item in enumerate(value))


def _bad_text(text: str) -> str | None:
    if "\x00" in text:
        return "NUL is not allowed in text."
    if any("\ud800" <= character <= "\udfff" for character in text):
        return "A lone surrogate is not a character."
    return None


def shown(name: str) -> str:
    """A name as an answer can carry it: without NUL and halves of surrogate pairs."""
    return name.encode("utf-8", "replace").decode("utf-8").replace("\x00", "�")


def parameter_errors(
    parameters: dict[str, Any] | list[Any], at: tuple[str | int, ...] = ("parameters",)
) -> list[FieldError]:
    """What the contract refuses in `parameters`: depth over 32, more than 5 000 values, integers beyond ±(2^53−1),
    and the names that policy engines read as escapes."""
    errors: list[FieldError] = []
    count = 0
    stack: list[tuple[tuple[str | int, ...], Any, int]] = [(at, parameters, 1)]
    while stack and len(errors) < MAX_ERRORS:
        path, value, depth = stack.pop()
        count += 1
        if count > MAX_VALUES:
            errors.append({"pointer": pointer(*at), "detail": f"At most {MAX_VALUES} values."})
            break
        if isinstance(value, (dict, list)):
            if depth > MAX_DEPTH:
                errors.append({"pointer": pointer(*path), "detail": f"Nested more than {MAX_DEPTH} deep."})
                continue
            if isinstance(value, dict):
                errors += [
                    {"pointer": pointer(*path, name), "detail": "This name is reserved."}
                    for name in value
                    if name in RESERVED_NAMES
                ]
                stack.extend(((*path, name), member, depth + 1) for name, member in value.items())
            else:
                stack.extend(((*path, index), item, depth + 1) for index, item in enumerate(value))
        elif _is_unsafe_integer(value):
            errors.append({"pointer": pointer(*path), "detail": "Integers must lie within ±(2^53−1)."})
    return errors


def _is_unsafe_integer(value: Any) -> bool:
    """Whether the number's RFC 8785 form is an integer that not every reader holds exactly."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    if isinstance(value, int):
        return abs(value) > MAX_SAFE_INTEGER
    return value.is_integer() and MAX_SAFE_INTEGER < abs(value) < 1e21  # from 1e21 the form has an exponent


class StrictJSONParser(BaseParser):
    """DRF's hook for `parse_json`."""

    media_type = "application/json"

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None) -> Any:
        """The parsed body; an empty one is an empty object's absence: 400."""
        return parse_json(stream.read())


def dumps(value: Any) -> bytes:
    """JSON as it goes out: UTF-8, compact, members in the order given."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")


class JSONRenderer(BaseRenderer):
    """DRF's hook for `dumps`; problems keep the media type set on the response."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        """The body's bytes; bytes are passed as they are, so that a remembered answer is the same to the byte."""
        if data is None:
            return b""
        return data if isinstance(data, bytes) else dumps(data)


def problem_response(problem: Problem) -> Response:
    """A problem as DRF's response."""
    response = Response(dumps(problem.document()), status=problem.status, headers=problem.headers)
    response.content_type = MEDIA_TYPE
    return response


def as_problem(error: Exception) -> Problem | None:
    """DRF's and Django's exceptions in the contract's words; None for what is a fault of ours (500)."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, EvidenceUnavailable):
        return Problem("evidence-unavailable", "The evidence of this act cannot be recorded now, so it was not done.")
    if isinstance(error, (OperationalError, InterfaceError)):
        return Problem("busy", "The database cannot be asked just now; try again.", headers={"Retry-After": "1"})
    if isinstance(error, (Http404, exceptions.NotFound)):
        return Problem("not-found", "There is nothing here that this key may see.")
    if isinstance(error, exceptions.MethodNotAllowed):
        return Problem("method-not-allowed", "This address does not answer that method.")
    if isinstance(error, exceptions.NotAcceptable):
        return Problem("not-acceptable", "This address answers application/json.")
    if isinstance(error, exceptions.UnsupportedMediaType):
        return Problem("not-json-media-type", "Send the body as application/json.")
    if isinstance(error, exceptions.ParseError):
        return Problem("not-json", "The body could not be read as JSON in UTF-8.")
    if isinstance(error, exceptions.ValidationError):
        return Problem(
            "invalid", "What was sent does not fit.", errors=list(islice(_field_errors(error.detail), MAX_ERRORS))
        )
    if isinstance(error, (exceptions.PermissionDenied, PermissionDenied)):
        return Problem("method-not-allowed", "This address does not answer that method.")
    return None


def _field_errors(detail: Any, path: tuple[str | int, ...] = ()) -> Iterator[FieldError]:
    if isinstance(detail, dict):
        for name, inner in detail.items():
            yield from _field_errors(inner, path if name == "non_field_errors" else (*path, name))
    elif isinstance(detail, list):
        for index, inner in enumerate(detail):
            # a list of sentences is about one place; a list of objects is about its items
            yield from _field_errors(inner, (*path, index) if isinstance(inner, dict) else path)
    else:
        yield {"pointer": pointer(*path), "detail": str(detail)}


def handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception hook: the problem as a response, or None for a fault of ours, which becomes a 500 problem."""
    problem = as_problem(error)
    return problem_response(problem) if problem is not None else None
