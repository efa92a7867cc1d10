"""Rows changed behind the product's back: a past that can't be waited for, or a forger who owns the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction

from tests.support import services
from tests.support.database_roles import default_connection_as

AT_REST = "SET LOCAL session_replication_role = replica"


@contextmanager
def forging() -> Iterator[None]:
    """Within the block Django writes as the owner, in one transaction with every trigger at rest."""
    with default_connection_as("owner"), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(AT_REST)
        yield


def forge(sql: str, *parameters: Any) -> None:
    """One statement like that, over a connection of its own: for the middle of somebody else's transaction."""
    with services.connection("owner") as owner, owner.transaction():
        owner.execute(AT_REST)
        assert owner.execute(sql, parameters).rowcount > 0
