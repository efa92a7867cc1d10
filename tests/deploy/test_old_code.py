"""The code in service runs on the newest schema: what a migration may not do is seen by running what it would break.

`deploy/baseline.tar.xz` is that code, kept in the tree so that no clone lacks it; its real processes work on a database
that the migrations of this checkout made.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from django.conf import settings
from psycopg import sql

from approvals.models import Request
from approvals.replay.tables import replay
from config.embedded.environment import for_process, for_role
from tests.support import sealing, services
from tests.support.cast import Cast
from tests.support.eventually import eventually
from tests.support.forms import fields_of
from tests.support.live import SLOW, Caller, Server, free_port
from tests.support.web import session_cookie

pytestmark = pytest.mark.timeout(600)  # a second house starts beside the suite's
ROOT = Path(settings.BASE_DIR)
WHY = "It matches our records."

# Asked in the old code: does each column that it knows stand, and can it leave out each that it does not know?
OLD_MODELS = """
import json
import django
django.setup()
from django.apps import apps
from django.db import connection
found = []
with connection.cursor() as cursor:
    for model in apps.get_models(include_auto_created=True):
        if model._meta.proxy:
            continue
        table, known = model._meta.db_table, {field.column: field for field in model._meta.concrete_fields}
        cursor.execute(
            "SELECT column_name, is_nullable = 'NO', character_maximum_length,"
            " column_default IS NULL AND is_identity = 'NO' AND is_generated = 'NEVER'"
            " FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = %s", [table])
        there = {name: rest for name, *rest in cursor.fetchall()}
        for column, field in known.items():
            if column not in there:
                found.append(f"{table}.{column} is gone")
                continue
            filled, length, _ = there[column]
            if filled and field.null:
                found.append(f"{table}.{column} may no longer be null")
            if length is not None and not field.generated and (field.max_length is None or field.max_length > length):
                found.append(f"{table}.{column} takes {length} characters only")
        for column, (filled, _, without_default) in there.items():
            if column not in known and filled and without_default:
                found.append(f"{table}.{column} needs a value that the old code does not give")
print(json.dumps([len(known), found]))
"""


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Path:
    """The tree of the code in service."""
    tree = tmp_path_factory.mktemp("old")
    with tarfile.open(ROOT / "deploy" / "baseline.tar.xz") as archive:
        archive.extractall(tree, filter="data")
    return tree


def in_old(tree: Path, told: dict[str, str]) -> dict[str, str]:
    """What a process of the old code is told, with this virtual environment in the place of its own."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    more = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(tree), "DJANGO_SETTINGS_MODULE": "config.settings"}
    return {**told, **more, "PATH": path}


def unfit_for(tree: Path, database: str) -> list[str]:
    """What the old code's models do not find in that database as they need it."""
    told = for_role("owner", services.process_environment())
    told |= {variable: services.url(role, database) for role, variable in services.VARIABLES.items()}
    done = subprocess.run(
        [sys.executable, "-c", OLD_MODELS],
        cwd=tree,
        env=in_old(tree, told),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    some, found = json.loads(done.stdout.splitlines()[-1])
    assert some > 0
    return list(found)


def test_every_column_that_the_old_code_knows_stands_and_it_may_leave_out_all_others(old: Path) -> None:
    assert unfit_for(old, services.database_name()) == []


TOO_EARLY = {
    "ALTER TABLE approvals_request DROP COLUMN summary CASCADE": "approvals_request.summary is gone",
    "ALTER TABLE agents_agent RENAME COLUMN purpose TO intent": "agents_agent.purpose is gone",
    "ALTER TABLE approvals_request ALTER COLUMN escalates_at SET NOT NULL": (
        "approvals_request.escalates_at may no longer be null"
    ),
    "ALTER TABLE approvals_request ALTER COLUMN resource TYPE varchar(20)": (
        "approvals_request.resource takes 20 characters only"
    ),
    # As Django adds a column: its default is the code's and not the database's.
    "ALTER TABLE approvals_decision ADD COLUMN mood text NOT NULL": (
        "approvals_decision.mood needs a value that the old code does not give"
    ),
}


def test_a_migration_that_contracts_too_early_is_noticed(old: Path) -> None:
    """Planted in a database of its own."""
    name = f"{services.database_name()}_contracted"
    with psycopg.connect(services.url("owner", "postgres"), autocommit=True) as owner:
        drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        owner.execute(drop)
        try:
            owner.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                    sql.Identifier(name), sql.Identifier(services.TEMPLATE)
                )
            )
            with psycopg.connect(services.url("owner", name)) as planting:
                for migration in TOO_EARLY:
                    planting.execute(migration)
            assert set(TOO_EARLY.values()) <= set(unfit_for(old, name))
        finally:
            owner.execute(drop)


