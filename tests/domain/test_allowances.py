"""Allowances: bounded standing approvals, each use a request, a record, a grant and an entry of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
import pytest
from django.db import connection
from uuid_utils.compat import uuid7

from accounts.models import Membership, User
from agents import registration, stops, suspension
from agents.problems import Problem
from approvals import allowances, redemption, requests, spending
from approvals.allowances import Wanted
from approvals.api.documents import etag, request_document
from approvals.errors import (
    AlreadyDecided,
    CannotRecord,
    DecisionRefused,
    NotYours,
    StepUpNeeded,
    Stopped,
    Unfit,
)
from approvals.models import Allowance, AllowanceAgreement, AllowanceUse, Decision, Grant, Notice, Request
from approvals.queries import Seen, just_filed, read
from approvals.queries import requests as annotated
from approvals.rules.ruling import Ruling
from approvals.tasks import withdraw_stopped
from audit.entries import Party
from tests.support import sealing, services
from tests.support.cast import SETTING_UP, Cast, decide, file_request, make_cast, password_proof, totp_proof
from tests.support.forging import forging
from tests.support.leaves import entries
from tests.support.times import activate

SMALL = 'context.parameters.amount_cents <= 5000 && context.parameters.currency == "USD"'
LARGE = "context.parameters.amount_cents > 10000 && context.parameters.amount_cents <= 50000"
WHY = "Parcels of that carrier are lost each week, small amounts."


@pytest.fixture
def cast(transactional_db: None) -> Iterator[Cast]:
    """Those who decide refunds and exports, and a log that is being sealed."""
    people = ("support1", "support2", "finance1", "finance2", "privacy1", "security1", "admin1", "admin2")
    made = make_cast(only=people)
    with sealing.running():
        yield made


def propose(
    cast: Cast,
    *,
    by: str = "support1",
    basis: Request | None = None,
    condition: str = SMALL,
    uses: int | None = 3,
    hours: int | None = 24,
    rationale: str = WHY,
) -> Allowance:
    return allowances.propose(
        person=cast[by],
        request_id=(basis or file_request(cast)).pk,
        wanted=Wanted(condition, uses, hours, rationale),
        auth=password_proof(),
    )


def agree(cast: Cast, allowance: Allowance, by: str) -> Allowance:
    return allowances.agree(person=cast[by], allowance_id=allowance.pk, why=WHY, auth=password_proof())


def revoke(cast: Cast, allowance: Allowance, by: str = "support1") -> Allowance:
    return allowances.revoke(
        person=cast[by], allowance_id=allowance.pk, reason="No longer needed.", auth=password_proof()
    )


def redeemer(cast: Cast, request: Request) -> Callable[[], Any]:
    seen = read(annotated(), request.pk)
    assert seen is not None
    return partial(
        redemption.redeem,
        credential=cast.credentials["executor"],
        token=request_document(seen)["grant"],
        parameters=request.parameters,
        action=None,
        resource=None,
    )


# ---- using one
def test_what_falls_under_it_is_approved_at_once_with_record_grant_and_entry_of_its_own(cast: Cast) -> None:
    allowance = propose(cast)
    assert allowance.active_at is not None
    used = [file_request(cast) for _ in range(3)]
    for number, request in enumerate(used, start=1):
        assert (request.status, request.reason, request.retry) == ("approved", "Approved.", None)
        use = AllowanceUse.objects.get(request=request)
        assert (use.allowance_id, use.number) == (allowance.pk, number)
        assert use.seats == [{"team": "support", "person": str(cast["support1"].pk)}]
        assert Grant.objects.filter(request=request).count() == 1
        (entry,) = (leaf for leaf in entries("request.approved") if leaf["subject"]["id"] == str(request.pk))
        assert {key: entry["facts"][key] for key in ("allowance", "use", "of")} == {
            "allowance": str(allowance.pk),
            "use": number,
            "of": 3,
        }
    assert not Decision.objects.exists(), "nobody is said to have decided what they did not see"
    assert file_request(cast).status == "pending", "used up"
    assert Allowance.objects.get(pk=allowance.pk).uses_left == 0
    redeemer(cast, used[0])()


def again(request: Request) -> Seen:
    """The request as anybody reads it now."""
    seen = read(annotated(), request.pk)
    assert seen is not None
    return seen


def test_the_agent_hears_what_any_approval_says_and_people_are_not_asked(cast: Cast) -> None:
    by_person = decide(file_request(cast), cast["support1"])
    propose(cast, basis=file_request(cast))
    before = Notice.objects.count()
    by_allowance = file_request(cast)
    told = just_filed(by_allowance)
    one, other = (request_document(again(request)) for request in (by_person, by_allowance))
    assert one.keys() == other.keys()
    assert (request_document(told), etag(told)) == (other, etag(again(by_allowance))), "as its next read says"
    for document in (one, other):
        for changing in ("decided_at", "valid_until"):
            document["decision"].pop(changing)
    assert one["decision"] == other["decision"]
    assert Notice.objects.count() == before


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        ({"amount_cents": 5000}, "approved"),
        ({"amount_cents": 5001}, "pending"),
        ({"currency": "EUR"}, "pending"),
        ({"surprise": "x"}, "pending"),  # not understood: people look
        ({"amount_cents": 20_000}, "pending"),
        ({"amount_cents": -1}, "blocked"),
    ],
)
def test_what_lies_outside_waits_for_people_and_policy_comes_first(
    cast: Cast, parameters: dict[str, Any], status: str
) -> None:
    propose(cast)
    assert file_request(cast, parameters=parameters).status == status
    used = status == "approved"
    assert AllowanceUse.objects.exists() == used


def test_it_is_for_one_agent_and_one_action(cast: Cast) -> None:
    propose(cast)
    other = registration.register_agent(by=SETTING_UP, slug="other", purpose="-", owner=cast["owner1"], level=3)
    assert file_request(cast, agent=other).status == "pending"
    assert file_request(cast, "email.send").status == "pending"
    assert file_request(cast, "backup.delete").status == "blocked"


def test_what_repeats_a_denial_is_blocked_whatever_is_allowed(cast: Cast) -> None:
    denied = file_request(cast, resource="order/1")
    decide(denied, cast["support1"], "reject", rationale="Not this one.")
    propose(cast)
    assert file_request(cast, resource="order/1").status == "blocked"


def test_after_its_end_it_is_not_used(cast: Cast) -> None:
    allowance = propose(cast)
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        owner.execute(
            "UPDATE approvals_allowance SET created_at = created_at - interval '2 days',"
            " ends_at = clock_timestamp() - interval '1 second' WHERE id = %s",
            [allowance.pk],
        )
    assert file_request(cast).status == "pending"


@pytest.mark.parametrize(
    "stricter",
    [{"risk": "critical"}, {"risk_unknown": True}, {"unknown": ("surprise",)}, {"outcome": "blocked"}],
)
def test_it_stands_in_only_where_people_are_asked_for_what_is_understood_and_not_critical(
    stricter: dict[str, Any],
) -> None:
    asked = Ruling(outcome="people", reason="", retry=None, cause="policy")
    assert spending.may_stand_in(asked)
    assert not spending.may_stand_in(replace(asked, **stricter))


# ---- who may allow what
def test_the_quorum_of_each_request_agrees_to_the_whole(cast: Cast) -> None:
    basis = file_request(cast, parameters={"amount_cents": 20_000})
    allowance = propose(cast, by="finance1", basis=basis, condition=LARGE)
    assert allowance.active_at is None
    assert file_request(cast, parameters={"amount_cents": 20_000}).status == "pending"
    with pytest.raises(AlreadyDecided):
        agree(cast, allowance, "finance1")
    with pytest.raises(NotYours):
        agree(cast, allowance, "support1")
    assert agree(cast, allowance, "finance2").active_at is not None
    assert file_request(cast, parameters={"amount_cents": 20_000}).status == "approved"
    assert len(entries("allowance.agreed")) == 2
    assert len(entries("allowance.granted")) == 1


def test_one_of_small_ones_does_not_reach_what_policy_asks_more_for(cast: Cast) -> None:
    wide = "context.parameters.amount_cents <= 900000"
    propose(cast, condition=wide)
    assert file_request(cast, parameters={"amount_cents": 20_000}).status == "pending"
    assert file_request(cast).status == "approved"


@pytest.mark.parametrize("name", ["owner1", "finance1", "admin1"])
def test_the_owner_and_who_sits_in_no_seat_allow_nothing(cast: Cast, name: str) -> None:
    with pytest.raises(NotYours):
        propose(cast, by=name)
    assert not Allowance.objects.exists()


def test_nothing_critical_is_allowed_ahead_and_nothing_that_policy_asks_nobody_for(cast: Cast) -> None:
    export = file_request(cast, "customer.export")
    with pytest.raises(NotYours, match="critical"):
        propose(cast, by="privacy1", basis=export, condition="context.parameters.rows <= 5000")
    reading = file_request(cast, "docs.read")
    with pytest.raises(NotYours, match="asks nobody"):
        propose(cast, basis=reading, condition='context.parameters.path == "/handbook/refunds.md"')
    strange = file_request(cast, parameters={"surprise": 1})
    with pytest.raises(NotYours, match="understood"):
        propose(cast, basis=strange)


@pytest.mark.parametrize(
    ("field", "wanted"),
    [
        ("uses", {"uses": 0}),
        ("uses", {"uses": 1001}),
        ("uses", {"uses": None}),
        ("hours", {"hours": 0}),
        ("hours", {"hours": 721}),
        ("hours", {"hours": None}),
        ("rationale", {"rationale": "ok"}),
        ("condition", {"condition": "true"}),
        ("condition", {"condition": "context.parameters.amount_cents <= 1"}),
        ("condition", {"condition": "context.parameters.amount_cents > 0"}),
        ("condition", {"condition": "true }; permit (principal, action, resource) when { true"}),
    ],
)
def test_it_is_never_unbounded(cast: Cast, field: str, wanted: dict[str, Any]) -> None:
    with pytest.raises(Unfit) as unfit:
        propose(cast, **wanted)
    assert set(unfit.value.fields) == {field}
    assert not Allowance.objects.exists()


@pytest.mark.parametrize(
    "leaves",
    [
        lambda cast: User.objects.filter(pk=cast["support1"].pk).update(is_active=False),
        lambda cast: Membership.objects.filter(user=cast["support1"]).delete(),
        lambda cast: type(cast.agent).objects.filter(pk=cast.agent.pk).update(owner=cast["support1"]),
    ],
)
def test_who_agreed_is_looked_at_again_at_each_use(cast: Cast, leaves: Callable[[Cast], Any]) -> None:
    propose(cast)
    assert file_request(cast).status == "approved"
    with forging():
        leaves(cast)
    cast.agent.refresh_from_db()
    assert file_request(cast).status == "pending"


def test_high_risk_waits_for_people_while_the_log_is_not_live(transactional_db: None) -> None:
    cast = make_cast(only=("finance1", "finance2"))
    with sealing.running():
        basis = file_request(cast, parameters={"amount_cents": 20_000})
        agree(cast, propose(cast, by="finance1", basis=basis, condition=LARGE), "finance2")
        assert file_request(cast, parameters={"amount_cents": 20_000}).status == "approved"
    with services.connection("sealer") as sealer:
        sealer.execute("UPDATE audit_sealerstate SET alive_at = clock_timestamp() - interval '1 minute'")
    assert file_request(cast, parameters={"amount_cents": 20_000}).status == "pending"


@pytest.mark.parametrize(
    ("then", "now", "reached"),
    [("finance", "finance", True), ("support", "finance", False), ("finance", "support", False)],
)
def test_a_yes_fills_the_seats_its_person_sat_in_then_and_sits_in_now(then: str, now: str, reached: bool) -> None:
    asked = Ruling(outcome="people", reason="", retry=None, cause="policy", requirement=({"finance": 1},))
    yes = AllowanceAgreement(person=User(), teams=[then])
    yes.teams_now = [now]  # type: ignore[attr-defined]  # as `agreements_of` annotates it
    assert spending.standing(asked, [yes], owner_id=uuid7()).reached == reached


def test_where_policy_asks_for_a_second_factor_only_a_yes_with_one_counts(cast: Cast) -> None:
    request = file_request(cast)
    propose(cast, basis=request)
    activate(('@id("refund-small")', '@id("refund-small")\n@stepup("true")'))
    assert file_request(cast).status == "pending", "who agreed gave no proof of it"
    with pytest.raises(StepUpNeeded):
        propose(cast, basis=request)
    wanted = Wanted(SMALL, 1, 1, WHY)
    allowances.propose(person=cast["support1"], request_id=request.pk, wanted=wanted, auth=totp_proof())
    assert file_request(cast).status == "approved"


def test_nothing_of_high_risk_is_allowed_ahead_while_the_log_is_not_live(transactional_db: None) -> None:
    cast = make_cast(only=("finance1",))
    basis = file_request(cast, parameters={"amount_cents": 20_000})
    with pytest.raises(CannotRecord):
        propose(cast, by="finance1", basis=basis, condition=LARGE)
    assert not Allowance.objects.exists()


def test_nobody_agrees_to_what_is_over_or_in_force(cast: Cast) -> None:
    in_force = propose(cast)
    basis = file_request(cast, parameters={"amount_cents": 20_000})
    taken_back, ended = (propose(cast, by="finance1", basis=basis, condition=LARGE) for _ in range(2))
    revoke(cast, taken_back, by="finance1")
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        owner.execute(
            "UPDATE approvals_allowance SET created_at = created_at - interval '2 days',"
            " ends_at = clock_timestamp() - interval '1 second' WHERE id = %s",
            [ended.pk],
        )
    for allowance, name in ((taken_back, "finance2"), (ended, "finance2"), (in_force, "support2")):
        with pytest.raises(AlreadyDecided):
            agree(cast, allowance, name)
    assert [leaf["subject"]["id"] for leaf in entries("allowance.granted")] == [str(in_force.pk)]


def test_who_was_deactivated_meanwhile_agrees_to_nothing(cast: Cast) -> None:
    request = file_request(cast)
    with forging():
        User.objects.filter(pk=cast["support1"].pk).update(is_active=False)  # and the caller holds them as they were
    with pytest.raises(NotYours):
        propose(cast, basis=request)


def test_what_was_not_in_force_is_not_when_policy_asks_for_fewer(cast: Cast) -> None:
    basis = file_request(cast, parameters={"amount_cents": 20_000})
    propose(cast, by="finance1", basis=basis, condition=LARGE)
    activate(('@require("2 of finance")', '@require("1 of finance")'))
    assert file_request(cast, parameters={"amount_cents": 20_000}).status == "pending"


def test_nobody_agrees_while_the_agent_is_suspended(cast: Cast) -> None:
    basis = file_request(cast, parameters={"amount_cents": 20_000})
    half = propose(cast, by="finance1", basis=basis, condition=LARGE)
    suspension.suspend(agent_id=cast.agent.pk, by=Party("person", str(cast["admin1"].pk)), reason="Odd.")
    with pytest.raises(Stopped):
        agree(cast, half, "finance2")


# ---- ending one
def test_revoking_ends_it_at_once_and_voids_what_was_not_spent(cast: Cast) -> None:
    allowance = propose(cast)
    spent, unspent = file_request(cast), file_request(cast)
    redeemer(cast, spent)()
    redeem_later = redeemer(cast, unspent)
    revoke(cast, allowance, by="owner1")
    assert file_request(cast).status == "pending"
    with pytest.raises(Problem) as lapsed:
        redeem_later()
    assert lapsed.value.slug == "grant-lapsed"
    assert [leaf["subject"]["id"] for leaf in entries("grant.voided")] == [str(unspent.pk)]
    assert len(entries("allowance.revoked")) == 1
    with pytest.raises(AlreadyDecided):
        revoke(cast, allowance)


def test_suspension_and_a_stop_end_allowances_for_good(cast: Cast) -> None:
    propose(cast)
    suspension.suspend(agent_id=cast.agent.pk, by=Party("person", str(cast["admin1"].pk)), reason="Odd.")
    suspension.resume(agent_id=cast.agent.pk, by=cast["admin1"], reason="Mended.")
    assert file_request(cast).status == "pending"
    half = propose(cast, by="finance1", basis=file_request(cast, parameters={"amount_cents": 20_000}), condition=LARGE)
    propose(cast)
    stops.begin(by=cast["admin1"], reason="Odd.")
    with pytest.raises(Stopped):
        propose(cast, basis=Request.objects.first())
    stops.lift(number=1, by=cast["admin2"], reason="Over.")
    assert file_request(cast).status == "pending", "no sweep has come by"
    with pytest.raises(DecisionRefused):
        agree(cast, half, "finance2")
    withdraw_stopped()
    assert not Allowance.objects.filter(revoked_at__isnull=True).exists()
    assert {leaf["facts"]["cause"] for leaf in entries("allowance.revoked")} == {"agent-suspended", "all-stopped"}
    propose(cast)
    assert file_request(cast).status == "approved"


# ---- the database's own word
def refused(query: str, *parameters: object) -> str | None:
    """The SQLSTATE that the app role is refused with; None where it may."""
    with services.connection("app") as app:
        try:
            with app.transaction():
                app.execute(query, parameters)
        except psycopg.Error as error:
            return error.sqlstate
    return None


def test_the_database_refuses_to_stretch_an_allowance_or_bring_it_back(cast: Cast) -> None:
    allowance = propose(cast)
    file_request(cast)
    for change in (
        "uses_left = uses_left + 1", "uses_total = 1000", "ends_at = ends_at + interval '1 day'", "condition = 'true'",
        "agent_id = gen_random_uuid()", "action = 'email.send'", "epoch = 1", "active_at = now()",
    ):  # fmt: skip
        assert refused(f"UPDATE approvals_allowance SET {change} WHERE id = %s", allowance.pk) == "CS409", change
    assert refused("DELETE FROM approvals_allowance") == "CS409"
    assert refused("UPDATE approvals_allowanceagreement SET rationale = ''") == "CS409"
    assert refused("DELETE FROM approvals_allowanceuse") == "CS409"
    revoke(cast, allowance)
    assert refused("UPDATE approvals_allowance SET revoked_at = NULL, revoked_by_id = NULL") == "CS409"


AGREES = (
    "INSERT INTO approvals_allowanceagreement (id, allowance_id, person_id, rationale, teams, auth_method, auth_at, at)"
    " VALUES (gen_random_uuid(), %s, %s, 'x', %s::jsonb, 'password', now(), now())"
)


def test_the_database_refuses_agreements_of_the_owner_of_the_inactive_and_in_others_teams(cast: Cast) -> None:
    allowance = propose(cast)
    assert refused(AGREES, allowance.pk, cast["owner1"].pk, '["support"]') == "CS422"
    assert refused(AGREES, allowance.pk, cast["finance1"].pk, '["support"]') == "CS422"
    with forging():
        User.objects.filter(pk=cast["support2"].pk).update(is_active=False)
    assert refused(AGREES, allowance.pk, cast["support2"].pk, '["support"]') == "CS422"


@pytest.mark.parametrize(
    "undone",
    [
        "UPDATE approvals_allowance SET revoked_at = clock_timestamp(), revoke_reason = 'x' WHERE id = %(allowance)s",
        "UPDATE accounts_user SET is_active = false WHERE id = %(person)s",
        "DELETE FROM accounts_membership WHERE user_id = %(person)s",
        "UPDATE agents_agent SET owner_id = %(person)s",
        "INSERT INTO agents_stop (number, reason, lift_reason) VALUES (1, 'meanwhile', '')",
    ],
)
def test_what_ends_it_between_the_check_and_the_commit_is_seen_last(cast: Cast, undone: str) -> None:
    allowance = propose(cast)

    class Meanwhile:
        """Stands where the answer is remembered: after the verb's work, in its transaction, before the commit."""

        def claim(self) -> None:
            return None

        def keep(self, result: Request) -> None:
            assert result.status == "approved"
            with connection.cursor() as cursor:  # in the same transaction, since the row is locked
                cursor.execute(undone, {"allowance": allowance.pk, "person": cast["support1"].pk})

        def keep_refusal(self, problem: Problem) -> None:
            raise AssertionError(problem)

    filing = requests.Filing(
        "refund.create", "order/77", {"amount_cents": 4200, "currency": "USD"}, "Refund", WHY, {}, None
    )
    verb = requests.file.under(Meanwhile())
    with pytest.raises(Problem) as busy:
        verb(agent=cast.agent, credential=cast.credentials["agent"], filing=filing)
    assert busy.value.status == 503
    assert not AllowanceUse.objects.exists()
    assert Allowance.objects.get(pk=allowance.pk).uses_left == 3


