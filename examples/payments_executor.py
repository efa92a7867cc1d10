"""The executor: holds the key that redeems, checks nothing itself, and acts only on what a grant licenses.

The agent that asked never sees this key. Acting is pretended here; a real one would call a payment provider.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from plain_http import Client, Refused


@dataclass(frozen=True)
class Done:
    """What came of an approval. `result`: succeeded, failed, lapsed (the grant no longer holds) or unknown."""

    result: str
    words: str


class Executor:
    """Redeem, act, report, in this order; each grant is acted on once at most."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def carry_out(self, request: dict[str, Any]) -> Done:
        """Carry an approved request out: exactly `decision.parameters`, which are what the people saw."""
        parameters = request["decision"]["parameters"]
        try:
            self._client.post(
                "/grants/redeem",
                {
                    "grant": request["grant"],
                    "action": request["action"],
                    "resource": request["resource"],
                    "parameters": parameters,
                },
                key=f"redeem-{request['id']}",
            )
        except Refused as refused:
            if refused.slug == "grant-lapsed":
                return Done("lapsed", "the grant no longer holds")
            if refused.slug == "already-redeemed":
                # Somebody with this key spent it and may have acted. Finding out is a person's work; acting again
                # would be a second refund.
                return Done("unknown", f"redeemed before, at {refused.document.get('redeemed_at')}; not acted again")
            raise
        succeeded, code, detail = self._act(request["action"], request["resource"], parameters)
        result = "succeeded" if succeeded else "failed"
        self._client.post(
            f"/requests/{request['id']}/outcome",
            {"result": result, "response_code": code, "detail": detail},
            key=f"outcome-{request['id']}",
        )
        return Done(result, f"redeemed, done and reported: {code}")

    @staticmethod
    def _act(action: str, resource: str, parameters: dict[str, Any]) -> tuple[bool, int, dict[str, Any]]:
        """Pretend: whether it worked, the status a provider would answer, and what to keep of the answer."""
        if "closed" in resource:
            return False, 409, {"error": "the account is closed", "action": action}
        return True, 200, {"action": action, "resource": resource, "fields": sorted(parameters)}
