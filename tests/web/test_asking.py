"""Asking the agent by the page: who may, when, what it may say, and what readers of the page learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from approvals import questions
from approvals.models import Decision, Question, Request
from tests.support.cast import Cast, decide, file_request, overdue, password_proof
from tests.support.forging import forging
from tests.support.forms import fields_of, said
from tests.support.leaves import entries
from tests.web.test_polls import next_poll

pytestmark = pytest.mark.django_db(transaction=True)
SignedIn = Callable[..., Client]
WHY = "Which parcel was lost, and when?"


def ask(client: Client, request: Request, text: str = WHY) -> Any:
    return client.post(f"/requests/{request.pk}/ask/", {"text": text})


def answer(cast: Cast, request: Request, text: str = "Parcel 7, on Monday.") -> None:
    asked = Question.objects.get(request=request, answered_at__isnull=True)
    questions.answer(agent=cast.agent, request_id=request.pk, question=str(asked.pk), text=text)


def page_of(client: Client, request: Request) -> Any:
    return client.get(f"/requests/{request.pk}/")


def test_a_question_is_303_to_the_request_which_shows_it_to_every_reviewer(cast: Cast, signed_in: SignedIn) -> None:
    request, client = file_request(cast), signed_in("support1")
    assert '<textarea name="text"' in page_of(client, request).content.decode()
    asked = ask(client, request)
    assert (asked.status_code, asked["Location"]) == (303, f"/requests/{request.pk}/#questions")
    text = said(page_of(signed_in("support2"), request))
    assert "Sam Porter asked" in text
    assert WHY in text
    assert "Not answered yet. The clock runs on." in text
    (entry,) = entries("question.asked")
    assert entry["facts"] == {"question": str(Question.objects.get().pk)}
    assert set(entry["commitments"]) == {"text"}
    assert entry["auth"] is not None


def test_an_answer_is_shown_as_the_agents_unverified_word_and_spelt_out(cast: Cast, signed_in: SignedIn) -> None:
    request, client = file_request(cast), signed_in("support1")
    ask(client, request)
    answer(cast, request, "<b>ok</b> \u202e evil \u0430pple")
    page = page_of(client, request)
    assert "The agent answered unverified" in said(page)
    assert "Sam Porter asked the agent a question" in said(page)
    assert "helpdesk answered it" in said(page)
    assert "[U+202E]" in said(page)
    assert "\u202e" not in page.content.decode()
    assert "&lt;b&gt;ok&lt;/b&gt;" in page.content.decode()
    assert '<span class="mixed">' in page.content.decode()
    (entry,) = entries("question.answered")
    assert entry["actor"] == {"kind": "agent", "id": str(cast.agent.pk)}


def test_one_question_is_open_at_a_time_and_a_second_is_409_with_the_text_kept(cast: Cast, signed_in: SignedIn) -> None:
    request, client = file_request(cast), signed_in("support1")
    ask(client, request)
    again = ask(signed_in("support2"), request, "And by which carrier?")
    assert again.status_code == 409
    assert "A question is open already" in said(again)
    assert "And by which carrier?" in said(again)
    assert '<textarea name="text"' not in page_of(client, request).content.decode()
    answer(cast, request)
    assert ask(signed_in("support2"), request, "And by which carrier?").status_code == 303


def test_ten_questions_are_asked_of_a_request_and_no_more(cast: Cast, signed_in: SignedIn) -> None:
    request, client = file_request(cast), signed_in("support1")
    for _ in range(10):
        assert ask(client, request).status_code == 303
        answer(cast, request)
    refused = ask(client, request)
    assert refused.status_code == 409
    assert "10 questions were asked about this request" in said(refused)
    assert Question.objects.count() == 10


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Write a question."),
        (" \n ", "Write a question."),
        ("x" * 2_001, "At most 2,000 characters."),
        ("Did Fina Nowak see this?", "leave out Fina Nowak"),
        ("Did FINANCE1@example.test see this?", "leave out finance1@example.test"),
        ("Has the finance team said so?", "leave out finance"),
    ],
)
def test_a_question_that_does_not_fit_is_422_and_kept(cast: Cast, signed_in: SignedIn, text: str, says: str) -> None:
    request, client = file_request(cast), signed_in("support1")
    refused = ask(client, request, text)
    assert refused.status_code == 422
    assert says in said(refused)
    assert said(refused).startswith("Error:")
    assert refused.context["page"].questions.typed == text
    assert not Question.objects.exists()
    assert ask(client, request, "x" * 2_000).status_code == 303


def test_who_decides_it_may_ask_and_so_may_the_owner_and_nobody_else(cast: Cast, signed_in: SignedIn) -> None:
    for name, status in (
        ("support1", 303), ("owner1", 303), ("auditor1", 403), ("admin1", 403), ("finance1", 404), ("leader1", 404),
    ):  # fmt: skip
        request = file_request(cast)
        assert ask(signed_in(name), request).status_code == status, name
        assert Question.objects.filter(request=request).exists() is (status == 303), name
    assert '<textarea name="text"' not in page_of(signed_in("auditor1"), request).content.decode()


def test_who_has_decided_may_still_ask_for_the_others(cast: Cast, signed_in: SignedIn, sealed: None) -> None:
    request = file_request(cast, parameters={"amount_cents": 50_000})
    decide(request, cast["finance1"])
    assert ask(signed_in("finance1"), request).status_code == 303


def test_what_ended_or_expired_is_asked_nothing_and_the_text_is_kept(cast: Cast, signed_in: SignedIn) -> None:
    client = signed_in("support1")
    late = overdue(file_request(cast))
    expired = ask(client, late)
    assert (expired.status_code, Question.objects.count()) == (410, 0)
    assert WHY in said(expired)
    request = file_request(cast)
    decide(request, cast["support2"], "reject", rationale="Not this one.")
    refused = ask(client, request)
    assert (refused.status_code, Question.objects.count()) == (409, 0)
    assert WHY in said(refused)


def test_a_get_asks_nothing(cast: Cast, signed_in: SignedIn) -> None:
    request = file_request(cast)
    assert signed_in("support1").get(f"/requests/{request.pk}/ask/?text=Why").status_code == 405
    assert not Question.objects.exists()


def test_an_answer_makes_open_pages_say_so_and_decides_nothing_from_them(cast: Cast, signed_in: SignedIn) -> None:
    request, reader = file_request(cast), signed_in("support2")
    before = page_of(reader, request)
    ask(signed_in("support1"), request)
    asked = reader.get(next_poll(before))
    assert "The agent was asked a question." in said(asked)
    page = page_of(reader, request)  # an unanswered question makes no view old
    assert fields_of(page)["display_digest"] == fields_of(before)["display_digest"]
    answer(cast, request)
    answered = reader.get(next_poll(page))
    assert "The agent answered." in said(answered)
    assert "Show it as it is now" in said(answered)
    assert reader.get(next_poll(answered)).status_code == 204
    old = {**fields_of(page), "verdict": "approve", "rationale": "Looks right to me."}
    assert reader.post(f"/requests/{request.pk}/decide/", old).status_code == 409
    assert not Decision.objects.exists()


def test_an_answer_leaves_votes_standing_and_the_deadline_where_it_is(
    cast: Cast, signed_in: SignedIn, sealed: None
) -> None:
    request = file_request(cast, parameters={"amount_cents": 50_000})
    decide(request, cast["finance1"])
    ask(signed_in("finance2"), request)
    answer(cast, request)
    assert Request.objects.get().expires_at == request.expires_at
    assert decide(request, cast["finance2"]).status == "approved"


def test_auditors_see_that_it_was_asked_and_answered_with_the_words_masked(cast: Cast, signed_in: SignedIn) -> None:
    request = file_request(cast)
    ask(signed_in("support1"), request)
    answer(cast, request, "The parcel of ada@private.example.")
    page = page_of(signed_in("auditor1"), request)
    assert "Sam Porter asked" in said(page)
    assert "private.example" not in page.content.decode()
    assert WHY not in said(page)


def test_a_refused_question_is_recorded_and_a_slip_is_not(cast: Cast, signed_in: SignedIn) -> None:
    request = file_request(cast)
    ask(signed_in("support1"), request, "")
    assert not entries("refusal.recorded")
    ask(signed_in("auditor1"), request)
    (entry,) = entries("refusal.recorded")
    assert entry["facts"]["cause"] == "question-not-yours"


def test_an_inactive_person_asks_nothing(cast: Cast) -> None:
    request = file_request(cast)
    person = cast["support1"]
    with forging():
        type(person).objects.filter(pk=person.pk).update(is_active=False)
    with pytest.raises(Exception, match="not active"):
        questions.ask(person=person, request_id=request.pk, text=WHY, auth=password_proof())


def test_ask_with_a_word_that_is_a_name_asks_and_then_takes_it(cast: Cast, signed_in: SignedIn) -> None:
    with forging():
        User.objects.filter(pk=cast["finance1"].pk).update(name="Will")
    request, client = file_request(cast), signed_in("support1")
    refused = ask(client, request, "What is the last Will?")
    assert refused.status_code == 422
    assert "I mean the word “will”, not a person" in said(refused)
    url = reverse("ask", args=[request.pk])
    assert client.post(url, {"text": "What is the last Will?", "means_word": "will"}).status_code == 303
