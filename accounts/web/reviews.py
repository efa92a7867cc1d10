"""The doors of the access review: begin, answer lines, sign off, and the list as CSV. Nothing is decided here."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_safe

from accounts import directory, reviews
from accounts.acting import Refused
from accounts.directory import Line, Some
from accounts.models import TWO_PEOPLE, AccessLine, AccessReview, Role
from accounts.web.doors import acting_afresh, as_id, door, refusal, roles_of_reader
from audit import spreadsheet

PAGE = 50


@dataclass(frozen=True)
class ShownLine:
    """A line to answer; `digest` of the rights it shows."""

    line: Line
    digest: str
    mine: bool
    of_two: bool


@dataclass(frozen=True)
class ReviewPage:
    """When it is due, the open review with its lines, and those before."""

    due: reviews.Due
    acts: bool
    review: AccessReview | None
    lines: list[ShownLine] = field(default_factory=list)
    left: int = 0
    answered: Some[AccessLine] = field(default_factory=lambda: Some[AccessLine]([]))
    past: list[AccessReview] = field(default_factory=list)
    errors: list[tuple[str, str]] = field(default_factory=list)


@door
@require_http_methods(["GET", "HEAD", "POST"])
def access(request: HttpRequest) -> HttpResponse:
    """/reviews/access/: GET; POST `act` begin, sign, or answer with `line-<id>` keep or remove and `seen-<id>`; 303
    back, or 422."""
    roles = roles_of_reader(request)
    if request.method != "POST":
        return _page(request, roles)
    if request.POST.get("act") not in ("begin", "answer", "sign"):
        return refusal(request)
    try:
        by = acting_afresh(request)
        if request.POST["act"] == "begin":
            reviews.begin(by=by)
            messages.success(request, _("The review is open."))
        elif request.POST["act"] == "sign":
            reviews.sign_off(by=by)
            messages.success(request, _("The review is signed off."))
        else:
            return _answers(request, roles)
    except Refused as refused:
        return _page(request, roles, errors=[("", str(refused))])
    return HttpResponseRedirect(reverse("access_review"), status=303)


def _answers(request: HttpRequest, roles: frozenset[Role]) -> HttpResponse:
    """Each line is a transaction of its own: one that is refused holds up no other."""
    by, errors, done = acting_afresh(request), [], 0
    for name, value in request.POST.items():
        line_id = as_id(name.removeprefix("line-")) if name.startswith("line-") else None
        if line_id is None or value not in ("keep", "remove"):
            continue
        try:
            seen = request.POST.get(f"seen-{line_id}", "")
            reviews.answer(by=by, line_id=line_id, keep=value == "keep", seen=seen)
            done += 1
        except Refused as refused:
            errors.append((str(line_id), str(refused)))
    if not done and not errors:
        errors.append(("", _("Choose keep or remove for somebody.")))
    if errors:
        return _page(request, roles, errors=errors)
    said = ngettext("%(n)s line was answered.", "%(n)s lines were answered.", done) % {"n": done}
    messages.success(request, said)
    return HttpResponseRedirect(reverse("access_review"), status=303)


@door
@require_safe
def as_csv(request: HttpRequest) -> HttpResponse:
    """GET /reviews/access.csv: everybody active and what they hold."""
    roles_of_reader(request)
    lines = [["id", "name", "e-mail", "teams", "roles", "agents", "last sign-in", "second factor"]]
    for entry in directory.everybody():
        last = entry.user.last_login.isoformat() if entry.user.last_login else ""
        lists = (" ".join(entry.teams), " ".join(role.value for role in entry.roles), " ".join(entry.agents))
        cells = [str(entry.user.pk), entry.user.name, entry.user.email, *lists, last]
        lines.append([*cells, "yes" if entry.second_factor else "no"])
    return HttpResponse(
        spreadsheet.BYTE_ORDER_MARK + spreadsheet.rows(lines),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="access.csv"'},
    )


def _page(request: HttpRequest, roles: frozenset[Role], *, errors: list[tuple[str, str]] | None = None) -> HttpResponse:
    review = directory.open_review()
    lines, left = directory.unanswered(review, PAGE) if review else ([], 0)
    page = ReviewPage(
        due=reviews.due(),
        acts=Role.ADMINISTRATOR in roles,
        review=review,
        lines=[
            ShownLine(
                line,
                reviews.rights_digest(line.entry.teams, line.entry.roles),
                line.entry.user.pk == request.user.pk,
                bool(set(line.entry.roles) & TWO_PEOPLE),
            )
            for line in lines
        ],
        left=left,
        answered=directory.answered(review) if review else Some([]),
        past=directory.last_reviews(),
        errors=errors or [],
    )
    return render(request, "accounts/review.html", {"page": page}, status=422 if errors else 200)
