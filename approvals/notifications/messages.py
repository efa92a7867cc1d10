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

_ORDER = {"critical": 0, "unknown": 1, "high": 2, "medium": 3}


@dataclass(frozen=True, slots=True)
class Line:
    """One request as it is told: texts are visible and safe to print, `deadline` is aware."""

    title: str
    risk: str  # critical, high, medium, low, unknown
    deadline: datetime
    link: str


def lines_of(requests: Iterable[Request]) -> list[Line]:
    """A line each, most urgent first; the requests' agents are at hand. One query beyond them."""
    found = list(requests)
    versions = policies.versions(request.policy_id for request in found)
    lines = [
        Line(_title(request, versions.get(request.policy_id)), request.shown_risk, request.expires_at, link_of(request))
        for request in found
    ]
    return sorted(lines, key=lambda line: (_ORDER.get(line.risk, 4), line.deadline))


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


def unlinked(text: str) -> str:
    """The text so that mail and chat programs make no link of an address in it: an agent must not plant one."""
    return text.replace("://", "[:]//").replace("www.", "www[.]")


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
    """`Critical: Delete backup …` for one; for more how many, and how many critical."""
    if len(lines) == 1:
        return f"{risk_word(lines[0].risk)}: {lines[0].title}"
    said = ngettext("%(n)s request waits for you", "%(n)s requests wait for you", len(lines)) % {"n": len(lines)}
    critical = sum(line.risk == "critical" for line in lines)
    return said + (_(", %(n)s critical") % {"n": critical} if critical else "")


def paragraph(line: Line) -> str:
    """A request in three lines of plain text."""
    by = _("Decide by %(when)s UTC; without a decision it is denied.") % {
        "when": f"{line.deadline.astimezone(UTC):%Y-%m-%d %H:%M}"
    }
    return f"{risk_word(line.risk)}: {line.title}\n{by}\n{line.link}"


def payload(notice: Notice, line: Line) -> dict[str, Any]:
    """The body of a webhook (Standard Webhooks: `type`, `timestamp`, `data`)."""
    return {
        "type": notice.event,
        "timestamp": _time(notice.at),
        "data": {"title": line.title, "risk": line.risk, "deadline": _time(line.deadline), "link": line.link},
    }


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
