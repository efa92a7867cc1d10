"""A denial sticks to what stood when it was denied, however that is spelt and whichever of the owner's agents asks."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from typing import Any

import pytest

from agents import registration
from agents.models import Agent
from approvals.models import Request
from tests.support import sealing, services
from tests.support.cast import SETTING_UP, Cast, decide, file_request, make_cast

pytestmark = pytest.mark.django_db(transaction=True)
RESOURCE = "order/Ångström 1187"


@pytest.fixture
def cast(transactional_db: None) -> Iterator[Cast]:
    """helpdesk, two of support and two of finance; a log that is being sealed."""
    with sealing.running():
        yield make_cast(only=("support1", "support2", "finance1", "finance2"))


def denied(cast: Cast, **given: Any) -> Request:
    """A request that support1 rejected."""
    request = file_request(cast, resource=RESOURCE, **given)
    decide(request, cast["support1"], "reject", rationale="Not for this order.")
    return request


def another(cast: Cast, owner: str) -> Agent:
    return registration.register_agent(by=SETTING_UP, slug="other", purpose="Another.", owner=cast[owner], level=3)


def cause(request: Request) -> tuple[str, str]:
    return request.status, request.ruling["cause"]


@pytest.mark.parametrize(
    "resource",
    [
        f"{RESOURCE} ", RESOURCE.replace(" ", "  "), unicodedata.normalize("NFD", RESOURCE),
        RESOURCE.replace("Å", "\u212b"), RESOURCE.replace("o", "o\u200b"), RESOURCE.replace("1187", "１１８７"),
    ],
)  # fmt: skip
def test_file_what_was_denied_in_another_spelling_is_blocked(cast: Cast, resource: str) -> None:
    denied(cast)
    assert cause(file_request(cast, resource=resource)) == ("blocked", "repeats-denial")
    assert file_request(cast, resource="order/Ångström 1188").status == "pending"


def test_file_by_another_agent_of_the_owner_is_blocked(cast: Cast) -> None:
    denied(cast)
    owner = next(name for name, person in cast.people.items() if person.pk == cast.agent.owner_id)
    assert cause(file_request(cast, resource=RESOURCE, agent=another(cast, owner))) == ("blocked", "repeats-denial")


def test_file_by_an_agent_of_another_owner_is_asked(cast: Cast) -> None:
    denied(cast)
    assert file_request(cast, resource=RESOURCE, agent=another(cast, "support2")).status == "pending"


def test_file_a_denied_edit_is_blocked_and_the_original_is_not(cast: Cast) -> None:
    large, edited = {"amount_cents": 20_000}, {"amount_cents": 19_000}
    request = file_request(cast, resource=RESOURCE, parameters=large)
    decide(request, cast["finance1"], parameters=json.dumps({**request.parameters, **edited}))
    request.refresh_from_db()
    decide(request, cast["finance2"], "reject", rationale="Not for this order.")
    request.refresh_from_db()
    assert request.status == "rejected"
    assert request.amended_likeness != request.likeness
    assert cause(file_request(cast, resource=f"{RESOURCE} ", parameters=edited)) == ("blocked", "repeats-denial")
    assert file_request(cast, resource=RESOURCE, parameters=large).status == "pending"


def test_file_after_a_denial_by_older_code_is_compared_exactly(cast: Cast) -> None:
    request = denied(cast)
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        owner.execute("UPDATE approvals_request SET likeness = NULL WHERE id = %s", [request.pk])
    assert cause(file_request(cast, resource=RESOURCE)) == ("blocked", "repeats-denial")
    assert file_request(cast, resource=f"{RESOURCE} ").status == "pending"
