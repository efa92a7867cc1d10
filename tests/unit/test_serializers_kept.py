"""The serializers that are made once and asked by every call: nothing of a call stays in them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from rest_framework.exceptions import ValidationError
from rest_framework.fields import Field

from approvals.api import serializers
from approvals.api.base import _fields_of, _made

BODY = {
    "action": "refund.create",
    "resource": "order/1",
    "parameters": {"amount_cents": 100, "currency": "eur"},
    "summary": "A refund.",
    "rationale": "It came broken.",
    "context": {"ticket": {"id": 1}},
    "timeout_seconds": 60,
}


def _state(field: Field[Any, Any, Any, Any], at: str = "") -> Iterator[tuple[str, str, int, str]]:
    """Everything that a serializer and the fields in it hold: which object it is, and how it looks."""
    for name, value in vars(field).items():
        # A field's `repr` asks its parent for the whole tree: what is a field is looked into instead.
        yield (
            at,
            name,
            id(value),
            "" if isinstance(value, Field) or name in ("fields", "_writable_fields") else repr(value),
        )
    for name, child in {**getattr(field, "fields", {}), "*": getattr(field, "child", None)}.items():
        if isinstance(child, Field):
            yield from _state(child, f"{at}/{name}")


@pytest.mark.parametrize("more", [{}, {"timeout_seconds": "soon"}, {"summary": None}, {"other": [1]}], ids=repr)
def test_nothing_of_a_call_stays_in_a_serializer(more: dict[str, Any]) -> None:
    _fields_of(serializers.RequestInput, BODY)  # what it caches of itself is there from now on
    before = list(_state(_made(serializers.RequestInput)))
    assert len(before) > 50
    try:
        _fields_of(serializers.RequestInput, {**BODY, "resource": "order/of-this-call", **more})
    except ValidationError:
        assert more
    assert list(_state(_made(serializers.RequestInput))) == before


def test_calls_at_once_have_each_their_own() -> None:
    def called(number: int) -> bool:
        body = {**BODY, "resource": f"order/{number}", "parameters": {"number": number}, "timeout_seconds": 10 + number}
        fields = _fields_of(serializers.RequestInput, body)
        return all(fields[name] == body[name] for name in ("resource", "parameters", "timeout_seconds"))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(called, range(800)))
