"""The digest that binds a decision to what was shown, and the comparison of a retyped fact.

Who holds the digest and when it is compared is the deciding verbs' matter.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from typing import Any

import rfc8785

from approvals.display.view import View


def display_digest(view: View, parameters_digest: str) -> str:
    """`sha256:<hex>` over renderer version, parameters digest and the canonical view (docs/adr/0011)."""
    shown: dict[str, Any] = {
        "renderer": view.version,
        "parameters": parameters_digest,
        "view": view.canonical(),
    }
    return "sha256:" + hashlib.sha256(rfc8785.dumps(shown)).hexdigest()


def _as_meant(text: str) -> str:
    """Without spaces and unseen signs, and with each digit by its value: people type full-width and other digits."""
    kept = (sign for sign in unicodedata.normalize("NFKC", text) if unicodedata.category(sign)[0] not in "ZC")
    return "".join(str(unicodedata.decimal(sign, sign)) for sign in kept)


def confirms(canonical: str, typed: str) -> bool:
    """Whether what was typed is the salient fact; spaces and thousands separators are ignored.

    A string may be typed with or without its quotes. Rule: docs/how-to/review-requests.md.
    """
    fact = json.loads(canonical)
    spaceless = _as_meant(typed)
    if isinstance(fact, str):
        return spaceless in (_as_meant(canonical), _as_meant(fact)) and bool(spaceless)
    if isinstance(fact, bool) or fact is None:
        return spaceless == canonical
    plain = re.sub("[,'’_]", "", spaceless.replace("−", "-"))
    # A point separates thousands only where the fact is whole and the groups are of three.
    if isinstance(fact, int) and re.fullmatch(r"-?[0-9]{1,3}(\.[0-9]{3})+", plain):
        plain = plain.replace(".", "")
    return plain == canonical
