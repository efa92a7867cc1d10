"""A decision as a person posts it, and each reason for which it is not taken, in words. Nothing is changed here.

All of it is asked under the request's row lock, refusal first; what takes long was looked up before (`Looked`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from accounts import second_factor
from accounts.models import Team, User
from approvals import access, naming, rationale, viewing
from approvals.errors import (
    AlreadyDecided,
    CannotRecord,
    ChangedMeanwhile,
    NotYours,
    SameDecisionAgain,
    StepUpNeeded,
    Stopped,
    TooLate,
    Unfit,
)
from approvals.models import Decision, Request
from approvals.naming import Named
from approvals.queries import Seen
from approvals.rules.ruling import Ruling
from approvals.states import Status
from audit.entries import Authentication, EvidenceUnavailable
from audit.health import assert_log_is_live


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
    meant: tuple[str, ...] = ()  # words that look like a colleague's name and are meant as words

    @property
    def edits(self) -> bool:
        """Whether parameters came with an approval; on a reject they are ignored."""
        return self.verdict == Decision.Verdict.APPROVE and self.parameters is not None


def named_in(text: str, *, meant: tuple[str, ...]) -> Named | None:
    """Whom a text that the agent will read names, though it must not learn of them; None where it names nobody."""
    return naming.named_in(
        text,
        people=User.objects.values_list("name", "email"),
        teams=[name for pair in Team.objects.values_list("slug", "name") for name in pair],
        meant=meant,
    )


def leave_out(named: Named) -> str:
    """What the person is told of a name in a text that the agent will read."""
    if named.surely:
        return f"The agent will read this: leave out {named.who}."
    return f"The agent will read this: leave out {named.who}, or say below that you mean the word."


def refuse_replay(person: User, form: Form) -> None:
    """First of all: who sends the same decision twice is shown the first one's receipt, whatever came since."""
    nonce = viewing.nonce_of(form.view_id)
    spent = Decision.objects.filter(view_nonce=nonce, person=person).first() if nonce else None
    if spent is None:
        return
    if spent.verdict == form.verdict:
        raise SameDecisionAgain
    raise AlreadyDecided(f"From this page you have already decided to {spent.verdict}.")


def refuse_late(seen: Seen) -> None:
    """Nothing is decided at or after the deadline, nor what has ended, nor of an agent that is stopped."""
    if seen.status is Status.EXPIRED:
        raise TooLate(f"This request expired at {seen.request.expires_at:%H:%M:%S} UTC, denied by default.")
    if seen.status is not Status.PENDING:
        raise AlreadyDecided(f"This request is {seen.status} already.")
    if seen.halted:
        raise Stopped(access.HALTED)


def refuse_unentitled(person: access.Viewer, seen: Seen, votes: list[Decision], verdict: str) -> None:
    """Once a person, and only by those whom policy asks; the owner may reject."""
    check = access.why_not_approve if verdict == Decision.Verdict.APPROVE else access.why_not_reject
    if any(vote.person_id == person.user.pk for vote in votes):
        raise AlreadyDecided("You have decided on this request already.")
    refused = check(person, seen, votes)
    if refused:
        raise NotYours(refused)


def refuse_unopened(person: access.Viewer, seen: Seen, votes: list[Decision], ruling: Ruling) -> None:
    """Who may decide only because the request was escalated approves only where policy says so now too."""
    refused = access.why_not_widened(person, seen, votes, ruling)
    if refused:
        raise NotYours(refused)


def what_was_shown(request: Request, form: Form, ticket: viewing.Ticket, shown: viewing.Shown | None) -> viewing.Shown:
    """The view that was decided on. It was built before the lock, from a basis that must still stand under it."""
    if (
        shown is None
        or shown.basis != viewing.basis_of(request)
        or not form.display_digest == ticket.display_digest == shown.display_digest
    ):
        raise ChangedMeanwhile("This changed while you were looking. Read it again before you decide.")
    return shown


def refuse_unread(ruling: Ruling, shown: viewing.Shown) -> None:
    """High risk is approved, or edited, from the page that shows everything."""
    if shown.view.truncated and ruling.risk in ("high", "critical"):
        raise NotYours("Not everything was shown. Open the whole of the parameters before you approve.")


def refuse_unfit(form: Form, shown: viewing.Shown, *, risk: str, named: Named | None) -> None:
    """The form's words; `shown` is the view of what would run, the edit's where there is one."""
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
        fields["rationale"] = leave_out(named)
        raise Unfit(fields, may_mean=named.meant)
    if fields:
        raise Unfit(fields)


def refuse_without_stepup(ruling: Ruling, auth: Authentication, now: datetime) -> None:
    """Asked of the stricter of the frozen and the current policy; fresh at `now`, the moment read under the lock."""
    if access.asks_stepup(ruling):
        missing = second_factor.why_not_fresh(auth, at=now)
        if missing:
            raise StepUpNeeded(missing)


def refuse_without_evidence(ruling: Ruling) -> None:
    """What is high or critical is approved while the log is being kept, and not otherwise."""
    if ruling.risk not in ("high", "critical"):
        return
    try:
        assert_log_is_live()
    except EvidenceUnavailable as error:
        raise CannotRecord(f"Nothing was decided: {error}. Rejecting still works.") from error
