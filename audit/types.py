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
    REQUEST_ESCALATED = "request.escalated"
    REQUEST_UNDECIDABLE = "request.undecidable"
    DECISION_RECORDED = "decision.recorded"
    DECISION_REFUSED = "decision.refused"
    DECISION_VOID = "decision.void"
    GRANT_ISSUED = "grant.issued"
    GRANT_REDEEMED = "grant.redeemed"
    GRANT_REFUSED = "grant.refused"
    OUTCOME_REPORTED = "outcome.reported"
    ACTIVITY_REPORTED = "activity.reported"
    AGENT_REGISTERED = "agent.registered"
    AGENT_SUSPENDED = "agent.suspended"
    CREDENTIAL_ISSUED = "credential.issued"
    CREDENTIAL_REVOKED = "credential.revoked"
    PERSON_CREATED = "person.created"
    PERSON_CHANGED = "person.changed"
    TEAM_CREATED = "team.created"
    TEAM_JOINED = "team.joined"
    TEAM_LEFT = "team.left"
    ROLE_GIVEN = "role.given"
    ROLE_TAKEN = "role.taken"
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
