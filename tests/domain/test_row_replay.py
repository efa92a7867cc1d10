"""The log told once more against people's and agents' rows: a fault for each row that its owner changed behind it."""

from __future__ import annotations

import pytest
from allauth.mfa.models import Authenticator
from django.core.management import call_command
from django.db import connection

from accounts import invitations
from accounts.models import User
from approvals.replay.tables import replay
from audit.entries import Draft, Party, record
from audit.erasure import erase_details
from audit.models import Pending
from audit.types import EntryType
from tests.support import sealing
from tests.support.colleagues import acting
from tests.support.database_roles import default_connection_as
from tests.support.forging import forging
from tests.support.worlds import World, make_world

#: What a forger writes who owns the database, and what the replay then says of it.
FORGED: dict[str, tuple[str, str]] = {
    "a person made": (
        "INSERT INTO accounts_user (id, email, name, is_active, password, sessions_epoch)"
        " VALUES (%(new)s, 'new@example.test', 'New', true, '!x', 0)",
        "accounts_user {new}: a row without any entry",
    ),
    "a person gone": ("DELETE FROM accounts_user WHERE id = %(loose)s", "accounts_user {loose}: the log has this row"),
    "a password": (
        "UPDATE accounts_user SET password = 'argon2$forged' WHERE id = %(person)s",
        "accounts_user {person}: password_digest: not as the log has it",
    ),
    "an address": (
        "UPDATE accounts_user SET email = 'forger@example.test' WHERE id = %(person)s",
        "accounts_user {person}: email: not as the log has it",
    ),
    "a name": (
        "UPDATE accounts_user SET name = 'Ada Admin' WHERE id = %(person)s",
        "accounts_user {person}: name: not as the log has it",
    ),
    "somebody reactivated": (
        "UPDATE accounts_user SET is_active = true WHERE id = %(gone)s",
        "accounts_user {gone}: active: not as the log has it",
    ),
    "a seat given": (
        "INSERT INTO accounts_membership (id, user_id, team_id) VALUES (%(new)s, %(person)s, %(finance)s)",
        "accounts_membership {person} of {finance}: a row without an entry",
    ),
    "a seat taken": (
        "DELETE FROM accounts_membership WHERE id = %(seat)s",
        "accounts_membership {person} of {support}: the log has this row, and the table does not",
    ),
    "a seat moved": (
        "UPDATE accounts_membership SET user_id = %(admin1)s WHERE id = %(seat)s",
        "accounts_membership {admin1} of {support}: a row without an entry",
    ),
    "a role given": (
        "INSERT INTO accounts_rolegrant (id, user_id, role) VALUES (%(new)s, %(person)s, 'administrator')",
        "accounts_rolegrant administrator of {person}: a row without an entry",
    ),
    "a role extended": (
        "UPDATE accounts_rolegrant SET expires_at = NULL WHERE id = %(role)s",
        "accounts_rolegrant auditor of {person}: until: not as the log has it",
    ),
    "a role taken": (
        "DELETE FROM accounts_rolegrant WHERE id = %(role)s",
        "accounts_rolegrant auditor of {person}: the log has this row, and the table does not",
    ),
    "a link's token": (
        "UPDATE accounts_invitation SET token_sha256 = %(hash)s WHERE id = %(link)s",
        "accounts_invitation {link} of {invited}: token_digest: not as the log has it",
    ),
    "a link unvoided": (
        "UPDATE accounts_invitation SET voided_at = NULL WHERE id = %(void)s",
        "accounts_invitation {void} of {gone}: state: not as the log has it",
    ),
    "a link made": (
        "INSERT INTO accounts_invitation (id, kind, person_id, token_sha256, expires_at)"
        " VALUES (%(new)s, 'reset', %(person)s, %(hash)s, '2099-01-01')",
        "accounts_invitation {new} of {person}: a row without an entry",
    ),
    "a change confirmed": (
        "UPDATE accounts_rightschange SET outcome = 'confirmed', ended_by_id = %(admin2)s, ended_at = now()"
        " WHERE id = %(change)s",
        "accounts_rightschange {change} of {person}: outcome: not as the log has it",
    ),
    "a change's reason": (
        "UPDATE accounts_rightschange SET reason = 'Because.' WHERE id = %(change)s",
        "accounts_rightschange {change} of {person}: reason: not as the log has it",
    ),
    "a change of others": (
        "UPDATE accounts_rightschange SET kind = 'take-role' WHERE id = %(ended)s",
        "accounts_rightschange {ended} of {person}: kind: not as the log has it",
    ),
    "a delegation of others": (
        "UPDATE accounts_delegation SET delegate_id = %(admin1)s WHERE id = %(delegation)s",
        "accounts_delegation {delegation}: delegate: not as the log has it",
    ),
    "a delegation made": (
        "INSERT INTO accounts_delegation (id, delegator_id, delegate_id, starts_at, ends_at, reason, named_by_id)"
        " VALUES (%(new)s, %(other)s, %(person)s, '2098-12-31', '2099-01-01', 'x', %(other)s)",
        "accounts_delegation {new}: a row without any entry",
    ),
    "a team's hours": (
        "UPDATE accounts_teamhours SET weekdays = '{{6,7}}' WHERE team_id = %(support)s",
        "accounts_teamhours {support}: weekdays: not as the log has it",
    ),
    "a team's name": (
        "UPDATE accounts_team SET slug = 'other' WHERE id = %(finance)s",
        "accounts_team {finance}: slug: not as the log has it",
    ),
    "a factor's secret": (
        'UPDATE mfa_authenticator SET data = data || \'{{"secret": "own"}}\' WHERE id = %(app)s',
        "mfa_authenticator {app} of {person}: factor_digest: not as the log has it",
    ),
    "a factor moved": (
        "UPDATE mfa_authenticator SET user_id = %(admin1)s WHERE id = %(app)s",
        "mfa_authenticator {app} of {admin1}: a row without an entry",
    ),
    "a provider's user": (
        "UPDATE socialaccount_socialaccount SET uid = 'forged' WHERE id = %(account)s",
        "socialaccount_socialaccount {account} of {person}: uid: not as the log has it",
    ),
    "a provider's user moved": (
        "UPDATE socialaccount_socialaccount SET user_id = %(admin1)s WHERE id = %(account)s",
        "socialaccount_socialaccount {account} of {admin1}: a row without an entry",
    ),
    "an agent's owner": (
        "UPDATE agents_agent SET owner_id = %(other)s WHERE id = %(agent)s",
        "agents_agent {agent}: owner: not as the log has it",
    ),
    "an agent's level": (
        "UPDATE agents_agent SET level = 3 WHERE id = %(idle)s",
        "agents_agent {idle}: level: not as the log has it",
    ),
    "an agent's state": (
        "UPDATE agents_agent SET state = 'suspended' WHERE id = %(agent)s",
        "agents_agent {agent}: state: not as the log has it",
    ),
    "an agent's purpose": (
        "UPDATE agents_agent SET purpose = 'All.' WHERE id = %(agent)s",
        "agents_agent {agent}: purpose: not as the log has it",
    ),
    "an executor made": (
        "INSERT INTO agents_executor (id, slug) VALUES (%(new)s, 'shadow')",
        "agents_executor {new}: a row without any entry",
    ),
    "a key widened": (
        "UPDATE agents_credential SET scopes = scopes || '{{audit:details}}' WHERE id = %(key)s",
        "agents_credential {key}: scopes: not as the log has it",
    ),
    "a key extended": (
        "UPDATE agents_credential SET expires_at = '2099-01-01' WHERE id = %(key)s",
        "agents_credential {key}: expires_at: not as the log has it",
    ),
    "a key's secret": (
        "UPDATE agents_credential SET secret_sha256 = %(hash)s WHERE id = %(key)s",
        "agents_credential {key}: secret_digest: not as the log has it",
    ),
    "a key unrevoked": (
        "UPDATE agents_credential SET revoked_at = NULL WHERE id = %(revoked)s",
        "agents_credential {revoked}: revoked: not as the log has it",
    ),
    "a key made": (
        "INSERT INTO agents_credential (id, public_id, secret_sha256, scopes, executor_id, expires_at)"
        " VALUES (%(new)s, 'forged00', %(hash)s, '{{grants:redeem}}', %(executor)s, '2099-01-01')",
        "agents_credential {new}: a row without any entry",
    ),
    "a stop lifted": (
        "UPDATE agents_stop SET lifted_at = now(), lifted_by_id = %(admin1)s, lift_reason = 'x' WHERE number = 2",
        "agents_stop 2: lifted_by: not as the log has it",
    ),
    "a stop's reason": (
        "UPDATE agents_stop SET reason = 'Other.' WHERE number = 1",
        "agents_stop 1: reason: not as the log has it",
    ),
}


