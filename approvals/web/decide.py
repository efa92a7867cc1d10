"""The door of deciding: GET shows the form and changes nothing, POST takes one person's verdict. The verb decides; each
of its refusals becomes a page here that keeps what was typed.

Who decides is who is signed in, never what the form says.
"""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts import second_factor
from accounts.sign_in import authentication_of
from agents.problems import Problem as APIProblem
from approvals import access, amending, decisions, viewing
from approvals.access import Viewer
from approvals.decisions import Form
from approvals.errors import DecisionRefused, SameDecisionAgain, StepUpNeeded, Unfit
from approvals.queries import Seen
from approvals.states import Status
from approvals.web import drafts, request_page, rows, step_up
from approvals.web.doors import RETRY_AFTER_SECONDS, door, milliseconds, person_of, unavailable, viewer_of
from approvals.web.pages import Problem
from approvals.web.request import session_key
from approvals.web.request_page import Asked
from audit.entries import EvidenceUnavailable

TYPED = ("rationale", "note", "reason_code", "confirm", "parameters")
KEPT = ("verdict", "rationale", "note", "parameters")
MEANT_AT_MOST = 20  # words
FIELD_AT_MOST = 300_000  # characters of one field that are given back; nothing that fits is as long


@door
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def decide(request: HttpRequest, request_id: UUID) -> HttpResponse:
    """/requests/<id>/decide/: 303 to the request once recorded, else 403, 409, 410, 422 or 503 with the text kept."""
    person = viewer_of(request)
    seen = access.request_to_see(person, request_id)
    if request.method != "POST":
        return _form(request, person, seen)
    form = _posted(request)
    try:
        after = decisions.decide(
            person=person_of(request),
            session_key=session_key(request),
            request_id=request_id,
            form=form,
            auth=authentication_of(request, now=seen.now),
        )
    except SameDecisionAgain:
        return _receipt(request_id)
    except StepUpNeeded as needed:
        return _confirm_first(request, person, seen, form, needed)
    except Unfit as unfit:
        return _again(request, person, request_id, form, unfit)
    except DecisionRefused as refused:
        return _refused(request, person, request_id, refused.status, str(refused))
    except (EvidenceUnavailable, APIProblem) as problem:
        if isinstance(problem, APIProblem) and problem.status != 503:
            raise
        return _refused(request, person, request_id, 503, "")
    drafts.forget(request, request_id)
    if after.status == Status.BLOCKED:
        sentence = _("The policy in force no longer permits this, so it was blocked; your approval was not recorded.")
        return _refused(request, person, request_id, 409, sentence)
    return _receipt(request_id)


def _receipt(request_id: UUID) -> HttpResponse:
    return HttpResponseRedirect(rows.url_of(request_id), status=303)


def _posted(request: HttpRequest) -> Form:
    def field(name: str) -> str:
        # PostgreSQL stores no NUL, and UTF-8 no half of a surrogate pair
        return request.POST.get(name, "").replace("\x00", "").encode("utf-8", "replace").decode()

    return Form(
        verdict=field("verdict"),
        rationale=field("rationale"),
        note=field("note"),
        reason_code=field("reason_code"),
        display_digest=field("display_digest"),
        view_id=field("view_id"),
        confirm=field("confirm"),
        parameters=field("parameters") if "parameters" in request.POST else None,
        meant=meant_words(request),
    )


def meant_words(request: HttpRequest) -> tuple[str, ...]:
    """The words that the form says are meant as words, though they look like a colleague's name."""
    return tuple(request.POST.getlist("means_word")[:MEANT_AT_MOST])


def means(meant: tuple[str, ...], unfit: Unfit) -> tuple[tuple[str, bool], ...]:
    """The words to show a box for, and whether it is ticked: those said already, and the one found now."""
    return (*((word, True) for word in meant), *([(unfit.may_mean, False)] if unfit.may_mean else []))


def _typed(request: HttpRequest, names: tuple[str, ...], seen: Seen) -> dict[str, str]:
    """What was posted in these fields; parameters only where they are an edit of what stands."""
    typed = {name: request.POST[name][:FIELD_AT_MOST] for name in names if request.POST.get(name)}
    if "parameters" in typed and not amending.edits(typed["parameters"], seen.request.effective_digest):
        del typed["parameters"]
    return typed


