"""The examples, run as a reader would run them: against a live server, with people deciding meanwhile.

The README's own snippet is executed word for word.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from agents.models import Agent
from approvals import questions
from approvals.models import Grant, Outcome, Question, Request
from tests.support import sealing
from tests.support.cast import Cast, decide, make_cast, password_proof
from tests.support.eventually import eventually
from tests.support.forging import forging
from tests.support.live import Server, web

EXAMPLES = Path(settings.BASE_DIR) / "examples"
AGENT = EXAMPLES / "helpdesk_agent.py"


@pytest.fixture
def people(transactional_db: None) -> Cast:
    """helpdesk, its keys and owner, and one person each of support and finance."""
    return make_cast(only=("support1", "finance1"))


@dataclass
class Running:
    """An example at work, and what it has printed so far."""

    process: subprocess.Popen[bytes]
    output: Path

    @property
    def said(self) -> str:
        return self.output.read_text(encoding="utf-8")

    def ends(self) -> int:
        return self.process.wait(60)

    def says(self, words: str) -> None:
        """Wait until it has said this."""
        eventually(lambda: words in self.said or self.process.poll() is not None, within=30, what=f"it to say {words}")
        assert words in self.said, self.said


def demo_file(folder: Path, server: Server, cast: Cast) -> Path:
    """var/demo.json as `make up` writes it, in a folder of the test's."""
    place = folder / "var" / "demo.json"
    place.parent.mkdir(exist_ok=True)
    place.write_text(json.dumps({"url": server.url, "users": [], "keys": dict(cast.keys)}), encoding="utf-8")
    return place


@contextmanager
def started(folder: Path, *command: str | Path) -> Iterator[Running]:
    """Run Python with these arguments in the folder; ended with the block at the latest."""
    output = folder / "output.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=folder,
            env={**os.environ, "NO_PROXY": "127.0.0.1,localhost", "PYTHONUNBUFFERED": "1"},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Running(process, output)
    finally:
        process.kill()
        process.wait(10)


@contextmanager
def agent_at_work(
    folder: Path, server: Server, cast: Cast, tickets: list[dict[str, Any]] | None = None, *more: str
) -> Iterator[Running]:
    """The helpdesk agent with its own tickets, or with these."""
    demo = demo_file(folder, server, cast)
    file = EXAMPLES / "tickets.json"
    if tickets is not None:
        file = folder / "tickets.json"
        file.write_text(json.dumps(tickets), encoding="utf-8")
    with started(folder, AGENT, "--demo", demo, "--tickets", file, *more) as running:
        yield running


def ticket(number: str = "T-1", *, instead: dict[str, Any] | None = None, **wants: Any) -> dict[str, Any]:
    """A ticket that wants a small refund, but for what is given."""
    asked = {
        "action": "refund.create",
        "resource": f"order:{number}",
        "parameters": {"amount_cents": 4200, "currency": "usd"},
        "summary": "Refund $42.00",
        "rationale": "Parcel lost in transit.",
        **wants,
    }
    made = {"id": number, "subject": "Parcel never came", "text": "Lost in transit.", "wants": asked}
    return made | ({"instead": instead} if instead else {})


def filed(**about: Any) -> Request:
    """The pending request that fits, waited for."""
    found = eventually(
        lambda: Request.objects.filter(status="pending", **about).select_related("agent").first(),
        within=30,
        what=f"a request {about}",
    )
    assert found is not None
    return found


def readme_snippet() -> str:
    """The Python block of the README."""
    blocks = re.findall(r"```python\n(.*?)```", (Path(settings.BASE_DIR) / "README.md").read_text("utf-8"), re.S)
    assert len(blocks) == 1
    return str(blocks[0])


