"""What a reviewer asks the agent of a request, and what it answers. Asking and answering are `questions`' verbs."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from accounts.models import User
from approvals.models.request import Request


class Question(models.Model):
    """A question. Never changed but to be answered once, never deleted; one open at a time on a request."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    request = models.ForeignKey(Request, on_delete=models.PROTECT, related_name="questions")
    asked_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    text = models.CharField(max_length=2_000)  # the agent reads it word for word
    asked_at = models.DateTimeField()
    answer_text = models.TextField(null=True)  # the agent's words, at most 8 000 characters
    answered_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["request"], condition=Q(answered_at__isnull=True), name="one_open_question_a_request"
            ),
            models.CheckConstraint(
                condition=Q(answer_text__isnull=True, answered_at__isnull=True)
                | Q(answer_text__isnull=False, answered_at__isnull=False),
                name="an_answer_says_when",
            ),
        )
        indexes = (models.Index(fields=["request", "-asked_at"], name="questions_of_a_request"),)

    def __str__(self) -> str:
        return f"{self.asked_by_id} asks about {self.request_id}"
