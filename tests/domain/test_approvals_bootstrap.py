"""The first policy version, by the command: into an empty database, or not at all and with every reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from accounts import people
from approvals import policies
from approvals.models import PolicyVersion
from tests.support.cast import SETTING_UP
from tests.support.leaves import entries

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_demos_pack_is_put_in_force_once_its_teams_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CommandError, match="finance"):
        call_command("bootstrap_policy", "demo")
    assert policies.in_force().pack is None
    for team in ("support", "finance", "privacy", "security"):
        people.create_team(by=SETTING_UP, slug=team, name=team)
    call_command("bootstrap_policy", "demo")
    assert PolicyVersion.objects.get().digest in capsys.readouterr().out
    assert policies.in_force().pack is not None
    assert [leaf["facts"]["number"] for leaf in entries("policy.bootstrapped")] == [1]
    with pytest.raises(CommandError, match="already"):
        call_command("bootstrap_policy", "demo")


def test_a_folder_that_is_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no folder"):
        call_command("bootstrap_policy", str(tmp_path / "nowhere"))
