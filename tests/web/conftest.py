"""What the pages' tests share: the cast, a log that is being sealed, and people's browsers without a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.test import Client

from tests.support import sealing
from tests.support.cast import Cast, make_cast


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    """Everybody; verbs commit for real."""
    return make_cast()


@pytest.fixture
def sealed(cast: Cast) -> Iterator[None]:
    """A sealer at work, as approvals of high risk need."""
    with sealing.running():
        yield


@pytest.fixture
def signed_in(cast: Cast) -> Callable[..., Client]:
    """`signed_in("support1")`: a client in which that person is signed in."""

    def client(name: str, *, enforce_csrf_checks: bool = False) -> Client:
        made = Client(enforce_csrf_checks=enforce_csrf_checks)
        made.force_login(cast[name])
        return made

    return client
