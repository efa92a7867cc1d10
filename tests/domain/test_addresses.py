"""Whose an address is, and which new ones there may be: one rule each, the same in every place that asks."""

from __future__ import annotations

import importlib
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.test import Client
from uuid_utils.compat import uuid7

from accounts import directory, invitations
from accounts.acting import Refused
from accounts.addresses import same, whose
from accounts.models import Role, User
from accounts.people import create_person
from tests.support import services
from tests.support.cast import SETTING_UP, make_person
from tests.support.forms import fields_of

pytestmark = pytest.mark.django_db(transaction=True)
LOOK_ALIKES = ["ſam@example.test", "ѕam@example.test", "sam@example.teſt", "ｓam@example.test", "sam＠example.test"]


@pytest.mark.parametrize("address", ["sam@example.test", "SAM@Example.TEST", " sam@example.test "])
def test_whose_of_a_persons_address_in_any_case_is_theirs(address: str) -> None:
    sam = create_person(by=SETTING_UP, email="Sam@example.test", name="Sam")
    assert list(whose(address)) == [sam]
    assert directory.by_email(address) == sam
    assert User.objects.get_by_natural_key(address) == sam


@pytest.mark.parametrize("address", [*LOOK_ALIKES, "sam@example.test\x00", "", "am@example.test", "s%m@example.test"])
def test_whose_of_any_other_text_is_nobodys(address: str) -> None:
    create_person(by=SETTING_UP, email="sam@example.test", name="Sam")
    assert list(whose(address)) == []
    assert directory.by_email(address) is None
    assert not same(address, "sam@example.test")


def test_whose_of_a_dotless_i_is_not_the_administrator() -> None:
    create_person(by=SETTING_UP, email="admin1@example.test", name="Ada")
    assert not whose("admın1@example.test").exists()
    assert not whose("ADMİN1@example.test").exists()


@pytest.mark.parametrize("address", ["SAM@example.test", "ｓam@example.test", "sam＠example.test"])
def test_create_of_an_address_that_looks_alike_is_refused(address: str) -> None:
    create_person(by=SETTING_UP, email="sam@example.test", name="Sam")
    with pytest.raises(IntegrityError), transaction.atomic():
        create_person(by=SETTING_UP, email=address, name="Other")


@pytest.mark.parametrize("address", ["admın1@example.test", "ſam@example.test", "ѕam@example.test", "é@example.test"])
def test_fit_email_of_a_name_beyond_ascii_is_refused(address: str) -> None:
    with pytest.raises(Refused):
        invitations.fit_email(address)


def test_migration_of_addresses_that_clash_names_their_ids() -> None:
    migration = importlib.import_module("accounts.migrations.0005_addresses_alike")
    sam = create_person(by=SETTING_UP, email="sam@example.test", name="Sam")
    with services.connection("owner") as owner, owner.transaction(force_rollback=True):
        asking = SimpleNamespace(connection=owner)
        migration.refuse_clashes(apps, asking)
        owner.execute("ALTER TABLE accounts_user DROP CONSTRAINT no_two_addresses_alike")
        other = uuid7()
        owner.execute(
            "INSERT INTO accounts_user (id, email, name, password, is_active, sessions_epoch)"
            " VALUES (%s, 'ｓam@example.test', 'Other', '', true, 0)",
            [other],
        )
        with pytest.raises(RuntimeError, match=f"{sam.pk}, {other}"):
            migration.refuse_clashes(apps, asking)


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("issue_key", ["--auditor", "ſupport1@example.test"]),
        ("register_agent", ["new", "--owner", "ſupport1@example.test", "--purpose", "To try.", "--level", "1"]),
    ],
)
def test_commands_given_a_look_alike_find_nobody(command: str, arguments: list[str]) -> None:
    make_person("support1", roles=[Role.AUDITOR])
    with pytest.raises(CommandError, match=r"ſupport1@example\.test"):
        call_command(command, *arguments)


def test_a_reset_asked_for_by_a_look_alike_mails_nobody() -> None:
    make_person("support1")
    client = Client()
    page = client.get("/accounts/password/reset/")
    for address in ("ſupport1@example.test", "nobody@example.test"):
        answer = client.post("/accounts/password/reset/", {**fields_of(page), "email": address})
        assert answer.status_code == 302
    assert mail.outbox == []


def test_a_reset_is_mailed_to_the_kept_address_with_a_link_of_ours() -> None:
    make_person("support1")
    client = Client(headers={"host": "localhost:6666"})
    client.post("/accounts/password/reset/", {"email": "SUPPORT1@example.test"})
    (letter,) = mail.outbox
    assert letter.to == ["support1@example.test"]
    assert "http://localhost:8000/accounts/password/reset/key/" in letter.body
    assert "6666" not in f"{letter.subject} {letter.body}"
