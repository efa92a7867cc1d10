"""The first administrator, by the command: once, by a link that is good once, and again while nobody has used one."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.models import Invitation, Role, User
from accounts.people import teams_and_roles_of
from approvals import queries
from tests.support.cast import make_cast
from tests.support.forging import forging
from tests.support.leaves import entries

pytestmark = pytest.mark.django_db(transaction=True)
PASSWORD = "a wholly different passphrase"


def set_up(capsys: pytest.CaptureFixture[str], email: str = "ada@house.example") -> tuple[str, str]:
    """What the command printed, and the path of its link."""
    call_command("setup", email=email, name="Ada Brandt")
    told = capsys.readouterr().out
    return told, "/accounts/setup/" + told.partition("/accounts/setup/")[2].split()[0]


def accept(path: str) -> int:
    return Client().post(path, {"password1": PASSWORD, "password2": PASSWORD}).status_code


def test_the_first_administrator_chooses_a_password_by_a_link_of_an_hour_and_administers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told, path = set_up(capsys)
    assert "No policy is in force" in told
    left = Invitation.objects.get().expires_at - queries.clock()
    assert timedelta(minutes=59) < left <= timedelta(hours=1)
    assert accept(path) == 303
    assert accept(path) == 410
    client = Client()
    assert client.post("/accounts/login/", {"login": "ada@house.example", "password": PASSWORD}).status_code == 302
    assert client.get("/people/").status_code == 200
    (given,) = entries("role.given")
    assert (given["actor"]["id"], given["facts"]["bootstrap"]) == ("operator", True)


def test_once_an_administrator_can_sign_in_it_refuses_and_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    _, path = set_up(capsys)
    assert accept(path) == 303
    for email in ("ada@house.example", "eve@house.example"):
        with pytest.raises(CommandError, match="There is an administrator already") as refused:
            call_command("setup", email=email, name="Eve")
        assert refused.value.returncode == 1
    assert User.objects.count() == 1
    assert not Invitation.objects.filter(accepted_at__isnull=True).exists()


def test_before_that_a_lost_link_is_replaced_and_who_was_named_by_mistake_is_not_left_behind(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, wrong = set_up(capsys, "ado@house.example")
    _, lost = set_up(capsys)
    _, path = set_up(capsys)
    assert accept(wrong) == 410
    assert accept(lost) == 410
    mistaken = User.objects.get(email="ado@house.example")
    assert not mistaken.is_active
    assert Role.ADMINISTRATOR not in teams_and_roles_of(mistaken)[1]
    assert accept(path) == 303


def test_in_the_demo_there_are_administrators_already() -> None:
    cast = make_cast(only=("admin1",))
    with forging():
        User.objects.filter(pk=cast["admin1"].pk).update(password="argon2$it is one")
    with pytest.raises(CommandError, match="There is an administrator already"):
        call_command("setup", email="eve@house.example", name="Eve")


def test_an_address_that_is_none_is_said() -> None:
    with pytest.raises(CommandError, match="no e-mail address"):
        call_command("setup", email="eve", name="Eve")
