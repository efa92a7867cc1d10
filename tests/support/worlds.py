"""A house with one row of each kind that a forger may want to change, all of them made by verbs."""

from __future__ import annotations

import hashlib
from datetime import time, timedelta
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP
from allauth.socialaccount.models import SocialAccount
from django.db import transaction
from uuid_utils.compat import uuid7

from accounts import delegations, departures, hours, identities, invitations, people, two_people
from accounts.models import Invitation, Membership, RightsChange, Role
from agents import registration, stops
from agents.models import Scope
from approvals import queries
from tests.support.cast import SETTING_UP, Cast, make_person
from tests.support.colleagues import acting, make_house
from tests.support.leaves import entries

World = dict[str, Any]
WHY = "The board decided so."
HASH = hashlib.sha256(b"of the forger").digest()


def make_world() -> World:
    """Ids by their names, of rows that verbs made."""
    cast: Cast = make_house(only=("support1", "support2"))
    one = acting(cast["admin1"])
    world: World = {"new": uuid7(), "hash": HASH, "admin1": cast["admin1"].pk, "admin2": cast["admin2"].pk}
    world |= {"person": cast["support1"].pk, "other": cast["support2"].pk, "agent": cast.agent.pk}
    world |= {"support": cast.teams["support"].pk, "finance": cast.teams["finance"].pk, "executor": cast.executor.pk}
    world["seat"] = Membership.objects.get(user=cast["support1"], team=cast.teams["support"]).pk
    ends = queries.clock() + timedelta(days=1)
    world["role"] = people.give_role(by=SETTING_UP, user=cast["support1"], role=Role.AUDITOR, expires_at=ends).pk
    gone, _ = invitations.invite(by=one, email="gone@example.test", name="Gone Away")
    world["void"] = Invitation.objects.get().pk
    world["loose"] = make_person("loose").pk
    departures.deactivate(by=one, person_id=gone.pk, reason=WHY)
    invited, _ = invitations.invite(by=one, email="invited@example.test", name="Ida Invited")
    world |= {"gone": gone.pk, "invited": invited.pk, "link": Invitation.objects.get(person=invited).pk}
    for name, role in (("ended", Role.POLICY_ACTIVATOR), ("change", Role.ADMINISTRATOR)):
        change = two_people.propose(
            by=one, person_id=cast["support1"].pk, kind=RightsChange.Kind.GIVE, role=role, reason=WHY
        )
        assert change is not None
        world[name] = change.pk
        if name == "ended":
            two_people.cancel(by=one, change_id=change.pk)
    world["delegation"] = delegations.name(
        by=cast["support1"], delegator=cast["support1"], delegate=cast["support2"], starts_at=None, ends_at=ends,
        reason=WHY,
    ).pk  # fmt: skip
    at_work = hours.Hours(frozenset({1}), time(9), time(17), "UTC")
    hours.keep(by=cast["admin1"], team=cast.teams["support"], hours=at_work)
    with transaction.atomic():
        app = TOTP.activate(cast["support1"], "JBSWY3DPEHPK3PXP").instance
        Authenticator.objects.filter(pk=app.pk).update(data={**app.data, "spent": 9})
        identities.link(by=SETTING_UP, person=cast["support1"], issuer="https://issuer.example", subject="17")
        world |= {"app": app.pk, "account": SocialAccount.objects.get().pk}
        world["idle"] = registration.register_agent(
            by=SETTING_UP, slug="idle", purpose="Nothing.", owner=cast["support1"], level=1
        ).pk
        for name in ("revoked", "key"):
            key, _ = registration.issue_credential(by=SETTING_UP, holder=cast.executor, scopes=[Scope.REPORT])
            world |= {name: key.pk, "public_id": key.public_id}
            if name == "revoked":
                registration.revoke_credential(by=SETTING_UP, credential=key)
    world["sealed"] = entries("person.changed")[-2]["facts"]["factor_digest"]
    stops.begin(by=None, reason=WHY)
    stops.lift(number=1, by=cast["admin1"], reason=WHY)
    stops.begin(by=None, reason=WHY)
    world["stop"] = 2
    return world
