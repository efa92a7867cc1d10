"""A runtime hears that its agent may not ask any more: once a suspension, once an agent while all are stopped."""

from __future__ import annotations

import json

import pytest

from accounts.people import person_party
from agents import registration, stops, suspension
from approvals import stopping
from tests.support.cast import SETTING_UP, Cast
from tests.support.notifications import add_webhook, send_all
from tests.support.receiver import Receiver

pytestmark = pytest.mark.django_db(transaction=True)


def told(receiver: Receiver) -> list[tuple[str, dict[str, object]]]:
    while send_all():
        pass
    return [(body["type"], body["data"]) for body in (json.loads(one.body) for one in receiver.got)]


def test_a_suspension_is_told_without_its_reason_and_signed(cast: Cast, receiver: Receiver) -> None:
    _, secret = add_webhook(cast, receiver.url, "agent.suspended")
    by = person_party(cast["owner1"])
    suspension.suspend(agent_id=cast.agent.pk, by=by, reason="It asked for the same thing ten times.")
    assert told(receiver) == [("agent.suspended", {"agent": "helpdesk", "stop": True})]
    assert receiver.got[0].verified(secret)["type"] == "agent.suspended"


def test_a_stop_of_all_agents_is_told_once_however_often_the_sweep_comes_by(cast: Cast, receiver: Receiver) -> None:
    add_webhook(cast, receiver.url, "agent.suspended")
    stop = stops.begin(by=cast["owner1"], reason="Something is wrong with the model.")
    for _ in range(3):
        stopping.end_stopped()
    assert told(receiver) == [("agent.suspended", {"agent": "helpdesk", "stop": True})]
    stops.lift(number=stop.number, by=cast["support1"], reason="It was a false alarm.")
    stopping.end_stopped()
    stops.begin(by=cast["owner1"], reason="It was not.")
    stopping.end_stopped()
    assert len(told(receiver)) == 2


def test_each_suspension_is_told_and_each_agent_while_all_are_stopped(cast: Cast, receiver: Receiver) -> None:
    add_webhook(cast, receiver.url, "agent.suspended")
    by = person_party(cast["owner1"])
    for _ in range(2):
        suspension.suspend(agent_id=cast.agent.pk, by=by, reason="It asked for the same thing ten times.")
        suspension.resume(agent_id=cast.agent.pk, by=cast["support1"], reason="Mended.")
    assert len(told(receiver)) == 2
    stops.begin(by=cast["owner1"], reason="Something is wrong with the model.")
    stopping.end_stopped()
    registration.register_agent(by=SETTING_UP, slug="newcomer", purpose="-", owner=cast["owner1"], level=1)
    stopping.end_stopped()
    assert [data["agent"] for _, data in told(receiver)[2:]] == ["helpdesk", "newcomer"]


def test_who_asked_for_other_events_hears_nothing_of_it(cast: Cast, receiver: Receiver) -> None:
    add_webhook(cast, receiver.url, "request.approved")
    suspension.suspend(agent_id=cast.agent.pk, by=person_party(cast["owner1"]), reason="Enough.")
    assert told(receiver) == []
