"""The doors of agents: the list, one agent with its keys and requests, suspending it and letting it ask again."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.people import person_party
from accounts.sign_in import authentication_of
from agents import suspension
from agents.models import Agent
from agents.suspension import SuspensionRefused
from approvals import access, policies, queries, roster
from approvals.access import Viewer
from approvals.display.visible import Runs
from approvals.web import rows, words
from approvals.web.allowance_page import AllowanceRow, row_of
from approvals.web.doors import asked, door, person_of, typed, viewer_of
from approvals.web.pages import Risk, Status

PAGE = 50
REQUESTS = 20


@dataclass(frozen=True)
class AgentRow:
    """An agent in the list."""

    slug: str
    url: str
    owner: Runs
    level: int
    suspended: bool
    waiting: int
    filed_at: datetime | None


@dataclass(frozen=True)
class AgentsPage:
    """The agents this person may see."""

    rows: list[AgentRow]
    older_url: str
    may_stop: bool


@dataclass(frozen=True)
class KeyRow:
    """A key without its secret, which nobody has."""

    public_id: str
    scopes: str
    expires_at: datetime
    used_at: datetime | None
    live: bool
    revoked: bool


@dataclass(frozen=True)
class RequestRow:
    """A request of the agent, in a line."""

    url: str
    title: Runs
    risk: Risk
    status: Status
    filed_at: datetime


@dataclass(frozen=True)
class AgentPage:
    """One agent; `problem` and `typed` where a form was refused."""

    slug: str
    purpose: Runs
    owner: Runs
    level: int
    suspended: bool
    allowances: list[AllowanceRow]
    allowances_url: str
    keys: list[KeyRow]
    requests: list[RequestRow]
    waiting: int
    unspent: int
    may_suspend: bool
    why_not_resume: str
    problem: str = ""
    typed: dict[str, str] = field(default_factory=dict)


@door
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """GET /agents/: those this person may see; for who may see none it is not there."""
    person = viewer_of(request)
    found = roster.listed(access.agents_of(person), after=asked(request, "after")[:50], limit=PAGE + 1)
    if not found and not person.roles & access.SEES_AGENTS:
        raise Http404
    more = f"?{urlencode({'after': found[PAGE - 1].slug})}" if len(found) > PAGE else ""
    page = AgentsPage([_row(agent) for agent in found[:PAGE]], more, bool(person.roles & access.STOPS_AGENTS))
    return render(request, "approvals/agents.html", {"page": page})


@door
@require_safe
def show(request: HttpRequest, slug: str) -> HttpResponse:
    """GET /agents/<slug>/: one agent; 404 where this person may not see it."""
    person = viewer_of(request)
    page = _page(person, access.agent_to_see(person, slug))
    return render(request, "approvals/agent.html", {"page": page})


@door
@never_cache
@require_POST
def suspend(request: HttpRequest, slug: str) -> HttpResponse:
    """POST /agents/<slug>/suspend/ `reason`: 303 back; 404 where it is not this person's to do, 409 refused, 422."""
    person = viewer_of(request)
    agent = access.agent_to_see(person, slug)
    if not access.may_suspend(person, agent):
        raise Http404
    try:
        suspension.suspend(
            agent_id=agent.pk,
            by=person_party(person_of(request)),
            reason=typed(request, "reason"),
            auth=authentication_of(request),
        )
    except SuspensionRefused as refused:
        return _refused(request, person, slug, str(refused), status=refused.status)
    messages.success(request, _("Suspended. Nothing of it is pending, and no grant of it redeems."))
    return _back(slug)


@door
@never_cache
@require_POST
def resume(request: HttpRequest, slug: str) -> HttpResponse:
    """POST /agents/<slug>/resume/ `reason`: 303 back; 403 where it is not this person's to do, 409 refused, 422."""
    person = viewer_of(request)
    agent = access.agent_to_see(person, slug)
    why_not = access.why_not_resume(person, agent)
    if why_not:
        return _refused(request, person, slug, why_not, status=403)
    try:
        suspension.resume(
            agent_id=agent.pk, by=person_of(request), reason=typed(request, "reason"), auth=authentication_of(request)
        )
    except SuspensionRefused as refused:
        return _refused(request, person, slug, str(refused), status=refused.status)
    messages.success(request, _("It may ask again. What it had asked before does not come back."))
    return _back(slug)


def _back(slug: str) -> HttpResponse:
    return HttpResponseRedirect(reverse("agent", args=[slug]), status=303)


def _refused(request: HttpRequest, person: Viewer, slug: str, why: str, *, status: int) -> HttpResponse:
    page = _page(person, access.agent_to_see(person, slug), problem=why, kept={"reason": typed(request, "reason")})
    return render(request, "approvals/agent.html", {"page": page}, status=status)


def _row(agent: Agent) -> AgentRow:
    return AgentRow(
        slug=agent.slug,
        url=reverse("agent", args=[agent.slug]),
        owner=words.name(agent.owner),
        level=agent.level,
        suspended=agent.state == Agent.State.SUSPENDED,
        waiting=agent.waiting or 0,  # type: ignore[attr-defined]  # annotated by roster.listed
        filed_at=agent.filed_at,  # type: ignore[attr-defined]  # likewise
    )


def _page(person: Viewer, agent: Agent, *, problem: str = "", kept: dict[str, str] | None = None) -> AgentPage:
    now = queries.clock()
    found = roster.requests_of(person, agent, REQUESTS)
    versions = policies.versions(seen.request.policy_id for seen in found)
    allowances = roster.allowances_to_heed(person, agent, REQUESTS)
    waiting, unspent = roster.pending_of(agent)
    suspended = agent.state == Agent.State.SUSPENDED
    return AgentPage(
        slug=agent.slug,
        purpose=words.text(agent.purpose),
        owner=words.name(agent.owner),
        level=agent.level,
        suspended=suspended,
        allowances=[row_of(person, one, now) for one in allowances],
        allowances_url=f"{reverse('allowances')}?{urlencode({'agent': agent.slug})}",
        keys=[
            KeyRow(
                key.public_id,
                ", ".join(key.scopes),
                key.expires_at,
                key.last_used_at,
                roster.is_live(key, now),
                key.revoked_at is not None,
            )
            for key in roster.keys_of(agent)
        ],
        requests=[
            RequestRow(
                rows.url_of(seen.request.pk),
                words.title(
                    seen.request,
                    versions.get(seen.request.policy_id),
                    masked=not access.entitled(person, seen.request),
                ),
                rows.risk_of(seen.request),
                rows.status_of(seen),
                seen.request.created_at,
            )
            for seen in found
        ],
        waiting=waiting,
        unspent=unspent,
        may_suspend=access.may_suspend(person, agent) and not suspended,
        why_not_resume=access.why_not_resume(person, agent) if suspended else "",
        problem=problem,
        typed=kept or {},
    )
