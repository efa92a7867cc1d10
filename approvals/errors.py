"""Why a verb refused, in words a reviewer or an agent's developer could read. Pure; doors choose how to show them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agents.problems import Problem


class NotPending(Problem):
    """The request is already final; `status` says how it ended."""

    def __init__(self, status: str) -> None:
        super().__init__(
            "not-pending",
            f"The request is {status}; it can no longer be changed.",
            extra={"request_status": status},
        )
        self.request_status = status


class DecisionRefused(Exception):
    """A person's decision was not taken. `status` is what the page answers with; the text is for the person.

    `cause` is the word that its entry, a recorded refusal, carries.
    """

    status = 409
    cause = "refused"
    #: what the verb wants recorded of this refusal, once what it did was undone
    evidence: Callable[[], Any] | None = None


class ChangedMeanwhile(DecisionRefused):
    """409: what was shown is not what stands now."""

    cause = "changed"


class AlreadyDecided(DecisionRefused):
    """409: the request is final, or this person has voted."""

    cause = "already-decided"


class Stopped(DecisionRefused):
    """409: this agent is suspended, or all agents are stopped."""

    cause = "stopped"


class EnoughAllowed(DecisionRefused):
    """409: as many allowances as there may be at once are open for this agent and action."""

    cause = "enough-allowed"


class TooLate(DecisionRefused):
    """410: the deadline has passed, by the database's clock."""

    status = 410
    cause = "expired"


class CannotAsk(DecisionRefused):
    """409: a question is open already, or enough were asked."""

    cause = "cannot-ask"


class NotYours(DecisionRefused):
    """403: this person may see the request, but not decide it so."""

    status = 403
    cause = "not-yours"


class StepUpNeeded(DecisionRefused):
    """403: this approval asks for a second factor, just confirmed; `str()` says what is missing."""

    status = 403
    cause = "step-up"


class CannotRecord(DecisionRefused):
    """503: the evidence or the grant could not be made, so nothing was decided."""

    status = 503
    cause = "evidence-unavailable"


class Unfit(DecisionRefused):
    """422: the form does not fit; `fields` maps a field's name to what is wrong with it.

    `may_mean` is a word that looks like a colleague's name; the person may say that they mean the word.
    """

    status = 422
    cause = "form"

    def __init__(self, fields: dict[str, str], *, may_mean: str = "") -> None:
        super().__init__(" ".join(fields.values()))
        self.fields = fields
        self.may_mean = may_mean


class SameDecisionAgain(Exception):
    """The same person's same verdict from the same view, sent twice: answered with the first one's receipt."""
