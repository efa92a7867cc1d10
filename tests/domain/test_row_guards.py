"""What decides of people and agents is not written without its entry, tried by SQL as the role the application has."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from uuid_utils.compat import uuid7

from accounts import people
from accounts.models import Role, RoleGrant, User
from agents import stops
from agents.models import Stop
from approvals import queries
from audit.canonical import timestamp
from audit.entries import Draft, Party, record
from audit.limits import sqlstate_of
from audit.types import EntryType
from tests.support.cast import SETTING_UP
from tests.support.leaves import entries
from tests.support.worlds import HASH, WHY, World, make_world

NEVER, UNTOLD = "CS409", "CS422"
FORGER = Party("system", "forger")

Facts = Callable[[World], Mapping[str, Any]]


@dataclass(frozen=True)
class Told:
    """A statement of the forger's, and the entry with which a verb would write the same."""

    sql: str
    type: EntryType
    kind: str
    subject: str  # names what the world holds
    facts: Facts

    def entry(self, world: World) -> Draft:
        return Draft(self.type, FORGER, Party(self.kind, str(world[self.subject])), facts=self.facts(world))


def text(world: World, **names: str) -> dict[str, Any]:
    """Facts that are ids of the world."""
    return {fact: str(world[name]) for fact, name in names.items()}


MADE_AT = "2026-01-01T00:00:00.000000Z"
ENDS_AT = "2099-01-01T00:00:00.000000Z"

