"""The questions put to an agent and its answers, as a request's page says them. Nothing is fetched or decided here.

An answer is the agent's word: hostile text like the rest of what it says, shown and never believed.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.urls import reverse
from django.utils.translation import gettext as _

from approvals.display.visible import Runs
from approvals.models import Question
from approvals.queries import Seen
from approvals.questions import QUESTIONS_AT_MOST
from approvals.states import Status
from approvals.web import words
from approvals.web.pages import Event, Exchange, Questions


def events(seen: Seen, asked: Sequence[Question]) -> list[Event]:
    """That it was asked and answered, for the history; the words stand among the questions."""
    found = []
    for question in asked:
        found.append(Event(question.asked_at, words.name(question.asked_by), _("asked the agent a question")))
        if question.answered_at is not None:
            found.append(Event(question.answered_at, words.text(seen.request.agent.slug), _("answered it")))
    return found


def questions(
    seen: Seen,
    asked: Sequence[Question],
    *,
    may_ask: bool,
    masked: bool,
    typed: str = "",
    error: str = "",
    means: Sequence[tuple[str, bool]] = (),
) -> Questions:
    """The questions so far, oldest first, and whether this reader may put another now."""

    def said(text: str | None) -> Runs:
        return words.MASKED if masked and text else words.text(text or "", multiline=True)

    free = len(asked) < QUESTIONS_AT_MOST and all(question.answered_at is not None for question in asked)
    return Questions(
        asked=[
            Exchange(
                words.name(question.asked_by),
                question.asked_at,
                said(question.text),
                said(question.answer_text),
                question.answered_at,
            )
            for question in asked
        ],
        ask_url=reverse("ask", args=[seen.request.pk]) if may_ask and free and seen.status is Status.PENDING else "",
        typed=typed,
        error=error,
        means=means,
    )
