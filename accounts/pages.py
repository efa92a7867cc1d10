"""The pages of second factors that allauth has not: the picture of a secret being set up. Nothing is set up here."""

from __future__ import annotations

from allauth.mfa.adapter import get_adapter
from allauth.mfa.totp.internal.auth import SECRET_SESSION_KEY
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe


@require_safe
def totp_qr(request: HttpRequest) -> HttpResponse:
    """GET /accounts/2fa/totp/qr.svg: the secret on the page of setting up, as a picture of its own (a `data:` address
    would need a wider policy of content). 404 where nothing is being set up in this session."""
    secret = request.session.get(SECRET_SESSION_KEY)
    if not secret:
        raise Http404
    adapter = get_adapter()
    picture = adapter.build_totp_svg(adapter.build_totp_url(request.user, secret))
    return HttpResponse(picture, content_type="image/svg+xml")
