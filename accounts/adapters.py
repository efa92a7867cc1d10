"""What we change in allauth: people are invited, a second factor is asked before it is touched, secrets are sealed,
and a code is good once. Pages and flows stay allauth's; no rule about decisions is here.
"""

from __future__ import annotations

import base64
import time
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.forms import ResetPasswordForm
from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.adapter import get_adapter as mfa_adapter
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.forms import ActivateTOTPForm
from cryptography.fernet import Fernet, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.contrib.sites.requests import RequestSite
from django.http import HttpRequest
from django.urls import reverse

from accounts import confirming, second_factor, totp
from accounts.addresses import folded, whose


class ClosedAdapter(DefaultAccountAdapter):
    """People are invited by an administrator; nobody registers themselves."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Never."""
        return False

    def is_reauthentication_required(self, *, app: str, **keywords: Any) -> bool:
        """Always; and where there is nothing here to confirm with, the provider is asked again (`confirming`)."""
        request = context.request
        if request.user.is_authenticated and confirming.has_no_method(request.user):
            confirming.require(request)
        return True

    def get_reset_password_from_key_url(self, key: str) -> str:
        """Under BASE_URL: the Host header is whatever the caller sent."""
        page = reverse("account_reset_password_from_key", kwargs={"uidb36": "UID", "key": "KEY"})
        return settings.BASE_URL + page.replace("UID-KEY", quote(key))

    def send_mail(self, template_prefix: str, email: str, more: dict[str, Any]) -> None:
        """With our own name and address, and none of the request's."""
        own = {"current_site": RequestSite(_Ours()), "email": email}
        self.render_mail(template_prefix, email, own | more).send()

    def format_email_subject(self, subject: str) -> str:
        """As our other mails begin."""
        return f"[Countersign] {subject}"

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        # allauth's counts for each Host header apart: a caller who varies its port could try for ever.
        return folded(str(credentials.get("email", "")).strip())

    def set_password(self, user: Any, password: str) -> None:
        """Only the password is written: a copy of the person that is old by now brings nothing else back."""
        user.set_password(password)
        user.save(update_fields=["password"])

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        """The password alone is not offered to who has a second factor: a stolen session and password must not be
        enough to add a factor of the thief's own. Recovery codes still are; they are for a lost device."""
        methods: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        if user.is_authenticated and second_factor.has_one(user):
            return [method for method in methods if method["id"] != "reauthenticate"]
        return methods


class _Ours(HttpRequest):
    """What RequestSite asks a request for."""

    def get_host(self) -> str:
        """Where people find this installation."""
        return urlsplit(settings.BASE_URL).netloc


class ResetPassword(ResetPasswordForm):
    """Asking for a mailed link. The letter goes to the address that is kept, never to the one that was typed."""

    def clean_email(self) -> str:
        """The address of the active person it belongs to; for a stranger, as it was typed."""
        typed = str(self.cleaned_data["email"])
        self.users = list(whose(typed).filter(is_active=True))
        return self.users[0].email if self.users else typed


class SealingAdapter(DefaultMFAAdapter):
    """Secrets of second factors are encrypted at rest, so that a copy of the database makes no codes."""

    def encrypt(self, text: str) -> str:
        """Under a key derived from SECRET_KEY."""
        return _sealer().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """Keys in SECRET_KEY_FALLBACKS still open what they closed."""
        return _sealer().decrypt(encrypted_text).decode()


def resealed(encrypted_text: str) -> str:
    """The same secret under the SECRET_KEY in use. Raises `InvalidToken` where no known key opens it."""
    return _sealer().rotate(encrypted_text).decode()


def _sealer() -> MultiFernet:
    return _made_once((settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))


@lru_cache(maxsize=2)
def _made_once(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(_derived(key)) for key in keys])


def _derived(key: str) -> bytes:
    made = HKDF(SHA256(), length=32, salt=None, info=b"countersign second factors").derive(key.encode())
    return base64.urlsafe_b64encode(made)


class _Typed:
    cleaned_data: dict[str, Any]

    def clean_code(self) -> str:
        """allauth's check of the code as it was meant, whatever digits and spaces it was typed with."""
        self.cleaned_data["code"] = totp.typed(str(self.cleaned_data["code"]))
        code: str = super().clean_code()  # type: ignore[misc]  # of the form this stands before
        return code


class _Once(_Typed):
    user: Any
    authenticator: Authenticator

    def clean_code(self) -> str:
        """allauth's check, and then that the app's code was not used before, by any process."""
        code = super().clean_code()
        app = self.authenticator.type == Authenticator.Type.TOTP
        if app and not second_factor.spend_code(self.authenticator, code, at=time.time()):
            raise mfa_adapter().validation_error("incorrect_code")
        return code


class SignInCode(_Once, AuthenticateForm):
    """The second step of signing in."""


class ConfirmCode(_Once, ReauthenticateForm):
    """Confirming who is there, in a session that is open."""


class FirstCode(_Typed, ActivateTOTPForm):
    """The code that shows that an authenticator app was set up."""
