"""Signing in through the organisation's own provider (OpenID Connect), by settings: people who are here already, and
nobody else.

The first time they are matched by an address that the provider says is verified; from then on by its name for them
(issuer and `sub`). Each link is an entry. It never counts as a second factor, whatever the provider did.
"""

from __future__ import annotations

from typing import Any, NoReturn
from urllib.parse import urlsplit

import structlog
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.internal import jwtkit
from allauth.socialaccount.models import SocialApp, SocialLogin
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from django.shortcuts import render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from accounts import confirming, departures, two_people
from accounts.acting import Refused, locked
from accounts.addresses import whose
from accounts.identities import PROVIDER, known_as, linked, record_link
from accounts.models import User
from accounts.people import person_party
from audit.limits import clock

#: Signatures by a private key alone: what a shared secret signs, whoever shares it can sign.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
NOT_KNOWN = gettext_lazy(
    "Your provider's sign-in is not known here, or not for an active person. Ask an administrator."
)
NOT_ASKED = gettext_lazy(
    "Your provider did not say that it asked you just now, so nothing was confirmed. Ask an administrator."
)
WAITS = gettext_lazy("Your provider's sign-in waits for an administrator to confirm it: your role takes two people.")
log = structlog.get_logger(__name__)


def origin() -> str:
    """The origin of the issuer, where a form on a sign-in page leads to; empty where none is set."""
    parts = urlsplit(settings.OIDC_ISSUER)
    return f"{parts.scheme}://{parts.netloc}" if settings.OIDC_ISSUER else ""


def application() -> SocialApp:
    """What we are to the provider; from settings, never from the database."""
    return SocialApp(
        provider="openid_connect",
        provider_id=PROVIDER,
        name=settings.OIDC_NAME,
        client_id=settings.OIDC_CLIENT_ID,
        secret=settings.OIDC_CLIENT_SECRET,
        settings={"server_url": settings.OIDC_ISSUER, "oauth_pkce_enabled": True},
    )


class Adapter(OpenIDConnectOAuth2Adapter):
    """allauth's, with every check on: the issuer's own name, the signature, and one subject in both answers."""

    def __init__(self, request: HttpRequest, provider_id: str = PROVIDER) -> None:
        super().__init__(request, provider_id)

    def get_provider(self) -> Provider:
        """The one provider there is."""
        return Provider(request=self.request, app=application())

    @property
    def openid_config(self) -> dict[str, Any]:
        """What the provider says of itself; it must say that it is who was set."""
        found: dict[str, Any] = super().openid_config
        if str(found.get("issuer", "")).rstrip("/") != settings.OIDC_ISSUER:
            raise OAuth2Error("The provider names another issuer.")
        return found

    def get_callback_url(self, request: HttpRequest, app: SocialApp) -> str:
        """Ours, whatever host was asked for."""
        callback: str = settings.BASE_URL + reverse("oidc_callback")
        return callback

    def _decode_id_token(self, app: SocialApp, id_token: str) -> dict[str, Any]:
        # allauth trusts the connection; a signature is checked here all the same.
        from jwt import get_unverified_header

        if get_unverified_header(id_token).get("alg") not in ALGORITHMS:
            raise OAuth2Error("The provider signs with an algorithm that is not accepted.")
        found: dict[str, Any] = jwtkit.verify_and_decode(
            credential=id_token,
            keys_url=self.openid_config["jwks_uri"],
            issuer=self.openid_config["issuer"],
            audience=app.client_id,
            lookup_kid=jwtkit.lookup_kid_jwk,
        )
        return found

    def complete_login(self, request: HttpRequest, app: SocialApp, token: Any, **keywords: Any) -> SocialLogin:
        """Who the provider says it is, with its claims; none of them is kept in the database."""
        signed = keywords["response"].get("id_token")
        if not signed:
            raise OAuth2Error("The provider sent no id_token.")
        identity = self._decode_id_token(app, signed)
        told = self._fetch_user_info(token.token) if "userinfo_endpoint" in self.openid_config else {}
        if told and told.get("sub") != identity["sub"]:
            raise OAuth2Error("The provider speaks of two people.")
        claims = {**told, **identity}
        login: SocialLogin = self.get_provider().sociallogin_from_response(request, {"id_token": claims})
        login.account.uid = known_as(settings.OIDC_ISSUER, identity["sub"])
        login.account.extra_data = {}
        login.claims = claims
        return login


