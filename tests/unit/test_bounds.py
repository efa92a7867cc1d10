"""A body that is a bomb is refused by counting, before anything walks, validates or explains it item by item."""

from __future__ import annotations

import json

import pytest
from rest_framework.exceptions import ValidationError

from agents.problems import Problem
from agents.wire import MAX_VALUES_OF_A_BODY, as_problem, parse_json


def test_more_values_than_any_honest_body_holds_are_one_error_and_not_one_each() -> None:
    body = json.dumps({"context": {"sources": [1] * 120_000}}).encode()
    with pytest.raises(Problem) as refused:
        parse_json(body)
    assert [error["detail"] for error in refused.value.errors] == [f"At most {MAX_VALUES_OF_A_BODY} values in a body."]


def test_what_is_wrong_is_told_up_to_a_number_that_a_person_would_mend() -> None:
    told = as_problem(ValidationError({f"name{number}": ["This field is not known."] for number in range(26_000)}))
    assert told is not None
    assert len(told.errors) == 20


def test_ambiguities_are_told_up_to_the_same_number() -> None:
    with pytest.raises(Problem) as refused:
        parse_json(json.dumps(["\x00"] * 1_000).encode())
    assert len(refused.value.errors) == 20
