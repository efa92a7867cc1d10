"""The names of everything that can be evidence, as they are stored in leaves for good.

Nothing here writes or reads an entry. A value, once released, is never renamed and never reused: an auditor's
copy of the log must mean the same in ten years.
"""

from __future__ import annotations

from enum import StrEnum


class EntryType(StrEnum):
    """What a leaf's `type` may be. Dotted, from this one list."""

    REQUEST_FILED = "request.filed"
    REQUEST_BLOCKED = "request.blocked"
    REQUEST_ALLOWED = "request.allowed"
    REQUEST_APPROVED = "request.approved"
    REQUEST_REJECTED = "request.rejected"
    REQUEST_EXPIRED = "request.expired"
    REQUEST_WITHDRAWN = "request.withdrawn"
    REQUEST_AMENDED = "request.amended"
    REQUEST_ESCALATED = "request.escalated"
    REQUEST_UNDECIDABLE = "request.undecidable"
    DECISION_RECORDED = "decision.recorded"
    DECISION_REFUSED = "decision.refused"
    DECISION_VOID = "decision.void"
    GRANT_ISSUED = "grant.issued"
    GRANT_REDEEMED = "grant.redeemed"
    GRANT_REFUSED = "grant.refused"
    GRANT_VOIDED = "grant.voided"
    ALLOWANCE_PROPOSED = "allowance.proposed"
    ALLOWANCE_AGREED = "allowance.agreed"
    ALLOWANCE_GRANTED = "allowance.granted"
    ALLOWANCE_REVOKED = "allowance.revoked"
    OUTCOME_REPORTED = "outcome.reported"
    ACTIVITY_REPORTED = "activity.reported"
    QUESTION_ASKED = "question.asked"
    QUESTION_ANSWERED = "question.answered"
    AGENT_REGISTERED = "agent.registered"
    AGENT_SUSPENDED = "agent.suspended"
    AGENT_RESUMED = "agent.resumed"
    STOP_BEGUN = "stop.begun"
    STOP_LIFTED = "stop.lifted"
    CREDENTIAL_ISSUED = "credential.issued"
    CREDENTIAL_REVOKED = "credential.revoked"
    PERSON_CREATED = "person.created"
    PERSON_CHANGED = "person.changed"
    PERSON_INVITED = "person.invited"
    PERSON_DEACTIVATED = "person.deactivated"
    PERSON_REACTIVATED = "person.reactivated"
    TEAM_CREATED = "team.created"
    TEAM_JOINED = "team.joined"
    TEAM_LEFT = "team.left"
    ROLE_GIVEN = "role.given"
    ROLE_TAKEN = "role.taken"
    RIGHTS_PROPOSED = "rights.proposed"  # a change of rights that waits for a second administrator
    RIGHTS_CANCELLED = "rights.cancelled"
    ACCESS_REVIEW_BEGUN = "access.review_begun"
    ACCESS_LINE_ANSWERED = "access.line_answered"
    ACCESS_REVIEWED = "access.reviewed"
    DELEGATION_MADE = "delegation.made"
    DELEGATION_ENDED = "delegation.ended"
    TEAM_HOURS = "team.hours"
    POLICY_PROPOSED = "policy.proposed"
    POLICY_ACTIVATED = "policy.activated"
    POLICY_BOOTSTRAPPED = "policy.bootstrapped"
    EXPORT_MADE = "export.made"
    WEBHOOK_CHANGED = "webhook.changed"
    NOTIFICATION_FAILED = "notification.failed"
    SESSION_SIGNED_IN = "session.signed_in"
    SESSION_ENDED = "session.ended"  # every session of the subject, at once
    REFUSAL_RECORDED = "refusal.recorded"
    REFUSAL_COUNTED = "refusal.counted"
    PROCESS_STARTED = "process.started"
    PROCESS_STOPPED = "process.stopped"
    CONFIGURATION_CHANGED = "configuration.changed"
    KEY_CREATED = "key.created"
    FORK_DECLARED = "fork.declared"
    HEARTBEAT = "heartbeat"
    ERASURE = "erasure"
    LOG_REPLAYED = "log.replayed"
    # The sealer's own statements that a pending row could not be trusted and lies in quarantine, and that
    # ordinals of a subject are not in the tree: without them a hole would be unexplained to whoever holds a
    # copy.
    ENTRY_QUARANTINED = "entry.quarantined"
    ENTRY_MISSING = "entry.missing"
