"""The rows of approvals: requests, decisions and seats, grants, policy versions, remembered answers. No verbs here."""

from approvals.models.decision import Decision, Seat
from approvals.models.grant import Grant, SigningKey
from approvals.models.idempotency import RememberedAnswer
from approvals.models.policy import PolicyActivation, PolicyVersion
from approvals.models.request import Activity, Outcome, Request

__all__ = [
    "Activity",
    "Decision",
    "Grant",
    "Outcome",
    "PolicyActivation",
    "PolicyVersion",
    "RememberedAnswer",
    "Request",
    "Seat",
    "SigningKey",
]
