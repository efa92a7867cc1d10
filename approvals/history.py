"""Reading what has been: the requests a filter names, newest first, and the last denial of the same thing. Nothing is
changed here, and nothing is turned into words.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from django.contrib.postgres.search import SearchQuery
from django.db.models import DateTimeField, Exists, OuterRef, Q, QuerySet
from django.db.models.expressions import RawSQL

from accounts.addresses import whose
from approvals import access, listing, queries
from approvals.access import Viewer
from approvals.listing import DENIED_WITHIN, in_time
from approvals.models import Decision, Request
from approvals.models.request import words_in, words_of
from approvals.states import Status


def denied_before(person: Viewer, request: Request) -> Request | None:
    """The last request of the same agent, action and resource that a person rejected in the 30 days before this one
    was filed, where this person may see it unmasked."""
    return (
        queries.requests()
        .filter(
            access.involving(person),  # and not all they see: its parameters are shown beside this one's
            status=Status.REJECTED.value,
            agent=request.agent,
            action=request.action,
            resource=request.resource,
            decided_at__lt=request.created_at,
            decided_at__gt=request.created_at - DENIED_WITHIN,
        )
        .order_by("-decided_at")
        .first()
    )


def voided(request: Request) -> list[Decision]:
    """The decisions on a request that no longer stand, oldest first, with what `listing.votes_of` brings; one query."""
    rows = Decision.objects.filter(request=request, voided_at__isnull=False)
    return list(listing.with_people(rows).order_by("voided_at", "id"))


@dataclass(frozen=True, slots=True)
class Filter:
    """Which requests a history or an export is about; empty fields ask nothing. `to` is the last day, inclusive."""

    status: Status | None = None
    action: str = ""
    agent: str = ""
    risk: str = ""
    person: str = ""
    since: date | None = None
    to: date | None = None
    words: str = ""


def matching(person: Viewer, wanted: Filter) -> QuerySet[Request]:
    """The requests this person may see that match; `status` is left to `page_of`, which judges it as a reader sees."""
    rows = access.visible_to(person)
    exactly: dict[str, Any] = {}
    if wanted.action:
        exactly["action"] = wanted.action
    if wanted.agent:
        exactly["agent__slug"] = wanted.agent
    if wanted.since:
        exactly["created_at__gte"] = RawSQL(
            "%s::date::timestamp AT TIME ZONE 'UTC'", [wanted.since], output_field=DateTimeField()
        )
    if wanted.to:
        exactly["created_at__lt"] = RawSQL(
            "(%s::date + 1)::timestamp AT TIME ZONE 'UTC'", [wanted.to], output_field=DateTimeField()
        )
    if wanted.risk == "unknown":
        exactly["standing_risk_unknown"] = True
    elif wanted.risk:
        exactly |= {"standing_risk": wanted.risk, "standing_risk_unknown": False}
    rows = rows.filter(**exactly)
    if wanted.person:
        rows = rows.filter(
            Exists(
                Decision.objects.filter(request=OuterRef("pk"), voided_at__isnull=True, person__in=whose(wanted.person))
            )
        )
    return _about(rows, person, wanted.words) if wanted.words else rows


def _about(rows: QuerySet[Request], person: Viewer, words: str) -> QuerySet[Request]:
    """Rows with all the words, each matched from its beginning. Who sees a summary masked cannot search in it: an
    answer to a search is a look."""
    terms = " & ".join("'" + word.replace("\\", "\\\\").replace("'", "''") + "':*" for word in words_in(words))
    asked = SearchQuery(terms, config="simple", search_type="raw")
    # Exactly the index's expression, or it would not serve.
    rows = rows.annotate(all_words=words_of("action", "resource", "summary"))
    if not (person.sees_all or person.oversees):
        return rows.filter(all_words=asked)
    rows = rows.annotate(open_words=words_of("action", "resource"))
    return rows.filter(Q(open_words=asked) | (Q(all_words=asked) & access.involving(person)))


def page_of(rows: QuerySet[Request], status: Status | None, *, limit: int, older_than: UUID | None) -> queries.Page:
    """One page of `matching`, newest first."""
    if status is Status.PENDING:  # what a reader is told is pending, so that nobody pages through the overdue
        rows = rows.filter(in_time())
    return queries.page(rows, limit=limit, before=older_than, statuses=[status] if status else None)
