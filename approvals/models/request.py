"""A request as filed, its ruling frozen beside it, and what was reported of it afterwards.

`status` is assigned by `lifecycle` alone; what a reader sees past the deadline is `queries`' work.
"""

from __future__ import annotations

import json
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector
from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.functions import Coalesce, Now
from uuid_utils.compat import uuid7

from accounts.models import User
from agents.models import Agent, Credential, Executor
from approvals.rules.ruling import Ruling
from approvals.states import Retry, Status

# What a reviewer's edit brings with it: all there or none of it (`amending` writes them together).
AMENDMENT = (
    "amended_text", "amended_digest", "amended_ruling", "amended_quorum", "amended_people_floor", "amended_risk",
    "amended_risk_unknown", "amended_teams", "amended_by", "amended_at",
)  # fmt: skip

# Signs that hold words together; to PostgreSQL `order/1188` is one word, and nobody who looks for 1188 would find it.
_JOINTS = "./:@_-#=&?"


def words_of(*columns: str) -> SearchVector:
    """The words of these columns, as the index has them: each part of an address or a dotted name is one."""
    return SearchVector(
        *(Func(F(column), Value(_JOINTS), Value(" " * len(_JOINTS)), function="translate") for column in columns),
        config="simple",
    )


def words_in(text: str) -> list[str]:
    """What somebody looks for, in the same words."""
    return text.translate({ord(joint): " " for joint in _JOINTS + "\x00"}).split()


