"""A helpdesk agent over plain HTTP: works through tickets, asks for what it wants, and takes every answer well.

What it wants stands in the tickets; a real agent would have a model think of it. It never acts itself: an executor
with a key of its own does (payments_executor.py). Run it beside the demo: `make demo-agent`, or with `--help`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from payments_executor import Executor
from plain_http import HOLD, Client, Refused, Unreachable

HERE = Path(__file__).resolve().parent
FINAL = ("approved", "rejected", "expired", "blocked", "withdrawn")


class Stopped(Exception):
    """The server says that this agent is suspended: the run ends here."""


@dataclass
class Job:
    """A ticket, what is asked for it now, and where that stands."""

    ticket: dict[str, Any]
    wants: dict[str, Any]
    attempt: int = 1
    asked_at: float = field(default_factory=time.monotonic)
    request: dict[str, Any] = field(default_factory=dict)
    etag: str = ""


class Helpdesk:
    """The agent. `run` names this run: the same name and tickets again file nothing twice."""

    def __init__(self, client: Client, executor: Executor, *, url: str, run: str, wait: float | None) -> None:
        self.client, self.executor, self.url, self.run, self.wait = client, executor, url, run, wait
        self.ends: Counter[str] = Counter()
        self.left: list[str] = []  # what the next run, or a person, should look at

    def work_through(self, tickets: list[dict[str, Any]]) -> None:
        """File everything first, so that people see it all; then wait for each. Raises `Stopped`."""
        pending = [job for ticket in tickets if (job := self.ask(Job(ticket, ticket["wants"]))) is not None]
        while pending:
            job = pending.pop(0)
            self.await_decision(job)
            if (again := self.settle(job)) is not None:
                pending.append(again)

    def ask(self, job: Job) -> Job | None:
        """File what the ticket needs; the job if people must decide, None where it came to its end at once."""
        number, wants = job.ticket["id"], job.wants
        say(number, f"{job.ticket['subject']}" if job.attempt == 1 else "asking for something else instead")
        try:
            job.request = self.client.post(
                "/requests",
                {**wants, "context": {"run": self.run, "sources": [{"uri": f"crm:ticket/{number}"}]}},
                key=f"{self.run}:{number}:{job.attempt}",
            )
        except Refused as refused:
            if refused.status in (401, 403):
                raise
            say(number, f"could not be filed: {refused}")
            for error in refused.document.get("errors", []):
                say(number, f"  {error['pointer'] or 'the body'}: {error['detail']}")
            self.ends["not filed"] += 1
            self.left.append(f"{number}: what it asks for must be mended")
            return None
        say(number, f"asked: {wants['summary']}")
        if job.request["status"] in FINAL:
            return self.settle(job)
        say(number, f"people decide until {clock(job.request['expires_at'])}: {self.url}/requests/{job.request['id']}/")
        return job

    def await_decision(self, job: Job) -> None:
        """Hold the line until the request is final; with `--wait`, take it back when that time is over."""
        path = f"/requests/{job.request['id']}"
        job.request, job.etag = self.client.get(path)
        self.answer(job)  # a run that begins again may find a question open
        while job.request["status"] not in FINAL:
            left = HOLD if self.wait is None else self.wait - (time.monotonic() - job.asked_at)
            if left <= 0:
                self.withdraw(job)
                return
            changed = self.client.get_changed(path, job.etag, within=left)
            if changed is not None:
                job.request, job.etag = changed
                self.answer(job)

    def withdraw(self, job: Job) -> None:
        """Take back what nobody will wait for any more; a decision that came first stands."""
        path = f"/requests/{job.request['id']}"
        try:
            job.request = self.client.post(
                f"{path}/withdraw", {"reason": "The agent's run ended."}, key=f"withdraw-{job.request['id']}"
            )
        except Refused as refused:
            if refused.slug != "not-pending":
                raise
            job.request, job.etag = self.client.get(path)

    def answer(self, job: Job) -> None:
        """Answer a reviewer's question with what the ticket says, and say that the agent knows no more: what it does
        not know it does not make up."""
        question = job.request.get("question")
        if question is None or question["answer"] is not None:
            return
        say(job.ticket["id"], f"asked back: {question['text']}")
        try:
            job.request = self.client.post(
                f"/requests/{job.request['id']}/answer",
                {"question": question["id"], "text": f"The ticket says: {job.ticket['text']} I know no more."},
                key=f"answer-{question['id']}",
            )
        except Refused as refused:
            say(job.ticket["id"], f"the answer came too late: {refused}")

    def settle(self, job: Job) -> Job | None:
        """Do what the decision asks for; a job where something else is asked for instead and people must decide."""
        number, decision = job.ticket["id"], job.request["decision"]
        if decision["outcome"] == "approved":
            self.proceed(job)
            return None
        self.ends[decision["outcome"]] += 1
        say(number, f"{decision['outcome']}: {decision['reason']}")
        if decision["stop"]:
            raise Stopped(decision["reason"])
        instead = job.ticket.get("instead")
        taken_back = decision["outcome"] == "withdrawn"
        if decision["retry"] == "changed" and instead and job.attempt == 1 and not taken_back:
            return self.ask(Job(job.ticket, {**job.wants, **instead}, attempt=2))
        self.left.append(f"{number}: {NEXT['later' if taken_back else decision['retry']]}")
        return None

    def proceed(self, job: Job) -> None:
        """Hand an approval to the executor, once more with a fresh grant where the first had lapsed on the way."""
        number = job.ticket["id"]
        if job.request["decision"]["amended"]:
            say(number, f"approved with changes, and that is done, not what was asked: {changes(job.request)}")
        done = None
        for _ in range(2):
            job.request, job.etag = self.client.get(f"/requests/{job.request['id']}")
            if job.request["grant"] is None:
                break
            done = self.executor.carry_out(job.request)
            if done.result != "lapsed":
                break
        if done is None or done.result == "lapsed":
            self.ends["approved, not used"] += 1
            say(number, "approved, but the grant was used before or no longer holds")
            self.left.append(f"{number}: see what came of it, then perhaps ask again")
            return
        self.ends[f"approved, {done.result}"] += 1
        say(number, f"approved; {done.words}")
        if done.result != "succeeded":
            self.left.append(f"{number}: a person should look at the outcome")


NEXT = {
    "never": "closed; this is not asked again",
    "changed": "a person should think of something else",
    "later": "may be asked again in a later run",
}


def say(number: str, text: str) -> None:
    """One line for whoever watches."""
    print(f"{datetime.now(UTC):%H:%M:%S}  {number:<7} {text}", flush=True)


def changes(request: dict[str, Any]) -> str:
    """What people changed of an approved request, name by name."""
    asked, approved = request["parameters"], request["decision"]["parameters"]
    names = [name for name in {**asked, **approved} if asked.get(name) != approved.get(name)]
    return ", ".join(f"{name} {json.dumps(asked.get(name))} → {json.dumps(approved.get(name))}" for name in names)


def clock(moment: str) -> str:
    """A time of the contract as hours, minutes and seconds, UTC."""
    return f"{moment[11:19]} UTC"


def options(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="A helpdesk agent that asks before it acts; needs a running demo.")
    parser.add_argument("--tickets", type=Path, default=HERE / "tickets.json", help="a file of tickets (JSON)")
    parser.add_argument("--demo", type=Path, default=HERE.parent / "var" / "demo.json", help="the demo's url and keys")
    parser.add_argument("--wait", type=float, metavar="SECONDS", help="take back what is undecided after so long")
    parser.add_argument("--run", default=f"r-{datetime.now(UTC):%Y%m%d-%H%M%S}", help="repeat a run by its name")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """0 when the tickets were worked through, 1 when that was not possible, 3 when the agent was told to stop."""
    given = options(arguments)
    try:
        demo = json.loads(given.demo.read_text(encoding="utf-8"))
        tickets = json.loads(given.tickets.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        print(f"{error}. Is the demo running (make up)?", file=sys.stderr)
        return 1
    client = Client(demo["url"], demo["keys"]["agent"], say=lambda text: say("", text))
    executor = Executor(Client(demo["url"], demo["keys"]["executor"], say=lambda text: say("", text)))
    helpdesk = Helpdesk(client, executor, url=demo["url"], run=given.run, wait=given.wait)
    print(f"Helpdesk agent, run {given.run}: {len(tickets)} tickets. Decide at {demo['url']}/queue/\n", flush=True)
    code = 0
    try:
        helpdesk.work_through(tickets)
    except Stopped as stopped:
        print(f"\nTold to stop: {stopped}", flush=True)
        code = 3
    except (Refused, Unreachable) as error:
        print(f"\n{error}", file=sys.stderr, flush=True)
        code = 1
    except KeyboardInterrupt:
        print("\nInterrupted; what is still pending expires by itself.", flush=True)
        code = 1
    print("\n" + (", ".join(f"{count} {end}" for end, count in sorted(helpdesk.ends.items())) or "nothing ended") + ".")
    for line in helpdesk.left:
        print(f"  {line}")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