TOLD: dict[str, Told] = {
    "a person made": Told(
        "INSERT INTO accounts_user (id, email, name, is_active, password, sessions_epoch)"
        " VALUES (%(new)s, 'new@example.test', 'New', true, '!x', 0)",
        EntryType.PERSON_CREATED, "person", "new",
        lambda w: {"active": True, "password_digest": hashlib.sha256(b"!x").hexdigest()},
    ),
    "a password set": Told(
        "UPDATE accounts_user SET password = 'argon2$forged' WHERE id = %(person)s",
        EntryType.PERSON_CHANGED, "person", "person",
        lambda w: {"password_digest": hashlib.sha256(b"argon2$forged").hexdigest()},
    ),
    "a person reactivated": Told(
        "UPDATE accounts_user SET is_active = true WHERE id = %(gone)s",
        EntryType.PERSON_REACTIVATED, "person", "gone", lambda w: {"active": True},
    ),
    "a person deactivated": Told(
        "UPDATE accounts_user SET is_active = false WHERE id = %(person)s",
        EntryType.PERSON_DEACTIVATED, "person", "person", lambda w: {"active": False},
    ),
    "an address changed": Told(
        "UPDATE accounts_user SET email = 'forger@example.test' WHERE id = %(person)s",
        EntryType.PERSON_CHANGED, "person", "person", lambda w: {"changed": ["email"]},
    ),
    "a name changed": Told(
        "UPDATE accounts_user SET name = 'Ada Admin' WHERE id = %(person)s",
        EntryType.PERSON_CHANGED, "person", "person", lambda w: {"changed": ["name"]},
    ),
    "a team made": Told(
        "INSERT INTO accounts_team (id, slug, name) VALUES (%(new)s, 'shadow', 'Shadow')",
        EntryType.TEAM_CREATED, "team", "new", lambda w: {"slug": "shadow", "name": "Shadow"},
    ),
    "a seat given": Told(
        "INSERT INTO accounts_membership (id, user_id, team_id) VALUES (%(new)s, %(person)s, %(finance)s)",
        EntryType.TEAM_JOINED, "team", "finance", lambda w: text(w, person="person", seat="new"),
    ),
    "a seat taken": Told(
        "DELETE FROM accounts_membership WHERE id = %(seat)s",
        EntryType.TEAM_LEFT, "team", "support", lambda w: text(w, person="person", seat="seat"),
    ),
    "a role given": Told(
        "INSERT INTO accounts_rolegrant (id, user_id, role) VALUES (%(new)s, %(person)s, 'administrator')",
        EntryType.ROLE_GIVEN, "person", "person",
        lambda w: {"role": "administrator", "until": None, **text(w, role_grant="new")},
    ),
    "a role taken": Told(
        "DELETE FROM accounts_rolegrant WHERE id = %(role)s",
        EntryType.ROLE_TAKEN, "person", "person", lambda w: {"role": "auditor", **text(w, role_grant="role")},
    ),
    "a link made": Told(
        "INSERT INTO accounts_invitation (id, kind, person_id, token_sha256, expires_at)"
        f" VALUES (%(new)s, 'reset', %(person)s, %(hash)s, '{ENDS_AT}')",
        EntryType.PERSON_INVITED, "person", "person",
        lambda w: {
            "kind": "reset", "until": ENDS_AT, "token_digest": hashlib.sha256(HASH).hexdigest(), **text(w, link="new"),
        },
    ),
    "a link voided": Told(
        "UPDATE accounts_invitation SET voided_at = now() WHERE id = %(link)s",
        EntryType.PERSON_INVITED, "person", "invited", lambda w: text(w, voids="link"),
    ),
    "a link used": Told(
        "UPDATE accounts_invitation SET accepted_at = now() WHERE id = %(link)s",
        EntryType.PERSON_CHANGED, "person", "invited", lambda w: text(w, link="link"),
    ),
    "a change of rights proposed": Told(
        "INSERT INTO accounts_rightschange (id, kind, role, person_id, reason, proposed_by_id, expires_at)"
        f" VALUES (%(new)s, 'give-role', 'administrator', %(other)s, 'x', %(admin1)s, '{ENDS_AT}')",
        EntryType.RIGHTS_PROPOSED, "person", "other",
        lambda w: {
            "kind": "give-role", "role": "administrator", "until": ENDS_AT,
            **text(w, change="new", proposed_by="admin1"),
        },
    ),
    "a change of rights confirmed": Told(
        "UPDATE accounts_rightschange SET outcome = 'confirmed', ended_by_id = %(admin2)s, ended_at = now()"
        " WHERE id = %(change)s",
        EntryType.ROLE_GIVEN, "person", "person",
        lambda w: text(w, change="change", proposed_by="admin1", confirmed_by="admin2"),
    ),
    "a change of rights cancelled": Told(
        "UPDATE accounts_rightschange SET outcome = 'cancelled', ended_by_id = %(admin2)s, ended_at = now()"
        " WHERE id = %(change)s",
        EntryType.RIGHTS_CANCELLED, "person", "person",
        lambda w: {"outcome": "cancelled", **text(w, change="change", ended_by="admin2")},
    ),
    "a delegation made": Told(
        "INSERT INTO accounts_delegation (id, delegator_id, delegate_id, starts_at, ends_at, reason, named_by_id)"
        " VALUES (%(new)s, %(other)s, %(person)s, '2098-12-31', '2099-01-01', 'x', %(other)s)",
        EntryType.DELEGATION_MADE, "delegation", "new",
        lambda w: {
            "starts_at": "2098-12-31T00:00:00.000000Z", "ends_at": ENDS_AT,
            **text(w, delegator="other", delegate="person", named_by="other"),
        },
    ),
    "a delegation ended": Told(
        f"UPDATE accounts_delegation SET ended_at = '{MADE_AT}', ended_by_id = %(admin1)s WHERE id = %(delegation)s",
        EntryType.DELEGATION_ENDED, "delegation", "delegation",
        lambda w: {"ended_at": MADE_AT, **text(w, delegator="person", delegate="other", ended_by="admin1")},
    ),
    "hours set": Told(
        "INSERT INTO accounts_teamhours (team_id, weekdays, opens, closes, timezone)"
        " VALUES (%(finance)s, '{7}', '09:00', '10:30', 'UTC')",
        EntryType.TEAM_HOURS, "team", "finance",
        lambda w: {"weekdays": [7], "opens": "09:00:00.000000", "closes": "10:30:00.000000", "timezone": "UTC"},
    ),
    "hours changed": Told(
        "UPDATE accounts_teamhours SET weekdays = '{6,7}' WHERE team_id = %(support)s",
        EntryType.TEAM_HOURS, "team", "support",
        lambda w: {"weekdays": [6, 7], "opens": "09:00:00.000000", "closes": "17:00:00.000000", "timezone": "UTC"},
    ),
    "hours taken away": Told(
        "DELETE FROM accounts_teamhours WHERE team_id = %(support)s",
        EntryType.TEAM_HOURS, "team", "support", lambda w: {"hours": None},
    ),
    "a factor added": Told(
        "INSERT INTO mfa_authenticator (id, user_id, type, data, created_at)"
        " OVERRIDING SYSTEM VALUE"
        " SELECT 900001, %(other)s, type, data, now() FROM mfa_authenticator WHERE id = %(app)s",
        EntryType.PERSON_CHANGED, "person", "other",
        lambda w: {
            "change": "second-factor-added", "factor": "totp", "authenticator": "900001", "factor_digest": w["sealed"],
        },
    ),
    "a factor's secret swapped": Told(
        "UPDATE mfa_authenticator SET data = data || '{\"secret\": \"own\"}' WHERE id = %(app)s",
        EntryType.PERSON_CHANGED, "person", "person",
        lambda w: {
            "factor": "totp", "factor_digest": hashlib.sha256(b'{"secret": "own"}').hexdigest(),
            **text(w, authenticator="app"),
        },
    ),
    "a factor removed": Told(
        "DELETE FROM mfa_authenticator WHERE id = %(app)s",
        EntryType.PERSON_CHANGED, "person", "person",
        lambda w: {"change": "second-factor-removed", "factor": "totp", **text(w, authenticator="app")},
    ),
    "a provider's user linked": Told(
        "INSERT INTO socialaccount_socialaccount (id, user_id, provider, uid, last_login, date_joined, extra_data)"
        " OVERRIDING SYSTEM VALUE VALUES (900001, %(other)s, 'oidc', 'forged', now(), now(), '{}')",
        EntryType.PERSON_CHANGED, "person", "other",
        lambda w: {"what": "identity-linked", "account": "900001", "provider": "oidc"},
    ),
    "a provider's user unlinked": Told(
        "DELETE FROM socialaccount_socialaccount WHERE id = %(account)s",
        EntryType.PERSON_CHANGED, "person", "person",
        lambda w: {"what": "identity-unlinked", **text(w, account="account")},
    ),
    "an agent made": Told(
        "INSERT INTO agents_agent (id, slug, purpose, owner_id, level, state)"
        " VALUES (%(new)s, 'shadow', 'x', %(person)s, 3, 'active')",
        EntryType.AGENT_REGISTERED, "agent", "new",
        lambda w: {"slug": "shadow", "level": 3, "state": "active", **text(w, owner="person")},
    ),
    "an agent suspended": Told(
        "UPDATE agents_agent SET state = 'suspended' WHERE id = %(agent)s",
        EntryType.AGENT_SUSPENDED, "agent", "agent", lambda w: {"state": "suspended"},
    ),
    "an executor made": Told(
        "INSERT INTO agents_executor (id, slug) VALUES (%(new)s, 'shadow')",
        EntryType.AGENT_REGISTERED, "executor", "new", lambda w: {"slug": "shadow"},
    ),
    "a key made": Told(
        "INSERT INTO agents_credential (id, public_id, secret_sha256, scopes, executor_id, expires_at)"
        f" VALUES (%(new)s, 'forged00', %(hash)s, '{{grants:redeem}}', %(executor)s, '{ENDS_AT}')",
        EntryType.CREDENTIAL_ISSUED, "credential", "new",
        lambda w: {
            "key": "forged00", "scopes": ["grants:redeem"], "expires_at": ENDS_AT,
            "secret_digest": hashlib.sha256(HASH).hexdigest(), "holder": {"kind": "executor", **text(w, id="executor")},
        },
    ),
    "a key revoked": Told(
        f"UPDATE agents_credential SET revoked_at = '{MADE_AT}' WHERE id = %(key)s",
        EntryType.CREDENTIAL_REVOKED, "credential", "key",
        lambda w: {"key": w["public_id"], "revoked_at": MADE_AT},
    ),
    "a stop lifted": Told(
        f"UPDATE agents_stop SET lifted_at = '{MADE_AT}', lifted_by_id = %(admin1)s, lift_reason = 'x'"
        " WHERE number = 2",
        EntryType.STOP_LIFTED, "stop", "stop",
        lambda w: {"number": 2, "lifted_at": MADE_AT, **text(w, by="admin1")},
    ),
}  # fmt: skip

