"""The page of one request, its poll, and the exact bytes of its parameters. Deciding has its own door (`decide`)."""

from __future__ import annotations

from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.sign_in import authentication_of
from agents.problems import Problem
from approvals import access, marks
from approvals.access import Viewer
from approvals.display.visible import as_text
from approvals.queries import Seen
from approvals.states import Status
from approvals.web import drafts, request_page
from approvals.web.doors import door, milliseconds, person_of, stamped, viewer_of
from approvals.web.pages import RequestPage
from approvals.web.request_page import Asked


@door
@require_safe
def show(request: HttpRequest, request_id: UUID) -> HttpResponse:
    """GET /requests/<id>/; with `?whole=1` nothing is cut."""
    person = viewer_of(request)
    seen = access.request_to_see(person, request_id)
    whole = request.GET.get("whole") == "1"
    asked = Asked(whole=whole, values=drafts.kept(request, seen.request), auth=authentication_of(request, now=seen.now))
    page = request_page.build(person, seen, session_key=session_key(request), asked=asked)
    if page.decide is None:
        drafts.forget(request, request_id)
    context = {"page": page, "now": seen.now, "now_ms": milliseconds(seen.now)}
    return render(request, "approvals/request.html", context)


@door
@require_safe
def poll(request: HttpRequest, request_id: UUID) -> HttpResponse:
    """GET /requests/<id>/poll/: 204 while nothing changed since `mark`, else what is new, never with the form."""
    now = marks.request_mark(person_of(request).pk, request_id)
    if now is None:
        raise Http404
    told = request.GET.get("mark", "")
    if told == str(now):
        return stamped(HttpResponse(status=204), now.at)
    person = viewer_of(request)
    try:
        seen = access.request_to_see(person, request_id)
    except Problem:  # somebody decides at the very deadline: nothing is known yet
        return stamped(HttpResponse(status=204), now.at)
    page = _news(person, seen, told, session_key(request))
    return stamped(render(request, "approvals/request.html#live", {"page": page}), seen.now)


@door
@require_safe
def parameters(request: HttpRequest, request_id: UUID) -> HttpResponse:
    """GET /requests/<id>/parameters/: the canonical bytes that would run; with `?filed=1` those the agent filed. Who
    sees them masked is told nothing: 404."""
    person = viewer_of(request)
    seen = access.request_to_see(person, request_id)
    if not access.sees_payload(person, seen.request):
        raise Http404
    text = seen.request.parameters_text if request.GET.get("filed") == "1" else seen.request.effective_text
    return HttpResponse(
        text.encode(),
        content_type="application/json",
        # a browser that would rather show it must not run it
        headers={"X-Content-Type-Options": "nosniff", "Content-Disposition": f'inline; filename="{request_id}.json"'},
    )


def session_key(request: HttpRequest) -> str:
    """The key of this session: what a view's ticket is bound to."""
    return request.session.session_key or ""


def _news(person: Viewer, seen: Seen, told: str, key: str) -> RequestPage:
    """The page as a poll tells it: one announcement, and whether what is read has changed under the reader."""
    page = request_page.build(person, seen, session_key=key, asked=Asked(form=False))
    if page.receipt is not None:
        notice, reload = f"{as_text(page.receipt.sentence)}.", seen.status is Status.WITHDRAWN
    elif seen.request.escalated_at is not None and told.partition(".")[0] == f"{seen.version:x}":
        notice, reload = _("Opened to %(team)s too.") % {"team": seen.request.escalation_team}, False
    elif changed := _changed(page, seen, told):
        notice, reload = changed, True
    else:
        teams = sorted({seat.team for seat in page.standing.seats if seat.state == "approved"})
        said = _(": %(teams)s approved") % {"teams": ", ".join(teams)} if teams else ""
        notice, reload = f"{page.standing.progress}{said}.", False
    return request_page.announcing(page, notice, reload=reload)


def _changed(page: RequestPage, seen: Seen, told: str) -> str:
    """What has changed of the content since the mark that was told, in a sentence; empty where only votes came."""
    version, _dot, rest = told.partition(".")
    asked, answered, edit = [*rest.partition(".")[0].split("-"), "", "", ""][:3]
    if answered != str(sum(one.answered_at is not None for one in page.questions.asked)):
        return _("The agent answered.")
    if page.amendment is not None and edit != (seen.request.amended_digest or "")[-8:]:
        return _("%(name)s changed the parameters.") % {"name": as_text(page.amendment.by)}
    if asked != str(len(page.questions.asked)):
        return _("The agent was asked a question.")
    return "" if version.rstrip("w") == f"{seen.version:x}" else _("This changed while you were looking.")
