"""What has been asked and how it ended, by filter, newest first. The same filter exported is `export`'s work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from approvals import access, history, listing, policies, queries
from approvals.access import Viewer
from approvals.display.visible import Runs
from approvals.models import Decision
from approvals.policies import InForce
from approvals.queries import Seen
from approvals.states import Status
from approvals.web import filters, rows, words
from approvals.web.doors import door, viewer_of
from approvals.web.filters import Given
from approvals.web.pages import HistoryPage, HistoryRow

PAGE = 50
WORDS_AT_MOST = 200  # characters of a deciding rationale in a list; all of it stands on the request's page


@door
@require_safe
def show(request: HttpRequest) -> HttpResponse:
    """GET /history/: 200, or 422 with what is wrong with the filter and no rows."""
    given = filters.read(request.GET)
    person = viewer_of(request)
    page = _page(person, given)
    return render(request, "approvals/history.html", {"page": page}, status=422 if given.errors else 200)


def refused_page(person: Viewer, given: Given) -> HistoryPage:
    """The page of a filter that cannot be used: what is wrong, and no rows."""
    return _page(person, given)


def _page(person: Viewer, given: Given) -> HistoryPage:
    found = queries.Page([], None)
    if not given.errors:
        wanted = history.matching(person, given.meaning)
        found = history.page_of(wanted, given.meaning.status, limit=PAGE, older_than=given.before)
    votes = listing.votes_of([seen.request.pk for seen in found.rows])
    versions = policies.versions(seen.request.policy_id for seen in found.rows)
    current = policies.in_force().pack
    history_url = reverse("history")
    return HistoryPage(
        filters=given.texts,
        errors=given.errors,
        statuses=[(status.value, label) for status, label in words.STATUSES.items()],
        risks=list(words.RISKS.items()),
        actions=sorted(current.catalogue) if current is not None else [],
        agents=sorted({seen.request.agent.slug for seen in found.rows}),
        rows=[_row(person, seen, votes.get(seen.request.pk, []), versions) for seen in found.rows],
        filtered=given.any,
        csv_url=reverse("history_csv") + given.query(),
        jsonl_url=reverse("history_jsonl") + given.query(),
        may_export=not given.errors,
        older_url=history_url + given.query(before=str(found.next_id)) if found.next_id else "",
        first_url=history_url + given.query() if given.before else "",
    )


def _row(person: Viewer, seen: Seen, votes: Sequence[Decision], versions: Mapping[UUID | None, InForce]) -> HistoryRow:
    request = seen.request
    masked = not access.sees_payload_of(person, request, votes)
    return HistoryRow(
        id=request.pk,
        url=rows.url_of(request.pk),
        title=words.title(request, versions.get(request.policy_id), masked=masked),
        action=words.text(request.action),
        risk=rows.risk_of(request),
        agent=request.agent.slug,
        status=rows.status_of(seen),
        filed_at=request.created_at,
        ended_at=seen.decided_at,
        people=words.names([vote.person for vote in votes]),
        words=_deciding_words(seen, votes),
    )


def _deciding_words(seen: Seen, votes: Sequence[Decision]) -> Runs:
    """What was said with the decision that ended it."""
    if seen.status not in (Status.APPROVED, Status.REJECTED) or not votes:
        return ()
    said = votes[-1].rationale
    cut = said[:WORDS_AT_MOST] + ("…" if len(said) > WORDS_AT_MOST else "")
    return words.text(" ".join(cut.split()))
