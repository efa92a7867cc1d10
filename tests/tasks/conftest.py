"""What tests of periodic work share: one web process and clients of it."""

from __future__ import annotations

from tests.support.live import agent, cast, executor, server

__all__ = ["agent", "cast", "executor", "server"]
