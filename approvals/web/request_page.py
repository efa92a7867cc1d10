"""One request as its page shows it: consequences, parameters, rules, standing, the agent's words, the form.

The view comes from `viewing`, made from the stored bytes; who sees what is the gates' word. Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from django.urls import reverse
from django.utils.translation import gettext as _

from approvals import access, allowances, history, listing, marks, policies, quorum, rationale, roster, viewing
from approvals.access import Viewer
from approvals.display.consequences import Consequence
from approvals.display.rows import Row as ParameterFact
from approvals.display.visible import Runs, as_text
from approvals.models import Decision, Question, Request
from approvals.queries import Seen
from approvals.rules.annotations import PermitTerms
from approvals.rules.ruling import Ruling
from approvals.states import Status
from approvals.viewing import Shown
from approvals.web import amended, changes, rows, standing, step_up, words
from approvals.web import asked as asked_of_agent
from approvals.web.doors import milliseconds
from approvals.web.pages import (
    AgentSays,
    Decide,
    Denial,
    Event,
    Line,
    ParameterRow,
    Parameters,
    RequestLive,
    RequestPage,
    Rule,
    StepUp,
)
from audit.entries import Authentication

# Consequence lines that say nothing of the payload, so that they stand on masked pages too.
_OPEN_LINES = frozenset({"Environment", "Can be undone", "How often", "What it does", "Reaches"})


@dataclass(frozen=True)
class Asked:
    """How the page is wanted: `whole` with nothing cut, with or without the `form`, its `values` and `errors`, the
    `view_id` to keep after a form error, how the reader proved who they are, which a form needs to say, and a
    `question` that was not taken, with why."""

    whole: bool = False
    form: bool = True
    values: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    view_id: str = ""
    auth: Authentication | None = None
    question: tuple[str, str] = ("", "")
    # words that look like a colleague's name, and whether the person says that they mean the word
    means: tuple[tuple[str, bool], ...] = ()


def build(person: Viewer, seen: Seen, *, session_key: str, asked: Asked | None = None) -> RequestPage:
    """The page of a request that this person may see."""
    asked = asked or Asked()
    request = seen.request
    votes = listing.votes_of([request.pk]).get(request.pk, [])
    fallen = history.voided(request)
    questions = viewing.questions_of(request)
    open_to_me = access.sees_payload_of(person, request, votes)
    whole = asked.whole and open_to_me
    shown = viewing.show(request, full=whole)
    ruling = _ruling(seen)
    pending = seen.status is Status.PENDING
    why_not = access.why_not_reject(person, seen, votes) if pending else ""
    no_approval = access.why_not_approve(person, seen, votes) if pending else ""
    no_approval = no_approval or (access.why_not_widened(person, seen, votes, ruling) if pending else "")
    if not no_approval and shown.view.truncated and request.effective_risk in ("high", "critical"):
        no_approval = _("Not everything is shown. Show everything before you approve.")
    previous, following = listing.neighbours(person, request)
    may_decide = pending and not why_not
    stepup = step_up.shown(person, seen, ruling, asked.auth) if may_decide and not no_approval and asked.form else None
    if stepup is not None and stepup.set_up_url:
        no_approval = stepup.sentence
    by_allowance = seen.status is Status.APPROVED and bool(request.teams) and not votes
    use = roster.use_of(request) if by_allowance else None
    view = shown.view
    title = view.title if open_to_me else words.title(request, None, masked=True)
    return RequestPage(
        id=request.pk,
        url=rows.url_of(request.pk),
        decide_url=reverse("decide", args=[request.pk]),
        status=rows.status_of(seen),
        risk=rows.risk_of(request),
        title=title,
        plain_title=as_text(title),
        agent=request.agent.slug,
        action=words.text(request.action),
        resource=words.text(request.resource),
        filed_at=request.created_at,
        deadline=words.deadline(request.expires_at, seen.now),
        headline=view.headline if open_to_me else title,
        lines=[_line(one, masked=not open_to_me) for one in view.consequences],
        parameters=_parameters(request, shown) if open_to_me else _masked_parameters(request, shown),
        standing=standing.allowed_ahead(*use)
        if use is not None
        else standing.standing_view(seen, votes, ruling, person, may_approve=may_decide and not no_approval),
        rules=_rules(request, ruling),
        policy_version=str(request.policy.number) if request.policy else _("none"),
        says=_says(view.summary, view.rationale, masked=not open_to_me),
        history=_history(seen, votes, fallen, questions, notes=access.reads_notes(person, request, votes)),
        live=_live(seen, votes, questions),
        blast_unknown=view.blast_unknown,
        amendment=amended.amendment(request, masked=not open_to_me),
        questions=asked_of_agent.questions(
            seen,
            questions,
            may_ask=not access.why_not_reject(person, seen, []),
            masked=not open_to_me,
            typed=asked.question[0],
            error=asked.question[1],
            means=asked.means if asked.question[1] else (),
        ),
        voided=amended.told(person, seen, votes, fallen, may_decide=may_decide),
        denial=_denial(person, seen) if open_to_me else None,
        decide=_form(person, seen, shown, ruling, no_approval, stepup, session_key, asked)
        if may_decide and asked.form
        else None,
        why_not=why_not,
        receipt=standing.receipt(seen, votes, person),
        next_url=rows.url_of(following) if following else "",
        previous_url=rows.url_of(previous) if previous else "",
        allowance_url=reverse("allowance", args=[use[0].allowance_id]) if use is not None else "",
        allow_url=_allow_url(person, request, ruling),
        decided=any(vote.person_id == person.user.pk for vote in votes),
    )


def _allow_url(person: Viewer, request: Request, ruling: Ruling) -> str:
    """Where the reader may allow the next ones like this; empty where their yes would not count."""
    refused = allowances.why_not_ahead(ruling) or allowances.why_not_agree(person, request.agent.owner_id, ruling)
    return "" if refused else f"{reverse('allowance_new')}?request={request.pk}"


def _ruling(seen: Seen) -> Ruling:
    """What holds now for a pending request; of an ended one, what was frozen into it, or ruled on its edit."""
    if seen.status is not Status.PENDING:
        return seen.request.effective_ruling
    return policies.shown_now([seen.request])[seen.request.pk]


def _line(consequence: Consequence, *, masked: bool) -> Line:
    hidden = masked and consequence.label not in _OPEN_LINES
    emphasis = {"danger": "danger", "warn": "strong"}.get(consequence.emphasis, "")
    return Line(
        consequence.label,
        words.MASKED if hidden else consequence.value,
        emphasis,  # type: ignore[arg-type]  # one of the three words just above
    )


def _parameters(request: Request, shown: Shown) -> Parameters:
    view = shown.view
    cut = view.truncated
    return Parameters(
        rows=[_row(row) for row in view.rows],
        unknown=[_row(row) for row in view.unknown],
        raw=view.raw,
        bytes=view.size_bytes,
        digest=request.effective_digest,
        shown=min(view.shown_characters, view.raw_shown_characters),
        total=view.raw_characters,
        exact_url=reverse("request_parameters", args=[request.pk]),
        whole_url=f"{rows.url_of(request.pk)}?whole=1" if cut else "",
        scripts_mixed=view.scripts_mixed,
        hidden_found=view.hidden_found,
    )


def _row(fact: ParameterFact) -> ParameterRow:
    value = (*fact.value, *words.own(f" ({fact.reads})")) if fact.reads else fact.value
    return ParameterRow(fact.shown_pointer, fact.label, value, fact.type, fact.shown, fact.total)


def _masked_parameters(request: Request, shown: Shown) -> Parameters:
    """Names without values. The digest goes too: a short payload can be guessed from it."""

    def masked(fact: ParameterFact) -> ParameterRow:
        return ParameterRow(fact.shown_pointer, fact.label, words.MASKED, fact.type)

    return Parameters(
        rows=[masked(row) for row in shown.view.rows],
        unknown=[masked(row) for row in shown.view.unknown],
        raw=words.MASKED,
        bytes=shown.view.size_bytes,
        digest=_("masked"),
        shown=0,
        total=0,
        exact_url="",
    )


def _rules(request: Request, ruling: Ruling) -> list[Rule]:
    """The rules that matched, at filing or on the edit, in the words of the version frozen into the request."""
    pack = policies.version(request.policy_id).pack
    by_id = {policy.terms.id: policy.terms for policy in pack.policies} if pack is not None else {}
    found = []
    for rule_id in request.effective_ruling.matched:
        terms = by_id.get(rule_id)
        if isinstance(terms, PermitTerms):
            requirement = quorum.as_text(terms.requirement)
        else:
            requirement = _("never") if terms is not None else ""
        found.append(
            Rule(
                rule_id,
                requirement,
                (terms.because or "") if terms is not None else "",
                terms.controls if terms is not None else (),
            )
        )
    return found


def _says(summary: Runs, explanation: Runs, *, masked: bool) -> AgentSays:
    if not masked:
        return AgentSays(summary, explanation)
    return AgentSays(words.MASKED if summary else (), words.MASKED if explanation else ())


def _history(
    seen: Seen,
    votes: Sequence[Decision],
    fallen: Sequence[Decision],
    questions: Sequence[Question],
    *,
    notes: bool,
) -> list[Event]:
    """What has happened, oldest first: decisions that stand and that fell, and why these did, questions and answers."""
    events = standing.events(seen, [*votes, *fallen], notes=notes)
    events += [*amended.voidings(fallen), *asked_of_agent.events(seen, questions)]
    return sorted(events, key=lambda event: event.at)


def _live(seen: Seen, votes: Sequence[Decision], questions: Collection[Question]) -> RequestLive:
    if seen.status is not Status.PENDING:
        return RequestLive("")
    poll = reverse("request_poll", args=[seen.request.pk])
    return RequestLive(f"{poll}?mark={marks.RequestMark.of(seen, votes, questions)}")


def announcing(page: RequestPage, notice: str, *, reload: bool) -> RequestPage:
    """The same page as the answer to a poll, with its one announcement."""
    return replace(page, live=replace(page.live, notice=notice, reload=reload))


def _denial(person: Viewer, seen: Seen) -> Denial | None:
    request = seen.request
    before = history.denied_before(person, request)
    if before is None or before.decided_at is None:
        return None
    same = before.effective_digest == request.effective_digest
    return Denial(
        identical=same,
        ago=words.ago(before.decided_at, seen.now),
        reason=words.text(before.reason, multiline=True),
        url=rows.url_of(before.pk),
        lines=[] if same else changes.lines(before.effective_parameters, request.effective_parameters),
    )


def _form(
    person: Viewer,
    seen: Seen,
    shown: Shown,
    ruling: Ruling,
    no_approval: str,
    stepup: StepUp | None,
    session_key: str,
    asked: Asked,
) -> Decide:
    request, view = seen.request, shown.view
    critical = ruling.risk == "critical" and view.salient is not None
    view_id = asked.view_id or viewing.issue_ticket(
        request, shown, person=person.user, session_key=session_key, at=seen.now
    )
    typed = asked.values.get("parameters", "")
    return Decide(
        action=reverse("decide", args=[request.pk]),
        act=as_text(view.act),
        keep=as_text(view.keep) if view.keep is not None else "",
        display_digest=shown.display_digest,
        view_id=view_id,
        risk=rows.risk_of(request),
        approve_codes=list(rationale.APPROVE_CODES.items()),
        reject_codes=list(rationale.REJECT_CODES.items()),
        approve_why_not=no_approval,
        confirm_label=view.salient.label if critical and view.salient else "",
        confirm_pointer=view.salient.pointer if critical and view.salient else "",
        stepup=stepup,
        editable=typed or ("" if no_approval else amended.text_to_edit(request, shown)),
        editing=bool(typed) or "parameters" in asked.errors,
        opened_at_ms=milliseconds(seen.now),
        values=asked.values,
        errors=asked.errors,
        means=() if asked.question[1] else asked.means,
    )
