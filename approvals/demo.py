"""The demo organisation: people, teams, an agent and some 200 requests, made through the verbs as anyone would make
them. Nothing here is used outside the demo.
"""

from __future__ import annotations

import base64
import random
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from accounts import people, second_factor
from accounts.models import Role, Team, User
from agents import registration
from agents.models import Agent, Credential, Scope
from approvals import decisions, expiry, grants, policies, queries, redemption, requests, viewing
from approvals.models import Request
from approvals.states import Status
from audit.entries import Authentication, Party
from audit.health import assert_log_is_live

BY = Party("system", "demo")
TEAMS = {
    "support": "Support",
    "finance": "Finance",
    "privacy": "Privacy",
    "security": "Security",
    "leadership": "Leadership",
}
#: sign-in → (name, team or None, roles); the roles' words in var/demo.json come from here
PEOPLE: dict[str, tuple[str, str | None, tuple[Role, ...]]] = {
    "support1": ("Sam Porter", "support", ()),
    "support2": ("Ruth Abara", "support", ()),
    "finance1": ("Fei Lindqvist", "finance", ()),
    "finance2": ("Noor Castellanos", "finance", ()),
    "privacy1": ("Priya Vance", "privacy", ()),
    "security1": ("Silas Okoro", "security", ()),
    "auditor1": ("Aud Merriweather", None, (Role.AUDITOR,)),
    "admin1": ("Ada Brandt", None, (Role.ADMINISTRATOR, Role.POLICY_ACTIVATOR)),
    "admin2": ("Adil Roussel", None, (Role.ADMINISTRATOR, Role.POLICY_ACTIVATOR)),
    "author1": ("Theo Quill", None, (Role.POLICY_AUTHOR,)),
    "leader1": ("Lena Strand", "leadership", (Role.LEADERSHIP,)),
    "owner1": ("Owen Hale", "support", ()),
}
#: who decides critical requests, and so has an authenticator app; the others sign in with a password alone
WITH_APP = ("privacy1", "security1")
AGENT_SCOPES = (Scope.FILE, Scope.READ, Scope.REPORT)


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


@dataclass
class Demo:
    """What was made: the sign-ins with what they sign in by, the keys' texts, and how many requests of each status."""

    users: list[dict[str, Any]] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)


def make(files: dict[str, str], *, say: Callable[[str], None]) -> Demo:
    """Make everything; `say` is told what is being done. Needs the sealer running: high approvals and redemptions
    are refused without it, here as anywhere."""
    demo, cast = Demo(), {}
    teams = {slug: people.create_team(by=BY, slug=slug, name=name) for slug, name in TEAMS.items()}
    for login, (name, team, roles) in PEOPLE.items():
        password = secrets.token_urlsafe(12)
        cast[login] = _person(login, name, password, teams.get(team or ""), roles)
        words = [role.value for role in roles] + (["reviewer"] if team else [])
        sign_in: dict[str, Any] = {
            "email": cast[login].email,
            "password": password,
            "roles": words + (["owner"] if login == "owner1" else []),
        }
        if login in WITH_APP:
            sign_in["totp"] = base64.b32encode(secrets.token_bytes(20)).decode()
            second_factor.give_totp(user=cast[login], secret=sign_in["totp"])
        demo.users.append(sign_in)
    policies.bootstrap(files=files, by=BY)
    agent = registration.register_agent(
        by=BY,
        slug="helpdesk",
        purpose="Answers customers' tickets: mails, refunds, exports.",
        owner=cast["owner1"],
        level=3,
    )
    executor = registration.register_executor(by=BY, slug="payments")
    filing, demo.keys["agent"] = registration.issue_credential(by=BY, holder=agent, scopes=AGENT_SCOPES)
    executing, demo.keys["executor"] = registration.issue_credential(
        by=BY, holder=executor, scopes=(Scope.REDEEM, Scope.REPORT)
    )
    _, demo.keys["auditor"] = registration.issue_credential(
        by=BY, holder=cast["auditor1"], scopes=(Scope.AUDIT,), valid_for=timedelta(days=30)
    )
    say("Waiting for the sealer …")
    _await_sealer()
    demo.counts = _Past(agent, filing, executing, cast).live(say)
    return demo


def _person(login: str, name: str, password: str, team: Team | None, roles: tuple[Role, ...]) -> User:
    user = people.create_person(by=BY, email=f"{login}@example.test", name=name, password=password)
    if team is not None:
        people.join_team(by=BY, user=user, team=team)
    for role in roles:
        people.give_role(by=BY, user=user, role=role)
    return user


def _await_sealer() -> None:
    from audit.entries import EvidenceUnavailable

    for _ in range(300):
        try:
            assert_log_is_live()
        except EvidenceUnavailable:
            time.sleep(0.1)
        else:
            return
    assert_log_is_live()


class _Past:
    """A past for the demo: requests filed, decided, redeemed, taken back and left to lapse, the same at each run."""

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
        elif fate == "withdraw":
            requests.withdraw(agent=self.agent, request_id=request.pk, reason="The customer solved it.")
        if fate == "redeem":
            self._redeem(request)

    def _decide(self, person: User, request: Request, verdict: str, why: str) -> None:
        now = queries.clock()
        shown = viewing.show(request)
        ticket = viewing.issue_ticket(request, shown, person=person, session_key="demo", at=now)
        critical = verdict == "approve" and request.risk == "critical"
        fact = shown.view.salient.canonical if critical and shown.view.salient else ""
        form = decisions.Form(verdict, why, "", "", shown.display_digest, ticket, fact)
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
