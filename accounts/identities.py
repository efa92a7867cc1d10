"""Ties the provider's user to a person, with its entry. Who they are was settled before (`oidc`, `two_people`)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from allauth.socialaccount.models import SocialAccount

from accounts.models import User
from audit.commitments import JSON
from audit.entries import Authentication, Draft, Party, Personal, record
from audit.types import EntryType

PROVIDER = "oidc"


def known_as(issuer: str, subject: str) -> str:
    """How a link is kept: another issuer's subject of the same name is somebody else."""
    return hashlib.sha256(f"{issuer}\n{subject}".encode()).hexdigest()


def linked(person: User) -> bool:
    """Whether one of the provider's users is this person already."""
    return SocialAccount.objects.filter(user=person, provider=PROVIDER).exists()


def record_link(
    *,
    by: Party,
    account: SocialAccount,
    issuer: str,
    subject: str,
    facts: Mapping[str, JSON] | None = None,
    auth: Authentication | None = None,
) -> None:
    """Record, in the caller's transaction, that this user of the issuer's is this person from now on."""
    record(
        Draft(
            type=EntryType.PERSON_CHANGED,
            actor=by,
            subject=Party("person", str(account.user_id)),
            facts={
                "what": "identity-linked",
                "account": str(account.pk),
                "provider": account.provider,
                **(facts or {}),
            },
            personal={"issuer": Personal(issuer), "sub": Personal(subject)},
            auth=auth,
        )
    )


def link(
    *,
    by: Party,
    person: User,
    issuer: str,
    subject: str,
    facts: Mapping[str, JSON] | None = None,
    auth: Authentication | None = None,
) -> None:
    """Link a locked person who has no link yet, in the caller's transaction."""
    account = SocialAccount(user=person, provider=PROVIDER, uid=known_as(issuer, subject), extra_data={})
    account.save(force_insert=True)
    record_link(by=by, account=account, issuer=issuer, subject=subject, facts=facts, auth=auth)
