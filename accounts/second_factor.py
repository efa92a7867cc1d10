"""The second factor: what counts as one, how fresh it must be for a critical approval, and its life as evidence.

Signing in is `sign_in`'s work; which decisions ask for a second factor is policy's, and refusing is the verb's.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.utils import decrypt, encrypt
from django.db import connection, transaction
from django.db.models.signals import post_save, pre_delete, pre_save
from django.urls import reverse
from django.utils.http import urlencode

from accounts import letters, totp
from accounts.models import User
from accounts.people import person_party
from audit.entries import Authentication, Draft, NotInTransaction, Party, record
from audit.types import EntryType

FRESH = timedelta(minutes=5)
#: What counts. A recovery code lets people back in when a device is lost; written down, it proves no device at hand.
COUNTS = {"mfa:totp": "an authenticator app", "mfa:webauthn": "a passkey"}
_KINDS = {"totp": "An authenticator app", "webauthn": "A passkey", "recovery_codes": "A set of recovery codes"}
_SAID = {
    "second-factor-added": "%(factor)s was added to your account at Countersign.",
    "second-factor-removed": "%(factor)s was removed from your account at Countersign.",
}
_TYPES = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)


def why_not_fresh(auth: Authentication, *, at: datetime) -> str:
    """The sentence that says why this authentication is not one with a second factor less than 5 minutes before `at`;
    empty where it is. Both times are the database's clock; one from the future proves nothing."""
    if auth.method == "mfa:recovery_codes":
        return "A recovery code signs you in, but does not count here: use your authenticator app or passkey."
    if auth.method not in COUNTS:
        return "You have not confirmed with a second factor in this session."
    if auth.at > at:
        return "Your confirmation is dated in the future, so it does not count: a clock is wrong."
    if at - auth.at >= FRESH:
        return "Your last confirmation with a second factor is 5 minutes old or older."
    return ""


def has_one(user: User) -> bool:
    """Whether this person has set up an authenticator app or a passkey; recovery codes alone are none."""
    return Authenticator.objects.filter(user=user, type__in=_TYPES).exists()


def confirm_url(user: User, *, back: str) -> str:
    """Where this person proves with their second factor that it is them; they come back to `back`."""
    app = Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).exists()
    page = "mfa_reauthenticate" if app else "mfa_reauthenticate_webauthn"
    return f"{reverse(page)}?{urlencode({'next': back})}"


@transaction.atomic
def give_totp(*, user: User, secret: str) -> None:
    """Set up an authenticator app for somebody, as the page does; `secret` is base32."""
    Authenticator(user=user, type=Authenticator.Type.TOTP, data={"secret": encrypt(secret)}).save()


@transaction.atomic
def spend_code(authenticator: Authenticator, code: str, *, at: float) -> bool:
    """Whether this code, just found right, was not used before; then it is (RFC 6238, 5.2: accepted once).

    Kept in the row, under its lock: a cache is a process's own, and the code must be spent for all of them. `at` is
    this host's clock in seconds, which the code was checked by.
    """
    row = Authenticator.objects.select_for_update().get(pk=authenticator.pk)
    secret, now = decrypt(row.data["secret"]), totp.step_of(at)
    digits = totp.typed(code)
    used = [step for step in (now - 1, now, now + 1) if totp.code_at(secret, step) == digits]
    if not used or max(used) <= row.data.get("spent", -1):
        return False
    row.data["spent"] = max(used)
    row.save(update_fields=["data"])
    return True


def record_change(authenticator: Authenticator, change: str, *, by: Party | None = None) -> None:
    """Say in an entry what became of a stored second factor; `by` is its person where nobody else is named."""
    person = person_party(authenticator.user)
    with connection.cursor() as cursor:
        cursor.execute("SELECT accounts_factor_digest(data) FROM mfa_authenticator WHERE id = %s", [authenticator.pk])
        digest = cursor.fetchone()[0]
    facts = {
        "change": change,
        "factor": str(authenticator.type),
        "authenticator": str(authenticator.pk),
        "factor_digest": digest,
    }
    record(Draft(type=EntryType.PERSON_CHANGED, actor=by or person, subject=person, facts=facts))
    if said := _SAID.get(change):
        owner, text = authenticator.user, said % {"factor": _KINDS[str(authenticator.type)]}
        transaction.on_commit(lambda: letters.tell_of_factor(owner, text))


def _refuse_alone(sender: object, instance: Authenticator, **_: Any) -> None:
    if instance.pk is None and not connection.in_atomic_block:
        raise NotInTransaction("a second factor is added in the transaction of its entry")


def _record_added(sender: object, instance: Authenticator, created: bool, **_: Any) -> None:
    if created:
        record_change(instance, "second-factor-added")


# Django sends this inside the transaction that deletes.
def _record_removed(sender: object, instance: Authenticator, **_: Any) -> None:
    record_change(instance, "second-factor-removed")


def connect() -> None:
    """Listen for second factors that come and go; called once when the app is ready."""
    pre_save.connect(_refuse_alone, sender=Authenticator, dispatch_uid="accounts.second_factor.alone")
    post_save.connect(_record_added, sender=Authenticator, dispatch_uid="accounts.second_factor.added")
    pre_delete.connect(_record_removed, sender=Authenticator, dispatch_uid="accounts.second_factor.removed")
