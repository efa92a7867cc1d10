"""The session every test runs in: private services first, then Django, then what tests share.

Services are started in `tests.support.services`; people and agents are made in `tests.support` too, not here.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.support import services

# Before anything reads settings: pytest-django looks for them when this file has been imported.
services.begin()

import django  # noqa: E402 - settings read the environment that was set just above

django.setup()
# Read and done with. Left in place, workers of pytest-xdist inherit it, and pytest-django reads settings there with the
# controller's environment, before `begin` has set the worker's own Redis database and outside copy.
os.environ.pop("DJANGO_SETTINGS_MODULE", None)

from django.test import TransactionTestCase  # noqa: E402 - likewise


def _restore(_case: TransactionTestCase) -> None:
    services.restore_database()


# Django's flush truncates as the connection's role, to which that is (rightly) refused.
TransactionTestCase._fixture_teardown = _restore  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def django_db_setup(django_test_environment: None, django_db_blocker: Any) -> None:
    """In place of pytest-django's: the database is made by the owner and used by the app."""
    with django_db_blocker.unblock():
        services.make_database()


@pytest.fixture(autouse=True)
def _empty_redis() -> None:
    """No rate counter or message of one test reaches the next."""
    services.empty_redis()


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """The system's Chromium where there is one (found, or installed, when the first browser test asks)."""
    from tests.support import chromium

    return {**browser_type_launch_args, **chromium.launch_arguments()}
