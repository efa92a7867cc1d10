"""The database's promises on grants, keys and who may decide, asked of it in raw SQL as the application's role."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from accounts import people
from accounts.models import Membership
from approvals import grants
from approvals.models import SigningKey
from tests.domain import test_approvals_guards as guards
from tests.domain.test_approvals_guards import MOVED, NO_QUORUM, approval, entry, grant, refused, seat, vote
from tests.support import services
from tests.support.cast import SETTING_UP, Cast, file_request
from tests.support.forging import forging

app, cast = guards.app, guards.cast  # its fixtures


def naming(ballot: str, teams: str) -> str:
    """The vote with these teams written down, in place of those its person sits in."""
    before, _, rest = ballot.partition("(SELECT coalesce")
    after = rest.partition("), 'd'")[2]
    return f"{before}'{teams}', 'd'{after}"


def test_a_grant_that_a_fork_voided_cannot_be_given_a_later_forks_number(app: psycopg.Connection, cast: Cast) -> None:
    request = file_request(cast, "docs.read")
    for change in ("fork = 1", "fork = fork + 1", "level = 'none'"):
        values = {"id": request.pk}
        assert refused(app, (f"UPDATE approvals_grant SET {change} WHERE request_id = %(id)s", values)) == MOVED


def test_no_grant_begins_with_the_number_of_a_fork_that_was_not_declared(app: psycopg.Connection, cast: Cast) -> None:
    request = file_request(cast)
    statements = approval(request, (cast["support1"], "support"))
    ahead = [(statement.replace("'low', 0)", "'low', 1)"), values) for statement, values in statements]
    assert ahead != statements
    assert refused(app, *ahead) == MOVED
    assert refused(app, *statements) is None


def test_a_key_is_retired_once_and_never_changes_otherwise(app: psycopg.Connection, cast: Cast) -> None:
    grants.publish_keys()
    kid = {"kid": SigningKey.objects.get().kid}

    def change(assignment: str) -> str | None:
        return refused(app, (f"UPDATE approvals_signingkey SET {assignment} WHERE kid = %(kid)s", kid))

    early = "published_at = now() - interval '9 days'"
    for never in ("x = 'AA'", "kid = 'mine'", early, "x = 'AA', retired_at = now()"):
        assert change(never) == MOVED, never
    assert refused(app, ("DELETE FROM approvals_signingkey", {})) == MOVED
    assert change("retired_at = now()") == NO_QUORUM, "nothing tells it"
    assert grants.retire(kid["kid"], by=SETTING_UP)
    for never in ("retired_at = NULL", "retired_at = now() + interval '1 day'"):
        assert change(never) == MOVED, never


def test_a_seat_is_of_a_team_that_the_person_sat_in_at_the_vote_and_sits_in_still(
    app: psycopg.Connection, cast: Cast
) -> None:
    request = file_request(cast)
    key, ballot = vote(request, cast["support1"])
    assert refused(app, ballot) is None
    rest = [seat(request, key, "support"), grant(request), entry(request), (guards.APPROVE, {"id": request.pk})]
    with forging():
        Membership.objects.filter(user=cast["support1"]).delete()
    assert refused(app, *rest) == NO_QUORUM
    people.join_team(by=SETTING_UP, user=cast["support1"], team=cast.teams["support"])
    assert refused(app, *rest) is None


def test_a_team_joined_after_the_vote_gives_no_seat(app: psycopg.Connection, cast: Cast) -> None:
    large = file_request(cast, parameters={"amount_cents": 50_000})
    seated: list[tuple[str, dict[str, Any]]] = []
    for name in ("finance1", "finance2"):
        key, (statement, values) = vote(large, cast[name])
        seated += [(statement, values), seat(large, key, "finance")]
    votes = [(naming(seated[0][0], "[]"), seated[0][1]), *seated[1:]]
    assert refused(app, *votes, grant(large), entry(large), (guards.APPROVE, {"id": large.pk})) == NO_QUORUM
    assert refused(app, *seated, grant(large), entry(large), (guards.APPROVE, {"id": large.pk})) is None


def test_whoever_left_the_house_fills_no_seat_with_an_earlier_vote(app: psycopg.Connection, cast: Cast) -> None:
    request = file_request(cast)
    key, ballot = vote(request, cast["support1"])
    assert refused(app, ballot) is None
    with forging():
        type(cast["support1"]).objects.filter(pk=cast["support1"].pk).update(is_active=False)
    rest = [seat(request, key, "support"), grant(request), entry(request), (guards.APPROVE, {"id": request.pk})]
    assert refused(app, *rest) == NO_QUORUM


@pytest.mark.parametrize("verdict", ["approve", "reject"])
def test_only_an_active_person_of_a_team_that_is_asked_decides(
    app: psycopg.Connection, cast: Cast, verdict: str
) -> None:
    small = file_request(cast)
    assert refused(app, vote(small, cast["finance1"], verdict)[1]) == NO_QUORUM
    statement, values = vote(small, cast["finance1"], verdict)[1]
    assert refused(app, (naming(statement, '["support"]'), values)) == NO_QUORUM
    with forging():
        type(cast["support1"]).objects.filter(pk=cast["support1"].pk).update(is_active=False)
    assert refused(app, vote(small, cast["support1"], verdict)[1]) == NO_QUORUM


def test_the_owner_may_reject_and_never_approves(app: psycopg.Connection, cast: Cast) -> None:
    small = file_request(cast)
    assert refused(app, vote(small, cast["owner1"])[1]) == NO_QUORUM
    assert refused(app, vote(small, cast["owner1"], "reject")[1]) is None


def test_a_table_of_the_same_name_put_before_the_real_one_is_not_asked(cast: Cast) -> None:
    request = file_request(cast)
    with services.connection("owner") as owner, owner.transaction(force_rollback=True):
        # Only the owner may make one here; where PUBLIC may, the application could.
        owner.execute("CREATE TEMPORARY TABLE accounts_membership (LIKE public.accounts_membership)")
        statement, values = vote(request, cast["support1"])[1]
        owner.execute(statement.replace("accounts_membership", "public.accounts_membership"), values)
