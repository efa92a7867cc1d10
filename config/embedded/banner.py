"""What `make up` says once it answers: the address, who can sign in, and a line that works as pasted.

The sign-ins are the demo's; without a demo there is only the address.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def text(whole: Mapping[str, str], demo: Path) -> str:
    """The banner of an installation with that environment; `demo` is var/demo.json, which may be missing."""
    url = whole["BASE_URL"]
    lines = ["", "─" * 78, f"  Countersign answers at {url}", f"  API reference          {url}/api/v1/docs"]
    if whole.get("DEMO") == "1" and demo.exists():  # the file may be of another database than the given one
        lines += _sign_ins(json.loads(demo.read_text()), url)
    lines += ["", "  Ctrl-C stops all of it; the data stays.", "─" * 78, ""]
    return "\n".join(lines)


def _sign_ins(known: dict[str, Any], url: str) -> list[str]:
    width = max(len(user["email"]) for user in known["users"])
    lines = ["", "  Sign in as (also in var/demo.json):"]
    for user in known["users"]:
        roles = ", ".join(user["roles"])
        app = "  (and a code: make demo-code)" if "totp" in user else ""
        lines.append(f"    {user['email']:<{width}}  {user['password']}  {roles}{app}".rstrip())
    body = {
        "action": "refund.create",
        "resource": "stripe:charge/ch_3P9",
        "parameters": {"amount_cents": 4200, "currency": "usd"},
        "summary": "Refund $42.00 to order 1187",
        "rationale": "Parcel lost in transit; carrier confirmed.",
    }
    return [
        *lines,
        "",
        "  File a request as the demo agent:",
        "",
        f"curl -s {url}/api/v1/requests \\",
        f"  -H 'Authorization: Bearer {known['keys']['agent']}' \\",
        "  -H \"Idempotency-Key: try-$(date +%s)\" -H 'Content-Type: application/json' \\",
        f"  -d '{json.dumps(body)}'",
        "",
        f"  It then waits at {url}/queue/ for somebody of the team support.",
    ]
