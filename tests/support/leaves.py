"""Reading what was recorded, sealed or not, as what the leaves' own bytes say."""

from __future__ import annotations

import json
from typing import Any

from django.db import connection


def entries(kind: str) -> list[dict[str, Any]]:
    """The leaves of that type, sealed or not, in the order they were written."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT convert_from(leaf, 'UTF8') FROM ("
            " SELECT leaf, 0 AS waits, index AS place FROM audit_leaf UNION ALL"
            " SELECT leaf, 1, position FROM audit_pending) told ORDER BY waits, place"
        )
        leaves = [json.loads(leaf) for (leaf,) in cursor.fetchall()]
    return [leaf for leaf in leaves if leaf["type"] == kind]
