"""The export: every row of the filter and no other, streamed, harmless in a spreadsheet, and itself evidence."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from approvals import exports
from approvals.models import Request
from audit import spreadsheet
from audit.models import Detail, Pending
from tests.support.cast import Cast, decide, file_request, overdue

pytestmark = pytest.mark.django_db(transaction=True)
SignedIn = Callable[..., Client]


def content(client: Client, query: str = "", form: str = "csv") -> bytes:
    answer = client.get(f"/history/export.{form}{query}")
    assert answer.status_code == 200
    return b"".join(answer.streaming_content)  # type: ignore[attr-defined]  # it is streamed


def rows_of(client: Client, query: str = "") -> list[dict[str, str]]:
    text = content(client, query).decode()
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text[1:], newline="")))


def entries() -> list[dict[str, Any]]:
    """The facts of every export's entries, in order."""
    leaves = Pending.objects.order_by("position").values_list("leaf", flat=True)
    read = [json.loads(bytes(leaf)) for leaf in leaves]
    return [leaf for leaf in read if leaf["type"] == "export.made"]


def test_it_holds_all_rows_of_the_filter_over_many_batches_and_no_other(
    cast: Cast, signed_in: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "BATCH", 7)
    filed = [str(file_request(cast).pk) for _ in range(40)]
    file_request(cast, "email.send")
    overdue(Request.objects.get(pk=filed[3]))
    client = signed_in("support1")
    query = "?action=refund.create&status=pending"
    expected = [pk for pk in sorted(filed, reverse=True) if pk != filed[3]]
    assert [row["id"] for row in rows_of(client, query)] == expected
    assert [json.loads(line)["id"] for line in content(client, query, "jsonl").splitlines()] == expected
    assert [row["id"] for row in rows_of(client, "?status=expired")] == [filed[3]]


def test_it_is_streamed_batch_by_batch(cast: Cast, signed_in: SignedIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "BATCH", 5)
    for _ in range(20):
        file_request(cast)
    answer = signed_in("support1").get("/history/export.jsonl")
    parts = iter(answer.streaming_content)  # type: ignore[attr-defined]
    with CaptureQueriesContext(connection) as asked:
        first = next(parts)
    assert first.count(b"\n") == 5
    assert len(asked) <= 3
    assert b"".join(parts).count(b"\n") == 15


def test_a_csv_row_says_everything_about_a_request(cast: Cast, signed_in: SignedIn) -> None:
    request = file_request(cast, parameters={"reason": 'a, "quoted"\nline'})
    decide(request, cast["support1"], note="Seen.", reason_code="routine")
    row = rows_of(signed_in("support1"))[0]
    assert (row["status"], row["risk"], row["action"], row["agent"]) == (
        "approved", "medium", "refund.create", "helpdesk",
    )  # fmt: skip
    assert row["parameters"] == request.parameters_text
    assert row["parameters_digest"] == request.parameters_digest
    assert row["decisions"].startswith("approve by Sam Porter <support1@example.test> at 2")
    assert row["filed_at"].endswith("Z")
    assert row["policy_version"] == "1"


def test_a_jsonl_row_has_typed_values(cast: Cast, signed_in: SignedIn) -> None:
    request = file_request(cast)
    decide(request, cast["support1"], "reject", rationale="Not needed.", reason_code="not-needed")
    one = json.loads(content(signed_in("support1"), form="jsonl"))
    assert one["parameters"] == request.parameters
    assert one["decisions"][0] | {"at": 0, "opened_at": 0} == {
        "verdict": "reject",
        "name": "Sam Porter",
        "email": "support1@example.test",
        "at": 0,
        "opened_at": 0,
        "reason_code": "not-needed",
        "rationale": "Not needed.",
        "note": "",
        "authentication": "password",
    }
    assert (one["told_to_agent"], one["retry"], one["redeemed_at"]) == ("Not needed.", "changed", None)


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "＝", "＋", "－", "＠", "'", "paid;=", "paid,@", "paid;＋"])
def test_a_cell_with_a_formula_is_neutral_and_read_back(cast: Cast, signed_in: SignedIn, first: str) -> None:
    sent: dict[str, Any] = {
        "resource": f"{first}cmd|' /C calc'!A0",
        "summary": f"{first}1+1",
        "rationale": f"{first}SUM(A1)",
    }
    file_request(cast, **sent)
    row = rows_of(signed_in("support1"))[0]
    for column, name in (("resource", "resource"), ("summary", "summary"), ("agent_rationale", "rationale")):
        assert row[column] == spreadsheet.neutral(sent[name]) != sent[name]
        assert spreadsheet.original(row[column]) == sent[name]