@pytest.fixture
def world(transactional_db: None) -> World:
    """One row of each kind, and nothing to say of them."""
    made = make_world()
    assert replay().faults == []
    return made


def forge(sql: str, world: World) -> list[str]:
    """What the replay says after somebody who owns the database changed a row."""
    with forging(), connection.cursor() as cursor:
        cursor.execute(sql.replace("{{", "{").replace("}}", "}"), {n: v for n, v in world.items() if f"%({n})s" in sql})
        assert cursor.rowcount > 0
    return replay().faults


@pytest.mark.parametrize("name", FORGED)
def test_a_row_forged_behind_the_guards_is_a_fault(world: World, name: str) -> None:
    sql, said = FORGED[name]
    faults = forge(sql, world)
    assert any(fault.startswith(said.format_map(world)) for fault in faults), faults


def test_the_rows_hold_once_everything_is_sealed_too(world: World) -> None:
    sealing.seal_all()
    assert not Pending.objects.exists()
    assert replay().faults == []


def test_a_head_that_is_the_forgers_own_hides_nothing(world: World) -> None:
    faults = forge("INSERT INTO agents_executor (id, slug) VALUES (%(new)s, 'shadow')", world)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit_head (subject_kind, subject_id, ordinal) VALUES ('executor', %s, 1)", [str(world["new"])]
        )
    assert replay().faults == faults != []


