"""Questions as an agent meets them: in its request, in its waits and streams, and answered once."""

from __future__ import annotations

from typing import Any

from agents import registration
from agents.models import Scope
from approvals import questions
from approvals.models import Question, Request
from tests.api.test_events import following
from tests.api.test_waiting import Waiting
from tests.support import contract, sealing
from tests.support.cast import SETTING_UP, Cast, decide, make_person, overdue, password_proof
from tests.support.leaves import entries
from tests.support.live import Caller

WHY = "Which parcel was lost?\nAnd when?"


def ask(cast: Cast, document: dict[str, Any], text: str = WHY) -> Question:
    """A reviewer asks."""
    return questions.ask(person=cast["support1"], request_id=document["id"], text=text, auth=password_proof())


def test_the_newest_question_is_in_the_request_and_says_nothing_of_who_asked(cast: Cast, agent: Caller) -> None:
    document = agent.file().json()
    assert document["question"] is None
    asked = ask(cast, document)
    read = agent.read(document["id"])
    assert list(read["question"]) == ["id", "text", "asked_at", "answer"]
    assert read["question"]["id"] == str(asked.pk)
    assert read["question"]["text"] == WHY
    assert read["question"]["answer"] is None
    assert contract.moment(read["question"]["asked_at"]) == asked.asked_at
    assert {**read, "question": None} == document
    contract.request(read, "pending")
    said = agent.get(f"requests/{document['id']}").text
    assert not any(word in said for word in ("Sam Porter", "support1", "support"))
    assert agent.get("requests").json()["results"][0] == read


def test_an_answer_is_in_the_request_and_the_deadline_stands(cast: Cast, agent: Caller) -> None:
    document = agent.file().json()
    asked = ask(cast, document)
    answered = agent.post(f"requests/{document['id']}/answer", {"question": str(asked.pk), "text": "Parcel 7."})
    assert answered.status_code == 200
    said = answered.json()
    assert said["question"]["answer"]["text"] == "Parcel 7."
    assert contract.moment(said["question"]["answer"]["at"]) >= asked.asked_at
    assert said["expires_at"] == document["expires_at"]
    assert contract.request(agent.read(document["id"]), "pending") == said
    (entry,) = entries("question.answered")
    assert entry["facts"] == {"question": str(asked.pk)}
    again = ask(cast, document, "And now?")
    assert agent.read(document["id"])["question"]["id"] == str(again.pk)  # the newest


def test_what_is_not_the_open_question_is_409_and_changes_nothing(cast: Cast, agent: Caller) -> None:
    document, other = agent.file().json(), agent.file().json()
    path = f"requests/{document['id']}/answer"
    elsewhere = ask(cast, other)
    for wrong in (str(elsewhere.pk), document["id"], "q"):
        contract.problem(agent.post(path, {"question": wrong, "text": "So."}), "no-question")
    asked = ask(cast, document)
    for wrong in (str(elsewhere.pk), document["id"], "q"):
        contract.problem(agent.post(path, {"question": wrong, "text": "So."}), "no-question")
    assert agent.post(path, {"question": str(asked.pk), "text": "So."}).status_code == 200
    contract.problem(agent.post(path, {"question": str(asked.pk), "text": "Or so."}), "no-question")
    assert agent.read(document["id"])["question"]["answer"]["text"] == "So."


def test_an_answer_fits_or_is_422_with_pointers(cast: Cast, agent: Caller) -> None:
    document = agent.file().json()
    asked = ask(cast, document)
    path = f"requests/{document['id']}/answer"
    good = {"question": str(asked.pk), "text": "So."}
    assert contract.pointers(agent.post(path, {})) == ["/question", "/text"]
    for text in ("", " \n", "x" * 8_001, 7, None):
        assert contract.pointers(agent.post(path, {**good, "text": text})) == ["/text"], text
    assert contract.pointers(agent.post(path, {**good, "more": 1})) == ["/more"]
    assert contract.pointers(agent.post(path, {**good, "text": "a\x00b"})) == ["/text"]
    assert agent.post(path, {**good, "text": "x" * 8_000}).status_code == 200


