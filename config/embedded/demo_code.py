"""`make demo-code`: the current codes of the demo's authenticator apps, from the secrets in var/demo.json.

It asks no server and makes nothing; outside the demo there is nothing to print.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from accounts import totp

DEMO = Path(__file__).resolve().parents[2] / "var" / "demo.json"


def lines(demo: Path, *, now: float) -> list[str]:
    """A line for each who has an app: address, code, and how long it is the current one; `now` in seconds since 1970.

    A code is good once, and half a minute longer than it is shown. Raises `LookupError` where there is no demo.
    """
    users = json.loads(demo.read_text())["users"] if demo.exists() else []
    with_app = [user for user in users if "totp" in user]
    if not with_app:
        raise LookupError(f"No authenticator apps in {demo}: `make up` makes the demo in an empty database.")
    left = totp.PERIOD_SECONDS - int(now) % totp.PERIOD_SECONDS
    width = max(len(user["email"]) for user in with_app)
    return [
        f"{user['email']:<{width}}  {totp.code_at(user['totp'], totp.step_of(now))}  ({left} s left)"
        for user in with_app
    ]


def main() -> int:
    """Print them; 1 where there are none."""
    try:
        print("\n".join(lines(DEMO, now=time.time())))
    except LookupError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
