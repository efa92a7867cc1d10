"""The addresses of signing in: of allauth's only those that are meant to be used here.

Not mounted: registering oneself (people are invited), changing one's own e-mail address (it is who one is in the
evidence), and whatever else allauth brings.
"""

from __future__ import annotations

from allauth.account import views
from allauth.mfa.webauthn import views as passkeys
from django.contrib.auth.decorators import login_not_required
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path, re_path

from accounts.web import oidc


@login_not_required
def nowhere(request: HttpRequest) -> HttpResponse:
    """An address that allauth names and that leads nowhere here."""
    raise Http404


# Each change of a password is one transaction with its entry (`changes`), and so is a passkey (`second_factor`): in
# allauth's own pages only apps and recovery codes have a transaction.
urlpatterns = [
    path("login/", oidc.to_the_issuer(views.login), name="account_login"),
    path("oidc/", oidc.begin, name="oidc"),
    path("oidc/confirm/", oidc.to_the_issuer(oidc.confirm, signed_in=True), name="oidc_confirm"),
    path("oidc/callback/", oidc.callback, name="oidc_callback"),
    path("2fa/webauthn/add/", transaction.atomic(passkeys.add_webauthn), name="mfa_add_webauthn"),
    path("logout/", views.logout, name="account_logout"),
    path("inactive/", views.account_inactive, name="account_inactive"),
    path("reauthenticate/", views.reauthenticate, name="account_reauthenticate"),
    path("password/change/", transaction.atomic(views.password_change), name="account_change_password"),
    path("password/reset/", views.password_reset, name="account_reset_password"),
    path("password/reset/done/", views.password_reset_done, name="account_reset_password_done"),
    re_path(
        r"^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$",
        transaction.atomic(views.password_reset_from_key),
        name="account_reset_password_from_key",
    ),
    path(
        "password/reset/key/done/",
        views.password_reset_from_key_done,
        name="account_reset_password_from_key_done",
    ),
    path("signup/", nowhere, name="account_signup"),
    path("email/", nowhere, name="account_email"),
    path("password/set/", nowhere, name="account_set_password"),
    path("oidc/connections/", nowhere, name="socialaccount_connections"),
    path("oidc/signup/", nowhere, name="socialaccount_signup"),
    path("oidc/cancelled/", nowhere, name="socialaccount_login_cancelled"),
]
