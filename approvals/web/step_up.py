"""The detour of a critical approval: to the second factor and back, with what was typed. Whether it is needed, and
fresh enough, is the verb's to say.
"""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST
from django_htmx.http import HttpResponseClientRedirect

from accounts import second_factor
from accounts.models import User
from approvals import access, viewing
from approvals.access import Viewer
from approvals.models import Request
from approvals.queries import Seen
from approvals.rules.ruling import Ruling
from approvals.web import drafts, words
from approvals.web.doors import door, person_of, viewer_of
from approvals.web.pages import StepUp
from audit.entries import Authentication


@door
@require_POST
def step_up(request: HttpRequest, request_id: UUID) -> HttpResponse:
    """POST /requests/<id>/step-up/: keep what was typed, and on to the second factor, which leads back here."""
    seen = access.request_to_see(viewer_of(request), request_id)
    drafts.keep(request, seen.request)
    way = way_out(person_of(request), seen.request, request.POST.get("display_digest", ""))
    if getattr(request, "htmx", False):
        return HttpResponseClientRedirect(way)
    return HttpResponseRedirect(way, status=303)


def way_out(person: User, request: Request, display_digest: str) -> str:
    """Where to confirm; it leads back to the decision, with everything opened where that was what they read. Who has
    no second factor is led to setting one up."""
    if not second_factor.has_one(person):
        return reverse("mfa_index")
    whole = bool(display_digest) and display_digest != viewing.show(request).display_digest
    back = f"{reverse('decide', args=[request.pk])}?verdict=approve{'&whole=1' if whole else ''}"
    return second_factor.confirm_url(person, back=back)


def shown(person: Viewer, seen: Seen, ruling: Ruling, auth: Authentication | None) -> StepUp | None:
    """What the form says of the second factor; None where approving asks for none."""
    if auth is None or not access.asks_stepup(ruling):
        return None
    missing = second_factor.why_not_fresh(auth, at=seen.now)
    if not missing:
        said = _("Confirmed %(at)s with %(means)s; that counts for an approval until %(until)s UTC.") % {
            "at": words.at(auth.at, seen.now),
            "means": second_factor.COUNTS[auth.method],
            "until": words.at(auth.at + second_factor.FRESH, seen.now),
        }
        return StepUp(said)
    asked = _("Approving this asks for a second factor, confirmed less than 5 minutes before.")
    if not second_factor.has_one(person.user):
        return StepUp(f"{asked} {_('You have not set one up.')}", set_up_url=reverse("mfa_index"))
    return StepUp(f"{asked} {missing}", confirm_url=reverse("step_up", args=[seen.request.pk]))
