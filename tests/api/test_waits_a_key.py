"""How many waits and streams one key may hold in a process: enough for a fleet, never every socket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from agents import registration
from agents.models import Scope
from tests.api.test_events import following
from tests.support import contract
from tests.support.cast import SETTING_UP, Cast
from tests.support.eventually import eventually
from tests.support.live import Caller, Server, web


@pytest.fixture(scope="module")
def narrow(django_db_setup: None) -> Iterator[Server]:
    """A web process in which a key may hold three."""
    with web(API_WAITS_PER_KEY="3") as started:
        yield started


def test_beyond_its_number_a_key_is_refused_and_other_keys_are_not(narrow: Server, cast: Cast) -> None:
    caller = Caller(narrow.url, cast.keys["agent"])
    own = caller.file().json()["id"]
    with ExitStack() as held:
        streams = [held.enter_context(following(caller, own)) for _ in range(3)]
        assert all(stream.event() for stream in streams)
        for refused in (caller.get(f"requests/{own}", wait=30), caller.get(f"requests/{own}/events")):
            contract.problem(refused, "too-many-requests")
            assert refused.headers["retry-after"]
            assert refused.headers["ratelimit"]
        assert caller.read(own)["status"] == "pending"  # without a wait
        again = Caller(narrow.url, cast.keys["agent"])
        again.http.headers["authorization"] = f"bearer   {cast.keys['agent']}"
        contract.problem(again.get(f"requests/{own}", wait=30), "too-many-requests")  # the same key, spelled anew
        other = registration.issue_credential(by=SETTING_UP, holder=cast.agent, scopes=(Scope.READ,))[1]
        assert Caller(narrow.url, other).read(own, wait=1)["status"] == "pending"
    eventually(lambda: caller.get(f"requests/{own}", wait=1).status_code == 200, what="the places to be free again")
