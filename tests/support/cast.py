"""The cast most tests play with, made through the verbs: people, teams, the agent helpdesk, its keys, a policy.

Helpers file, decide and make overdue; none writes a row by hand but `overdue`, which can't be waited for.
Verbs hold durable transactions with a time limit of their own, so tests that use them are transactional ones.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count
from typing import Any, Literal

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import transaction

from accounts import people
from accounts.models import Role, Team, User
from agents import registration
from agents.models import Agent, Credential, Executor, Scope
from approvals import decisions, policies, queries, requests, viewing
from approvals.models import PolicyVersion, Request
from approvals.rules.pack import read_folder
from audit.entries import Authentication, Draft, Party, record
from audit.types import EntryType
from tests.support import services

PASSWORD = "correct horse battery staple"
SETTING_UP = Party("system", "countersign")
TEAMS = ("support", "finance", "privacy", "security", "leadership")
# Name before the @ → teams and roles; the same as in the demo organisation.
PEOPLE: Mapping[str, tuple[tuple[str, ...], tuple[Role, ...]]] = {
    "support1": (("support",), ()),
    "support2": (("support",), ()),
    "finance1": (("finance",), ()),
    "finance2": (("finance",), ()),
    "privacy1": (("privacy",), ()),
    "security1": (("security",), ()),
    "auditor1": ((), (Role.AUDITOR,)),
    "admin1": ((), (Role.ADMINISTRATOR, Role.POLICY_ACTIVATOR)),
    "admin2": ((), (Role.ADMINISTRATOR, Role.POLICY_ACTIVATOR)),
    "author1": ((), (Role.POLICY_AUTHOR,)),
    "leader1": (("leadership",), (Role.LEADERSHIP,)),
    "owner1": (("support",), ()),  # answers for helpdesk
}
FULL_NAMES = {"support1": "Sam Porter", "finance1": "Fina Nowak", "owner1": "Olga Keeper"}

_numbers = count(1)


@dataclass(frozen=True)
class Cast:
    """Everybody. `keys` holds the texts of `agent`, `executor` and `auditor`; `credentials` their rows."""

    people: Mapping[str, User]
    teams: Mapping[str, Team]
    agent: Agent
    executor: Executor
    policy: PolicyVersion
    keys: Mapping[str, str]
    credentials: Mapping[str, Credential]

    def __getitem__(self, name: str) -> User:
        return self.people[name]


def make_cast(*, sign_in: Collection[str] = (), only: Collection[str] | None = None) -> Cast:
    """The demo organisation's people and agent, without requests.

    Those named in `sign_in` get `PASSWORD` (hashing it takes time, so nobody else does); with `only`, nobody
    but these people, owner1 and auditor1, who holds a key, is made.
    """
    teams = {slug: people.create_team(by=SETTING_UP, slug=slug, name=slug.capitalize()) for slug in TEAMS}
    made = {}
    for name, (seats, roles) in PEOPLE.items():
        if only is None or name in only or name in ("owner1", "auditor1"):
            made[name] = make_person(name, teams=[teams[slug] for slug in seats], roles=roles)
    for name in sign_in:
        password_set(made[name])
    agent = registration.register_agent(
        by=SETTING_UP, slug="helpdesk", purpose="Answers tickets.", owner=made["owner1"], level=3
    )
    executor = registration.register_executor(by=SETTING_UP, slug="payments")
    keys, credentials = {}, {}
    filing = (Scope.FILE, Scope.READ, Scope.REPORT)
    for name, holder, scopes in (
        ("agent", agent, filing),
        ("executor", executor, (Scope.REDEEM, Scope.REPORT)),
        ("auditor", made["auditor1"], (Scope.AUDIT,)),
    ):
        credentials[name], keys[name] = registration.issue_credential(by=SETTING_UP, holder=holder, scopes=scopes)
    policy = policies.bootstrap(files=demo_policy(), by=SETTING_UP)
    return Cast(made, teams, agent, executor, policy, keys, credentials)


def make_person(name: str, *, teams: Collection[Team] = (), roles: Collection[Role] = ()) -> User:
    """`name`@example.test, seated in the teams and holding the roles."""
    person = people.create_person(
        by=SETTING_UP, email=f"{name}@example.test", name=FULL_NAMES.get(name, f"{name.capitalize()} Example")
    )
    for team in teams:
        people.join_team(by=SETTING_UP, user=person, team=team)
    for role in roles:
        people.give_role(by=SETTING_UP, user=person, role=role)
    return person


def password_set(person: User) -> None:
    """They sign in by `PASSWORD` from now on."""
    person.password = _hashed_once()
    facts = {"what": "password-changed", "password_digest": people.password_digest(person)}
    with transaction.atomic():
        person.save(update_fields=["password"])
        party = people.person_party(person)
        record(Draft(type=EntryType.PERSON_CHANGED, actor=SETTING_UP, subject=party, facts=facts))


def sits_in(person: User, team: Team) -> None:
    """They review for that team too, from now on."""
    people.join_team(by=SETTING_UP, user=person, team=team)


def leaves_teams(person: User) -> None:
    """They sit in no team from now on; no vote of theirs is looked at."""
    for team in Team.objects.filter(memberships__user=person):
        people.leave_team(by=SETTING_UP, user=person, team=team)


@cache
def demo_policy() -> dict[str, str]:
    """The texts of policies/demo."""
    return read_folder(settings.BASE_DIR / "policies" / "demo")


@cache
def _hashed_once() -> str:
    return make_password(PASSWORD)


# ---- requests
ORDINARY: Mapping[str, Mapping[str, Any]] = {
    "docs.read": {"path": "/handbook/refunds.md"},
    "email.send": {"to": "ada@customer.example", "subject": "Your order", "body": "It is on its way."},
    "refund.create": {"amount_cents": 4200, "currency": "USD"},
    "customer.export": {"segment": "churned", "fields": ["email", "name"], "rows": 1204},
    "backup.delete": {"backup": "2026-11-01"},
}


def file_request(
    cast: Cast,
    action: str = "refund.create",
    parameters: Mapping[str, Any] | None = None,
    *,
    resource: str | None = None,
    summary: str = "Refund for a parcel that never came",
    rationale: str = "The customer reported the parcel lost and the carrier confirmed it.",
    context: Mapping[str, Any] | None = None,
    timeout_seconds: int | None = None,
    agent: Agent | None = None,
) -> Request:
    """A request filed through the verb by helpdesk (or `agent`).

    Without `parameters` the ordinary ones of `ORDINARY`; `parameters` replace those they name. Without
    `resource` each has one of its own, so that none repeats another's denial.
    """
    return requests.file(
        agent=agent or cast.agent,
        credential=cast.credentials["agent"],
        filing=requests.Filing(
            action=action,
            resource=resource if resource is not None else f"order/{1000 + next(_numbers)}",
            parameters={**ORDINARY.get(action, {}), **(parameters or {})},
            summary=summary,
            rationale=rationale,
            context=dict(context or {}),
            timeout_seconds=timeout_seconds,
        ),
    )


def password_proof() -> Authentication:
    """A sign-in by password, just now."""
    return Authentication(method="password", at=datetime.now(UTC))


def totp_proof(*, age: timedelta = timedelta(0)) -> Authentication:
    """A code of an authenticator app, `age` ago by the database's clock."""
    return Authentication(method="mfa:totp", at=queries.clock() - age)


