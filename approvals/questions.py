"""Questions: a reviewer asks the agent about a pending request, and the agent answers. The clock runs on, votes stand.

Both are evidence, and both wake whoever waits. The agent reads a question word for word, and never who asked it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from accounts import acting
from accounts.models import User
from agents.models import Agent
from agents.problems import Problem
from approvals import access, ballot, lifecycle, queries
from approvals.errors import CannotAsk, DecisionRefused, NotYours, Unfit
from approvals.models import Question, Request
from approvals.naming import Named
from approvals.queries import Seen
from approvals.transactions import verb
from audit import refusals
from audit.entries import Authentication, Draft, Party, Personal, record
from audit.types import EntryType

TEXT_AT_MOST = 2_000
QUESTIONS_AT_MOST = 10  # of one request: an agent must not be kept talking until the deadline


def ask(*, person: User, request_id: UUID, text: str, meant: tuple[str, ...] = (), auth: Authentication) -> Question:
    """Ask the agent; one question at a time, and `QUESTIONS_AT_MOST` of a request in all.

    `meant` holds words that look like a colleague's name and are meant as words.

    Raises `DecisionRefused`: 403 where deciding this is not the person's to do, 409 where it has ended or cannot be
    asked now, 410 after the deadline, 422 where the text does not fit (`Unfit`, field `text`).
    """
    named = ballot.named_in(text, meant=meant)  # reads every name: before the lock
    return _ask(person=person, request_id=request_id, text=text.strip(), named=named, auth=auth)


@verb
def _ask(*, person: User, request_id: UUID, text: str, named: Named | None, auth: Authentication) -> Question:
    acting.hold_active(person)
    request, now = queries.locked(request_id)
    try:
        seen = Seen(request, now)
        ballot.refuse_late(seen)
        _refuse_unentitled(access.viewer(person), seen)
        _refuse_too_many(request)
        _refuse_unfit(text, named)
    except DecisionRefused as refused:
        refused.evidence = _refusal(person, request, refused)
        raise
    question = Question(request=request, asked_by=person, text=text, asked_at=now)
    question.save(force_insert=True)
    lifecycle.touch(request)
    record(
        Draft(
            type=EntryType.QUESTION_ASKED,
            actor=Party("person", str(person.pk)),
            subject=Party("request", str(request.pk)),
            facts={"question": str(question.pk)},
            personal={"text": Personal(text)},
            auth=auth,
        )
    )
    return question


@verb
def answer(*, agent: Agent, request_id: UUID, question: str, text: str) -> Request:
    """Answer the open question of an agent's pending request; raises 404, 409 `not-pending`, or 409 `no-question`
    where that is not the open one."""
    request, now = queries.locked_pending_of(agent.pk, request_id)
    asked = Question.objects.filter(request=request, answered_at__isnull=True).first()
    if asked is None or str(asked.pk) != question.lower():
        raise Problem("no-question", "This request carries no open question with that id.")
    asked.answer_text, asked.answered_at = text, now
    asked.save(update_fields=["answer_text", "answered_at"])
    lifecycle.touch(request)
    record(
        Draft(
            type=EntryType.QUESTION_ANSWERED,
            actor=Party("agent", str(agent.pk)),
            subject=Party("request", str(request.pk)),
            facts={"question": str(asked.pk)},
            personal={"text": Personal(text)},
        )
    )
    return request


def _refuse_unentitled(person: access.Viewer, seen: Seen) -> None:
    # Without votes: who has decided may still ask for the sake of those who have not.
    refused = access.why_not_reject(person, seen, [])
    if refused:
        raise NotYours(refused)


def _refuse_too_many(request: Request) -> None:
    asked = list(request.questions.all())
    if any(question.answered_at is None for question in asked):
        raise CannotAsk("A question is open already; the agent has not answered it yet.")
    if len(asked) >= QUESTIONS_AT_MOST:
        raise CannotAsk(f"{QUESTIONS_AT_MOST} questions were asked about this request; decide by what is there.")


def _refuse_unfit(text: str, named: Named | None) -> None:
    if not text:
        raise Unfit({"text": "Write a question."})
    if len(text) > TEXT_AT_MOST:
        raise Unfit({"text": f"At most {TEXT_AT_MOST:,} characters."})
    if named:
        raise Unfit({"text": ballot.leave_out(named)}, may_mean=named.meant)


def _refusal(person: User, request: Request, refused: DecisionRefused) -> Callable[[], Any] | None:
    if refused.cause == "form":
        return None
    return lambda: refusals.record_refusal(
        actor=Party("person", str(person.pk)),
        subject=Party("request", str(request.pk)),
        cause=f"question-{refused.cause}",
        facts={},
    )
