"""What is mounted of signing in, and that people leave evidence of what they change about themselves."""

from __future__ import annotations

import pytest
from django.core import mail
from django.db import transaction
from django.test import Client

from accounts.adapters import ClosedAdapter
from accounts.models import User
from accounts.people import password_digest, person_party
from audit.entries import Draft, record
from audit.types import EntryType
from tests.support.cast import PASSWORD, SETTING_UP, Cast, make_cast
from tests.support.forging import forging
from tests.support.leaves import entries

NEW = "a wholly different passphrase"


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    """One who signs in."""
    return make_cast(only=("support1",), sign_in=("support1",))


@pytest.fixture
def signed_in(cast: Cast) -> Client:
    """support1's browser."""
    client = Client()
    client.post("/accounts/login/", {"login": cast["support1"].email, "password": PASSWORD})
    assert client.get("/queue/").status_code == 200
    return client


@pytest.mark.parametrize(
    "place", ["email", "signup", "password/set", "confirm-email", "3rdparty", "login/code/confirm"]
)
def test_what_is_not_meant_to_be_used_leads_nowhere(signed_in: Client, cast: Cast, place: str) -> None:
    address = f"/accounts/{place}/"
    assert signed_in.get(address).status_code == 404
    assert signed_in.post(address, {"email": "ceo@example.test", "action_add": ""}).status_code == 404
    assert User.objects.get(pk=cast["support1"].pk).email == cast["support1"].email


def test_a_changed_password_leaves_its_entry(signed_in: Client, cast: Cast) -> None:
    signed_in.post("/accounts/password/change/", {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW})
    assert User.objects.get(pk=cast["support1"].pk).check_password(NEW)
    setting_up, changed = entries("person.changed")
    assert setting_up["actor"]["kind"] == "system"
    assert (changed["actor"]["id"], changed["facts"]["what"]) == (str(cast["support1"].pk), "password-changed")
    assert changed["facts"]["password_digest"] == password_digest(User.objects.get(pk=cast["support1"].pk))


def test_a_reset_password_leaves_its_entry_and_an_unknown_address_is_told_the_same(cast: Cast) -> None:
    client = Client()
    known = client.post("/accounts/password/reset/", {"email": cast["support1"].email})
    unknown = client.post("/accounts/password/reset/", {"email": "nobody@example.test"})
    assert (known.status_code, known["Location"]) == (unknown.status_code, unknown["Location"])
    link = next(
        word
        for message in mail.outbox
        if message.to == [cast["support1"].email]
        for word in message.body.split()
        if "/password/reset/key/" in word
    )
    form = client.get(link.split("localhost:8000")[-1].removeprefix("http://testserver"), follow=True)
    client.post(form.request["PATH_INFO"], {"password1": NEW, "password2": NEW})
    assert User.objects.get(pk=cast["support1"].pk).check_password(NEW)
    assert [leaf["facts"]["what"] for leaf in entries("person.changed")] == ["password-changed", "password-reset"]


@pytest.mark.parametrize("wanted", ["ar", "he", "de", "fa-IR", "en-GB", "*"])
def test_a_page_says_the_language_its_words_have(db: None, wanted: str) -> None:
    page = Client().get("/accounts/login/", headers={"Accept-Language": wanted})
    assert '<html lang="en" dir="ltr"' in page.content.decode()
    assert page["Content-Language"] == "en"


def test_a_password_set_on_an_old_copy_of_a_person_brings_nothing_back(cast: Cast) -> None:
    stale = User.objects.get(pk=cast["support1"].pk)
    with forging():
        User.objects.filter(pk=stale.pk).update(is_active=False, sessions_epoch=3)
    with transaction.atomic():
        ClosedAdapter().set_password(stale, NEW)
        facts = {"password_digest": password_digest(stale)}
        record(Draft(EntryType.PERSON_CHANGED, SETTING_UP, person_party(stale), facts=facts))
    kept = User.objects.get(pk=stale.pk)
    assert (kept.is_active, kept.sessions_epoch, kept.check_password(NEW)) == (False, 3, True)
