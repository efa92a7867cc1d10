"""The door of asking: POST a question to the agent of a pending request. The verb asks; what it refuses becomes the
request's page, with the text kept.
"""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts.sign_in import authentication_of
from approvals import access, questions
from approvals.errors import DecisionRefused, Unfit
from approvals.web import drafts, request_page, rows
from approvals.web.decide import means, meant_words
from approvals.web.doors import RETRY_AFTER_SECONDS, door, milliseconds, person_of, viewer_of
from approvals.web.request import session_key
from approvals.web.request_page import Asked
from audit.entries import EvidenceUnavailable

TYPED_AT_MOST = 20_000  # characters that are given back; nothing that fits is as long


@door
@require_POST
def ask(request: HttpRequest, request_id: UUID) -> HttpResponse:
    """POST /requests/<id>/ask/: 303 to the request once asked, else 403, 409, 410, 422 or 503 with the text kept."""
    person = viewer_of(request)
    seen = access.request_to_see(person, request_id)
    text = request.POST.get("text", "").replace("\x00", "").replace("\r\n", "\n").encode("utf-8", "replace").decode()
    meant = meant_words(request)
    try:
        questions.ask(
            person=person_of(request),
            request_id=request_id,
            text=text,
            meant=meant,
            auth=authentication_of(request, now=seen.now),
        )
    except Unfit as unfit:
        return _refused(request, request_id, unfit.status, unfit.fields["text"], text, means(meant, unfit))
    except DecisionRefused as refused:
        return _refused(request, request_id, refused.status, str(refused), text)
    except EvidenceUnavailable:
        said = _("It could not be recorded just now, so it was not asked. Try again in a moment.")
        return _refused(request, request_id, 503, said, text)
    return HttpResponseRedirect(f"{rows.url_of(request_id)}#questions", status=303)


def _refused(
    request: HttpRequest,
    request_id: UUID,
    status: int,
    sentence: str,
    text: str,
    means: tuple[tuple[str, bool], ...] = (),
) -> HttpResponse:
    person = viewer_of(request)
    seen = access.request_to_see(person, request_id)
    asked = Asked(
        values=drafts.kept(request, seen.request),
        auth=authentication_of(request, now=seen.now),
        question=(text[:TYPED_AT_MOST], sentence),
        means=means,
    )
    page = request_page.build(person, seen, session_key=session_key(request), asked=asked)
    context = {"page": page, "now": seen.now, "now_ms": milliseconds(seen.now)}
    response = render(request, "approvals/request.html", context, status=status)
    if status == 503:
        response["Retry-After"] = RETRY_AFTER_SECONDS
    return response
