"""What a notification says: the act in the catalogue's words, risk, deadline, link. Nothing else of a request is read.

Never the agent's words, a rationale or the parameters as such; and no link in it decides anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from approvals import policies
from approvals.display.lines import TITLE_AT_MOST, Facts, first_filled
from approvals.display.visible import as_text, plain_visible
from approvals.models import Notice, Request
from approvals.notifications.unlinked import unlinked

_ORDER = {"critical": 0, "unknown": 1, "high": 2, "medium": 3}


@dataclass(frozen=True, slots=True)
class Line:
    """One request as it is told: texts are visible and safe to print, `deadline` is aware. `alarm`: nobody can decide
    it."""

    title: str
    risk: str  # critical, high, medium, low, unknown
    deadline: datetime
    link: str
    alarm: bool = False


def lines_of(requests: Iterable[Request]) -> list[Line]:
    """A line each, most urgent first; the requests' agents are at hand. One query beyond them."""
    found = list(requests)
    versions = policies.versions(request.policy_id for request in found)
    lines = [
        Line(_title(request, versions.get(request.policy_id)), request.shown_risk, request.expires_at, link_of(request))
        for request in found
    ]
    return sorted(lines, key=lambda line: (_ORDER.get(line.risk, 4), line.deadline))


def alarms_of(requests: Iterable[Request]) -> list[Line]:
    """A line each of those that nobody can decide, soonest deadline first. They go to people who see a request masked,
    so the act is named without its parameters."""
    lines = [
        Line(_masked(request), request.shown_risk, request.expires_at, link_of(request), alarm=True)
        for request in requests
    ]
    return sorted(lines, key=lambda line: line.deadline)


def _masked(request: Request) -> str:
    # The action is a name of the catalogue: a policy's author chose it, so its dots stay.
    resource = unlinked(plain_visible(request.resource))
    return _("%(action)s on %(resource)s") % {"action": plain_visible(request.action), "resource": resource}


def link_of(request: Request) -> str:
    """The page of a request; opening it changes nothing, and asks for a sign-in."""
    return f"{settings.BASE_URL}/requests/{request.pk}/"


def _title(request: Request, policy: policies.InForce | None) -> str:
    action = policy.pack.catalogue.get(request.action) if policy and policy.pack else None
    if action is not None:
        facts = Facts(request.effective_parameters, request.resource, request.agent.slug)
        filled = first_filled(action.title, facts, TITLE_AT_MOST)
        if filled:
            return unlinked(as_text(filled))
    return unlinked(plain_visible(request.action))


def risk_word(risk: str) -> str:
    """The risk as pages name it."""
    words = {
        "critical": _("Critical"),
        "unknown": _("Unknown risk"),
        "high": _("High"),
        "medium": _("Medium"),
        "low": _("Low"),
    }
    return words.get(risk, _("Unknown risk"))


def subject(lines: Sequence[Line]) -> str:
    """`Critical: Delete backup …` for one; for more how many, and how many critical; and first of all what nobody can
    decide."""
    alarms = [line for line in lines if line.alarm]
    turns = [line for line in lines if not line.alarm]
    said = []
    if alarms:
        said.append(
            _("Nobody can decide: %(title)s") % {"title": alarms[0].title}
            if len(alarms) == 1
            else ngettext("%(n)s request that nobody can decide", "%(n)s requests that nobody can decide", len(alarms))
            % {"n": len(alarms)}
        )
    if len(turns) == 1:
        said.append(f"{risk_word(turns[0].risk)}: {turns[0].title}")
    elif turns:
        waits = ngettext("%(n)s request waits for you", "%(n)s requests wait for you", len(turns)) % {"n": len(turns)}
        critical = sum(line.risk == "critical" for line in turns)
        said.append(waits + (_(", %(n)s critical") % {"n": critical} if critical else ""))
    return "; ".join(said)


def paragraph(line: Line) -> str:
    """A request in three lines of plain text."""
    when = {"when": f"{line.deadline.astimezone(UTC):%Y-%m-%d %H:%M}"}
    if line.alarm:
        by = _("No one can decide this by %(when)s UTC, and then it is denied. The page says what is missing.") % when
    else:
        by = _("Decide by %(when)s UTC; without a decision it is denied.") % when
    return f"{risk_word(line.risk)}: {line.title}\n{by}\n{line.link}"


def payload(notice: Notice, line: Line) -> dict[str, Any]:
    """The body of a webhook (Standard Webhooks: `type`, `timestamp`, `data`)."""
    return {
        "type": notice.event,
        "timestamp": _time(notice.at),
        "data": {"title": line.title, "risk": line.risk, "deadline": _time(line.deadline), "link": line.link},
    }


def payload_of_agent(notice: Notice) -> dict[str, Any]:
    """The body of a webhook that an agent may not ask any more; its runtime ends the run. It says no reason: that is
    for people."""
    slug = notice.agent.slug if notice.agent else ""
    return {"type": notice.event, "timestamp": _time(notice.at), "data": {"agent": slug, "stop": True}}


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
