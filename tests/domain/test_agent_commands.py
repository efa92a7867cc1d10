"""Agents and their keys by command, until there are pages: what is made is what was asked, every slip is a sentence."""

from __future__ import annotations

import io
import re

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from agents.models import Agent, Credential
from audit.canonical import timestamp
from tests.support.cast import Cast, make_cast
from tests.support.leaves import entries


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    """The owner, an auditor, an administrator."""
    return make_cast(only=("admin1", "auditor1"))


def run(*command: str) -> str:
    out = io.StringIO()
    call_command(*command, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_an_agent_is_registered_with_an_owner_and_its_key_files_and_reads(cast: Cast) -> None:
    owner = cast["owner1"]
    run("register_agent", "mailer", "--owner", owner.email.upper(), "--purpose", "Sends letters.", "--level", "2")
    agent = Agent.objects.get(slug="mailer")
    assert (agent.owner, agent.level, agent.purpose) == (owner, 2, "Sends letters.")
    text = run("issue_key", "--agent", "mailer").strip()
    assert re.fullmatch(r"csk_[0-9A-Za-z]{8}_[0-9A-Za-z]{49}", text)
    credential = Credential.objects.get(agent=agent)
    assert credential.public_id == text.split("_")[1]
    assert credential.scopes == ["outcomes:report", "requests:file", "requests:read"]
    assert [leaf["actor"] for leaf in entries("credential.issued")][-1] == {"kind": "system", "id": "operator"}


def test_an_executors_key_redeems_and_an_auditors_reads_the_log(cast: Cast) -> None:
    run("register_agent", "mail-gateway", "--executor")
    run("issue_key", "--executor", "mail-gateway", "--days", "30")
    assert Credential.objects.get(executor__slug="mail-gateway").scopes == ["grants:redeem", "outcomes:report"]
    run("issue_key", "--auditor", cast["auditor1"].email, "--scope", "audit:read", "--scope", "audit:details")
    assert Credential.objects.filter(auditor=cast["auditor1"]).latest("created_at").scopes == [
        "audit:details", "audit:read",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("register_agent", "x y", "--executor"), "letters, digits"),
        (("register_agent", "helpdesk", "--executor"), None),  # an executor may have an agent's name
        (("register_agent", "mailer", "--level", "2", "--purpose", "x"), "--owner"),
        (("register_agent", "mailer", "--level", "2", "--purpose", "x", "--owner", "no@example.test"), "Nobody active"),
        (("issue_key", "--agent", "nobody"), "There is no agent"),
        (("issue_key", "--agent", "helpdesk", "--days", "0"), "every key expires"),
        (("issue_key", "--auditor", "admin1@example.test"), "no auditor"),
    ],
)
def test_a_slip_is_a_sentence(cast: Cast, command: tuple[str, ...], said: str | None) -> None:
    if said is None:
        run(*command)
        return
    with pytest.raises(CommandError, match=said):
        run(*command)


def test_two_agents_of_one_name_there_are_not(cast: Cast) -> None:
    with pytest.raises(CommandError, match="already"):
        run("register_agent", "helpdesk", "--owner", cast["owner1"].email, "--purpose", "x", "--level", "1")


def test_a_key_is_revoked_by_its_public_id_at_once_and_once(cast: Cast) -> None:
    text = run("issue_key", "--agent", "helpdesk").strip()
    public_id = text.split("_")[1]
    bearer = {"Authorization": f"Bearer {text}"}
    assert Client().get("/api/v1/requests", headers=bearer).status_code == 200
    assert "a key of agent helpdesk" in run("revoke_key", public_id)
    assert Client().get("/api/v1/requests", headers=bearer).status_code == 401
    (entry,) = entries("credential.revoked")
    revoked_at = Credential.objects.get(public_id=public_id).revoked_at
    assert revoked_at is not None
    assert entry["facts"] == {"key": public_id, "revoked_at": timestamp(revoked_at)}
    for wrong, said in ((public_id, "No key in use"), ("nobody00", "No key in use"), (text, "does not belong")):
        with pytest.raises(CommandError, match=said):
            run("revoke_key", wrong)
