"""The fixed sentences an agent hears, each with what it may try next.

No sentence here speaks of policy, teams, numbers of people or rules (docs/reference/api.md, Statuses: fixed answers).
What a person or a `@tell` says is not here.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Retry = Literal["never", "changed", "later"]


class Answer(NamedTuple):
    """What a decision says: `reason` is never empty; `retry` is null on a yes; `stop` ends the run."""

    reason: str
    retry: Retry | None
    stop: bool = False


APPROVED = Answer("Approved.", None)
ALLOWED = Answer("Allowed.", None)

# Not in the catalogue, nothing permits it, not open (yet), observation: all alike, byte for byte.
NOT_OPEN = Answer("This action is not open to you.", "later")
FORBIDDEN = Answer("This is never done.", "never")
PARAMETERS_DO_NOT_FIT = Answer("The parameters do not fit this action.", "changed")
NOT_UNDERSTOOD = Answer("Some of the parameters are not known for this action.", "changed")
REPEATS_A_DENIAL = Answer("This repeats what was denied.", "changed")
CANNOT_BE_CHECKED = Answer("This could not be checked now.", "later")
OVER_A_LIMIT = Answer("This cannot be taken up now.", "later")
SUSPENDED = Answer("This agent is stopped.", "never", stop=True)

EXPIRED = Answer("Nobody decided in time; this is not a refusal.", "later")
WITHDRAWN_BY_AGENT = Answer("Withdrawn.", "changed")
WITHDRAWN_OTHERWISE = Answer("Withdrawn: the permission to ask has ended.", "never")

# The agent was suspended, or all were stopped, while this waited.
STOPPED_MEANWHILE = Answer(WITHDRAWN_OTHERWISE.reason, "never", stop=True)

# On a reject the reason is the reviewer's rationale, word for word.
RETRY_AFTER_REJECT: Retry = "changed"
