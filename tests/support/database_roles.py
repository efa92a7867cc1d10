"""Django's default connection as another database role than the app's, as manage.py sets it for some commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from django.db import connection

from tests.support import services


@contextmanager
def default_connection_as(role: str) -> Iterator[None]:
    """Within the block the default connection is this role's, on this worker's database."""
    parts = urlsplit(services.url(role))
    kept = {key: connection.settings_dict[key] for key in ("USER", "PASSWORD")}
    connection.close()
    connection.settings_dict |= {"USER": parts.username, "PASSWORD": parts.password}
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict |= kept
