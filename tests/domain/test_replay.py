"""The log told once more against the tables: nothing to say of what the verbs did, a fault for each row touched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction

from approvals import expiry, grants, queries, questions, redemption, requests
from approvals.models import Request
from approvals.models.request import AMENDMENT
from approvals.replay import nightly
from approvals.replay.tables import replay
from audit import health
from audit.entries import Draft, Party, record
from audit.erasure import UnknownSubject, erase_details
from audit.models import Detail, Pending
from audit.types import EntryType
from tests.support import sealing, services
from tests.support.cast import Cast, decide, file_request, make_cast, password_proof
from tests.support.database_roles import default_connection_as
from tests.support.eventually import eventually
from tests.support.leaves import entries

LARGE = {"amount_cents": 20_000}
APPROVED = (
    "UPDATE approvals_request SET status = 'approved', decided_at = now(), reason = 'Approved.', valid_until = now()"
    " WHERE id = %s"
)
COLUMNS = [field.column for field in Request._meta.fields if field.name in AMENDMENT]
REDEEMED = (
    "UPDATE approvals_grant SET redeemed_at = now(), redeemed_by_id = (SELECT id FROM agents_credential LIMIT 1)"
    " WHERE request_id = %s"
)
TAKEN_BACK = f"UPDATE approvals_request SET {', '.join(f'{name} = NULL' for name in COLUMNS)} WHERE id = %s"
REMOVED = (
    "WITH gone AS (DELETE FROM approvals_request WHERE id = %s RETURNING id)"
    " DELETE FROM approvals_notice USING gone WHERE request_id = gone.id"
)
ANSWERED = (
    "UPDATE approvals_question SET answer_text = 'So.', answered_at = now()"
    " WHERE request_id = %s AND answered_at IS NULL"
)


@pytest.fixture
def cast(transactional_db: None) -> Iterator[Cast]:
    """helpdesk, two of finance, one of support; a log that is being sealed."""
    with sealing.running():
        yield make_cast(only=("support1", "finance1", "finance2"))


@pytest.fixture
def lived(cast: Cast) -> dict[str, Request]:
    """One request of each end, by its name."""
    made = {
        "approved": file_request(cast, parameters=LARGE),
        "redeemed": file_request(cast),
        "rejected": file_request(cast),
        "withdrawn": file_request(cast),
        "expired": file_request(cast, timeout_seconds=1),
        "blocked": file_request(cast, "backup.delete"),
        "allowed": file_request(cast, "docs.read"),
        "half": file_request(cast, parameters=LARGE),
        "pending": file_request(cast),
        "edited": file_request(cast, parameters=LARGE),
        "reworked": file_request(cast, parameters=LARGE),
        "asked": file_request(cast),
    }
    for name, people in {
        "approved": ("finance1", "finance2"),
        "redeemed": ("support1",),
        "half": ("finance1",),
    }.items():
        for person in people:
            decide(made[name], cast[person])
    for name in ("edited", "reworked"):  # a vote falls, and where both agree to the edit it is approved
        decide(made[name], cast["finance1"])
        decide(made[name], cast["finance2"], parameters='{"amount_cents": 15000, "currency": "USD"}')
    decide(Request.objects.get(pk=made["reworked"].pk), cast["finance1"])
    for text in ("Which parcel?", "And when?"):
        asked = questions.ask(person=cast["support1"], request_id=made["asked"].pk, text=text, auth=password_proof())
        if text == "Which parcel?":
            questions.answer(agent=cast.agent, request_id=made["asked"].pk, question=str(asked.pk), text="That one.")
    decide(made["rejected"], cast["support1"], "reject", rationale="No such parcel is known here.")
    requests.withdraw(agent=cast.agent, request_id=made["withdrawn"].pk, reason="")
    eventually(lambda: expiry.expire_due() == 1, within=5, what="the deadline of one second")
    request = Request.objects.select_related("grant").get(pk=made["redeemed"].pk)
    redemption.redeem(
        credential=cast.credentials["executor"],
        token=grants.token(request.grant, request, queries.clock()) or "",
        parameters=request.parameters,
        action=None,
        resource=None,
    )
    requests.report_outcome(
        credential=cast.credentials["agent"],
        request_id=request.pk,
        result="succeeded",
        response_code=None,
        detail=None,
    )
    return made


def touched(sql: str, *parameters: Any) -> list[str]:
    """What the replay says after somebody who owns the database changed rows behind the triggers' back."""
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        assert owner.execute(sql, parameters).rowcount >= 1
    return replay().faults


def test_of_what_the_verbs_did_there_is_nothing_to_say_sealed_or_not(cast: Cast, lived: dict[str, Request]) -> None:
    done = replay()
    assert (done.faults, done.fault_count) == ([], 0)
    assert done.requests == len(lived)
    eventually(lambda: not Pending.objects.exists(), within=10, what="everything to be sealed")
    assert replay().faults == []