class Request(models.Model):
    """What an agent asks to do. Payloads are kept as the canonical text that was digested, never re-serialised.

    What was filed never changes. A reviewer's edit stands beside it, with the ruling that policy gave on the edit; who
    asks what holds reads `effective_…`, and queries read the generated `standing_…`.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # without an index of its own: two of those below begin with the agent, and that one was taken instead of them
    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="requests", db_index=False)
    credential = models.ForeignKey(Credential, on_delete=models.PROTECT, related_name="+")
    action = models.CharField(max_length=100)
    resource = models.CharField(max_length=500)
    parameters_text = models.TextField()  # RFC 8785 canonical JSON
    parameters_digest = models.CharField(max_length=71)  # sha256:<hex> of that text
    summary = models.CharField(max_length=200)
    rationale = models.TextField()
    context_text = models.TextField()  # canonical JSON
    # What makes it the same thing as another request (rules.likeness); null where older code filed or edited it. It is
    # derived from the two above, stands in no leaf, and is erased with them.
    likeness = models.CharField(max_length=64, null=True)
    amended_likeness = models.CharField(max_length=64, null=True)  # of the edit, where there is one
    digest_salt = models.BinaryField(max_length=16)  # of the commitments to this request's digests

    status = models.CharField(max_length=10, choices=[(s.value, s.value) for s in Status])
    version = models.PositiveIntegerField(default=1)  # of what a reader sees; part of the ETag
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)
    reason = models.TextField(blank=True)
    retry = models.CharField(max_length=7, null=True, choices=[(r.value, r.value) for r in Retry])
    stop = models.BooleanField(default=False)

    policy = models.ForeignKey("approvals.PolicyVersion", on_delete=models.PROTECT, null=True, related_name="+")
    ruling = models.JSONField()  # the whole ruling as evaluated at filing: rules.Ruling.as_json()
    asked = models.JSONField()  # what policy was asked: the context it ruled on
    risk = models.CharField(max_length=8)  # low, medium, high, critical
    risk_unknown = models.BooleanField(default=False)  # shown as Unknown, though signed as `risk` says
    teams = ArrayField(models.CharField(max_length=50), default=list)  # named by the requirement; who sees it
    # What the database itself checks an approval against: [[{"team": "finance", "count": 2}, …], …alternatives]
    quorum = models.JSONField(default=list)
    people_floor = models.PositiveSmallIntegerField(default=0)  # distinct people that the risk alone asks for
    amended_text = models.TextField(null=True)  # the reviewer's edit, canonical; null: as filed
    amended_digest = models.CharField(max_length=71, null=True)
    amended_ruling = models.JSONField(
        null=True
    )  # policy's on the edit; this and the next five as their namesakes above
    amended_quorum = models.JSONField(null=True)
    amended_people_floor = models.PositiveSmallIntegerField(null=True)
    amended_risk = models.CharField(max_length=8, null=True)
    amended_risk_unknown = models.BooleanField(null=True)
    amended_teams = ArrayField(models.CharField(max_length=50), null=True)
    amended_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    amended_at = models.DateTimeField(null=True)
    # What holds, for queries: the edit's where there is one. The database computes them; nothing assigns them.
    standing_risk = models.GeneratedField(
        expression=Coalesce("amended_risk", "risk"), output_field=models.CharField(max_length=8), db_persist=True
    )
    standing_risk_unknown = models.GeneratedField(
        expression=Coalesce("amended_risk_unknown", "risk_unknown"),
        output_field=models.BooleanField(),
        db_persist=True,
    )
    standing_teams = models.GeneratedField(
        expression=Coalesce("amended_teams", "teams"),
        output_field=ArrayField(models.CharField(max_length=50)),
        db_persist=True,
    )
    valid_seconds = models.PositiveIntegerField(default=3600)
    valid_until = models.DateTimeField(null=True)
    epoch = models.PositiveIntegerField(db_default=0)  # stops of all agents begun before it was filed
    # Set at filing: when, while pending, the request is opened to another team too. The sweep notes that it was.
    escalates_at = models.DateTimeField(null=True)
    escalation_team = models.CharField(max_length=50, blank=True, db_default="")
    escalated_at = models.DateTimeField(null=True)
    remind_at = models.DateTimeField(null=True)  # when people are reminded next
    # Why nobody can decide it before its deadline, as found at filing: attainable.Gap, or null
    undecidable = models.JSONField(null=True)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=Q(status="pending", decided_at__isnull=True, reason="")
                | (~Q(status="pending") & Q(decided_at__isnull=False) & ~Q(reason="")),
                name="final_requests_say_when_and_why",
            ),
            models.CheckConstraint(condition=Q(expires_at__gt=F("created_at")), name="a_deadline_is_after_filing"),
            models.CheckConstraint(
                condition=Q(status="approved", retry__isnull=True, valid_until__isnull=False)
                | (~Q(status="approved") & Q(valid_until__isnull=True)),
                name="only_a_yes_has_an_end",
            ),
            models.CheckConstraint(condition=Q(status__in=[s.value for s in Status]), name="a_status_of_the_contract"),
            models.CheckConstraint(
                condition=Q(escalates_at__isnull=True, escalation_team="")
                | (Q(escalates_at__gt=F("created_at"), escalates_at__lt=F("expires_at")) & ~Q(escalation_team="")),
                name="an_escalation_is_in_time_and_to_a_team",
            ),
            models.CheckConstraint(
                condition=Q(escalated_at__isnull=True) | Q(escalated_at__gte=F("escalates_at")),
                name="nothing_is_escalated_early",
            ),
            models.CheckConstraint(
                condition=Q(**{f"{name}__isnull": True for name in AMENDMENT})
                | Q(**{f"{name}__isnull": False for name in AMENDMENT}),
                name="an_edit_is_whole",
            ),
        )
        indexes = (
            models.Index(fields=["expires_at"], condition=Q(status="pending"), name="pending_by_deadline"),
            models.Index(fields=["agent", "expires_at"], condition=Q(status="pending"), name="pending_of_an_agent"),
            models.Index(fields=["agent", "-id"], name="requests_of_an_agent"),
            models.Index(fields=["agent", "created_at"], name="filings_of_an_agent"),
            models.Index(fields=["agent", "decided_at"], condition=Q(status="rejected"), name="denials_of_an_agent"),
            models.Index(fields=["decided_at"], name="requests_by_end"),
            models.Index(
                fields=["agent", "action", "resource", "decided_at"],
                condition=Q(status="rejected"),
                name="denials_of_a_thing",
            ),
            models.Index(fields=["likeness", "decided_at"], condition=Q(status="rejected"), name="denials_alike"),
            models.Index(
                fields=["amended_likeness", "decided_at"], condition=Q(status="rejected"), name="denied_edits_alike"
            ),
            models.Index(fields=["epoch"], condition=Q(status="pending"), name="pending_by_epoch"),
            GinIndex(fields=["standing_teams"], condition=Q(status="pending"), name="pending_by_standing_team"),
            models.Index(
                fields=["escalates_at"],
                condition=Q(status="pending", escalates_at__isnull=False, escalated_at__isnull=True),
                name="pending_by_escalation",
            ),
            models.Index(
                fields=["remind_at"],
                condition=Q(status="pending", remind_at__isnull=False),
                name="pending_by_reminder",
            ),
            models.Index(
                fields=["-id"], condition=Q(status="pending", undecidable__isnull=False), name="pending_undecidable"
            ),
            models.Index(
                fields=["escalation_team"], condition=Q(escalated_at__isnull=False), name="requests_by_escalation"
            ),
            GinIndex(words_of("action", "resource", "summary"), name="requests_by_words"),
        )

    def __str__(self) -> str:
        return f"{self.action} ({self.status})"

    @property
    def parameters(self) -> Any:
        """The filed parameters, parsed."""
        return json.loads(self.parameters_text)

    @property
    def context(self) -> Any:
        """What the agent says around the request, parsed."""
        return json.loads(self.context_text)

    @property
    def effective_text(self) -> str:
        """Canonical text of what may be executed: the edit where there is one, else as filed."""
        return self.amended_text if self.amended_text is not None else self.parameters_text

    @property
    def effective_digest(self) -> str:
        """The digest of `effective_text`."""
        return self.amended_digest or self.parameters_digest

    @property
    def effective_parameters(self) -> Any:
        """What may be executed, parsed."""
        return json.loads(self.effective_text)

    @property
    def effective_ruling(self) -> Ruling:
        """Policy's ruling on what may be executed: on the edit where there is one, else as frozen at filing."""
        return Ruling.from_json(self.amended_ruling if self.amended_ruling is not None else self.ruling)

    @property
    def effective_risk(self) -> str:
        """The risk of what may be executed, as treated and signed."""
        return self.amended_risk or self.risk

    @property
    def effective_teams(self) -> list[str]:
        """The teams that decide what may be executed."""
        return self.amended_teams if self.amended_teams is not None else self.teams

    @property
    def seeing_teams(self) -> list[str]:
        """The teams whose people see it: those that decide, and those that were asked at filing."""
        return sorted({*self.teams, *self.effective_teams})

    @property
    def is_amended(self) -> bool:
        """Whether what may be executed is not what was filed; an edit may have led back to it."""
        return self.effective_digest != self.parameters_digest

    @property
    def shown_risk(self) -> str:
        """The word on pages: `unknown` where parameters were not understood."""
        unknown = self.risk_unknown if self.amended_risk_unknown is None else self.amended_risk_unknown
        return "unknown" if unknown else self.effective_risk


class Outcome(models.Model):
    """What the executor reported after redeeming: once."""

    request = models.OneToOneField(Request, on_delete=models.PROTECT, primary_key=True, related_name="outcome")
    credential = models.ForeignKey(Credential, on_delete=models.PROTECT, related_name="+")
    result = models.CharField(max_length=9, choices=[("succeeded", "succeeded"), ("failed", "failed")])
    response_code = models.IntegerField(null=True)
    detail_text = models.TextField(null=True)  # canonical JSON
    reported_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.request_id}: {self.result}"


class Activity(models.Model):
    """Tool calls reported around a request: recorded, never ruled on."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    request = models.ForeignKey(Request, on_delete=models.PROTECT, related_name="activities")
    executor = models.ForeignKey(Executor, on_delete=models.PROTECT, null=True, related_name="+")
    tool_calls_text = models.TextField()  # canonical JSON
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"activity of {self.request_id}"
