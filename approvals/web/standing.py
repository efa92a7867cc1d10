"""How a request stands and how it ended, as its page says it: seats, history, receipt. Rows are fetched elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.utils.translation import gettext as _

from approvals import access, listing, quorum, rationale
from approvals.access import Viewer
from approvals.display.visible import Runs, joined
from approvals.models import AllowanceAgreement, AllowanceUse, Decision
from approvals.queries import OUTCOME_WITHIN, Seen
from approvals.rules.ruling import Ruling
from approvals.states import Status
from approvals.web import widening, words
from approvals.web.pages import Event, Receipt, Seat, StandingView
from approvals.web.rows import result_of, status_of


def standing_view(
    seen: Seen, votes: Sequence[Decision], ruling: Ruling, person: Viewer, *, may_approve: bool
) -> StandingView:
    """The seats policy asks for, who filled them, and which are open; what opens it to others; which votes count for
    nothing, and why. `ruling` is what holds now."""
    if not ruling.requirement:
        return StandingView(progress="", seats=(), missing=(), unattended=True)
    if seen.status is Status.APPROVED:  # as it was then: whoever has left since does not undo it
        filled = [(listing.seat_of(vote), vote) for vote in votes if listing.seat_of(vote)]
        seats = [Seat(team, "approved", _approved(vote, team, seen)) for team, vote in filled]
        return StandingView(words.progress(len(seats), len(seats)), seats, [])
    now = listing.standing(seen.request, votes, ruling)
    by_person = {str(vote.person_id): vote for vote in votes}
    seats = [Seat(team, "approved", _approved(by_person[who], team, seen)) for team, who in now.seats]
    offered, mine = may_approve, access.seats_of(person, seen.request, votes)
    for team in now.open_seats:
        yours = offered and team in mine
        offered = offered and not yours  # one person fills one seat
        said = _("you") if yours else _("open")
        if seen.status is not Status.PENDING:
            said = _("nobody")
        seats.append(Seat(team, "yours" if yours else "open", words.own(said)))
    # with one seat alone its own line says it already
    missing = [_("Missing: %(what)s.") % {"what": _(" or ").join(now.missing)}] if now.need > 1 and now.missing else []
    return StandingView(
        words.progress(now.have, now.need),
        seats,
        missing,
        uncounted=[_uncounted(by_person[who], why, seen) for who, why in now.uncounted.items() if why != "owner"]
        if seen.status is Status.PENDING
        else [],
        notes=widening.notes(seen, ruling),
        alarm=widening.alarm(seen),
    )


def _approved(vote: Decision, team: str, seen: Seen) -> Runs:
    at = words.own(_("approved %(at)s by ") % {"at": words.at(vote.decided_at, seen.now)[:-3]})
    return joined(at, words.name(vote.person), _for_whom(vote, team))


def _for_whom(vote: Decision, team: str = "") -> Runs:
    """` for NAME` of a vote that stood for somebody; of one team where its own person does not sit in it."""
    if team in vote.teams:
        return ()
    lenders = [lender for lender in listing.lenders_of(vote) if not team or team in lender["teams"]]
    if not lenders:
        return ()
    return joined(words.own(_(" for ")), words.listed([words.text(lender["name"]) for lender in lenders]))


def _uncounted(vote: Decision, why: quorum.Uncounted, seen: Seen) -> Runs:
    verdict = _("Approved %(at)s by ") if vote.verdict == "approve" else _("Rejected %(at)s by ")
    said = {
        "inactive": _("the account is not active any more"),
        "other-parameters": _("it is of other parameters"),
        "no-proof": _("it lacks the second factor that is asked for now"),
        "delegator-voted": _("whom they stood for has decided themself"),
        "delegation-ended": _("the delegation has ended"),
        "left": _("they left the team"),
        "no-seat": _("they sit in no team that is asked now"),
    }
    return joined(
        words.own(verdict % {"at": words.at(vote.decided_at, seen.now)[:-3]}),
        words.name(vote.person),
        _for_whom(vote),
        words.own(_("; no longer counts: %(why)s.") % {"why": said.get(why, "")}),
    )


def allowed_ahead(use: AllowanceUse, agreements: Sequence[AllowanceAgreement]) -> StandingView:
    """The seats as those who agreed to the allowance fill them."""
    people = {str(one.person_id): one.person for one in agreements}
    seats = [
        Seat(seat["team"], "approved", joined(words.own(_("allowed ahead by ")), words.name(people[seat["person"]])))
        for seat in use.seats
    ]
    progress = _("Use %(number)s of %(uses)s of an allowance") % {
        "number": use.number,
        "uses": use.allowance.uses_total,
    }
    return StandingView(progress, seats, ())


def events(seen: Seen, decisions: Sequence[Decision], *, notes: bool) -> list[Event]:
    """What has happened to a request, oldest first; `notes`: the reader may read colleagues' notes."""
    request = seen.request
    found = [Event(request.created_at, words.text(request.agent.slug), _("filed this"))]
    for decision in decisions:
        codes = rationale.APPROVE_CODES if decision.verdict == "approve" else rationale.REJECT_CODES
        found.append(
            Event(
                decision.decided_at,
                joined(
                    words.name(decision.person),
                    words.own(" ("),
                    words.text(decision.person.email),
                    words.own(")"),
                    _for_whom(decision),
                ),
                _verdict(decision),
                words.text(decision.rationale, multiline=True),
                words.text(decision.note, multiline=True) if notes else (),
                codes.get(decision.reason_code, ""),
            )
        )
    if request.escalated_at is not None:
        opened = _("opened this to %(team)s too") % {"team": request.escalation_team}
        found.append(Event(request.escalated_at, words.own(_("Policy")), opened))
    if seen.decided_at is not None:
        found += _end(seen, seen.decided_at, voted=bool(decisions))
    grant = getattr(request, "grant", None)
    if grant is not None and grant.redeemed_at is not None:
        found.append(Event(grant.redeemed_at, words.own(_("The executor")), _("redeemed the grant")))
    if grant is not None and grant.voided_at is not None:
        found.append(Event(grant.voided_at, words.own(_("Countersign")), _("voided the grant")))
    outcome = getattr(request, "outcome", None)
    if outcome is not None:
        said = _("reported success") if outcome.result == "succeeded" else _("reported failure")
        found.append(Event(outcome.reported_at, words.own(_("The executor")), said))
    elif seen.outcome_unknown and grant is not None and grant.redeemed_at is not None:
        late = grant.redeemed_at + OUTCOME_WITHIN
        found.append(Event(late, words.own(_("The executor")), _("has not reported what came of it: outcome unknown")))
    return sorted(found, key=lambda event: event.at)


