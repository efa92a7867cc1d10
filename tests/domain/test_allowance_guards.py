"""What the database itself holds of a use of an allowance, asked of it in raw SQL on the application's role."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from agents import registration, stops
from approvals import allowances
from approvals.allowances import Wanted
from approvals.models import Allowance, Request
from tests.domain.test_approvals_guards import APPROVE, MOVED, NO_QUORUM, entry, grant, refused
from tests.support import services
from tests.support.cast import SETTING_UP, Cast, file_request, make_cast, password_proof

SMALL = "context.parameters.amount_cents <= 5000"
BEYOND = {"amount_cents": 5001, "currency": "USD"}  # one of support decides it, and no allowance here is for it
EDITED = (
    "amended_text = '{}', amended_digest = 'x', amended_ruling = '{}', amended_people_floor = 0, amended_risk = risk,"
    " amended_risk_unknown = false, amended_quorum = quorum, amended_teams = teams, amended_at = now(),"
    " amended_by_id = (SELECT id FROM accounts_user LIMIT 1)"
)
WHY = "Parcels of that carrier are lost each week, small amounts."


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    """helpdesk, and two of support who are nobody's owners."""
    return make_cast(only=("support1", "support2", "admin1", "admin2"))


@pytest.fixture
def app(transactional_db: None) -> Iterator[psycopg.Connection]:
    """A connection as the application's role."""
    with services.connection("app") as opened:
        yield opened


def allow(cast: Cast, basis: Request | None = None) -> Allowance:
    """Three uses of small refunds, agreed to by support1."""
    return allowances.propose(
        person=cast["support1"],
        request_id=(basis or file_request(cast)).pk,
        wanted=Wanted(SMALL, 3, 24, WHY),
        auth=password_proof(),
    )


def use(
    request: Request, allowance: Allowance, *seats: tuple[Any, str], number: int = 1, spent: int = 1
) -> list[tuple[str, dict[str, Any]]]:
    """All that an approval by a use of the allowance writes."""
    filled = [{"team": team, "person": str(person.pk)} for person, team in seats]
    values = {
        "id": request.pk,
        "allowance": allowance.pk,
        "number": number,
        "spent": spent,
        "seats": json.dumps(filled),
    }
    return [
        ("UPDATE approvals_allowance SET uses_left = uses_left - %(spent)s WHERE id = %(allowance)s", values),
        (
            "INSERT INTO approvals_allowanceuse (request_id, allowance_id, number, seats, at)"
            " VALUES (%(id)s, %(allowance)s, %(number)s, %(seats)s, now())",
            values,
        ),
        grant(request),
        entry(request, more=json.dumps({"allowance": str(allowance.pk), "use": number, "seats": filled})),
        (APPROVE, {"id": request.pk}),
    ]


def change(table: str, assignment: str, key: Any) -> None:
    """A change that no verb makes, as the owner, the triggers at rest."""
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        owner.execute(f"UPDATE {table} SET {assignment} WHERE id = %s", [key])


def test_a_use_has_a_number_of_its_own_and_is_counted(app: psycopg.Connection, cast: Cast) -> None:
    allowance, request, by = allow(cast), file_request(cast, parameters=BEYOND), (cast["support1"], "support")
    for number, spent in ((0, 1), (4, 3), (1, 0), (2, 1)):
        assert refused(app, *use(request, allowance, by, number=number, spent=spent)) == NO_QUORUM, (number, spent)
    assert refused(app, *use(request, allowance, by)) is None


def test_its_seats_are_filled_by_those_who_agreed_each_once(app: psycopg.Connection, cast: Cast) -> None:
    allowance, request, by = allow(cast), file_request(cast, parameters=BEYOND), (cast["support1"], "support")
    assert refused(app, *use(request, allowance)) == NO_QUORUM
    assert refused(app, *use(request, allowance, (cast["support2"], "support"))) == NO_QUORUM
    assert refused(app, *use(request, allowance, (cast["support1"], "finance"))) == NO_QUORUM
    assert refused(app, *use(request, allowance, by, by)) == NO_QUORUM
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        owner.execute("UPDATE approvals_allowanceagreement SET teams = '[]'")
    assert refused(app, *use(request, allowance, by)) == NO_QUORUM, "agreed, but not for that team"


@pytest.mark.parametrize(
    "stricter",
    [
        "risk = 'critical'",
        "risk_unknown = true",
        "people_floor = 2",
        """quorum = '[[{"team": "support", "count": 2}]]'""",
        """quorum = '[[{"team": "finance", "count": 1}]]'""",
        "action = 'email.send'",
        EDITED,
    ],
)
def test_it_stands_in_for_nothing_stricter(app: psycopg.Connection, cast: Cast, stricter: str) -> None:
    allowance, request, by = allow(cast), file_request(cast, parameters=BEYOND), (cast["support1"], "support")
    change("approvals_request", stricter, request.pk)
    assert refused(app, *use(request, allowance, by)) == NO_QUORUM


def test_it_is_one_agents_and_ends_by_the_clock(app: psycopg.Connection, cast: Cast) -> None:
    allowance, request, by = allow(cast), file_request(cast, parameters=BEYOND), (cast["support1"], "support")
    other = registration.register_agent(by=SETTING_UP, slug="other", purpose="-", owner=cast["owner1"], level=3)
    of_another = file_request(cast, agent=other, parameters=BEYOND)
    assert refused(app, *use(of_another, allowance, by)) == NO_QUORUM
    past = "created_at = created_at - interval '2 days', ends_at = clock_timestamp() - interval '1 second'"
    change("approvals_allowance", past, allowance.pk)
    assert refused(app, *use(request, allowance, by)) == NO_QUORUM


def test_one_from_before_a_stop_approves_nothing_after_it(app: psycopg.Connection, cast: Cast) -> None:
    allowance, by = allow(cast), (cast["support1"], "support")
    stops.begin(by=cast["admin1"], reason="Odd.")
    stops.lift(number=1, by=cast["admin2"], reason="Over.")
    assert refused(app, *use(file_request(cast, parameters=BEYOND), allowance, by)) == NO_QUORUM


def test_one_begins_unused_not_in_force_and_in_the_epoch_that_is(app: psycopg.Connection, cast: Cast) -> None:
    allowance = allow(cast)
    own = ("id", "uses_left", "active_at", "revoked_at", "epoch")
    columns = ", ".join(f.column for f in Allowance._meta.concrete_fields if f.column not in own)

    def begins(uses_left: str = "3", active: str = "NULL", revoked: str = "NULL", epoch: str = "0") -> str | None:
        given = f"gen_random_uuid(), {uses_left}, {active}, {revoked}, {epoch}, {columns}"
        query = f"INSERT INTO approvals_allowance ({', '.join(own)}, {columns}) SELECT {given} FROM approvals_allowance"
        return refused(app, (f"{query} WHERE id = %(id)s", {"id": allowance.pk}))

    assert begins(uses_left="2") == MOVED
    assert begins(active="now()") == MOVED
    assert begins(revoked="now()") == MOVED
    assert begins(epoch="1") == MOVED
    assert begins() == NO_QUORUM, "it begins as it should, but nothing tells it"
