"""What stops the embedded services from starting, said in one sentence a person can act on.

Nothing is logged or retried here.
"""

from __future__ import annotations


class CannotStart(Exception):
    """The services can't start; `str()` is one sentence that says why and what to do."""
