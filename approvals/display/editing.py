"""Parameters as text that a person can edit: pretty JSON in which every unseen character is spelt as a JSON escape.

A text field can hold no tokens, and what is sent back must mean the same: an escape does both. Nothing is parsed here.
"""

from __future__ import annotations

import json
import re

from approvals.display.visible import is_unseen
from approvals.rules.values import JSON

_BEYOND_ASCII = re.compile(r"[^\x20-\x7e\n]")


def editable(parameters: JSON) -> str:
    """The parameters as indented JSON, members in canonical order; `json.loads` gives the same values back.

    Right-to-left letters are spelt too: beside them numbers and signs would change places in a text field.
    """
    return _BEYOND_ASCII.sub(_spelt, json.dumps(parameters, ensure_ascii=False, indent=2))


def _spelt(found: re.Match[str]) -> str:
    character = found[0]
    return json.dumps(character)[1:-1] if is_unseen(character) else character
