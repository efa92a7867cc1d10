"""How drf-spectacular sees the API: the bearer key as its security scheme, one operation id a method."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema


class KeyScheme(OpenApiAuthenticationExtension):
    """`Authorization: Bearer <key>`."""

    target_class = "agents.authentication.KeyAuthentication"
    name = "key"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """The scheme."""
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "A key of an agent, an executor or an auditor.",
        }


class ProblemAutoSchema(AutoSchema):
    """spectacular's schema; errors are declared beside each endpoint, so nothing is guessed here."""