def test_an_allowance_lasts_thirty_days_at_most_in_the_database_too(cast: Cast) -> None:
    allowance = propose(cast)
    columns = ", ".join(
        f.column for f in Allowance._meta.concrete_fields if f.column not in ("id", "ends_at", "active_at")
    )
    query = (
        f"INSERT INTO approvals_allowance (id, ends_at, {columns}) SELECT gen_random_uuid(), %s, {columns}"
        " FROM approvals_allowance WHERE id = %s"
    )
    assert refused(query, allowance.created_at + timedelta(days=31), allowance.pk) == "CS409"
    assert refused(query, allowance.created_at + timedelta(days=29), allowance.pk) == "CS422", "nothing tells it"


@pytest.mark.parametrize("rest", ["../../payout/x", "%2e%2e/payout", "1?extra=", "1\u200b", "p\u0430yout"])
def test_a_star_of_an_allowance_approves_no_path_that_leads_elsewhere(cast: Cast, rest: str) -> None:
    propose(cast, condition=f'{SMALL} && context.resource like "order/*"')
    assert file_request(cast, resource="order/1187").status == "approved"
    assert file_request(cast, resource=f"order/{rest}").status == "pending"


def test_an_allowance_whose_bounds_are_no_longer_accepted_ends_with_a_reason(cast: Cast) -> None:
    allowance = propose(cast)
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        owner.execute(
            "UPDATE approvals_allowance SET condition = condition || ' && context.resource like \"*/1\"' WHERE id = %s",
            [allowance.pk],
        )
    assert file_request(cast, resource="order/1").status == "pending"
    allowance.refresh_from_db()
    assert allowance.revoke_reason.startswith("Its bounds are no longer accepted: A `like` has one *")
    (entry,) = [leaf for leaf in entries("allowance.revoked") if leaf["subject"]["id"] == str(allowance.pk)]
    assert entry["actor"]["kind"] == "system"