#: What no verb does, whatever is recorded.
NEVERS = {
    "an agent's owner": "UPDATE agents_agent SET owner_id = %(other)s",
    "an agent's level": "UPDATE agents_agent SET level = 1",
    "an agent's owner and state": "UPDATE agents_agent SET owner_id = %(other)s, state = 'suspended'",
    "an agent gone": "DELETE FROM agents_agent WHERE id = %(idle)s",
    "an executor's name": "UPDATE agents_executor SET slug = 'other'",
    "a key unrevoked": "UPDATE agents_credential SET revoked_at = NULL WHERE id = %(revoked)s",
    "a key extended": "UPDATE agents_credential SET expires_at = '2099-01-01' WHERE id = %(key)s",
    "a key widened": "UPDATE agents_credential SET scopes = scopes || '{audit:details}' WHERE id = %(key)s",
    "a key's secret": "UPDATE agents_credential SET secret_sha256 = %(hash)s WHERE id = %(key)s",
    "a key's holder": "UPDATE agents_credential SET executor_id = NULL, agent_id = %(agent)s WHERE id = %(key)s",
    "a key gone": "DELETE FROM agents_credential WHERE id = %(revoked)s",
    "a lifted stop": "UPDATE agents_stop SET lifted_at = NULL, lifted_by_id = NULL, lift_reason = '' WHERE number = 1",
    "a link unvoided": "UPDATE accounts_invitation SET voided_at = NULL WHERE id = %(void)s",
    "a link's token": "UPDATE accounts_invitation SET token_sha256 = %(hash)s WHERE id = %(link)s",
    "a link's person": "UPDATE accounts_invitation SET person_id = %(admin1)s WHERE id = %(link)s",
    "a link extended": "UPDATE accounts_invitation SET expires_at = '2099-01-01' WHERE id = %(link)s",
    "a link gone": "DELETE FROM accounts_invitation WHERE id = %(link)s",
    "a seat moved to a team": "UPDATE accounts_membership SET team_id = %(finance)s WHERE id = %(seat)s",
    "a seat moved to a person": "UPDATE accounts_membership SET user_id = %(admin1)s WHERE id = %(seat)s",
    "a role made another": "UPDATE accounts_rolegrant SET role = 'administrator' WHERE id = %(role)s",
    "a role extended": "UPDATE accounts_rolegrant SET expires_at = NULL WHERE id = %(role)s",
    "a change of rights made another": "UPDATE accounts_rightschange SET role = 'auditor' WHERE id = %(change)s",
    "a change of rights reopened": "UPDATE accounts_rightschange"
    " SET outcome = NULL, ended_by_id = NULL, ended_at = NULL WHERE id = %(ended)s",
    "a change of rights gone": "DELETE FROM accounts_rightschange WHERE id = %(change)s",
    "a team renamed": "UPDATE accounts_team SET slug = 'other' WHERE id = %(support)s",
    "a team gone": "DELETE FROM accounts_team WHERE slug = 'privacy'",
    "a person gone": "DELETE FROM accounts_user WHERE id = %(loose)s",
    "ended sessions": "UPDATE accounts_user SET sessions_epoch = 0 WHERE id = %(gone)s",
    "a factor moved": "UPDATE mfa_authenticator SET user_id = %(admin1)s WHERE id = %(app)s",
    "a factor made another": "UPDATE mfa_authenticator SET type = 'webauthn' WHERE id = %(app)s",
    "a spent code": "UPDATE mfa_authenticator SET data = data || '{\"spent\": 7}' WHERE id = %(app)s",
    "an unremembered code": "UPDATE mfa_authenticator SET data = data - 'spent' WHERE id = %(app)s",
    "a provider's user moved": "UPDATE socialaccount_socialaccount SET user_id = %(admin1)s",
    "a provider's user made another": "UPDATE socialaccount_socialaccount SET uid = 'forged'",
}  # fmt: skip