def _verdict(decision: Decision) -> str:
    if decision.edited_from:
        return _("changed the parameters and approved that")
    return _("approved") if decision.verdict == "approve" else _("rejected")


def _end(seen: Seen, at: datetime, *, voted: bool) -> list[Event]:
    """The end itself, where no decision above has said it already."""
    by_policy = words.own(_("Policy"))
    unattended = not seen.request.teams
    ends = {
        Status.EXPIRED: (words.own(_("The deadline")), _("passed: denied by default")),
        Status.WITHDRAWN: (words.own(_("Countersign")), _("withdrew this: the agent was stopped"))
        if seen.request.stop
        else (words.text(seen.request.agent.slug), _("withdrew this")),
        Status.BLOCKED: (by_policy, _("blocked this")),
        Status.APPROVED: (
            by_policy if unattended else words.own(_("The quorum")),
            _("allowed this without people") if unattended else _("was complete: approved"),
        ),
    }
    if seen.status not in ends:
        return []
    if seen.status is Status.APPROVED and not unattended and not voted:
        return [Event(at, words.own(_("An allowance")), _("covered this: approved"))]
    who, what = ends[seen.status]
    return [Event(at, who, what)]


def receipt(seen: Seen, votes: Sequence[Decision], person: Viewer) -> Receipt | None:
    """How it ended; None while it has not."""
    if seen.status is Status.PENDING or seen.decided_at is None:
        return None
    sentence = result_of(seen, votes)
    if seen.status is Status.EXPIRED:
        sentence = words.own(_("Expired %(at)s, denied by default") % {"at": words.at(seen.decided_at, seen.now)})
    elif seen.status is Status.APPROVED and not seen.request.teams:
        sentence = words.own(_("Allowed by policy, without people"))
    mine = next((vote for vote in votes if vote.person_id == person.user.pk), None)
    return Receipt(
        status=status_of(seen),
        sentence=sentence,
        at=seen.decided_at,
        words=words.text(seen.reason, multiline=True),
        grant=_grant(seen),
        mine=words.own(_mine(mine)) if mine else (),
    )


def _mine(vote: Decision) -> str:
    return _("You approved this.") if vote.verdict == "approve" else _("You rejected this.")


def _grant(seen: Seen) -> Runs:
    grant = getattr(seen.request, "grant", None)
    if grant is None:
        return ()
    if grant.redeemed_at is not None:
        return words.own(_("Redeemed %(at)s UTC") % {"at": words.at(grant.redeemed_at, seen.now)})
    if grant.voided_at is not None:
        return words.own(_("The grant was voided %(at)s UTC") % {"at": words.at(grant.voided_at, seen.now)})
    until = words.at(grant.valid_until, seen.now)
    if grant.valid_until <= seen.now:
        return words.own(_("The grant lapsed %(at)s UTC, never redeemed") % {"at": until})
    return words.own(_("Grant valid until %(at)s UTC, not yet redeemed") % {"at": until})
