"""Setting up, using and removing second factors through allauth's pages as this house has them."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import SECRET_SESSION_KEY
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.urls import reverse

from accounts import second_factor
from accounts.models import User
from audit.entries import EvidenceUnavailable
from tests.support import services
from tests.support.cast import PASSWORD, Cast, make_cast
from tests.support.codes import App, confirm, equip, sign_in
from tests.support.forms import said

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    """One who signs in by password, and the agent's owner."""
    return make_cast(sign_in=["privacy1"], only=["privacy1"])


@pytest.fixture
def person(cast: Cast) -> User:
    return cast["privacy1"]


def changes() -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT leaf FROM audit_pending ORDER BY position")
        leaves = [json.loads(bytes(row[0])) for row in cursor.fetchall()]
    return [leaf["facts"] for leaf in leaves if leaf["type"] == "person.changed"]


def digest(row: Authenticator) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT accounts_factor_digest(data) FROM mfa_authenticator WHERE id = %s", [row.pk])
        found: str = cursor.fetchone()[0]
    return found


def with_password(client: Client) -> None:
    answer = client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    assert answer.status_code == 302


def set_up(client: Client) -> App:
    """Through the pages, as somebody who scans the picture."""
    with_password(client)
    page = client.get(reverse("mfa_activate_totp"))
    assert page.status_code == 200
    app = App(client.session[SECRET_SESSION_KEY])
    assert app.secret in page.content.decode()
    answer = client.post(reverse("mfa_activate_totp"), {"code": app.code()})
    assert (answer.status_code, answer["Location"]) == (302, reverse("mfa_view_recovery_codes"))
    return app


def test_an_app_is_set_up_with_recovery_codes_and_from_then_on_signing_in_asks_for_it(person: User) -> None:
    client = sign_in(person)
    assert "Not set up." in said(client.get(reverse("mfa_index")))
    app = set_up(client)
    assert len(re.findall(r"\b\d{8}\b", client.get(reverse("mfa_view_recovery_codes")).content.decode())) == 10
    assert "10 are left." in said(client.get(reverse("mfa_index")))
    assert second_factor.has_one(person)
    assert sign_in(person, app).get("/queue/").status_code == 200


def test_setting_one_up_asks_for_the_password_first(person: User) -> None:
    answer = sign_in(person).get(reverse("mfa_activate_totp"))
    assert answer["Location"].startswith(reverse("account_reauthenticate"))


def test_each_that_comes_or_goes_is_an_entry(person: User) -> None:
    client = sign_in(person)
    app = set_up(client)
    row = Authenticator.objects.get(type="totp")
    assert {
        "change": "second-factor-added",
        "factor": "totp",
        "authenticator": str(row.pk),
        "factor_digest": digest(row),
    } in changes()
    assert confirm(client, app.code()).status_code == 302
    assert client.post(reverse("mfa_deactivate_totp")).status_code == 302
    assert [(entry["change"], entry["factor"]) for entry in changes()[-2:]] == [
        ("second-factor-removed", "totp"),
        ("second-factor-removed", "recovery_codes"),
    ]
    assert changes()[-2]["authenticator"] == str(row.pk)
    assert not second_factor.has_one(person)


def test_without_evidence_no_second_factor_comes_or_goes(person: User) -> None:
    with services.connection("owner") as owner:
        owner.execute("REVOKE INSERT ON audit_pending FROM countersign_app")
        try:
            with pytest.raises(EvidenceUnavailable):
                second_factor.give_totp(user=person, secret=App().secret)
        finally:
            owner.execute("GRANT INSERT ON audit_pending TO countersign_app")
        assert not second_factor.has_one(person)
        second_factor.give_totp(user=person, secret=App().secret)
        owner.execute("REVOKE INSERT ON audit_pending FROM countersign_app")
        try:
            with pytest.raises(EvidenceUnavailable):
                Authenticator.objects.get().delete()
        finally:
            owner.execute("GRANT INSERT ON audit_pending TO countersign_app")
    assert second_factor.has_one(person)


def test_the_picture_is_an_image_of_its_own_and_only_of_what_is_being_set_up(person: User) -> None:
    client = sign_in(person)
    assert client.get(reverse("totp_qr")).status_code == 404
    with_password(client)
    page = client.get(reverse("mfa_activate_totp")).content.decode()
    assert f'src="{reverse("totp_qr")}"' in page
    assert "data:" not in page
    picture = client.get(reverse("totp_qr"))
    assert (picture.status_code, picture["Content-Type"]) == (200, "image/svg+xml")
    assert picture["Cache-Control"] == "no-store"
    assert b"<svg" in picture.content
    assert b"style=" not in picture.content
    assert Client().get(reverse("totp_qr")).status_code == 302


def test_a_code_is_good_once_even_for_another_process(person: User) -> None:
    app = equip(person)["privacy1"]
    client, code = sign_in(person, app), app.code()
    assert confirm(client, code).status_code == 302
    cache.clear()  # another process knows nothing of this one's cache
    again = confirm(client, code)
    assert again.status_code == 200
    assert "Incorrect code." in said(again)


def test_an_older_code_is_not_taken_after_a_newer_one(person: User) -> None:
    app = equip(person)["privacy1"]
    client, now = Client(), int(time.time()) // 30
    client.force_login(person)
    assert confirm(client, app.at(now)).status_code == 302
    assert confirm(client, app.at(now - 1)).status_code == 200


def test_the_password_alone_does_not_re_authenticate_who_has_a_second_factor(person: User) -> None:
    app = equip(person)["privacy1"]
    client = sign_in(person, app)
    answer = client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    assert answer["Location"].startswith(reverse("mfa_reauthenticate"))
    answer = client.get(reverse("mfa_add_webauthn"))
    assert answer["Location"].startswith(reverse("mfa_reauthenticate"))
    assert "Use your password" not in said(client.get(reverse("mfa_reauthenticate")))


def test_secrets_are_not_readable_in_the_database_and_work_after_the_key_was_turned(
    person: User, settings: Any
) -> None:
    app = equip(person)["privacy1"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT data::text FROM mfa_authenticator")
        assert app.secret not in str(cursor.fetchall())
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "a new key " * 6, [settings.SECRET_KEY]
    assert Authenticator.objects.get().wrap().validate_code(app.code())


def test_every_page_of_second_factors_is_ours_and_holds_no_script_of_its_own(person: User) -> None:
    client = sign_in(person)
    app = set_up(client)
    confirm(client, app.code())
    pages = [
        "mfa_index", "mfa_deactivate_totp", "mfa_view_recovery_codes", "mfa_generate_recovery_codes",
        "mfa_list_webauthn", "mfa_add_webauthn", "mfa_reauthenticate",
    ]  # fmt: skip
    for name in pages:
        page = client.get(reverse(name))
        text = page.content.decode()
        assert page.status_code == 200, name
        assert 'href="/assets/app.' in text, name
        assert not re.search(r'<script(?![^>]*(?:src=|type="application/json"))', text), name
        assert "allauth" not in text, name