@pytest.fixture
def world(transactional_db: None) -> World:
    """One row of each kind that a forger may want to change."""
    return make_world()


def run(sql: str, world: World) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, {name: value for name, value in world.items() if f"%({name})s" in sql})
        assert cursor.rowcount > 0


@contextmanager
def refused(code: str) -> Iterator[None]:
    with pytest.raises(DatabaseError) as raised, transaction.atomic():
        yield
    assert sqlstate_of(raised.value) == code, raised.value


@pytest.mark.parametrize("name", NEVERS)
def test_a_row_changed_as_no_verb_does_is_refused(world: World, name: str) -> None:
    with refused(NEVER):
        run(NEVERS[name], world)


@pytest.mark.parametrize("name", TOLD)
def test_a_row_written_without_its_entry_is_refused(world: World, name: str) -> None:
    told = TOLD[name]
    with refused(UNTOLD):
        run(told.sql, world)
    draft = told.entry(world)
    with transaction.atomic():
        record(draft)  # in a transaction before
    with refused(UNTOLD):
        run(told.sql, world)
    with refused(UNTOLD):
        record(replace(draft, subject=Party(draft.subject.kind, str(uuid7()))))
        run(told.sql, world)
    with refused(UNTOLD):
        record(replace(draft, type=EntryType.EXPORT_MADE))
        run(told.sql, world)
    for fact, value in draft.facts.items():
        others: tuple[object, ...] = ([], None) if value is not None else ("x",)
        for other in others:
            with refused(UNTOLD):
                record(replace(draft, facts={**draft.facts, fact: other}))
                run(told.sql, world)
    with refused(UNTOLD):
        run(told.sql, world)
        _recorded_and_undone(draft)
    with transaction.atomic():  # nothing but its entry was missing
        run(told.sql, world)
        record(draft)


