"""`manage.py reseal_secrets`: after it a former SECRET_KEY is needed no more, and nothing that it sealed is lost."""

from __future__ import annotations

import io
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from allauth.mfa.utils import decrypt
from django.core.management import CommandError, call_command
from django.db import transaction

from approvals.models import WebhookSecret
from approvals.notifications import endpoints
from approvals.notifications.webhook import secrets
from tests.support.cast import make_cast, password_proof

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = "JBSWY3DPEHPK3PXP"


def reseal() -> str:
    out = io.StringIO()
    call_command("reseal_secrets", stdout=out)
    return out.getvalue()


def test_what_was_sealed_under_a_former_key_is_opened_by_the_new_one_alone(settings: Any) -> None:
    cast = make_cast(only=("admin1",))
    person = cast["admin1"]
    former = settings.SECRET_KEY
    with transaction.atomic():
        TOTP.activate(person, SECRET)
        codes = RecoveryCodes.activate(person).get_unused_codes()
    auth = password_proof()
    _, webhook_secret = endpoints.add(
        by=person, url="https://hooks.example.org/x", events=["request.pending"], auth=auth
    )
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "n" * 50, [former]
    assert reseal() == "2 second factors and 1 secrets of webhooks are sealed under SECRET_KEY.\n"
    settings.SECRET_KEY_FALLBACKS = []
    app, kept = (Authenticator.objects.get(user=person, type=kind) for kind in ("totp", "recovery_codes"))
    assert decrypt(app.data["secret"]) == SECRET
    assert kept.wrap().get_unused_codes() == codes
    assert secrets.unseal(WebhookSecret.objects.get().sealed) == webhook_secret
    settings.SECRET_KEY = former
    with pytest.raises(secrets.Unreadable):
        secrets.unseal(WebhookSecret.objects.get().sealed)


def test_what_no_known_key_opens_is_left_alone_and_said(settings: Any) -> None:
    person = make_cast(only=("admin1",))["admin1"]
    with transaction.atomic():
        TOTP.activate(person, SECRET)
    before = Authenticator.objects.get().data
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "n" * 50, []
    with pytest.raises(CommandError, match="1 second factors and 0 secrets of webhooks are sealed under a key"):
        reseal()
    assert Authenticator.objects.get().data == before
