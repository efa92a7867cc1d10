"""The verb of people: decide. Refusal first; everything is checked again under the request's row lock.

One person, one decision; the owner of the agent never counts; silence needs no verb (`expiry`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from accounts import second_factor
from accounts.models import Membership, Team, User
from approvals import access, grants, lifecycle, listing, policies, queries, rationale, viewing
from approvals.errors import (
    AlreadyDecided,
    CannotRecord,
    ChangedMeanwhile,
    DecisionRefused,
    NotYours,
    SameDecisionAgain,
    StepUpNeeded,
    TooLate,
    Unfit,
)
from approvals.models import Decision, Request, Seat
from approvals.payloads import canonical
from approvals.queries import Seen
from approvals.rules import answers
from approvals.rules.ruling import Ruling
from approvals.states import Retry, Status
from approvals.transactions import Guarded, verb
from audit import refusals
from audit.canonical import timestamp
from audit.entries import Authentication, Draft, EvidenceUnavailable, Party, Personal, record
from audit.health import assert_log_is_live
from audit.types import EntryType


@dataclass(frozen=True, slots=True)
class Form:
    """A decision as posted. `parameters` is the JSON text of an approval with changes, None where not given."""

    verdict: str
    rationale: str
    note: str
    reason_code: str
    display_digest: str
    view_id: str
    confirm: str
    parameters: str | None = None


def decide(*, person: User, session_key: str, request_id: UUID, form: Form, auth: Authentication) -> Request:
    """Record one person's verdict, and what follows from it; the request as it stands then.

    `auth` is how and when the person last proved who they are, by the database's clock.
    Raises `DecisionRefused` (its `status` is the page's), or `SameDecisionAgain` for the same verdict from the same
    view. A request that policy no longer permits comes back `blocked`, and the decision was not taken.
    """
    # Before the lock is taken: reading every name, or building the view of a huge payload, takes its time.
    looked = _Looked(_named_in(form), viewing.show_by_digest(request_id, form.display_digest))
    try:
        return _decide(
            person=person, session_key=session_key, request_id=request_id, form=form, auth=auth, looked=looked
        )
    except Guarded as guarded:
        if guarded.kind != "late":
            raise
        # The deadline passed between the check under the lock and the commit: the trigger held.
        raise TooLate("The deadline passed while your decision was being recorded; it was not taken.") from guarded


@dataclass(frozen=True, slots=True)
class _Looked:
    """What was looked up before the lock: whom a rejection names, and the view that the form's digest is of."""

    named: str | None
    shown: viewing.Shown | None


def _named_in(form: Form) -> str | None:
    """Whom a rejection names that the agent must not learn of; None where it names nobody."""
    if form.verdict != Decision.Verdict.REJECT:
        return None
    return rationale.names_in(
        form.rationale,
        people=User.objects.values_list("name", "email"),
        teams=[name for pair in Team.objects.values_list("slug", "name") for name in pair],
    )


@verb
def _decide(
    *, person: User, session_key: str, request_id: UUID, form: Form, auth: Authentication, looked: _Looked
) -> Request:
    request, now = queries.locked(request_id)
    person.refresh_from_db(fields=["is_active"])
    try:
        votes = listing.votes_of([request.pk]).get(request.pk, [])
        _refuse_replay(person, form)
        seen = Seen(request, now)
        _refuse_late(seen)
        viewer = access.viewer(person)
        _refuse_unentitled(viewer, seen, votes, form.verdict)
        ticket = viewing.read_ticket(
            form.view_id, person=person, session_key=session_key, request_id=request_id, at=now
        )
        shown = _what_was_shown(request, form, ticket, looked)
        ruling = None
        if form.verdict == Decision.Verdict.APPROVE:
            ruling = policies.ruling_now(request)
            if ruling.outcome == "blocked":
                _block(request, ruling, now)
                return request
            _refuse_unopened(viewer, seen, votes, ruling)
            _refuse_unread(ruling, shown)
            _refuse_without_stepup(ruling, auth, now)
            _refuse_without_evidence(ruling)
        _refuse_unfit(
            form, request, shown, risk=ruling.risk if ruling is not None else request.risk, named=looked.named
        )
    except DecisionRefused as refused:
        refused.evidence = _refusal(person, request, form, refused)
        raise
    stepup = ruling is not None and access.asks_stepup(ruling)
    stands_for = access.stands_for(viewer, request, votes)
    _record_vote(person, request, form, ticket, auth, now, stepup=stepup, stands_for=stands_for)
    if ruling is None:
        lifecycle.transition(
            request,
            Status.REJECTED,
            by=Party("person", str(person.pk)),
            at=now,
            reason=form.rationale.strip(),
            retry=Retry.CHANGED,
            auth=auth,
            personal={"reason": Personal(form.rationale.strip())},
        )
    else:
        _approve_if_reached(request, ruling, now, auth)
    return request


def _refuse_replay(person: User, form: Form) -> None:
    """First of all: who sends the same decision twice is shown the first one's receipt, whatever came since."""
    nonce = viewing.nonce_of(form.view_id)
    spent = Decision.objects.filter(view_nonce=nonce, person=person).first() if nonce else None
    if spent is None:
        return
    if spent.verdict == form.verdict:
        raise SameDecisionAgain
    raise AlreadyDecided(f"From this page you have already decided to {spent.verdict}.")


def _refuse_late(seen: Seen) -> None:
    if seen.status is Status.EXPIRED:
        raise TooLate(f"This request expired at {seen.request.expires_at:%H:%M:%S} UTC, denied by default.")
    if seen.status is not Status.PENDING:
        raise AlreadyDecided(f"This request is {seen.status} already.")


def _refuse_unentitled(person: access.Viewer, seen: Seen, votes: list[Decision], verdict: str) -> None:
    check = access.why_not_approve if verdict == Decision.Verdict.APPROVE else access.why_not_reject
    if any(vote.person_id == person.user.pk for vote in votes):
        raise AlreadyDecided("You have decided on this request already.")
    refused = check(person, seen, votes)
    if refused:
        raise NotYours(refused)


def _refuse_unopened(person: access.Viewer, seen: Seen, votes: list[Decision], ruling: Ruling) -> None:
    """Who may decide only because the request was escalated approves only where policy says so now too."""
    refused = access.why_not_widened(person, seen, votes, ruling)
    if refused:
        raise NotYours(refused)


def _what_was_shown(request: Request, form: Form, ticket: viewing.Ticket, looked: _Looked) -> viewing.Shown:
    """The view that was decided on. It was built before the lock, from a basis that must still stand under it."""
    shown = looked.shown
    if (
        shown is None
        or shown.basis != viewing.basis_of(request)
        or not form.display_digest == ticket.display_digest == shown.display_digest
    ):
        raise ChangedMeanwhile("This changed while you were looking. Read it again before you decide.")
    return shown


def _refuse_unread(ruling: Ruling, shown: viewing.Shown) -> None:
    if shown.view.truncated and ruling.risk in ("high", "critical"):
        raise NotYours("Not everything was shown. Open the whole of the parameters before you approve.")


def _refuse_unfit(form: Form, request: Request, shown: viewing.Shown, *, risk: str, named: str | None) -> None:
    fields = rationale.problems(
        verdict=form.verdict,
        rationale=form.rationale,
        note=form.note,
        reason_code=form.reason_code,
        confirm=form.confirm,
        risk=risk,
        salient=shown.view.salient.canonical if shown.view.salient else None,
    )
    if named and "rationale" not in fields:
        fields["rationale"] = f"The agent will read this: leave out {named}."
    edited = form.verdict == Decision.Verdict.APPROVE and form.parameters is not None
    if edited and not _same_parameters(form.parameters or "", request):
        fields["parameters"] = "Approving with changes is not available yet; reject and say what to change."
    if fields:
        raise Unfit(fields)


def _same_parameters(text: str, request: Request) -> bool:
    try:
        return canonical(json.loads(text)) == request.effective_text
    except (ValueError, RecursionError):
        return False


def _refuse_without_stepup(ruling: Ruling, auth: Authentication, now: datetime) -> None:
    """Asked of the stricter of the frozen and the current policy; fresh at `now`, the moment read under the lock."""
    if access.asks_stepup(ruling):
        missing = second_factor.why_not_fresh(auth, at=now)
        if missing:
            raise StepUpNeeded(missing)


def _refuse_without_evidence(ruling: Ruling) -> None:
    if ruling.risk not in ("high", "critical"):
        return
    try:
        assert_log_is_live()
    except EvidenceUnavailable as error:
        raise CannotRecord(f"Nothing was decided: {error}. Rejecting still works.") from error


def _refusal(person: User, request: Request, form: Form, refused: DecisionRefused) -> Callable[[], Any] | None:
    if refused.cause in ("form", "evidence-unavailable"):
        return None  # typing slips are nobody's evidence; and without a log there is nothing to write to
    return lambda: refusals.record_refusal(
        actor=Party("person", str(person.pk)),
        subject=Party("request", str(request.pk)),
        cause=f"decision-{refused.cause}",
        facts={"verdict": form.verdict[:20]},
    )


def _record_vote(
    person: User,
    request: Request,
    form: Form,
    ticket: viewing.Ticket,
    auth: Authentication,
    now: datetime,
    *,
    stepup: bool,
    stands_for: list[dict[str, object]],
) -> None:
    teams = sorted(Membership.objects.filter(user=person).values_list("team__slug", flat=True))
    vote = Decision(
        request=request,
        person=person,
        verdict=form.verdict,
        rationale=form.rationale.strip(),
        note=form.note.strip(),
        reason_code=form.reason_code,
        teams=teams,
        delegated_from=stands_for,
        display_digest=form.display_digest,
        parameters_digest=request.effective_digest,
        view_nonce=ticket.nonce,
        opened_at=ticket.opened_at,
        auth_method=auth.method,
        auth_at=auth.at,
        decided_at=now,
    )
    vote.save(force_insert=True)
    salt = bytes(request.digest_salt)
    record(
        Draft(
            type=EntryType.DECISION_RECORDED,
            actor=Party("person", str(person.pk)),
            subject=Party("request", str(request.pk)),
            facts={
                "decision": str(vote.pk),
                "verdict": vote.verdict,
                "reason_code": vote.reason_code,
                "teams": teams,
                "delegated_from": stands_for,
                "stepup": stepup,
                "opened_at": timestamp(ticket.opened_at),
            },
            personal={
                "rationale": Personal(vote.rationale),
                "note": Personal(vote.note),
                "parameters_digest": Personal(vote.parameters_digest, salt),
                "display_digest": Personal(vote.display_digest, salt),
            },
            auth=auth,
        )
    )


def _block(request: Request, ruling: Ruling, now: datetime) -> None:
    policies.raise_alarm(request, ruling)
    lifecycle.transition(
        request,
        Status.BLOCKED,
        by=lifecycle.SYSTEM,
        at=now,
        reason=ruling.reason,
        retry=Retry(ruling.retry) if ruling.retry else Retry.LATER,
        facts={"cause": ruling.cause},
        personal={"problems": Personal(list(ruling.problems))} if ruling.problems else {},
    )


def _approve_if_reached(request: Request, ruling: Ruling, now: datetime, auth: Authentication) -> None:
    """Weigh every standing vote, each voter as they are now, and approve where they fill the seats."""
    votes = listing.votes_of([request.pk])[request.pk]
    standing = listing.standing(request, votes, ruling)
    if not standing.reached:
        return
    by_person = {str(vote.person_id): vote for vote in votes}
    Seat.objects.bulk_create(
        Seat(request=request, decision=by_person[person], team=team) for team, person in standing.seats
    )
    system = lifecycle.SYSTEM
    try:
        grants.issue(request, ruling, at=now, by=system)
    except grants.CannotSign as error:
        raise CannotRecord("The grant cannot be signed now, so nothing was decided; it stays pending.") from error
    # Last, so that the trigger which looks at the clock once more runs as the last thing before the commit.
    lifecycle.transition(
        request,
        Status.APPROVED,
        by=system,
        at=now,
        reason=answers.APPROVED.reason,
        retry=None,
        valid_seconds=ruling.valid_seconds,
        facts={"seats": [{"team": team, "person": person} for team, person in standing.seats]},
        auth=auth,
    )
