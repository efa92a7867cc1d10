"""The demo organisation: people, teams and an agent, made through the verbs as anyone would make them.

What they have done so far is `past`'s. Nothing here is used outside the demo.
"""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from accounts import delegations, people, second_factor, two_people
from accounts.acting import Acting
from accounts.models import RightsChange, Role, Team, User
from agents import registration
from agents.models import Scope
from approvals import policies, queries
from approvals.demo.past import WITH_APP, Past
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
AGENT_SCOPES = (Scope.FILE, Scope.READ, Scope.REPORT)


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
    _propose_a_role(cast["admin1"], cast["leader1"])
    policies.bootstrap(files=files, by=BY)
    away_from = queries.clock() + timedelta(days=7)
    delegations.name(
        by=cast["finance2"], delegator=cast["finance2"], delegate=cast["leader1"], starts_at=away_from,
        ends_at=away_from + timedelta(days=5), reason="Family leave",
    )  # fmt: skip
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
    demo.counts = Past(agent, filing, executing, cast).live(say)
    return demo


def _person(login: str, name: str, password: str, team: Team | None, roles: tuple[Role, ...]) -> User:
    user = people.create_person(by=BY, email=f"{login}@example.test", name=name, password=password)
    if team is not None:
        people.join_team(by=BY, user=user, team=team)
    for role in roles:
        people.give_role(by=BY, user=user, role=role)
    return user


def _propose_a_role(by: User, person: User) -> None:
    """Something for the second administrator to confirm on /people/."""
    two_people.propose(
        by=Acting(by, Authentication(method="password", at=queries.clock())),
        person_id=person.pk,
        kind=RightsChange.Kind.GIVE,
        role=Role.POLICY_ACTIVATOR,
        reason="Covers for Ada in December.",
    )


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