@pytest.mark.parametrize(
    ("name", "sql", "said"),
    [
        ("half", APPROVED, "the row says approved, the log pending"),
        ("rejected", "UPDATE approvals_request SET status = 'withdrawn' WHERE id = %s", "the row says withdrawn"),
        ("half", "UPDATE approvals_request SET expires_at = expires_at + interval '1 h' WHERE id = %s", "deadline"),
        ("approved", REDEEMED, "whether it was redeemed"),
        ("half", "UPDATE approvals_decision SET voided_at = now() WHERE request_id = %s", "about who decided"),
        ("half", "DELETE FROM approvals_decision WHERE request_id = %s", "about who decided"),
        ("approved", "UPDATE approvals_grant SET id = gen_random_uuid() WHERE request_id = %s", "another grant"),
        ("edited", TAKEN_BACK, "about an edit"),
        ("half", "UPDATE approvals_request SET quorum = '[]' WHERE id = %s", "whom policy asks"),
        ("edited", "UPDATE approvals_request SET amended_quorum = '[]' WHERE id = %s", "whom policy asks"),
        ("asked", ANSWERED, "about the open question"),
        ("pending", REMOVED, "entries without a row"),
    ],
)
def test_a_row_changed_behind_the_log_is_a_fault(lived: dict[str, Request], name: str, sql: str, said: str) -> None:
    faults = touched(sql, lived[name].pk)
    assert len(faults) == 1, faults
    assert str(lived[name].pk) in faults[0]
    assert said in faults[0]


def test_a_row_without_entries_and_a_notice_of_what_is_not_so_are_faults(lived: dict[str, Request]) -> None:
    columns = ", ".join(f.column for f in Request._meta.concrete_fields if f.name != "id" and not f.generated)
    copied = f"INSERT INTO approvals_request (id, {columns}) SELECT %s, {columns} FROM approvals_request WHERE id = %s"
    other = uuid4()
    faults = touched(copied, other, lived["withdrawn"].pk)
    assert f"request {other}: a row without any entry" in faults
    head = "INSERT INTO audit_head (subject_kind, subject_id, ordinal) VALUES ('request', %s, 1)"
    assert touched(head, str(other)) == faults  # a head is the application's to write, and proves nothing
    faults = touched(
        "INSERT INTO approvals_notice (id, event, request_id) VALUES (gen_random_uuid(), 'request.approved', %s)",
        lived["half"].pk,
    )
    assert f"request {lived['half'].pk}: somebody is told request.approved, which it is not" in faults


def test_each_night_an_entry_says_what_was_found(cast: Cast, lived: dict[str, Request]) -> None:
    nightly.run()
    touched(APPROVED, lived["half"].pk)
    nightly.run()
    told = sorted(entries("log.replayed"), key=lambda leaf: int(leaf["ordinal"]))
    clean, found = (leaf["facts"] for leaf in told)
    assert (clean["requests"], clean["fault_count"], clean["faults"]) == (len(lived), 0, [])
    assert found["fault_count"] == 1
    assert str(lived["half"].pk) in found["faults"][0]


def test_replay_of_a_log_with_malformed_subjects_reports_them_and_goes_on(lived: dict[str, Request]) -> None:
    for kind in ("request", "agent", "delegation", "allowance"):
        for name in ("nosuch", "", "0192f0c0-0000-7000-8000-00000000000", str(lived["approved"].pk).upper()):
            if name:
                with transaction.atomic():
                    record(Draft(EntryType.ERASURE, Party("operator", "op"), Party(kind, name), facts={"basis": "x"}))
    with transaction.atomic():
        for kind, entry in (("delegation", "delegation.made"), ("allowance", "allowance.proposed")):
            record(Draft(EntryType(entry), Party("operator", "op"), Party(kind, "odd"), facts={}))
        record(Draft(EntryType.REQUEST_FILED, Party("agent", "a"), Party("request", "odd"), facts={"status": "new"}))
    found = replay()
    about = {fault.partition(":")[0] for fault in found.faults}
    assert {"request nosuch", "request odd", "delegation odd", "allowance odd"} <= about
    assert not any(str(request.pk) in fault for request in lived.values() for fault in found.faults)


def test_erase_of_a_subject_without_entries_is_refused_and_erases_nothing(lived: dict[str, Request]) -> None:
    known = Party("request", str(lived["redeemed"].pk))
    before = Detail.objects.count()
    for name in ("nosuch", str(lived["redeemed"].pk).upper(), "0192f0c0-0000-7000-8000-000000000000"):
        with pytest.raises(UnknownSubject, match=f"request:{name}"), default_connection_as("eraser"):
            erase_details(subjects=[known, Party("request", name)], basis="A slip.", by=Party("operator", "op"))
    assert Detail.objects.count() == before
    assert not entries("erasure")


def test_faults_of_the_nightly_replay_degrade_readyz(cast: Cast, lived: dict[str, Request]) -> None:
    assert "replay" not in health.status().degraded
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        owner.execute("UPDATE approvals_request SET status = 'expired' WHERE id = %s", [lived["rejected"].pk])
    assert nightly.run().fault_count
    eventually(lambda: "replay" in health.status().degraded)
