"""What the faults share: one house a file, with the demo organisation, and what must hold after each of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.house import House
from tests.support.ordeal import UNLIMITED, assert_holds


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """A running house with the demo organisation."""
    built = House.copied()
    try:
        built.start(**UNLIMITED)
        yield built
    finally:
        built.remove()


@pytest.fixture
def everything_holds(house: House) -> Iterator[None]:
    """After each fault the log is told once more against the tables, and its tree is verified."""
    yield
    assert_holds(house)
