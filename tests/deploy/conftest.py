"""What tests of the production files share: the cast, where a test needs people and an agent."""

from __future__ import annotations

from tests.support.live import cast

__all__ = ["cast"]
