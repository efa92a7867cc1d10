"""How pages put things: times, time left, risk, people's names, titles, as the plain values templates take.

Nothing is fetched here and nothing is HTML; every text that came from outside goes through `text`.
"""

from __future__ import annotations

from datetime import UTC, datetime

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.models import User
from approvals.display.lines import TITLE_AT_MOST, Facts, first_filled, worded
from approvals.display.visible import Run, Runs, joined, make_visible
from approvals.models import Request
from approvals.policies import InForce
from approvals.states import Status
from approvals.web.pages import Deadline, Urgency

SOON_SECONDS = 600
NOW_SECONDS = 120

MASKED: Runs = (Run("[masked]", "token"),)


def text(words: str, *, multiline: bool = False) -> Runs:
    """Text from outside, made visible."""
    return make_visible(words, multiline=multiline)


def own(words: str) -> Runs:
    """Words of ours."""
    return (Run(words),) if words else ()


def left(seconds: int) -> str:
    """A time span in its two greatest units, rounded down: `45 s`, `4 min`, `2 h 5 min`, `3 d 4 h`; js/clock.js
    counts it on in the same words."""
    seconds = max(seconds, 0)
    if seconds < 60:
        return f"{seconds} s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 60:
        return f"{minutes} min"
    if hours < 24:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"


def clock(seconds: int) -> str:
    """A time span as a clock counts it down: `4:12`, `2:05:00`."""
    minutes, rest = divmod(max(seconds, 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def deadline(at: datetime, now: datetime) -> Deadline:
    """What is left until `at`, both by the database's clock."""
    seconds = int((at - now).total_seconds())
    urgency: Urgency = ""
    if seconds <= SOON_SECONDS:
        urgency = "now" if seconds <= NOW_SECONDS else "soon"
    return Deadline(at.astimezone(UTC), seconds, left(seconds), clock(seconds), urgency)


def ago(then: datetime, now: datetime) -> str:
    """`2 h 5 min ago`."""
    return _("%(span)s ago") % {"span": left(int((now - then).total_seconds()))}


def at(moment: datetime, now: datetime | None = None) -> str:
    """A time of day in UTC with seconds; with its day where that is not today's (by `now`)."""
    moment = moment.astimezone(UTC)
    if now is not None and moment.date() != now.astimezone(UTC).date():
        return f"{moment:%Y-%m-%d %H:%M:%S}"
    return f"{moment:%H:%M:%S}"


def day(moment: datetime, now: datetime) -> str:
    """Until when, in UTC: the time of day, and its day where that is not today's (by `now`)."""
    moment = moment.astimezone(UTC)
    today = moment.date() == now.astimezone(UTC).date()
    return f"{moment:%H:%M}" if today else f"{moment.day} {moment:%b %H:%M}"


def name(person: User) -> Runs:
    """A colleague's name; the address where there is none."""
    return text(person.name or person.email)


def names(people: list[User]) -> Runs:
    """`A`, `A and B`, `A, B and C`."""
    return listed([name(person) for person in people])


def listed(words: list[Runs]) -> Runs:
    """`A`, `A and B`, `A, B and C`, of anything."""
    parts: list[Runs] = []
    for place, one in enumerate(words):
        if place:
            parts.append(own(_(" and ") if place == len(words) - 1 else ", "))
        parts.append(one)
    return joined(*parts)


def title(request: Request, policy: InForce | None, *, masked: bool) -> Runs:
    """The act with its number in it, in the catalogue's words; masked: the action and what it is about."""
    action = policy.pack.catalogue.get(request.action) if policy and policy.pack else None
    if action is not None and not masked:
        facts = Facts(request.effective_parameters, request.resource, request.agent.slug)
        filled = first_filled(action.title, facts, TITLE_AT_MOST)
        if filled:
            return filled
    return joined(text(request.action), own(_(" on ")), worded(request.resource, TITLE_AT_MOST))


def progress(have: int, need: int) -> str:
    """`1 of 2 approvals`."""
    return ngettext("%(have)s of %(need)s approval", "%(have)s of %(need)s approvals", need) % {
        "have": have,
        "need": need,
    }


STATUSES = {
    Status.PENDING: "Pending",
    Status.APPROVED: "Approved",
    Status.REJECTED: "Rejected",
    Status.EXPIRED: "Expired",
    Status.BLOCKED: "Blocked",
    Status.WITHDRAWN: "Withdrawn",
}
RISKS = {"critical": "Critical", "unknown": "Unknown", "high": "High", "medium": "Medium", "low": "Low"}
