"""The verbs over agents and keys: register, issue, revoke. Each is one transaction with its entry.

Who may do so is the door's gate to ask; suspension is `suspension`'s, and deployments come with the agents' controls.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now

from accounts.models import User
from accounts.people import transaction_clock
from agents import keys
from agents.models import Agent, Credential, Executor, Scope
from audit.canonical import timestamp
from audit.entries import Draft, Party, Personal, record
from audit.types import EntryType


@transaction.atomic
def register_agent(*, by: Party, slug: str, purpose: str, owner: User, level: int) -> Agent:
    """Make an agent that `owner` answers for, at safety level 1, 2 or 3."""
    agent = Agent(slug=slug, purpose=purpose, owner=owner, level=level)
    agent.save(force_insert=True)
    record(
        Draft(
            type=EntryType.AGENT_REGISTERED,
            actor=by,
            subject=Party("agent", str(agent.pk)),
            facts={"slug": slug, "owner": str(owner.pk), "level": level, "state": agent.state},
            personal={"purpose": Personal(purpose)},
        )
    )
    return agent


@transaction.atomic
def register_executor(*, by: Party, slug: str) -> Executor:
    """Make an executor, which redeems grants."""
    executor = Executor(slug=slug)
    executor.save(force_insert=True)
    record(
        Draft(
            type=EntryType.AGENT_REGISTERED,
            actor=by,
            subject=Party("executor", str(executor.pk)),
            facts={"slug": slug},
        )
    )
    return executor


@transaction.atomic
def issue_credential(
    *,
    by: Party,
    holder: Agent | Executor | User,
    scopes: Collection[Scope],
    valid_for: timedelta = timedelta(days=90),
) -> tuple[Credential, str]:
    """Make a key for an agent, an executor or an auditor; returns the row and the key's text, which is shown once."""
    key = keys.new()
    credential = Credential(
        public_id=key.public_id,
        secret_sha256=key.digest,
        scopes=sorted(scope.value for scope in scopes),
        agent=holder if isinstance(holder, Agent) else None,
        executor=holder if isinstance(holder, Executor) else None,
        auditor=holder if isinstance(holder, User) else None,
        expires_at=Now() + valid_for,
    )
    credential.save(force_insert=True)
    credential.refresh_from_db()
    record(
        Draft(
            type=EntryType.CREDENTIAL_ISSUED,
            actor=by,
            subject=Party("credential", str(credential.pk)),
            facts={
                "holder": {"kind": credential.holder.kind, "id": credential.holder.id},
                "key": credential.public_id,
                "scopes": list(credential.scopes),
                "expires_at": timestamp(credential.expires_at),
                # Of the stored hash of 256 random bits: nobody can guess either back.
                "secret_digest": hashlib.sha256(key.digest).hexdigest(),
            },
        )
    )
    return credential, str(key)


@transaction.atomic
def revoke_credential(*, by: Party, credential: Credential) -> None:
    """End a key at once; revoking twice changes nothing."""
    now = transaction_clock()
    changed = Credential.objects.filter(pk=credential.pk, revoked_at__isnull=True).update(revoked_at=now)
    if changed:
        record(
            Draft(
                type=EntryType.CREDENTIAL_REVOKED,
                actor=by,
                subject=Party("credential", str(credential.pk)),
                facts={"key": credential.public_id, "revoked_at": timestamp(now)},
            )
        )
