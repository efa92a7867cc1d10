"""The rows of approvals: requests, decisions, questions, grants, policy versions, allowances, answers, notices.

No verbs here.
"""

from approvals.models.allowance import Allowance, AllowanceAgreement, AllowanceUse
from approvals.models.decision import Decision, Seat
from approvals.models.grant import Grant, SigningKey
from approvals.models.idempotency import RememberedAnswer
from approvals.models.notification import (
    TO_OVERSEERS,
    TO_PEOPLE,
    Delivery,
    Event,
    Lane,
    Notice,
    Preference,
    Webhook,
    WebhookSecret,
)
from approvals.models.policy import PolicyActivation, PolicyVersion
from approvals.models.question import Question
from approvals.models.request import Activity, Outcome, Request

__all__ = [
    "TO_OVERSEERS",
    "TO_PEOPLE",
    "Activity",
    "Allowance",
    "AllowanceAgreement",
    "AllowanceUse",
    "Decision",
    "Delivery",
    "Event",
    "Grant",
    "Lane",
    "Notice",
    "Outcome",
    "PolicyActivation",
    "PolicyVersion",
    "Preference",
    "Question",
    "RememberedAnswer",
    "Request",
    "Seat",
    "SigningKey",
    "Webhook",
    "WebhookSecret",
]