# ---- the README's fifteen lines
def test_the_readmes_snippet_asks_and_proceeds_with_what_was_approved(
    tmp_path: Path, server: Server, people: Cast
) -> None:
    demo_file(tmp_path, server, people)
    with sealing.running(), started(tmp_path, "-c", readme_snippet()) as snippet:
        decide(filed(), people["support1"])
        assert snippet.ends() == 0, snippet.said
    assert "Redeemed; now do exactly this: refund.create" in snippet.said
    assert Grant.objects.get().redeemed_at is not None


def test_the_readmes_snippet_stops_at_a_no_and_says_the_reviewers_reason(
    tmp_path: Path, server: Server, people: Cast
) -> None:
    demo_file(tmp_path, server, people)
    with started(tmp_path, "-c", readme_snippet()) as snippet:
        decide(filed(), people["support1"], "reject", rationale="The parcel was delivered yesterday.")
        assert snippet.ends() == 1
    assert "rejected: The parcel was delivered yesterday. (again: changed)" in snippet.said
    assert not Grant.objects.exists()


# ---- the agent
def test_the_agent_works_through_its_tickets_and_takes_every_answer(
    tmp_path: Path, server: Server, people: Cast
) -> None:
    with sealing.running(), agent_at_work(tmp_path, server, people) as agent:
        decide(filed(parameters_text__contains='"amount_cents":4200'), people["support1"])
        decide(filed(action="email.send"), people["support1"])
        whole = filed(parameters_text__contains='"amount_cents":25000')
        decide(whole, people["finance1"], "reject", rationale="The picture shows a scratch, not a crack.")
        decide(filed(parameters_text__contains='"amount_cents":7500'), people["support1"])
        decide(filed(action="customer.export"), people["owner1"], "reject", rationale="Nobody agreed to mail.")
        decide(filed(parameters_text__contains='"amount_cents":500,'), people["support1"])
        assert agent.ends() == 0, agent.said

    said = agent.said
    assert "rejected: The picture shows a scratch, not a crack." in said
    assert "blocked: Backups are not deleted by agents." in said
    assert "blocked: This action is not open to you." in said
    assert "2 rejected" in said
    assert "3 blocked" in said
    assert "4 approved, succeeded" in said
    assert "1 approved, failed" in said
    assert "T-1192: closed; this is not asked again" in said
    assert "T-1191: a person should think of something else" in said
    assert "csk_" not in said
    assert sorted(Outcome.objects.values_list("result", flat=True)) == ["failed"] + ["succeeded"] * 4
    assert Grant.objects.filter(redeemed_at__isnull=True).count() == 0
    reporters = set(Outcome.objects.values_list("credential__executor__slug", flat=True))
    assert reporters == {"payments"}


def test_the_agent_answers_a_question_by_its_ticket_and_does_what_people_changed(
    tmp_path: Path, server: Server, people: Cast
) -> None:
    with sealing.running(), agent_at_work(tmp_path, server, people, [ticket()]) as agent:
        request = filed()
        questions.ask(person=people["support1"], request_id=request.pk, text="Which parcel?", auth=password_proof())
        agent.says("asked back: Which parcel?")
        eventually(
            lambda: Question.objects.filter(answered_at__isnull=False).exists(), within=30, what="the agent's answer"
        )
        decide(request, people["support1"], parameters='{"amount_cents": 4100, "currency": "usd"}')
        assert agent.ends() == 0, agent.said
    assert Question.objects.get().answer_text == "The ticket says: Lost in transit. I know no more."
    assert "approved with changes, and that is done, not what was asked: amount_cents 4200 → 4100" in agent.said
    assert "1 approved, succeeded" in agent.said


def test_the_readmes_snippet_waits_quietly_while_a_question_is_open(
    tmp_path: Path, server: Server, people: Cast
) -> None:
    demo_file(tmp_path, server, people)
    with sealing.running(), started(tmp_path, "-c", readme_snippet()) as snippet:
        request = filed()
        questions.ask(person=people["support1"], request_id=request.pk, text="Which parcel?", auth=password_proof())
        decide(request, people["support1"])
        assert snippet.ends() == 0, snippet.said


