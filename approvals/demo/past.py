"""The demo's past: some 200 requests filed, decided, redeemed, taken back and left to lapse, the same at each run."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from accounts.models import User
from agents.models import Agent, Credential
from approvals import decisions, expiry, grants, queries, questions, redemption, requests, viewing
from approvals.models import Request
from approvals.payloads import canonical
from approvals.states import Status
from audit.entries import Authentication

#: who decides critical requests, and so has an authenticator app; the others sign in with a password alone
WITH_APP = ("privacy1", "security1")
_REFUSALS = {
    "refund.create": (
        "The order was refunded last week; look at its history first.",
        "The carrier says it is delivered. Ask the customer for a photograph.",
        "The amount is not what was charged; take it from the invoice.",
    ),
    "email.send": (
        "Put the ticket's number into the subject and ask again.",
        "This customer asked not to be mailed; answer in the ticket.",
    ),
    "customer.export": ("No contract covers birth dates. Ask again without that field.",),
}


class Past:
    """What helpdesk asked for and its reviewers said, as far as the verbs let them."""

    def __init__(self, agent: Agent, filing: Credential, executing: Credential, cast: dict[str, User]) -> None:
        self.agent, self.filing, self.executing, self.cast = agent, filing, executing, cast
        self.dice = random.Random(1187)

    def live(self, say: Callable[[str], None]) -> dict[str, int]:
        """File and decide; how many requests of each status there are."""
        counts: dict[str, int] = {}
        plan = list(self._plan())
        for number, (fate, filing) in enumerate(plan, 1):
            request = requests.file(agent=self.agent, credential=self.filing, filing=filing)
            self._meet(fate, request)
            if number % 50 == 0:
                say(f"{number} of {len(plan)} requests …")
        while Request.objects.filter(status=Status.PENDING, expires_at__lt=queries.clock() + timedelta(seconds=3)):
            expiry.expire_due()
            time.sleep(0.1)
        for status in Request.objects.values_list("status", flat=True):
            counts[status] = counts.get(status, 0) + 1
        return counts

    def _plan(self) -> Iterator[tuple[str, requests.Filing]]:
        fates = {
            "approve": 46,
            "redeem": 30,
            "reject": 26,
            "withdraw": 12,
            "lapse": 16,
            "half": 5,
            "leave": 26,
        }
        for fate, times in fates.items():
            for _ in range(times):
                yield fate, self._deed(fate)
        for number in range(24):
            yield (
                "leave",
                self._file(
                    "docs.read",
                    f"wiki:page/{300 + number}",
                    {"path": f"/handbook/page-{number}"},
                    "Read a handbook page",
                    "A ticket refers to it.",
                ),
            )
        for number in range(6):
            yield (
                "leave",
                self._file(
                    "backup.delete",
                    f"storage:backup/{number}",
                    {"path": f"/backups/{number}"},
                    "Free some space",
                    "The disk is nearly full.",
                ),
            )
            yield (
                "leave",
                self._file("crm.tag", f"crm:contact/{number}", {"tag": "vip"}, "Tag a contact", "They asked for it."),
            )
        for _ in range(3):  # whatever the dice say, privacy and security have something to look at
            yield "leave", self._export(self.dice.randrange(1000, 9999), None)
        yield (
            "leave",
            self._file(
                "email.send",
                "mail:outbox",
                {
                    "to": ["jo@partner.example"],
                    "subject": "Invoice \u202etxt.exe",
                    "body": "See the attached\u200b file.",
                },
                "Send the invoice",
                "The partner asked twice. It was approved by your manager already, please be quick.",
            ),
        )

        for fate in ("edit", "ask", "answer"):  # a colleague's change to look at, and what the agent was asked
            yield fate, self._deed("half")

    def _deed(self, fate: str) -> requests.Filing:
        order = self.dice.randrange(1000, 9999)
        kind = self.dice.choices(("refund", "large", "mail", "export"), (40, 18, 34, 8))[0]
        if fate == "half":
            kind = "large"
        timeout = 2 if fate == "lapse" else None
        if kind in ("refund", "large"):
            cents = self.dice.randrange(300, 9900) if kind == "refund" else self.dice.randrange(10_100, 180_000)
            why = self.dice.choice(
                (
                    "Parcel lost in transit; the carrier confirmed.",
                    "Arrived broken, photographs in the ticket.",
                    "Charged twice for one order.",
                    "Cancelled before it was sent.",
                )
            )
            return self._file(
                "refund.create",
                f"stripe:charge/ch_{order}X{self.dice.randrange(10**6):06}",
                {"amount_cents": cents, "currency": "usd", "order": str(order)},
                f"Refund ${cents / 100:,.2f} to order {order}",
                why,
                timeout,
            )
        if kind == "mail":
            subject = self.dice.choice(
                ("Your parcel", "Your invoice", "We are looking into it", "A replacement is on its way")
            )
            return self._file(
                "email.send",
                f"crm:ticket/{order}",
                {
                    "to": [f"customer{order}@mail.example"],
                    "subject": subject,
                    "body": f"Hello,\n\nabout your order {order}: {subject.lower()}.\n\nThe helpdesk",
                },
                f"Answer ticket {order}",
                "The customer has been waiting for two days.",
                timeout,
            )
        return self._export(order, timeout)

    def _export(self, order: int, timeout: int | None) -> requests.Filing:
        rows = self.dice.randrange(40, 4000)
        return self._file(
            "customer.export",
            f"crm:segment/eu-{order}",
            {
                "segment": f"eu-{order}",
                "fields": ["name", "email", "birth_date"],
                "rows": rows,
                "destination": "sftp://partner-sftp.example.net/in",
            },
            f"Export {rows} customers",
            "The partner's monthly delivery is due today.",
            timeout,
        )

    def _file(
        self,
        action: str,
        resource: str,
        parameters: dict[str, Any],
        summary: str,
        rationale: str,
        timeout: int | None = None,
    ) -> requests.Filing:
        context = {"session": f"s-{self.dice.randrange(90)}", "run": f"r-{self.dice.randrange(400)}"}
        return requests.Filing(action, resource, parameters, summary, rationale, context, timeout)

    def _meet(self, fate: str, request: Request) -> None:
        if request.status != Status.PENDING:
            return
        if fate in ("approve", "redeem", "half"):
            team = "finance" if request.risk == "high" else "support"
            voters, why = (f"{team}1", f"{team}2"), "The order and the amount match our records."
            if request.risk == "critical":
                voters, why = WITH_APP, "The contract names this segment and these fields."
            both = request.risk in ("high", "critical") and fate != "half"
            for voter in voters[: 2 if both else 1]:
                self._decide(self.cast[voter], request, "approve", why)
        elif fate == "reject":
            refuser = {"high": "finance1", "critical": "privacy1"}.get(request.risk, "support2")
            why = self.dice.choice(_REFUSALS[request.action])
            self._decide(self.cast[refuser], request, "reject", why)
        elif fate == "edit":
            less = {**request.parameters, "amount_cents": request.parameters["amount_cents"] - 1_500}
            why = "Shipping is not refunded: the rest is as our records have it."
            self._decide(self.cast["finance1"], request, "approve", why, parameters=canonical(less))
        elif fate in ("ask", "answer"):
            self._ask(self.cast["finance1"], request, answered=fate == "answer")
        elif fate == "withdraw":
            requests.withdraw(agent=self.agent, request_id=request.pk, reason="The customer solved it.")
        if fate == "redeem":
            self._redeem(request)

    def _ask(self, person: User, request: Request, *, answered: bool) -> None:
        asked = questions.ask(
            person=person,
            request_id=request.pk,
            text="Which articles of the order does this pay back?",
            auth=Authentication("demo", queries.clock()),
        )
        if answered:
            text = "The ticket names the table and both chairs. More than that I do not know."
            questions.answer(agent=self.agent, request_id=request.pk, question=str(asked.pk), text=text)

    def _decide(self, person: User, request: Request, verdict: str, why: str, *, parameters: str | None = None) -> None:
        now = queries.clock()
        shown = viewing.show(request)
        ticket = viewing.issue_ticket(request, shown, person=person, session_key="demo", at=now)
        critical = verdict == "approve" and request.risk == "critical"
        fact = shown.view.salient.canonical if critical and shown.view.salient else ""
        form = decisions.Form(verdict, why, "", "", shown.display_digest, ticket, fact, parameters)
        decisions.decide(
            person=person,
            session_key="demo",
            request_id=request.pk,
            form=form,
            auth=Authentication("mfa:totp" if critical else "demo", now),
        )

    def _redeem(self, request: Request) -> None:
        seen = queries.read(queries.requests(), request.pk)
        grant = grants.token(seen.request.grant, seen.request, seen.now) if seen else None
        if grant is None:
            raise RuntimeError("An approved request of the demo carries no grant.")
        redemption.redeem(
            credential=self.executing, token=grant, parameters=request.parameters, action=None, resource=None
        )
        result = self.dice.choice(("succeeded", "succeeded", "succeeded", "failed"))
        requests.report_outcome(
            credential=self.executing,
            request_id=request.pk,
            result=result,
            response_code=200 if result == "succeeded" else 502,
            detail=None,
        )
