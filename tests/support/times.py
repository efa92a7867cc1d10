"""Time that passes, in tests: moves what was filed or named into the past; and policies that escalate.

A deadline can't be moved through any verb, and waiting for one would be a sleep. Nothing is asserted here.
"""

from __future__ import annotations

from datetime import timedelta

from accounts import delegations
from accounts.absence import Delegation
from accounts.models import User
from approvals import policies, queries
from approvals.models import Request
from approvals.transactions import time_limited
from tests.support import services
from tests.support.cast import SETTING_UP, demo_policy

LARGE = {"amount_cents": 20_000, "currency": "USD"}  # 2 of finance, 30 minutes
_LARGE = '@id("refund-large")'
_LARGE_REQUIRES = '@require("2 of finance")'


def pass_time(request: Request, by: timedelta) -> Request:
    """Let all that a request says of time lie `by` further back, as the owner, its triggers at rest."""
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        owner.execute(
            "UPDATE approvals_request SET created_at = created_at - %(by)s, expires_at = expires_at - %(by)s,"
            " escalates_at = escalates_at - %(by)s, escalated_at = escalated_at - %(by)s,"
            " remind_at = remind_at - %(by)s WHERE id = %(id)s",
            {"by": by, "id": request.pk},
        )
        owner.execute(
            "UPDATE approvals_decision SET decided_at = decided_at - %(by)s WHERE request_id = %(id)s",
            {"by": by, "id": request.pk},
        )
    request.refresh_from_db()
    return request


def activate(*changes: tuple[str, str]) -> None:
    """Put the demo's policy in force with some words replaced."""
    files = dict(demo_policy())
    for before, after in changes:
        assert before in files["demo.cedar"]
        files["demo.cedar"] = files["demo.cedar"].replace(before, after)
    with time_limited():
        policies.activate(files, by=SETTING_UP)


def escalating(what: str = "10m to leadership", *changes: tuple[str, str]) -> None:
    """Put in force that large refunds escalate."""
    activate((_LARGE, f'{_LARGE}\n@escalate("{what}")'), *changes)


def away(
    delegator: User,
    delegate: User,
    *,
    by: User | None = None,
    starts_in: timedelta = timedelta(),
    lasts: timedelta = timedelta(days=1),
    reason: str = "On leave",
) -> Delegation:
    """`delegator` names `delegate` (or `by` does), from now on unless it `starts_in` a while."""
    start = queries.clock() + starts_in
    return delegations.name(
        by=by or delegator, delegator=delegator, delegate=delegate, starts_at=start, ends_at=start + lasts,
        reason=reason,
    )  # fmt: skip


def run_out(delegation: Delegation) -> None:
    """Let a delegation's period be over."""
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        owner.execute(
            "UPDATE accounts_delegation SET starts_at = starts_at - (ends_at - clock_timestamp()),"
            " ends_at = clock_timestamp() WHERE id = %s",
            [delegation.pk],
        )
