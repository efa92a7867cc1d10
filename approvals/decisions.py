"""The verb of people: decide. Refusal first; everything is checked again under the request's row lock.

One person, one decision; the owner of the agent never counts; silence needs no verb (`expiry`). What is checked stands
in `ballot`, an edit of the parameters in `amending`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from accounts import acting
from accounts.models import Membership, User
from approvals import access, amending, ballot, grants, lifecycle, listing, outbox, policies, queries, viewing
from approvals.ballot import Form
from approvals.errors import CannotRecord, DecisionRefused, Stopped, TooLate, Unfit
from approvals.models import Decision, Event, Request, Seat
from approvals.naming import Named
from approvals.queries import Seen
from approvals.rules import answers
from approvals.rules.ruling import Ruling
from approvals.states import Retry, Status
from approvals.transactions import Guarded, verb
from audit import refusals
from audit.canonical import timestamp
from audit.entries import Authentication, Draft, Party, Personal, record
from audit.types import EntryType

__all__ = ["Form", "decide"]
PASSED_MEANWHILE = "The deadline passed while your decision was being recorded; it was not taken."


def decide(*, person: User, session_key: str, request_id: UUID, form: Form, auth: Authentication) -> Request:
    """Record one person's verdict, and what follows from it; the request as it stands then.

    `auth` is how and when the person last proved who they are, by the database's clock. An approval whose form carries
    other parameters than stand edits the request first: see `amending`.
    Raises `DecisionRefused` (its `status` is the page's), or `SameDecisionAgain` for the same verdict from the same
    view. A request that policy no longer permits comes back `blocked`, and the decision was not taken.
    """
    # Before the lock is taken: reading every name, or building the view of a huge payload, takes its time.
    looked = _look(request_id, form)
    try:
        return _decide(
            person=person, session_key=session_key, request_id=request_id, form=form, auth=auth, looked=looked
        )
    except Guarded as guarded:
        if guarded.kind == "stopped":  # all agents were stopped between the check and the commit
            raise Stopped(access.HALTED) from guarded
        if guarded.kind != "late":
            raise
        # The deadline passed between the check under the lock and the commit: the trigger held.
        raise TooLate(PASSED_MEANWHILE) from guarded


@dataclass(frozen=True, slots=True)
class _Looked:
    """What was looked up before the lock: whom a rejection names, the view that the form's digest is of, and the edit,
    or why it is none."""

    named: Named | None
    shown: viewing.Shown | None
    edit: amending.Edit | Unfit | None


def _look(request_id: UUID, form: Form) -> _Looked:
    edit: amending.Edit | Unfit | None = None
    if form.edits:
        try:
            edit = amending.prepare(request_id, form.parameters or "")
        except Unfit as unfit:
            edit = unfit
    named = ballot.named_in(form.rationale, meant=form.meant) if form.verdict == Decision.Verdict.REJECT else None
    return _Looked(named, viewing.show_by_digest(request_id, form.display_digest), edit)


@verb
def _decide(
    *, person: User, session_key: str, request_id: UUID, form: Form, auth: Authentication, looked: _Looked
) -> Request:
    acting.hold_active(person)  # first: whoever deactivates or unseats them locks the person before their requests
    request, now = queries.locked(request_id)
    ruling, edit = None, None
    try:
        votes = listing.votes_of([request.pk]).get(request.pk, [])
        ballot.refuse_replay(person, form)
        seen, viewer = Seen(request, now), access.viewer(person)
        ballot.refuse_late(seen)
        ballot.refuse_unentitled(viewer, seen, votes, form.verdict)
        ticket = viewing.read_ticket(
            form.view_id, person=person, session_key=session_key, request_id=request_id, at=now
        )
        shown = ballot.what_was_shown(request, form, ticket, looked.shown)
        if form.verdict == Decision.Verdict.APPROVE:
            edit = _edit_of(viewer, seen, looked.edit)
            ruling = edit.ruling if edit is not None else policies.ruling_now(request)
            if ruling.outcome == "blocked":
                _block(request, ruling, now)
                return request
            if edit is None:
                ballot.refuse_unopened(viewer, seen, votes, ruling)
            ballot.refuse_unread(ruling, shown)
            ballot.refuse_without_stepup(ruling, auth, now)
            ballot.refuse_without_evidence(ruling)
        ballot.refuse_unfit(
            form,
            edit.shown if edit is not None else shown,
            risk=ruling.risk if ruling is not None else request.effective_risk,
            named=looked.named,
        )
    except DecisionRefused as refused:
        refused.evidence = _refusal(person, request, form, refused)
        raise
    vote = _vote(person, request, form, ticket, auth, now, edit)
    if edit is not None:
        amending.apply(request, edit, person=person, standing=votes, decision_id=vote.pk, at=now, auth=auth)
    # of an edit the votes before it are void, and so is what stood in the way of standing for those who gave them
    vote.delegated_from = access.stands_for(viewer, request, votes if edit is None else [])
    _record_vote(vote, request, auth, stepup=ruling is not None and access.asks_stepup(ruling))
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
        if edit is not None and request.status == Status.PENDING:
            # it waits anew: for whose votes fell, and whom the edit brings in
            outbox.tell(Event.PENDING, [request.pk])
    _refuse_late_by_now(person, request, form)
    return request


def _refuse_late_by_now(person: User, request: Request, form: Form) -> None:
    """An entry is dated when it is written. What was in time under the lock, and then waited for the log, would be
    told for ever as a decision after the deadline."""
    if queries.clock() >= request.expires_at:
        late = TooLate(PASSED_MEANWHILE)
        late.evidence = _refusal(person, request, form, late)
        raise late


def _edit_of(person: access.Viewer, seen: Seen, looked: amending.Edit | Unfit | None) -> amending.Edit | None:
    """The edit that came with an approval; raises what is wrong with it."""
    if isinstance(looked, Unfit):
        raise looked
    if looked is not None:
        amending.refuse_unfit(person, seen, looked)
    return looked


def _refusal(person: User, request: Request, form: Form, refused: DecisionRefused) -> Callable[[], Any] | None:
    if refused.cause in ("form", "evidence-unavailable"):
        return None  # typing slips are nobody's evidence; and without a log there is nothing to write to
    return lambda: refusals.record_refusal(
        actor=Party("person", str(person.pk)),
        subject=Party("request", str(request.pk)),
        cause=f"decision-{refused.cause}",
        facts={"verdict": form.verdict[:20]},
    )


def _vote(
    person: User,
    request: Request,
    form: Form,
    ticket: viewing.Ticket,
    auth: Authentication,
    now: datetime,
    edit: amending.Edit | None,
) -> Decision:
    """The decision, not saved yet: on what was shown, or on the edit of it."""
    return Decision(
        request=request,
        person=person,
        verdict=form.verdict,
        rationale=form.rationale.strip(),
        note=form.note.strip(),
        reason_code=form.reason_code,
        teams=sorted(Membership.objects.filter(user=person).values_list("team__slug", flat=True)),
        display_digest=form.display_digest if edit is None else edit.shown.display_digest,
        parameters_digest=request.effective_digest if edit is None else edit.digest,
        edited_from="" if edit is None else form.display_digest,
        view_nonce=ticket.nonce,
        opened_at=ticket.opened_at,
        auth_method=auth.method,
        auth_at=auth.at,
        decided_at=now,
    )


def _record_vote(vote: Decision, request: Request, auth: Authentication, *, stepup: bool) -> None:
    vote.save(force_insert=True)
    salt = bytes(request.digest_salt)
    edited = {"edited_from": Personal(vote.edited_from, salt)} if vote.edited_from else {}
    record(
        Draft(
            type=EntryType.DECISION_RECORDED,
            actor=Party("person", str(vote.person_id)),
            subject=Party("request", str(request.pk)),
            facts={
                "decision": str(vote.pk),
                "verdict": vote.verdict,
                "reason_code": vote.reason_code,
                "teams": vote.teams,
                "delegated_from": vote.delegated_from,
                "stepup": stepup,
                "amends": bool(edited),
                "opened_at": timestamp(vote.opened_at),
            },
            personal={
                "rationale": Personal(vote.rationale),
                "note": Personal(vote.note),
                "parameters_digest": Personal(vote.parameters_digest, salt),
                "display_digest": Personal(vote.display_digest, salt),
                **edited,
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
        facts={
            "seats": [{"team": team, "person": person} for team, person in standing.seats],
            # What held at this moment: the stricter of the version frozen into the request and the one in force.
            "quorum": ruling.quorum,
            "people_floor": ruling.floor_people,
            "stepup": access.asks_stepup(ruling),
        },
        auth=auth,
    )
