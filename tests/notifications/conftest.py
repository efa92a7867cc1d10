"""What tests of notifications share: the cast, a receiver on loopback that the demo's setting lets us reach."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.cast import Cast, make_cast
from tests.support.receiver import Receiver, receiving


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    """Everybody, and no request."""
    return make_cast()


@pytest.fixture
def loopback(settings: Any) -> None:
    """As in the demo with WEBHOOKS_ALLOW_LOOPBACK=1."""
    settings.DEMO = True
    settings.WEBHOOKS_ALLOW_LOOPBACK = True


@pytest.fixture
def receiver(loopback: None) -> Iterator[Receiver]:
    """A webhook's other end."""
    with receiving() as opened:
        yield opened
