"""Reads agents for people's pages: how many wait, when each filed last, its keys, and what every page's frame says of
them. Who may see which agent is the gates' to say; nothing is changed here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db.models import Case, CharField, Count, Exists, JSONField, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.expressions import RawSQL

from accounts.models import User
from agents.models import Agent, Credential
from approvals import access, queries, spending
from approvals.access import Viewer
from approvals.display.visible import Runs, make_visible
from approvals.listing import in_time, now
from approvals.models import Allowance, AllowanceAgreement, AllowanceUse, Request
from approvals.queries import Seen

KEYS_AT_MOST = 50


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around every page: whether all agents are stopped, by whom and why, and which pages are this
    person's."""

    sees_agents: bool
    may_stop: bool
    stopped_at: datetime | None
    stopped_by: Runs
    stopped_why: Runs


def framed(people: QuerySet[User]) -> QuerySet[User]:
    """The people with what `frame` reads beside them, in the same query."""
    return people.annotate(
        frame_roles=RawSQL(
            "ARRAY(SELECT role FROM accounts_rolegrant WHERE user_id = accounts_user.id"
            " AND (expires_at IS NULL OR expires_at > now()))",
            [],
            output_field=ArrayField(CharField()),
        ),
        frame_owns=Exists(Agent.objects.filter(owner=OuterRef("pk"))),
        frame_stop=RawSQL(
            "(SELECT jsonb_build_array(s.started_at, coalesce(nullif(p.name, ''), p.email), s.reason)"
            " FROM agents_stop s LEFT JOIN accounts_user p ON p.id = s.started_by_id"
            " WHERE s.lifted_at IS NULL LIMIT 1)",
            [],
            output_field=JSONField(),
        ),
    )


def frame(user: User) -> Frame | None:
    """What `framed` read with this person; None for one who was read without. No query."""
    roles = getattr(user, "frame_roles", None)
    if roles is None:
        return None
    at, by, why = getattr(user, "frame_stop", None) or (None, "", "")
    return Frame(
        sees_agents=bool(getattr(user, "frame_owns", False)) or not access.SEES_AGENTS.isdisjoint(roles),
        may_stop=not access.STOPS_AGENTS.isdisjoint(roles),
        stopped_at=datetime.fromisoformat(at) if at else None,
        stopped_by=make_visible(by or "An operator"),
        stopped_why=make_visible(why),
    )


def listed(agents: QuerySet[Agent], *, after: str, limit: int) -> list[Agent]:
    """Those agents by slug, from after that one on, each with `waiting` and `filed_at`; one query."""
    newest = Request.objects.filter(agent=OuterRef("pk")).order_by("-id").values("created_at")[:1]
    waiting = Request.objects.filter(in_time(), agent=OuterRef("pk")).order_by().values("agent").annotate(n=Count("pk"))
    rows = agents.annotate(waiting=Subquery(waiting.values("n")), filed_at=Subquery(newest))
    return list(rows.filter(slug__gt=after).order_by("slug")[:limit])


def keys_of(agent: Agent) -> Sequence[Credential]:
    """Its keys, newest first; one query."""
    return list(Credential.objects.filter(agent=agent).order_by("-created_at")[:KEYS_AT_MOST])


def requests_of(person: Viewer, agent: Agent, limit: int) -> list[Seen]:
    """Its newest requests that this person may open, as a reader sees them."""
    return queries.page(access.visible_to(person).filter(agent=agent), limit=limit).rows


def may_open(person: Viewer, request_id: UUID) -> bool:
    """Whether the request's page is there for this person; one query."""
    return access.visible_to(person).filter(pk=request_id).exists()


def allowances(person: Viewer, *, agent: str, before: UUID | None, limit: int) -> list[Allowance]:
    """The allowances this person may see, newest first, of that agent where a slug is given, from `before` on; one
    query."""
    rows = access.allowances_of(person)
    if agent:
        rows = rows.filter(agent__slug=agent)
    return list((rows.filter(pk__lt=before) if before else rows).order_by("-id")[:limit])


def allowances_to_heed(person: Viewer, agent: Agent, limit: int) -> list[Allowance]:
    """Its allowances that this person may see: those in force first, then those that wait, then what ended, each newest
    first; one query."""
    is_open = Q(revoked_at__isnull=True, uses_left__gt=0, ends_at__gt=now())
    place = Case(When(is_open, active_at__isnull=False, then=Value(0)), When(is_open, then=Value(1)), default=Value(2))
    return list(access.allowances_of(person).filter(agent=agent).order_by(place, "-id")[:limit])


def use_of(request: Request) -> tuple[AllowanceUse, list[AllowanceAgreement]] | None:
    """The use of an allowance that approved this request, and who had agreed; two queries."""
    use = AllowanceUse.objects.select_related("allowance").filter(request=request).first()
    if use is None:
        return None
    return use, spending.agreements_of([use.allowance_id]).get(use.allowance_id, [])


def uses_of(person: Viewer, allowance: Allowance, limit: int) -> list[AllowanceUse]:
    """Its uses, newest first, with their requests, as far as this person may open these; one query."""
    rows = AllowanceUse.objects.select_related("request", "request__grant", "request__agent").filter(
        allowance=allowance, request__in=access.visible_to(person).values("pk")
    )
    return list(rows.order_by("-number")[:limit])


def filed_like(person: Viewer, request: Request, limit: int) -> list[Request]:
    """The newest requests of that agent for that action, to try a condition on: only those whose parameters this
    person sees, since each answer tells something of them. One query, and one for each that they see by a vote."""
    rows = access.visible_to(person).filter(access.involving(person), agent=request.agent_id, action=request.action)
    return [one for one in rows.order_by("-id")[:limit] if access.sees_payload(person, one)]


def is_live(key: Credential, at: datetime) -> bool:
    """Whether a key still opens anything."""
    return key.revoked_at is None and key.expires_at > at


def pending_of(agent: Agent) -> tuple[int, int]:
    """How many requests wait and how many grants are unspent: what a suspension would end; one query."""
    counted = Request.objects.filter(agent=agent).aggregate(
        waiting=Count("pk", filter=in_time()),
        unspent=Count(
            "grant",
            filter=Q(grant__redeemed_at=None, grant__voided_at=None, grant__valid_until__gt=now()),
        ),
    )
    return counted["waiting"], counted["unspent"]