def _form(request: HttpRequest, person: Viewer, seen: Seen) -> HttpResponse:
    """The page by itself; `?verdict=` is the person's own choice on the page before, so it is not a preselection."""
    wish = request.GET.get("verdict", "")
    values = drafts.kept(request, seen.request)
    if wish in ("approve", "reject"):
        values["verdict"] = wish
    asked = Asked(whole=request.GET.get("whole") == "1", values=values, auth=authentication_of(request, now=seen.now))
    page = request_page.build(person, seen, session_key=session_key(request), asked=asked)
    if page.decide is not None:
        return _rendered(request, seen, {"page": page}, 200)
    if seen.status is Status.EXPIRED:
        status, sentence = 410, _("This request expired; it was denied by default.")
    elif not access.entitled(person, seen.request):
        status, sentence = 403, page.why_not or _("You sit in none of the teams that decide this request.")
    else:
        status, sentence = 409, page.why_not or _("This request is decided; nothing is left to do.")
    return _rendered(request, seen, {"page": page, "problem": _problem(status, sentence, {})}, status)


def _again(request: HttpRequest, person: Viewer, request_id: UUID, form: Form, unfit: Unfit) -> HttpResponse:
    """422: the same view, its ticket unspent, with what was typed and what is wrong with it."""
    seen = access.request_to_see(person, request_id)
    whole = form.display_digest != viewing.show(seen.request).display_digest
    values = _typed(request, (*TYPED, "verdict"), seen)
    page = request_page.build(
        person,
        seen,
        session_key=session_key(request),
        asked=Asked(
            whole=whole,
            values=values,
            errors=unfit.fields,
            means=means(form.meant, unfit),
            view_id=form.view_id,
            auth=authentication_of(request, now=seen.now),
        ),
    )
    return _rendered(request, seen, {"page": page}, 422)


def _confirm_first(request: HttpRequest, person: Viewer, seen: Seen, form: Form, needed: StepUpNeeded) -> HttpResponse:
    """403: the second factor first. What was typed is kept in the session too, so that it is there afterwards."""
    drafts.keep(request, seen.request)
    way = step_up.way_out(person.user, seen.request, form.display_digest)
    has_one = second_factor.has_one(person.user)
    link = (way, _("Confirm it's you") if has_one else _("Set up a second factor"))
    sentence = f"{_('Approving this asks for a second factor, confirmed less than 5 minutes before.')} {needed}"
    return _refused(request, person, seen.request.pk, needed.status, sentence, link=link)


def _refused(
    request: HttpRequest,
    person: Viewer,
    request_id: UUID,
    status: int,
    sentence: str,
    *,
    link: tuple[str, str] = ("", ""),
) -> HttpResponse:
    """Not taken: why, what is typed, and a fresh form (nothing chosen in it) where this person may still decide."""
    try:
        seen = access.request_to_see(person, request_id)
    except APIProblem:  # held by somebody at its deadline, so that nobody knows yet
        return unavailable(request)
    if status == 409 and seen.status is Status.PENDING and not access.entitled(person, seen.request):
        status, sentence = 403, _("You sit in none of the teams that decide this request.")
    values = _typed(request, TYPED, seen)
    kept = _typed(request, KEPT, seen)
    if status == 409:  # an edit of what no longer stands is kept to copy, not to be sent as an edit of what stands now
        edit = values.pop("parameters", "")
        if edit and not amending.edits(edit, seen.request.parameters_digest):
            del kept["parameters"]  # nobody typed it: it came with the form
    asked = Asked(values=values, auth=authentication_of(request, now=seen.now))
    page = request_page.build(person, seen, session_key=session_key(request), asked=asked)
    problem = _problem(status, sentence, kept)
    if link[0]:
        problem = replace(problem, title=_("Confirm it's you"), link_url=link[0], link_text=link[1])
    response = _rendered(request, seen, {"page": page, "problem": problem}, status)
    if status == 503:
        response["Retry-After"] = RETRY_AFTER_SECONDS
    return response


def _problem(status: int, sentence: str, kept: dict[str, str]) -> Problem:
    titles = {
        403: _("Not yours to decide"),
        409: _("Your decision was not recorded"),
        410: _("Too late: it expired"),
        503: _("It could not be recorded just now"),
    }
    detail = sentence or _("Nothing was decided. Your text is kept; try again in a moment.")
    return Problem(status, titles[status], detail, kept)


def _rendered(request: HttpRequest, seen: Seen, context: dict[str, object], status: int) -> HttpResponse:
    clock = {"now": seen.now, "now_ms": milliseconds(seen.now)}
    return render(request, "approvals/decide.html", context | clock, status=status)