@contextmanager
def running(tree: Path, name: str, log: Path, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the old code's Procfile, by its own entry point."""
    with log.open("wb") as written:
        started = subprocess.Popen(
            [tree / "deploy" / "run", name],
            env=in_old(tree, for_process(name, services.process_environment(**more))),
            stdout=written,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(started.pid, signal.SIGKILL)
            started.wait(10)


@pytest.fixture
def old_house(old: Path, cast: Cast, tmp_path: Path) -> Iterator[Server]:
    """Web, worker, beat and sealer of the old code, on this worker's database."""
    sealing.forget_outside_copies()  # of the logs of tests before: this one begins anew
    port = free_port()
    with ExitStack() as stack:
        log = tmp_path / "web.log"
        web = stack.enter_context(running(old, "web", log, HOST="127.0.0.1", PORT=str(port)))
        for name in ("worker", "beat", "sealer"):
            stack.enter_context(running(old, name, tmp_path / f"{name}.log", WORKERS="1"))
        server = Server(port, web, log)

        def ready() -> bool:
            try:
                answer = httpx.get(f"{server.url}/readyz", trust_env=False)
            except httpx.TransportError:
                return False
            return answer.status_code == 200 and answer.json() == {"degraded": []}

        eventually(ready, within=4 * SLOW, what=f"the old code to be ready: {server.said()[-2000:]}")
        yield server


def test_the_old_codes_processes_file_decide_redeem_and_expire_on_the_new_schema(old_house: Server, cast: Cast) -> None:
    agent, executor = Caller(old_house.url, cast.keys["agent"]), Caller(old_house.url, cast.keys["executor"])
    cookies = {settings.SESSION_COOKIE_NAME: session_cookie(cast["support1"])}
    with httpx.Client(base_url=old_house.url, cookies=cookies, trust_env=False, timeout=30) as person:

        def decided(request_id: str, **said: str) -> dict[str, Any]:
            form = fields_of(person.get(f"/requests/{request_id}/decide/"))
            posted = person.post(f"/requests/{request_id}/decide/", data={**form, "rationale": WHY, **said})
            assert posted.status_code == 303, posted.text
            return agent.read(request_id)

        def filed(**fields: Any) -> str:
            answer = agent.file(**fields)
            assert answer.status_code == 201, answer.text
            return str(answer.json()["id"])

        def redeemed(document: dict[str, Any]) -> None:
            told = {"grant": document["grant"], "parameters": document["decision"]["parameters"]}
            answer = executor.post("grants/redeem", told)
            assert answer.status_code == 200, answer.text
            outcome = executor.post(f"requests/{document['id']}/outcome", {"result": "succeeded"})
            assert outcome.status_code == 200, outcome.text

        overdue = filed(timeout_seconds=2)
        redeemed(decided(filed(), verdict="approve"))
        assert decided(filed(), verdict="reject")["status"] == "rejected"
        edit = json.dumps({"amount_cents": 4100, "currency": "USD"})
        amended = decided(filed(), verdict="approve", parameters=edit)
        assert amended["decision"]["amended"] is True
        redeemed(amended)
        asked = filed()
        form = fields_of(person.get(f"/requests/{asked}/decide/"))
        token = {"csrfmiddlewaretoken": form["csrfmiddlewaretoken"]}
        assert person.post(f"/requests/{asked}/ask/", data={**token, "text": WHY}).status_code == 303
        question = agent.read(asked)["question"]["id"]
        answer = agent.post(f"requests/{asked}/answer", {"question": question, "text": "Parcel 7, on Monday."})
        assert answer.status_code == 200, answer.text
        assert agent.post(f"requests/{asked}/withdraw").status_code == 200
        assert agent.file("nobody.knows").json()["status"] == "blocked"

    def swept() -> bool:
        return Request.objects.get(pk=overdue).status == "expired"

    eventually(swept, within=2 * SLOW, what="the old code's sweep")
    # What the old code wrote, this code reads: each request is what its evidence tells.
    told = replay()
    assert (told.requests, told.faults) == (6, [])
