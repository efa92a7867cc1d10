"""How people signed in and proved who they are, as evidence: each sign-in is an entry, each proof is dated.

What they may do is not asked here; what is changed in allauth stands in `adapters`.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from allauth.account.authentication import AUTHENTICATION_METHODS_SESSION_KEY, get_authentication_records
from allauth.account.signals import authentication_step_completed
from django.contrib.auth.signals import user_logged_in
from django.db import transaction
from django.http import HttpRequest

from accounts.models import User
from accounts.people import person_party
from audit.entries import Authentication, Draft, record
from audit.limits import clock
from audit.types import EntryType

EPOCH = datetime.fromtimestamp(0, UTC)
STAMP = "database_at"  # our field in allauth's record: when the database's clock says it was
AGREE = timedelta(seconds=2)  # a record is stamped in the request that makes it


def authentication_of(request: HttpRequest, *, now: datetime | None = None) -> Authentication:
    """How and when the person of this session last proved who they are, from allauth's records in the session.

    `method` is `password`, `oidc`, `mfa:totp`, `mfa:webauthn`, `mfa:recovery_codes`, …: of several, the newest with a
    second factor, else the newest. `at` is by the database's clock, whose moment now is `now`. A session without a
    record says `session`, at the epoch.
    """
    records: list[dict[str, Any]] = get_authentication_records(request, request.user)
    if not records:
        return Authentication(method="session", at=EPOCH)
    chosen = next((one for one in reversed(records) if one.get("method") == "mfa"), records[-1])
    method = str(chosen.get("method", "session"))
    method = {"socialaccount": "oidc"}.get(method, method)  # the one provider there is
    if "type" in chosen:
        method = f"{method}:{chosen['type']}"
    return Authentication(method=method, at=_by_the_database(chosen, now or clock()))


def _by_the_database(chosen: dict[str, Any], now: datetime) -> datetime:
    """When a record was made. allauth dates it by its host's clock, we by the database's: the stamp holds where the
    age by this host's clock agrees with it. Where not, a clock is wrong: a date in the future stays one, and proves
    nothing; else the older is believed."""
    claimed = now - timedelta(seconds=time.time() - float(chosen["at"]))
    if STAMP not in chosen:
        return claimed
    stamped = datetime.fromtimestamp(float(chosen[STAMP]), UTC)
    if abs(claimed - stamped) <= AGREE:
        return stamped
    latest = max(claimed, stamped)
    return latest if latest > now else min(claimed, stamped)


def _stamp(sender: object, request: HttpRequest, **_: Any) -> None:
    records = request.session.get(AUTHENTICATION_METHODS_SESSION_KEY)
    if records:
        records[-1][STAMP] = clock().timestamp()
        request.session[AUTHENTICATION_METHODS_SESSION_KEY] = records


def _record_sign_in(sender: object, request: HttpRequest, user: User, **_: Any) -> None:
    # No entry, no session: an exception here fails the sign-in.
    with transaction.atomic():
        person = person_party(user)
        record(Draft(type=EntryType.SESSION_SIGNED_IN, actor=person, subject=person, facts={}))


def connect() -> None:
    """Listen for sign-ins and proofs; called once when the app is ready."""
    user_logged_in.connect(_record_sign_in, dispatch_uid="accounts.sign_in")
    authentication_step_completed.connect(_stamp, dispatch_uid="accounts.sign_in.stamp")