def test_a_csv_with_a_byte_order_mark_quotes_every_cell(cast: Cast, signed_in: SignedIn) -> None:
    file_request(cast)
    text = content(signed_in("support1")).decode()
    assert text.count("\ufeff") == 1
    for line in text.lstrip("\ufeff").splitlines():
        assert re.fullmatch(r'"(?:[^"]|"")*"(?:,"(?:[^"]|"")*")*', line)


def test_a_reason_of_many_lines_looks_like_no_other_decision(cast: Cast, signed_in: SignedIn) -> None:
    request = file_request(cast)
    forged = "Matches the order.\napprove by Fei Lin <finance1@example.test> at 2026-12-01T00:00:00.000Z: fine"
    decide(request, cast["support1"], rationale=forged)
    decisions = rows_of(signed_in("support1"))[0]["decisions"]
    assert [line for line in decisions.split("\n") if line.startswith("approve by")] == [decisions.split("\n")[0]]
    assert "\n    approve by Fei Lin" in decisions


def test_an_export_is_evidence_before_its_first_row_and_after_its_last(cast: Cast, signed_in: SignedIn) -> None:
    for _ in range(3):
        file_request(cast)
    client = signed_in("support1")
    answer = client.get("/history/export.csv?action=refund.create&person=")
    begun = entries()
    assert [entry["facts"]["stage"] for entry in begun] == ["begun"]
    sent = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    first, last = entries()
    assert first["actor"] == {"id": str(cast["support1"].pk), "kind": "person"}
    assert first["facts"] == {
        "stage": "begun", "of": "history", "format": "csv", "filtered_by": ["action"], "masked": False,
    }  # fmt: skip
    assert last["facts"] == {
        "stage": "complete", "of": "history", "format": "csv", "rows": 3, "bytes": len(sent),
    }  # fmt: skip
    assert first["subject"] == last["subject"]
    details = list(Detail.objects.filter(subject_kind="export").order_by("entry_id").values_list("content", flat=True))
    assert json.loads(details[0]["filter"]["value"]) == {"action": "refund.create"}
    assert json.loads(details[1]["sha256"]["value"]) == f"sha256:{hashlib.sha256(sent).hexdigest()}"


def test_it_is_packed_as_one_member_that_every_browser_unpacks_to_its_end(
    cast: Cast, signed_in: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "BATCH", 2)
    for _ in range(7):
        file_request(cast)
    client = signed_in("support1")
    answer = client.get("/history/export.csv", headers={"Accept-Encoding": "gzip"})
    assert answer["Content-Encoding"] == "gzip"
    unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS + 16)
    text = unpacking.decompress(b"".join(answer.streaming_content))  # type: ignore[attr-defined]
    assert unpacking.eof
    assert unpacking.unused_data == b""
    assert text == content(client)


def test_an_export_that_is_cut_off_says_so(cast: Cast, signed_in: SignedIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "BATCH", 2)
    for _ in range(6):
        file_request(cast)
    answer = signed_in("support1").get("/history/export.jsonl")
    next(iter(answer.streaming_content))  # type: ignore[attr-defined]
    answer.close()
    assert [entry["facts"]["stage"] for entry in entries()] == ["begun", "interrupted"]
    assert entries()[1]["facts"]["rows"] == 2


@pytest.mark.parametrize("method", ["post", "head", "put", "delete"])
def test_only_a_get_exports(cast: Cast, signed_in: SignedIn, method: str) -> None:
    assert getattr(signed_in("support1"), method)("/history/export.csv").status_code == 405
    assert entries() == []


def test_the_links_on_the_page_carry_exactly_its_filter(cast: Cast, signed_in: SignedIn) -> None:
    page = signed_in("support1").get("/history/?status=pending&q=order/1&before=").context["page"]
    assert page.csv_url == "/history/export.csv?status=pending&q=order%2F1"
    assert page.jsonl_url == "/history/export.jsonl?status=pending&q=order%2F1"