class Provider(OpenIDConnectProvider):
    """allauth's provider with our adapter."""

    oauth2_adapter_class = Adapter


class PeopleOnly(DefaultSocialAccountAdapter):
    """Nobody signs up, links or is matched by allauth: `pre_social_login` says who it is, or refuses."""

    def list_apps(self, request: HttpRequest, provider: Any = None, client_id: Any = None) -> list[SocialApp]:
        """The one of the settings; rows are not read."""
        return [application()] if settings.OIDC_ISSUER else []

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        """Never."""
        return False

    def authenticate_by_email(self, sociallogin: SocialLogin) -> None:
        """Never by allauth's own rules."""

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Let in who is linked or is matched now; refuse anybody else, without saying which."""
        if not sociallogin.is_existing:
            person = _matched(sociallogin)
            if person is None:
                refuse(request, "nobody")
            _link(request, sociallogin, person)
        if not sociallogin.user.is_active:
            refuse(request, "inactive")
        if again := sociallogin.state.get("again"):
            self._confirmed(request, sociallogin, again)

    def _confirmed(self, request: HttpRequest, sociallogin: SocialLogin, asked_of: str) -> None:
        """The provider was asked anew: it must be the person who sent us there, and asked just now."""
        if asked_of != str(request.user.pk) or asked_of != str(sociallogin.user.pk):
            refuse(request, "confirmed as somebody else")
        if not confirming.is_proof(sociallogin.claims, at=clock()):
            refuse(request, "no fresh auth_time", NOT_ASKED)
        request.confirmed_by_provider = True  # type: ignore[attr-defined]  # for the door: signing in empties the session

    def on_authentication_error(self, request: HttpRequest, provider: Any, **why: Any) -> NoReturn:
        """What the provider answered is not shown: it is logged."""
        refuse(request, f"{why.get('error')} {why.get('exception') or ''}".strip())


def _matched(sociallogin: SocialLogin) -> User | None:
    """The active person whose address the provider says is verified, unless another of its users is them already."""
    email, verified = sociallogin.claims.get("email"), sociallogin.claims.get("email_verified")
    if verified is not True or not isinstance(email, str):
        return None
    person = whose(email).filter(is_active=True).first()
    return None if person is None or linked(person) else person


def _link(request: HttpRequest, sociallogin: SocialLogin, person: User) -> None:
    """Tie the provider's user to this person; of a role of two, another administrator confirms it first."""
    subject = str(sociallogin.claims["sub"])
    if departures.holds_a_role_of_two(person):
        try:
            two_people.ask_to_link(person_id=person.pk, issuer=settings.OIDC_ISSUER, subject=subject)
        except Refused as refused:
            refuse(request, f"link not asked for: {refused}")
        refuse(request, "link waits for an administrator", WAITS)
    with transaction.atomic():
        sociallogin.connect(request, locked(person.pk))
        who = person_party(person)
        record_link(by=who, account=sociallogin.account, issuer=settings.OIDC_ISSUER, subject=subject)


def refuse(request: HttpRequest, why: str, sentence: str | Promise = "") -> NoReturn:
    """403, with one sentence for all causes but a link that waits; the cause is in the log."""
    log.warning("oidc_refused", why=why[:200])
    sentence = sentence or NOT_KNOWN
    raise ImmediateHttpResponse(render(request, "403.html", {"reason": sentence}, status=403))
