"""Policy, pure: the action catalogue, Cedar policies with their annotations, and what they answer.

No database, no Django, no clock: what must be known is passed in. `docs/reference/policy.md` says how
entries and policies are written.
"""

from approvals.rules.catalogue import Action
from approvals.rules.pack import InvalidPack, Pack, digest_of, load_pack, read_folder
from approvals.rules.ruling import RECENT, Ask, Ruling, blocked, merge

__all__ = [
    "RECENT",
    "Action",
    "Ask",
    "InvalidPack",
    "Pack",
    "Ruling",
    "blocked",
    "digest_of",
    "load_pack",
    "merge",
    "read_folder",
]
