"""What tests of the contract share: one web process, the cast, and its clients."""

from __future__ import annotations

from tests.support.live import agent, cast, executor, server

__all__ = ["agent", "cast", "executor", "server"]
