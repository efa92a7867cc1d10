"""Every address, in one place."""

from __future__ import annotations

from django.urls import include, path, re_path
from django.views.generic import RedirectView

from accounts.pages import totp_qr
from approvals.api.grants import jwks
from config import assets, errors, health, metrics, pages

urlpatterns = [
    path("", RedirectView.as_view(url="/queue/")),
    path("assets/<str:name>", assets.serve, name="asset"),
    path("accounts/", include("accounts.urls")),
    path("accounts/2fa/totp/qr.svg", totp_qr, name="totp_qr"),
    path("accounts/2fa/", include("allauth.mfa.urls")),
    path("preferences/theme/", pages.theme, name="theme"),
    path("", include("accounts.web.urls")),
    path("", include("approvals.web.urls")),
    path("api/v1/", include("approvals.api.urls")),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("metrics", metrics.metrics),
    path(".well-known/jwks.json", jwks),
    path(".well-known/audit-key", health.audit_key),
    re_path(r"^api/.*$", errors.api_not_found),
]

handler400 = "config.errors.bad_request"
handler403 = "config.errors.forbidden"
handler404 = "config.errors.not_found"
handler500 = "config.errors.server_error"