def test_another_agents_question_is_not_found(cast: Cast, agent: Caller, server: Any) -> None:
    document = agent.file().json()
    asked = ask(cast, document)
    other = registration.register_agent(by=SETTING_UP, slug="other", purpose="x", owner=cast["owner1"], level=3)
    _, key = registration.issue_credential(by=SETTING_UP, holder=other, scopes=(Scope.FILE,))
    answered = Caller(server.url, key).post(
        f"requests/{document['id']}/answer", {"question": str(asked.pk), "text": "So."}
    )
    contract.problem(answered, "not-found")
    assert Question.objects.get().answered_at is None


def test_after_the_end_nothing_is_answered(cast: Cast, agent: Caller) -> None:
    document, late = agent.file().json(), agent.file().json()
    asked, unanswered = ask(cast, document), ask(cast, late)
    decide(Request.objects.get(pk=document["id"]), cast["support1"], "reject", rationale="Not this one.")
    overdue(Request.objects.get(pk=late["id"]))
    for request, question in ((document, asked), (late, unanswered)):
        path = f"requests/{request['id']}/answer"
        contract.problem(agent.post(path, {"question": str(question.pk), "text": "So."}), "not-pending")
    assert agent.read(document["id"])["question"]["answer"] is None


def test_an_answer_under_a_key_is_given_once_and_answered_the_same_again(cast: Cast, agent: Caller) -> None:
    document = agent.file().json()
    asked = ask(cast, document)
    path, body = f"requests/{document['id']}/answer", {"question": str(asked.pk), "text": "So."}
    first, second = agent.post(path, body, key="k"), agent.post(path, body, key="k")
    assert (first.status_code, second.status_code, first.content) == (200, 200, second.content)
    assert second.headers["idempotency-replayed"] == "true"
    contract.problem(agent.post(path, {**body, "text": "Or so."}, key="k"), "idempotency-key-reused")
    assert len(entries("question.answered")) == 1


def test_a_question_wakes_who_waits_and_answers_at_once_until_it_is_answered(cast: Cast, agent: Caller) -> None:
    document = agent.file().json()
    path = f"requests/{document['id']}"
    waiting = Waiting(agent, path, wait=60)
    ask(cast, document)
    told = waiting.answer()
    assert waiting.seconds < 20
    assert told.json()["question"]["text"] == WHY
    assert agent.get(path, wait=60).elapsed.total_seconds() < 5  # still unanswered
    body = {"question": told.json()["question"]["id"], "text": "So."}
    assert agent.post(f"{path}/answer", body).status_code == 200
    held = Waiting(agent, path, wait=2)
    assert held.answer().json()["question"]["answer"]["text"] == "So."
    assert held.seconds >= 1.9  # nothing more to say: held to the end


def test_with_an_etag_a_wait_is_answered_by_the_question_and_by_its_answer(cast: Cast, agent: Caller) -> None:
    document = agent.file().json()
    path = f"requests/{document['id']}"
    tag = agent.get(path).headers["etag"]
    waiting = Waiting(agent, path, tag=tag, wait=60)
    asked = ask(cast, document)
    told = waiting.answer()
    assert (told.status_code, told.headers["etag"] != tag) == (200, True)
    second = Waiting(agent, path, tag=told.headers["etag"], wait=60)
    agent.post(f"{path}/answer", {"question": str(asked.pk), "text": "So."})
    assert second.answer().json()["question"]["answer"]["text"] == "So."


def test_the_stream_carries_the_question_and_its_answer(cast: Cast, agent: Caller) -> None:
    document = agent.file().json()
    with following(agent, document["id"]) as stream:
        stream.event()
        asked = ask(cast, document)
        event = stream.event()
        assert event is not None
        assert event["data"]["question"]["id"] == str(asked.pk)
        agent.post(f"requests/{document['id']}/answer", {"question": str(asked.pk), "text": "So."})
        event = stream.event()
        assert event is not None
        assert event["data"]["question"]["answer"]["text"] == "So."


def test_an_edit_that_waits_for_others_tells_the_agent_nothing(cast: Cast, agent: Caller) -> None:
    document = agent.file(parameters={"amount_cents": 50_000, "currency": "USD"}).json()
    path = f"requests/{document['id']}"
    before = agent.get(path)
    finance1 = make_person("finance1", teams=[cast.teams["finance"]])
    with sealing.running():
        decide(
            Request.objects.get(pk=document["id"]), finance1,
            parameters='{"amount_cents": 40000, "currency": "USD"}',
        )  # fmt: skip
    after = agent.get(path)
    assert (after.content, after.headers["etag"]) == (before.content, before.headers["etag"])