def test_silence_is_taken_for_an_expiry_and_not_asked_again_at_once(
    tmp_path: Path, server: Server, people: Cast
) -> None:
    with agent_at_work(tmp_path, server, people, [ticket(timeout_seconds=1)]) as agent:
        assert agent.ends() == 0, agent.said
    assert "expired: Nobody decided in time; this is not a refusal." in agent.said
    assert "T-1: may be asked again in a later run" in agent.said
    assert Request.objects.count() == 1


def test_the_same_run_again_files_nothing_twice(tmp_path: Path, server: Server, people: Cast) -> None:
    tickets = [ticket("T-1", timeout_seconds=1), ticket("T-2", action="backup.delete", parameters={})]
    for _ in range(2):
        with agent_at_work(tmp_path, server, people, tickets, "--run", "r-again") as agent:
            assert agent.ends() == 0, agent.said
    assert Request.objects.count() == 2


def test_an_approval_is_redeemed_later_when_evidence_cannot_be_kept_now(
    tmp_path: Path, server: Server, people: Cast
) -> None:
    with agent_at_work(tmp_path, server, people, [ticket()]) as agent:
        decide(filed(), people["support1"])
        agent.says("503 evidence-unavailable; the same again in")
        assert Grant.objects.get().redeemed_at is None
        with sealing.running():
            assert agent.ends() == 0, agent.said
    assert "1 approved, succeeded" in agent.said


def test_a_limit_is_waited_out_with_the_same_key(tmp_path: Path, people: Cast) -> None:
    tickets = [ticket(f"T-{number}", action="backup.delete", parameters={}) for number in range(4)]
    with (
        web(API_RATE_PER_SECOND="1", API_RATE_BURST="1") as slow,
        agent_at_work(tmp_path, slow, people, tickets) as agent,
    ):
        assert agent.ends() == 0, agent.said
    assert "429 too-many-requests; the same again in" in agent.said
    assert "4 blocked" in agent.said
    assert Request.objects.count() == 4


def test_a_suspended_agent_stops_its_run(tmp_path: Path, server: Server, people: Cast) -> None:
    with forging():
        Agent.objects.update(state=Agent.State.SUSPENDED)
    with agent_at_work(tmp_path, server, people, [ticket("T-1"), ticket("T-2")]) as agent:
        assert agent.ends() == 3, agent.said
    assert "Told to stop" in agent.said
    assert Request.objects.count() == 1


def test_what_nobody_waits_for_any_more_is_taken_back(tmp_path: Path, server: Server, people: Cast) -> None:
    with agent_at_work(tmp_path, server, people, [ticket()], "--wait", "1") as agent:
        assert agent.ends() == 0, agent.said
    assert Request.objects.get().status == "withdrawn"
    assert "1 withdrawn" in agent.said


def test_a_bad_filing_is_told_by_pointer_and_the_next_ticket_is_worked_on(
    tmp_path: Path, server: Server, people: Cast
) -> None:
    tickets = [ticket("T-1", summary=""), ticket("T-2", action="backup.delete", parameters={})]
    with agent_at_work(tmp_path, server, people, tickets) as agent:
        assert agent.ends() == 0, agent.said
    assert "/summary: " in agent.said
    assert "1 blocked, 1 not filed" in agent.said


def test_without_a_demo_the_agent_says_so_in_one_line(tmp_path: Path) -> None:
    with started(tmp_path, AGENT, "--demo", tmp_path / "demo.json") as agent:
        assert agent.ends() == 1
    assert agent.said.count("\n") == 1
    assert "Is the demo running (make up)?" in agent.said


def test_the_agent_has_a_help_text(tmp_path: Path) -> None:
    with started(tmp_path, AGENT, "--help") as agent:
        assert agent.ends() == 0
    assert "--tickets" in agent.said
    assert "--wait" in agent.said