def _recorded_and_undone(draft: Draft) -> None:
    """Let the guards ask while the entry is there, and take the entry back."""
    with transaction.atomic(), connection.cursor() as cursor:
        record(draft)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        transaction.set_rollback(True)


def test_a_stop_begun_without_its_entry_is_refused(world: World) -> None:
    stops.lift(number=2, by=User.objects.get(pk=world["admin1"]), reason=WHY)
    begun = "INSERT INTO agents_stop (number, reason, lift_reason) VALUES (3, 'x', '')"
    with refused(UNTOLD):
        run(begun, world)
    with transaction.atomic():
        run(begun, world)
        record(Draft(EntryType.STOP_BEGUN, FORGER, Party("stop", "3"), facts={"number": 3, "by": None}))
    assert Stop.objects.get(lifted_at__isnull=True).number == 3


@pytest.mark.parametrize(
    ("whom", "values", "code"),
    [
        ("gone", "email = '', name = 'Erased person'", None),
        ("gone", "email = '', name = 'Ada Admin'", UNTOLD),
        ("gone", "email = 'forger@example.test', name = 'Erased person'", UNTOLD),
        ("gone", "email = '', name = 'Erased person', password = 'argon2$forged'", UNTOLD),
        ("person", "email = '', name = 'Erased person'", UNTOLD),
    ],
)
def test_an_erasure_lets_a_person_become_nobody_and_nothing_else(
    world: World, whom: str, values: str, code: str | None
) -> None:
    sql = f"UPDATE accounts_user SET {values} WHERE id = %({whom})s"
    erasure = Draft(EntryType.ERASURE, FORGER, Party("person", str(world[whom])), facts={"basis": "x"})
    if code is None:
        with refused(UNTOLD):
            run(sql, world)
    with refused(code) if code is not None else transaction.atomic():
        run(sql, world)
        record(erasure)


def test_a_link_that_begins_used_is_refused(world: World) -> None:
    made = TOLD["a link made"].sql.replace("expires_at)", "expires_at, accepted_at)").replace("Z')", "Z', now())")
    with refused(NEVER):
        run(made, world)


def test_what_a_verb_replaces_is_told_by_the_role_that_is_given(world: World) -> None:
    person = User.objects.get(pk=world["person"])
    ends = queries.clock() + timedelta(milliseconds=1)
    people.take_role(by=SETTING_UP, user=person, role=Role.AUDITOR)
    people.give_role(by=SETTING_UP, user=person, role=Role.AUDITOR, expires_at=ends)
    people.give_role(by=SETTING_UP, user=person, role=Role.AUDITOR)
    assert RoleGrant.objects.get(user=person, role=Role.AUDITOR).expires_at is None
    assert timestamp(ends) in [leaf["facts"]["until"] for leaf in entries("role.given")]
