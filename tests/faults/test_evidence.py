"""Where evidence can't be kept, nothing is done: no space left for the log, no right to write it, and yesterday's data
put in the place of today's under running processes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from psycopg import sql

from config.embedded.postgres import ROLES, SUPERUSER
from tests.support.eventually import eventually
from tests.support.house import House
from tests.support.ordeal import BACK, UNLIMITED, assert_stands, count, known, looking, manage, under_load
from tests.support.outsiders import Agent, Executor, Person, fresh

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("everything_holds")]
READ: dict[str, Any] = {"action": "docs.read", "parameters": {"path": "/handbook"}}
LARGE: dict[str, Any] = {"parameters": {"amount_cents": 20_000, "currency": "usd"}}  # high: two of finance
STATUS = "SELECT count(*) FROM approvals_request WHERE id = %s AND status = %s"

# What PostgreSQL raises where a table's file can't grow, at the very statement that writes the entry.
_FULL = """
CREATE FUNCTION no_space_left() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
END $$;
CREATE TRIGGER no_space_left BEFORE INSERT ON audit_pending EXECUTE FUNCTION no_space_left()
"""
_SPACE = "DROP TRIGGER no_space_left ON audit_pending; DROP FUNCTION no_space_left()"
CAUSES = {
    "disk-full": (_FULL, _SPACE),
    "no-privilege": (
        f"REVOKE INSERT ON audit_pending FROM {ROLES['app']}",
        f"GRANT INSERT ON audit_pending TO {ROLES['app']}",
    ),
}


@contextmanager
def _no_evidence(house: House, cause: str) -> Iterator[None]:
    with looking(house) as owner:
        take, give_back = CAUSES[cause]
        owner.execute(take)
        try:
            yield
        finally:
            owner.execute(give_back)


def _rows(house: House) -> dict[str, int]:
    """How many there are of everything that an act could have changed."""
    tables = ("approvals_request", "approvals_decision", "approvals_notice", "approvals_rememberedanswer")
    found = {table: count(house, f"SELECT count(*) FROM {table}") for table in tables}
    redeemed = "SELECT count(*) FROM approvals_grant WHERE redeemed_at IS NOT NULL"
    moved = "SELECT count(*) FROM approvals_request WHERE status <> 'pending'"
    return {**found, "redeemed": count(house, redeemed), "moved": count(house, moved)}


@pytest.mark.parametrize("cause", CAUSES)
def test_without_a_place_for_evidence_nothing_is_done_and_denials_stand(house: House, cause: str) -> None:
    agent, executor = Agent(house), Executor(house)
    granted = agent.file(fresh("granted"), **READ)
    with Person(house, "support1") as person:
        waiting = agent.file(fresh("waiting"), timeout_seconds=600)["id"]
        form = person.open(waiting)
        due = agent.file(fresh("due"), timeout_seconds=2)
        with _no_evidence(house, cause):
            told = agent.read(due["id"], wait=30)
            assert (told["status"], told["decision"]["decided_at"]) == ("expired", due["expires_at"])
            before, name = _rows(house), fresh("refused")
            refused = agent.post(name)
            assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (
                503,
                "evidence-unavailable",
            )
            # The agent learns that it is so, and nothing of why.
            assert agent.post(fresh("refused"), **READ).json() == refused.json()
            for word in ("space", "audit_", "privilege", "denied", "insert", "sql"):
                assert word not in refused.text.lower()
            for verdict in ("approve", "reject"):
                answer = person.decide(waiting, form, verdict, rationale="What was typed is not lost.")
                assert answer.status_code == 503
                assert "What was typed is not lost." in answer.text
            assert executor.redeem(granted).status_code == 503
            assert _rows(house) == before
            # The sweep can't write either; whoever asks is told so all the same.
            assert count(house, STATUS, due["id"], "pending") == 1
            listed = agent.get("requests", limit=100).json()["results"]
            assert [one["status"] for one in listed if one["id"] == due["id"]] == ["expired"]
            assert person.approve(due["id"]) != 303
        eventually(lambda: count(house, STATUS, due["id"], "expired"), within=BACK, what="the sweep to catch up")
        assert person.decide(waiting, form).status_code == 303
        assert executor.redeem(granted).status_code == 200
        assert agent.post(name).status_code == 201


def test_space_that_runs_out_under_load_loses_nothing_that_was_acknowledged(house: House) -> None:
    with under_load(house) as load:
        for _ in range(2):
            load.goes_on()
            with _no_evidence(house, "disk-full"):
                before = _rows(house)
                for _ in range(5):
                    assert Agent(house).post(fresh("refused")).status_code == 503
                assert _rows(house) == before
        load.goes_on()
    assert_stands(house, load)


def test_with_the_grant_key_gone_nothing_is_allowed_or_approved_until_it_is_back(house: House) -> None:
    agent, executor = Agent(house), Executor(house)
    granted = agent.file(fresh("granted"), **READ)
    place = Path(known(house)["GRANT_KEY_PATH"])
    with Person(house, "support1") as person:
        waiting = agent.file(fresh("waiting"), timeout_seconds=600)["id"]
        form = person.open(waiting)
        place.rename(place.with_suffix(".gone"))
        try:
            assert agent.file(fresh("unsigned"), **READ)["status"] == "blocked"
            assert person.decide(waiting, form).status_code == 503
            assert agent.read(waiting)["status"] == "pending"
            assert executor.redeem(granted).status_code == 200  # it was signed before, by a key that is published
        finally:
            place.with_suffix(".gone").rename(place)
        assert person.decide(waiting, form).status_code == 303
    assert agent.file(fresh("signed"), **READ)["status"] == "approved"


# ---- yesterday's data


@contextmanager
def _superuser(house: House) -> Iterator[tuple[psycopg.Connection, str]]:
    """A connection as who started the servers, beside the house's database, and that one's name."""
    url = urlsplit(known(house)["DATABASE_URL"])
    (folder,) = parse_qs(url.query)["host"]
    with psycopg.connect(host=folder, user=SUPERUSER, dbname="postgres", autocommit=True) as connection:
        yield connection, url.path.removeprefix("/")


def _alone(connection: psycopg.Connection, name: str, *, alone: bool) -> None:
    """Let nobody connect to a database, and end who is; or let them again."""
    connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(sql.Identifier(name), not alone))
    if alone:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])


def _back_up(house: House) -> None:
    """Keep the database as it is, as `yesterday`."""
    with _superuser(house) as (connection, name):
        _alone(connection, name, alone=True)
        yesterday, owner = sql.Identifier("yesterday"), sql.Identifier(ROLES["owner"])
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(yesterday, sql.Identifier(name), owner)
        )
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(yesterday))
        for role in ROLES.values():
            connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(yesterday, sql.Identifier(role)))
        _alone(connection, name, alone=False)


def _restore(house: House) -> None:
    """Put `yesterday` in the place of the database, under everybody who is connected to it."""
    with _superuser(house) as (connection, name):
        _alone(connection, name, alone=True)
        connection.execute("DROP DATABASE IF EXISTS today WITH (FORCE)")
        for before, after in ((name, "today"), ("yesterday", name)):
            connection.execute(
                sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(before), sql.Identifier(after))
            )
        _alone(connection, name, alone=False)


def test_with_yesterdays_data_nothing_is_redeemed_until_somebody_answers_for_it(house: House) -> None:
    agent, executor = Agent(house), Executor(house)
    granted = agent.file(fresh("before"), **READ)
    large, edited = (agent.file(fresh("before"), **LARGE, timeout_seconds=900)["id"] for _ in range(2))
    with Person(house, "finance1") as first, Person(house, "finance2") as second:
        form, edit, kept = first.open(large), first.open(edited), second.open(large)
        _back_up(house)
        eventually(lambda: first.decide(large, form).status_code == 303, within=BACK, what="a vote after the backup")
        assert first.decide(edited, edit, parameters='{"amount_cents": 15000, "currency": "usd"}').status_code == 303
        seen = second.open(edited)  # what the edit made of it, which yesterday knows nothing of
        spent = agent.file(fresh("after"), **READ)
        eventually(lambda: executor.redeem(spent).status_code == 200, within=BACK, what="a redemption after the backup")
        _restore(house)

        # From the first request on, and as long as nobody answers for it, whoever is started anew.
        def refused() -> None:
            assert executor.redeem(granted).status_code == 503
            assert second.decide(large, kept).status_code == 503

        refused()
        assert "outside" in house.get("/readyz").json()["degraded"]
        house.stop()
        house.start(**UNLIMITED)
        refused()
        rejected = second.decide(large, kept, "reject", rationale="Not on yesterday's word.")
        assert rejected.status_code == 303
        _declare_the_fork(house)
        # Nobody approves what they did not see: the page showed an edit that is not there any more.
        assert second.decide(edited, seen).status_code == 409
        assert second.approve(edited) == 303
        assert agent.read(edited)["status"] == "pending"  # the first one's vote went with its day
    assert executor.redeem(granted).status_code == 410  # what was granted before the fork is void
    assert executor.redeem(agent.file(fresh("new"), **READ)).status_code == 200


def _declare_the_fork(house: House) -> None:
    declared = manage(house, "declare_fork", "--reason", "Yesterday's backup was restored.")
    assert declared.returncode == 0, declared.stdout + declared.stderr
    eventually(lambda: house.get("/readyz").json() == {"degraded": []}, within=BACK, what="the sealer to go on")