@dataclass(frozen=True)
class Opened:
    """What a person holds after opening the page: what a form would send back."""

    display_digest: str
    view_id: str
    session_key: str = field(default="a-session-of-the-test")


def open_page(request: Request, person: User, *, whole: bool = False) -> Opened:
    """Open a request as the page does, and keep its digest and ticket."""
    fresh = queries.requests().get(pk=request.pk)
    shown = viewing.show(fresh, full=whole)
    opened = Opened(shown.display_digest, "")
    ticket = viewing.issue_ticket(fresh, shown, person=person, session_key=opened.session_key, at=queries.clock())
    return Opened(shown.display_digest, ticket)


def decide(
    request: Request,
    person: User,
    verdict: Literal["approve", "reject"] | str = "approve",
    *,
    rationale: str = "The carrier's report matches what we have on record.",
    note: str = "",
    reason_code: str = "",
    confirm: str = "",
    opened: Opened | None = None,
    parameters: str | None = None,
    auth: Authentication | None = None,
) -> Request:
    """Decide through the verb, from a page opened just now (or from `opened`), signed in by password just now (or as
    `auth` says)."""
    opened = opened or open_page(request, person)
    return decisions.decide(
        person=person,
        session_key=opened.session_key,
        request_id=request.pk,
        form=decisions.Form(
            verdict=verdict,
            rationale=rationale,
            note=note,
            reason_code=reason_code,
            display_digest=opened.display_digest,
            view_id=opened.view_id,
            confirm=confirm,
            parameters=parameters,
        ),
        auth=auth or password_proof(),
    )


def overdue(request: Request, *, by: timedelta = timedelta(seconds=5)) -> Request:
    """Let the request's deadline have passed `by` ago, unswept: as the owner, its triggers at rest.

    A deadline can't be moved through any verb, and waiting for one would be a sleep.
    """
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        owner.execute(
            "UPDATE approvals_request SET created_at = created_at - interval '1 hour' - %(by)s,"
            " expires_at = clock_timestamp() - %(by)s WHERE id = %(id)s",
            {"by": by, "id": request.pk},
        )
    request.refresh_from_db()
    return request


@contextmanager
def held(request: Request) -> Iterator[None]:
    """Somebody else holds the request's row, as a deciding transaction does."""
    with services.connection("app") as other, other.transaction():
        other.execute("SELECT 1 FROM approvals_request WHERE id = %s FOR NO KEY UPDATE", [request.pk])
        yield
