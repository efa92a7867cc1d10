"""A request as one row of the queue: its title, why it stands where it does, how it ended. Nothing is fetched here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.urls import reverse
from django.utils.translation import gettext as _

from approvals import access, listing
from approvals.access import Viewer
from approvals.display.visible import Runs, joined
from approvals.models import Decision, Request
from approvals.policies import InForce
from approvals.queries import Seen
from approvals.quorum import Standing
from approvals.rules.ruling import Ruling
from approvals.states import Status
from approvals.web import pages, words
from approvals.web.pages import Risk, Row


@dataclass(frozen=True)
class Surroundings:
    """What rows are made with: who reads them, at what time, and what was fetched for all of them at once."""

    person: Viewer
    now: datetime
    policies: Mapping[UUID | None, InForce]
    votes: Mapping[UUID, Sequence[Decision]]
    rulings: Mapping[UUID, Ruling] = field(default_factory=dict)  # of pending ones, what holds now


def pending(request: Request, around: Surroundings, *, my_turn: bool) -> Row:
    """A row that is not decided yet."""
    votes = around.votes.get(request.pk, ())
    standing = listing.standing(request, votes, around.rulings[request.pk])
    why = _your_seat(request, standing, votes, around) if my_turn else _whose_turn(request, standing, votes, around)
    return Row(
        id=request.pk,
        url=url_of(request.pk),
        title=words.title(request, around.policies.get(request.policy_id), masked=False),
        risk=risk_of(request),
        agent=request.agent.slug,
        status="pending",
        deadline=words.deadline(request.expires_at, around.now),
        why=why,
        progress=words.progress(standing.have, standing.need) if standing.need > 1 else "",
        after_denial=bool(getattr(request, "after_denial", False)),
    )


def undecidable(request: Request, around: Surroundings) -> Row:
    """A row for those who can mend that nobody can decide it: they see it masked."""
    return Row(
        id=request.pk,
        url=url_of(request.pk),
        title=words.title(request, None, masked=True),
        risk=risk_of(request),
        agent=request.agent.slug,
        status="pending",
        deadline=words.deadline(request.expires_at, around.now),
        why=words.own(_("Nobody can decide it in time")),
    )


def ended(seen: Seen, around: Surroundings) -> Row:
    """A row that ended, with how."""
    request = seen.request
    return Row(
        id=request.pk,
        url=url_of(request.pk),
        title=words.title(request, around.policies.get(request.policy_id), masked=False),
        risk=risk_of(request),
        agent=request.agent.slug,
        status=status_of(seen),
        deadline=words.deadline(request.expires_at, around.now),
        why=(),
        result=result_of(seen, around.votes.get(request.pk, ())),
        ended_at=seen.decided_at,
    )


def url_of(request_id: UUID) -> str:
    """A request's address."""
    return reverse("request", args=[request_id])


def risk_of(request: Request) -> Risk:
    """The word for its risk, as shown."""
    shown: Risk = request.shown_risk  # type: ignore[assignment]  # the column holds these words alone
    return shown


def status_of(seen: Seen) -> pages.Status:
    """The status as a reader is told it."""
    told: pages.Status = seen.status.value
    return told


def result_of(seen: Seen, votes: Sequence[Decision]) -> Runs:
    """How a request ended, in a few words: `Rejected by NAME`."""
    behind = [vote for vote in votes if vote.verdict == _verdict_behind(seen.status)]
    by = [vote.person for vote in behind if listing.seat_of(vote) or seen.status is not Status.APPROVED]
    if seen.status is Status.APPROVED:
        if not by:
            return words.own(_("Approved under an allowance") if seen.request.teams else _("Allowed by policy"))
        return joined(words.own(_("Approved by ")), words.names(by))
    if seen.status is Status.REJECTED:
        return joined(words.own(_("Rejected by ")), words.names(by))
    return words.own(
        {
            Status.EXPIRED: _("Expired, denied by default"),
            Status.WITHDRAWN: _("Withdrawn: the agent was stopped")
            if seen.request.stop
            else _("Withdrawn by the agent"),
            Status.BLOCKED: _("Blocked by policy"),
        }.get(seen.status, "")
    )


def _verdict_behind(status: Status) -> str:
    return {Status.APPROVED: "approve", Status.REJECTED: "reject"}.get(status, "")


def _your_seat(request: Request, standing: Standing, votes: Sequence[Decision], around: Surroundings) -> Runs:
    person = around.person
    mine = sorted(standing.open_teams & person.teams)
    if mine:
        return words.own(_("You sit in %(teams)s") % {"teams": ", ".join(mine)})
    if request.escalated_at is not None and request.escalation_team in person.teams:
        return words.own(
            _("Escalated to %(team)s %(at)s") % {"team": request.escalation_team, "at": f"{request.escalated_at:%H:%M}"}
        )
    voted = {vote.person_id for vote in votes}
    held = next((one for one in access.lenders(person, request) if one.person_id not in voted), None)
    if held is not None:
        until = words.own(_(" until %(at)s") % {"at": words.day(held.until, around.now)})
        return joined(words.own(_("You decide for ")), words.text(held.name), until)
    return words.own(_("You sit in %(teams)s") % {"teams": ", ".join(sorted(person.teams))})


def _whose_turn(request: Request, standing: Standing, votes: Sequence[Decision], around: Surroundings) -> Runs:
    waits = ", ".join(sorted(standing.open_teams))
    mine = next((vote for vote in votes if vote.person_id == around.person.user.pk), None)
    if mine is not None:
        said = _("You approved %(at)s, waits for %(teams)s") % {
            "at": f"{mine.decided_at:%H:%M}",
            "teams": waits,
        }
    elif request.agent.owner_id == around.person.user.pk:
        said = _("You answer for this agent, so you may only reject; waits for %(teams)s") % {"teams": waits}
    else:
        said = _("Your team has agreed, waits for %(teams)s") % {"teams": waits}
    return words.own(said)
