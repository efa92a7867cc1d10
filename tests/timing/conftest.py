"""What tests of deadlines, escalation and absence share: the cast, and a log that is being sealed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.test import Client

from tests.support import sealing
from tests.support.cast import Cast, make_cast


@pytest.fixture
def cast(transactional_db: None) -> Iterator[Cast]:
    """Everybody; high risk is approved only while the log is alive."""
    with sealing.running():
        yield make_cast()


@pytest.fixture
def signed_in(cast: Cast) -> Callable[[str], Client]:
    """`signed_in("support1")`: a client in which that person is signed in."""

    def client(name: str) -> Client:
        made = Client()
        made.force_login(cast[name])
        return made

    return client
