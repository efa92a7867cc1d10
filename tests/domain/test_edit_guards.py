"""What the database itself holds of edits and questions, asked of it in raw SQL on the application's role."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from approvals import questions
from approvals.models import Question, Request
from tests.domain.test_approvals_guards import (
    APPROVE,
    MOVED,
    NO_QUORUM,
    edit,
    entry,
    entry_of,
    grant,
    refused,
    seat,
    voiding,
    vote,
)
from tests.support import services
from tests.support.cast import Cast, decide, file_request, make_cast, password_proof

TWO_OF_FINANCE = '[[{"team": "finance", "count": 2}]]'
FINANCE: dict[str, Any] = {"amended_quorum": TWO_OF_FINANCE, "amended_teams": ["finance"], "amended_people_floor": 1}


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    """helpdesk, one of support who is nobody's owner, and two of finance."""
    return make_cast(only=("support1", "finance1", "finance2"))


@pytest.fixture
def app(transactional_db: None) -> Iterator[psycopg.Connection]:
    """A connection as the application's role."""
    with services.connection("app") as opened:
        yield opened


def edited(request: Request, person: Any, **changes: Any) -> list[tuple[str, dict[str, Any]]]:
    """An edit with its entry."""
    made = edit(request, person, **changes)
    return [entry_of(request, made[1]), made]


def votes(request: Request, *seats: tuple[Any, str], digest: str = "x") -> list[tuple[str, dict[str, Any]]]:
    """Approvals of the parameters with that digest, each in its seat, the grant and the move."""
    found = []
    for person, team in seats:
        key, (statement, values) = vote(request, person)
        found += [(statement, {**values, "digest": digest}), seat(request, key, team)]
    return [*found, grant(request), entry(request), (APPROVE, {"id": request.pk})]


def test_an_approval_of_an_edit_is_weighed_by_what_policy_asks_of_the_edit(app: psycopg.Connection, cast: Cast) -> None:
    request, support = file_request(cast), cast["support1"]
    finance1, finance2 = (cast["finance1"], "finance"), (cast["finance2"], "finance")
    asks_more = edited(request, support, **FINANCE)
    assert refused(app, *asks_more, *votes(request, (support, "support"))) == NO_QUORUM
    assert refused(app, *asks_more, *votes(request, finance1)) == NO_QUORUM
    assert refused(app, *asks_more, *votes(request, finance1, finance2)) is None
    floored = file_request(cast)
    two_people = edited(floored, support, amended_people_floor=2)
    assert refused(app, *two_people, *votes(floored, (support, "support"))) == NO_QUORUM
    large = file_request(cast, parameters={"amount_cents": 50_000})
    assert refused(app, *edited(large, support), *votes(large, (support, "support"))) is None


def test_a_vote_on_what_was_filed_fills_no_seat_of_the_edit(app: psycopg.Connection, cast: Cast) -> None:
    request = file_request(cast)
    support = (cast["support1"], "support")
    before = votes(request, support, digest=request.parameters_digest)
    assert refused(app, *edited(request, cast["support1"]), *before) == NO_QUORUM


def test_votes_from_before_an_edit_are_void_or_the_edit_is_refused(app: psycopg.Connection, cast: Cast) -> None:
    request = file_request(cast, parameters={"amount_cents": 50_000})
    key, ballot = vote(request, cast["finance1"])
    assert refused(app, ballot) is None
    assert refused(app, *edited(request, cast["finance2"])) == NO_QUORUM
    assert refused(app, voiding(key), *edited(request, cast["finance2"])) is None


def test_an_edit_leaves_its_entry_is_whole_and_is_never_taken_back(app: psycopg.Connection, cast: Cast) -> None:
    request, support = file_request(cast), cast["support1"]
    assert refused(app, edit(request, support)) == NO_QUORUM
    assert refused(app, *edited(request, support, amended_ruling=None)) == "23514"
    assert refused(app, *edited(request, support)) is None
    none = {name: None for name in edit(request, support)[1] if name.startswith("amended_")}
    back = edit(request, support, **none)[0].replace("amended_at = now()", "amended_at = NULL")
    assert refused(app, (back, {**none, "id": request.pk})) == MOVED


def test_an_edit_asks_what_its_entry_says_and_nothing_less_afterwards(app: psycopg.Connection, cast: Cast) -> None:
    request, support = file_request(cast), cast["support1"]
    asks_more = edit(request, support, **FINANCE)
    for less in (
        {"amended_quorum": '[[{"team": "finance", "count": 1}]]'},
        {"amended_people_floor": 0},
        {"amended_risk": "low"},
        {"amended_risk_unknown": True},
        {"amended_by_id": cast["finance1"].pk},
    ):
        other = edit(request, support, **{**FINANCE, **less})
        assert refused(app, entry_of(request, asks_more[1]), other) == NO_QUORUM, less
    assert refused(app, entry_of(request, asks_more[1]), asks_more) is None
    for name, value in {"amended_risk": "low", "amended_quorum": "[[]]", "amended_people_floor": 0}.items():
        lower = (
            f"UPDATE approvals_request SET {name} = %(value)s WHERE id = %(id)s",
            {"value": value, "id": request.pk},
        )
        assert refused(app, lower) == NO_QUORUM, name


def test_an_edit_ends_with_the_request(app: psycopg.Connection, cast: Cast) -> None:
    request = decide(file_request(cast), cast["support1"], "reject", rationale="Not this one.")
    assert refused(app, *edited(request, cast["support1"])) == MOVED


def test_only_the_people_an_edit_asks_decide_it(app: psycopg.Connection, cast: Cast) -> None:
    request = file_request(cast)
    assert refused(app, *edited(request, cast["support1"], **FINANCE)) is None
    assert refused(app, vote(request, cast["support1"])[1]) == NO_QUORUM
    assert refused(app, vote(request, cast["finance1"])[1]) is None


def test_a_question_is_asked_while_pending_answered_once_and_stays(app: psycopg.Connection, cast: Cast) -> None:
    request, ended = file_request(cast), file_request(cast, "docs.read")
    ask = (
        "INSERT INTO approvals_question (id, request_id, asked_by_id, text, asked_at)"
        " VALUES (%(key)s, %(id)s, %(person)s, 'Why?', now())"
    )
    values = {"person": cast["support1"].pk}
    assert refused(app, (ask, {**values, "key": uuid4(), "id": ended.pk})) == MOVED
    asked = questions.ask(person=cast["support1"], request_id=request.pk, text="Why?", auth=password_proof())
    assert refused(app, (ask, {**values, "key": uuid4(), "id": request.pk})) == "23505"  # one at a time

    def change(assignment: str) -> str | None:
        return refused(app, (f"UPDATE approvals_question SET {assignment} WHERE id = %(id)s", {"id": asked.pk}))

    assert change("text = 'y'") == MOVED
    assert change("asked_by_id = gen_random_uuid()") == MOVED
    assert change("answer_text = 'So.'") == "23514"
    assert refused(app, ("DELETE FROM approvals_question", {})) == MOVED
    assert change("answer_text = 'So.', answered_at = now()") is None
    assert change("answer_text = 'Or so.'") == MOVED
    assert Question.objects.get().answer_text == "So."
