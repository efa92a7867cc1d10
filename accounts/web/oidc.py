"""The doors of signing in through the organisation's provider; where none is set they are not there."""

from __future__ import annotations

from typing import Any

from allauth.account.utils import get_next_redirect_url
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.providers.base import AuthProcess
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe
from requests import RequestException

from accounts import confirming
from accounts.models import User
from accounts.oidc import Adapter, Provider, application, origin, refuse

# A provider that answers nonsense: JSON that is none, an answer without what it must hold.
_NONSENSE = (OAuth2Error, RequestException, KeyError, TypeError, ValueError, AttributeError)


@never_cache
@login_not_required
@require_POST
def begin(request: HttpRequest) -> HttpResponse:
    """POST /accounts/oidc/: to the provider, with `next` to come back to; with `again`, to be asked anew there."""
    if not settings.OIDC_ISSUER:
        raise Http404
    provider = Provider(request=request, app=application())
    again = bool(request.POST.get("again")) and request.user.is_authenticated
    anew = {"auth_params": {"prompt": "login", "max_age": "0"}, "again": str(request.user.pk)} if again else {}
    try:
        sent: HttpResponse = provider.redirect(
            request,
            AuthProcess.LOGIN,
            next_url=get_next_redirect_url(request),
            scope=["openid", "email", "profile"],
            **anew,
        )
    except _NONSENSE as error:
        return _refused(request, error)
    return sent


@never_cache
@require_safe
def confirm(request: HttpRequest) -> HttpResponse:
    """GET /accounts/oidc/confirm/: the button that has the provider ask this person again."""
    if not settings.OIDC_ISSUER:
        raise Http404
    shown = {"next": get_next_redirect_url(request) or "", "provider": settings.OIDC_NAME}
    return render(request, "account/confirm_by_provider.html", shown)


@never_cache
@login_not_required
@require_safe
def callback(request: HttpRequest) -> HttpResponse:
    """GET /accounts/oidc/callback/: where the provider sends people back; signs in, or 403."""
    if not settings.OIDC_ISSUER:
        raise Http404
    try:
        answered: HttpResponse = OAuth2CallbackView.adapter_view(Adapter)(request)
    except _NONSENSE as error:
        return _refused(request, error)
    if getattr(request, "confirmed_by_provider", False) and isinstance(request.user, User):
        confirming.note(request, request.user)
    return answered


def to_the_issuer(view: Any, *, signed_in: bool = False) -> Any:
    """A page whose form may lead to the issuer: its origin joins the policy of content, which counts redirects too.
    It is open to everybody, or to the signed-in alone."""

    def shown(request: HttpRequest, *args: Any, **keywords: Any) -> HttpResponse:
        response: HttpResponse = view(request, *args, **keywords)
        if origin():
            response._csp_update = {"form-action": [origin()]}  # type: ignore[attr-defined]  # where django-csp looks
        return response

    return shown if signed_in else login_not_required(shown)


def _refused(request: HttpRequest, error: Exception) -> HttpResponse:
    try:
        refuse(request, f"{type(error).__name__} {error}")
    except ImmediateHttpResponse as answer:
        response: HttpResponse = answer.response
    return response