def test_a_head_that_is_renamed_hides_no_subject(world: World) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE audit_head SET subject_id = 'x' WHERE subject_id = %s", [str(world["idle"])])
    faults = forge("UPDATE agents_agent SET level = 3 WHERE id = %(idle)s", world)
    assert faults == [f"agents_agent {world['idle']}: level: not as the log has it"]


def test_details_that_were_erased_are_not_compared_and_lost_ones_are_a_fault(world: World) -> None:
    person = Party("person", str(world["person"]))
    lost = forge("DELETE FROM audit_detail WHERE subject_id = %(person)s::text", world)
    assert f"accounts_user {person.id}: name: the details of its entry are gone" in "\n".join(lost)
    with default_connection_as("eraser"):
        erase_details(subjects=[person], basis="asked for", by=Party("operator", "test"))
    assert replay().faults == []


def second_factor_gone(world: World) -> None:
    for factor in Authenticator.objects.filter(user_id=world["other"]):
        factor.delete()


def test_entries_from_before_rows_were_named_are_followed_as_far_as_they_go(world: World) -> None:
    """Links, factors and identities of earlier releases: as many unnamed rows as entries tell of, and none more."""
    person = Party("person", str(world["other"]))
    with forging(), connection.cursor() as cursor:
        for facts in (
            {"kind": "reset", "until": "2026-01-01T00:00:00.000000Z"},
            {"change": "second-factor-added", "factor": "totp"},
            {"what": "identity-linked"},
            {"what": "password-changed"},
        ):
            kind = EntryType.PERSON_INVITED if "kind" in facts else EntryType.PERSON_CHANGED
            record(Draft(kind, person, person, facts=facts))
        cursor.execute(
            "INSERT INTO mfa_authenticator (user_id, type, data, created_at)"
            " SELECT %(other)s, type, data, created_at FROM mfa_authenticator",
            world,
        )
        cursor.execute(
            "INSERT INTO socialaccount_socialaccount (user_id, provider, uid, last_login, date_joined, extra_data)"
            " SELECT %(other)s, provider, 'other', now(), now(), '{}' FROM socialaccount_socialaccount",
            world,
        )
        cursor.execute(
            "INSERT INTO accounts_invitation (id, kind, person_id, token_sha256, expires_at)"
            " VALUES (%(new)s, 'reset', %(other)s, %(hash)s, '2026-01-01')",
            world,
        )
        User.objects.filter(pk=world["other"]).update(password="argon2$of before")
    assert replay().faults == []
    by = acting(User.objects.get(pk=world["admin1"]))
    invitations.invite_again(by=by, person_id=world["other"])  # which makes the unnamed link void
    call_command("reseal_secrets")  # which names the factor
    assert replay().faults == []
    second_factor_gone(world)
    assert replay().faults == []
    again = "INSERT INTO socialaccount_socialaccount (user_id, provider, uid, last_login, date_joined, extra_data)"
    faults = forge(f"{again} VALUES (%(other)s, 'oidc', 'forged', now(), now(), '{{}}')", world)
    assert len(faults) == 1
    assert "a row without an entry" in faults[0]
