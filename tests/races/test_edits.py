"""Edits against edits, approvals, deadlines and withdrawals; questions and answers at once: each ends in one way."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from django.db import connection

from approvals import expiry, questions
from approvals.errors import AlreadyDecided, CannotAsk, ChangedMeanwhile, TooLate
from approvals.models import Decision, Grant, Question, Request
from tests.support import contract, sealing
from tests.support.cast import Cast, Opened, decide, file_request, make_person, open_page, password_proof
from tests.support.live import Caller
from tests.support.racing import race, split

ROUNDS = 10


@pytest.fixture(autouse=True)
def _live_log(transactional_db: None) -> Iterator[None]:
    """A sealer at work, as approvals of high risk need."""
    with sealing.running():
        yield


def text(cents: int) -> str:
    """The parameters with another sum."""
    return json.dumps({"amount_cents": cents, "currency": "USD"})


def of_finance(cast: Cast, size: int) -> list[Any]:
    """So many people of finance."""
    return [make_person(f"finance{number}", teams=[cast.teams["finance"]]) for number in range(size)]


def test_of_two_editors_at_once_one_edit_stands_and_the_other_is_told_it_changed(cast: Cast) -> None:
    people = of_finance(cast, 6)
    for number in range(ROUNDS):
        request = file_request(cast, parameters={"amount_cents": 50_000})
        pages = [open_page(request, person) for person in people]
        told, refused = split(
            race(
                *(
                    partial(decide, request, person, opened=page, parameters=text(40_000 + place))
                    for place, (person, page) in enumerate(zip(people, pages, strict=True))
                )
            )
        )
        assert len(told) == 1, number
        assert all(isinstance(error, ChangedMeanwhile) for error in refused), Counter(map(repr, refused))
        vote = Decision.objects.get(request=request)
        assert vote.parameters_digest == Request.objects.get(pk=request.pk).amended_digest


def test_an_edit_against_an_approval_leaves_no_approval_of_what_was_not_seen(cast: Cast) -> None:
    editor, voter, third = of_finance(cast, 3)
    for number in range(ROUNDS):
        request = file_request(cast, parameters={"amount_cents": 50_000})
        decide(request, third)
        pages = {person.pk: open_page(request, person) for person in (editor, voter)}
        edited, approved = race(
            partial(decide, request, editor, opened=pages[editor.pk], parameters=text(40_000)),
            partial(decide, request, voter, opened=pages[voter.pk]),
        )
        now = Request.objects.get(pk=request.pk)
        if now.status == "approved":  # the approval was first: what was filed is what runs
            assert isinstance(edited, AlreadyDecided), number
            assert now.amended_at is None
        else:
            assert isinstance(approved, ChangedMeanwhile), number
            assert (now.status, now.amended_at is not None) == ("pending", True)
            standing = Decision.objects.filter(request=request, voided_at__isnull=True)
            assert [vote.person_id for vote in standing] == [editor.pk]
        seats = Decision.objects.filter(request=request, seat__isnull=False)
        assert {vote.parameters_digest for vote in seats} <= {now.effective_digest}


def test_an_edit_against_a_withdrawal_ends_in_one_status(cast: Cast, agent: Caller) -> None:
    for number in range(ROUNDS):
        request = file_request(cast)
        page = open_page(request, cast["support1"])
        withdrawn, edited = race(
            partial(agent.post, f"requests/{request.pk}/withdraw", {}),
            partial(decide, request, cast["support1"], opened=page, parameters=text(4_100)),
        )
        now = Request.objects.get(pk=request.pk)
        if withdrawn.status_code == 200:
            assert isinstance(edited, AlreadyDecided), number
            assert (now.status, now.amended_at) == ("withdrawn", None)
        else:
            contract.problem(withdrawn, "not-pending")
            assert (now.status, now.is_amended) == ("approved", True)


def test_at_the_deadline_an_edit_is_approved_whole_or_leaves_nothing(cast: Cast) -> None:
    for number in range(ROUNDS):
        request = file_request(cast, timeout_seconds=1)
        page = open_page(request, cast["support1"])
        edited, _ = race(partial(_at_the_deadline, request, cast, page), _sweep_until_expired(request))
        now = Request.objects.get(pk=request.pk)
        if isinstance(edited, Exception):
            assert isinstance(edited, TooLate), number
            assert (now.amended_at, Decision.objects.filter(request=request).count()) == (None, 0)
            assert not Grant.objects.filter(request=request).exists()
            assert now.status in ("pending", "expired")
        else:
            assert (now.status, now.is_amended) == ("approved", True)
            assert now.decided_at is not None
            assert now.decided_at < now.expires_at


def _at_the_deadline(request: Request, cast: Cast, page: Opened) -> Request:
    with connection.cursor() as cursor:  # the database's own clock, to a few milliseconds before the deadline
        cursor.execute(
            "SELECT pg_sleep(extract(epoch FROM expires_at - clock_timestamp()) - 0.02)"
            " FROM approvals_request WHERE id = %s",
            [request.pk],
        )
    return decide(request, cast["support1"], opened=page, parameters=text(4_100))


def _sweep_until_expired(request: Request) -> Any:
    def sweep() -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_sleep(greatest(0, extract(epoch FROM expires_at - clock_timestamp())))"
                " FROM approvals_request WHERE id = %s",
                [request.pk],
            )
        expiry.expire_due(limit=expiry.BATCH)

    return sweep


def test_of_many_who_ask_at_once_one_question_is_asked(cast: Cast) -> None:
    people = of_finance(cast, 8)
    request = file_request(cast, parameters={"amount_cents": 50_000})
    told, refused = split(
        race(
            *(
                partial(questions.ask, person=person, request_id=request.pk, text="Why?", auth=password_proof())
                for person in people
            )
        )
    )
    assert len(told) == 1
    assert all(isinstance(error, CannotAsk) for error in refused), Counter(map(repr, refused))


def test_of_many_answers_at_once_one_stands(cast: Cast, agent: Caller) -> None:
    request = file_request(cast)
    asked = questions.ask(person=cast["support1"], request_id=request.pk, text="Why?", auth=password_proof())
    path = f"requests/{request.pk}/answer"
    answers = race(*(partial(agent.post, path, {"question": str(asked.pk), "text": f"Because {n}."}) for n in range(8)))
    won = [answer for answer in answers if answer.status_code == 200]
    assert len(won) == 1
    for answer in answers:
        if answer not in won:
            contract.problem(answer, "no-question")
    assert won[0].json()["question"]["answer"]["text"] == Question.objects.get().answer_text


def test_an_answer_against_an_approval_decides_only_what_was_seen(cast: Cast, agent: Caller) -> None:
    for number in range(ROUNDS):
        request = file_request(cast)
        asked = questions.ask(person=cast["support1"], request_id=request.pk, text="Why?", auth=password_proof())
        page = open_page(request, cast["support1"])
        answered, approved = race(
            partial(agent.post, f"requests/{request.pk}/answer", {"question": str(asked.pk), "text": "So."}),
            partial(decide, request, cast["support1"], opened=page),
        )
        if answered.status_code == 200:
            assert isinstance(approved, ChangedMeanwhile), number
        else:
            contract.problem(answered, "not-pending")
            assert approved.status == "approved"
