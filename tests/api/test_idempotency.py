"""One answer a key: what is remembered, for whom, how exactly, and what is not."""

from __future__ import annotations

import threading

import httpx
import pytest
from django.db import connection

from agents import registration
from agents.models import Scope
from approvals import idempotency
from tests.support import contract, services
from tests.support.cast import SETTING_UP, Cast
from tests.support.eventually import eventually
from tests.support.live import Caller, Server, filing


def requests_filed() -> int:
    """How many there are."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM approvals_request")
        return int(cursor.fetchone()[0])


def same(first: httpx.Response, again: httpx.Response) -> None:
    """The second is the first one's replay, byte for byte."""
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert (again.status_code, again.content) == (first.status_code, first.content)
    for name in ("content-type", "location", "etag"):
        assert again.headers.get(name) == first.headers.get(name)


def test_the_same_key_and_body_get_the_first_answer_again_byte_for_byte(agent: Caller) -> None:
    body = filing()
    first = agent.post("requests", body, key="k")
    assert agent.post(f"requests/{first.json()['id']}/withdraw", {}).status_code == 200
    same(first, agent.post("requests", body, key="k"))  # the answer of then, not the request of now
    assert requests_filed() == 1


def test_the_same_key_with_another_body_is_422_and_files_nothing(agent: Caller) -> None:
    body = filing()
    assert agent.post("requests", body, key="k").status_code == 201
    contract.problem(agent.post("requests", {**body, "summary": "another"}, key="k"), "idempotency-key-reused")
    contract.problem(agent.post("requests", filing(), key="k"), "idempotency-key-reused")
    assert requests_filed() == 1


def test_the_body_is_compared_by_its_bytes(agent: Caller) -> None:
    body = b'{"action":"a.b","resource":"r","parameters":{},"summary":"s","rationale":"because"}'
    first = agent.post("requests", body, key="k")
    contract.problem(agent.post("requests", body.replace(b":{}", b": {}"), key="k"), "idempotency-key-reused")
    same(first, agent.post("requests", body, key="k"))


def test_the_path_counts_and_a_slash_at_its_end_does_not(agent: Caller) -> None:
    one, two = (agent.file().json()["id"] for _ in range(2))
    first = agent.post(f"requests/{one}/withdraw", {}, key="w")
    contract.problem(agent.post(f"requests/{two}/withdraw", {}, key="w"), "idempotency-key-reused")
    same(first, agent.post(f"requests/{one}/withdraw/", {}, key="w"))


def test_a_key_is_required_for_filing_and_must_be_visible_ascii(agent: Caller) -> None:
    contract.problem(agent.post("requests", filing()), "idempotency-key-missing")
    for key in ("", "k" * 256, "two words", "é"):
        headers = {b"Idempotency-Key": key.encode("latin-1")}
        response = agent.http.post("/api/v1/requests", json=filing(), headers=headers)
        contract.problem(response, "idempotency-key-missing")
    assert agent.post("requests", filing(), key="!~" + "k" * 253).status_code == 201
    assert requests_filed() == 1


def test_without_a_key_other_posts_are_answered_each_time_anew(agent: Caller) -> None:
    path = f"requests/{agent.file().json()['id']}/withdraw"
    assert agent.post(path, {}).status_code == 200
    contract.problem(agent.post(path, {}), "not-pending")


def test_it_is_the_agents_and_not_its_keys_so_that_rotation_doubles_nothing(
    server: Server, cast: Cast, agent: Caller
) -> None:
    body = filing()
    first = agent.post("requests", body, key="k")
    scopes = (Scope.FILE, Scope.READ)
    rotated = registration.issue_credential(by=SETTING_UP, holder=cast.agent, scopes=scopes)[1]
    registration.revoke_credential(by=SETTING_UP, credential=cast.credentials["agent"])
    same(first, Caller(server.url, rotated).post("requests", body, key="k"))
    assert requests_filed() == 1


def test_another_agents_same_key_is_another_key(server: Server, cast: Cast, agent: Caller) -> None:
    other = registration.register_agent(by=SETTING_UP, slug="other", purpose="p", owner=cast["owner1"], level=3)
    key = registration.issue_credential(by=SETTING_UP, holder=other, scopes=(Scope.FILE,))[1]
    body = filing()
    mine, theirs = agent.post("requests", body, key="k"), Caller(server.url, key).post("requests", body, key="k")
    assert (mine.status_code, theirs.status_code) == (201, 201)
    assert mine.json()["id"] != theirs.json()["id"]


def test_a_verbs_409_is_remembered(agent: Caller) -> None:
    path = f"requests/{agent.file('docs.read').json()['id']}/withdraw"
    first = agent.post(path, {}, key="w")
    contract.problem(first, "not-pending")
    same(first, agent.post(path, {}, key="w"))


def test_a_verbs_422_is_remembered(executor: Caller) -> None:
    body = {"grant": "a.b.c", "parameters": {}}
    first = executor.post("grants/redeem", body, key="r")
    contract.problem(first, "grant-invalid")
    same(first, executor.post("grants/redeem", body, key="r"))


def test_a_body_that_did_not_fit_is_not_remembered_so_that_it_can_be_mended_under_the_same_key(agent: Caller) -> None:
    contract.problem(agent.post("requests", filing(summary=""), key="k"), "invalid")
    contract.problem(agent.post("requests", b"{", key="k"), "not-json")
    assert agent.post("requests", filing(), key="k").status_code == 201


def test_a_404_and_a_503_are_not_remembered(agent: Caller) -> None:
    nothing = "requests/01920000-0000-7000-8000-000000000000/withdraw"
    for _ in range(2):
        response = agent.post(nothing, {}, key="w")
        contract.problem(response, "not-found")
        assert "idempotency-replayed" not in response.headers
    with services.connection("owner") as owner:
        owner.execute("REVOKE INSERT ON audit_pending FROM countersign_app")
        try:
            contract.problem(agent.post("requests", body := filing(), key="k"), "evidence-unavailable")
        finally:
            owner.execute("GRANT INSERT ON audit_pending TO countersign_app")
    assert agent.post("requests", body, key="k").status_code == 201
    assert requests_filed() == 1


def test_a_racing_twin_waits_for_the_first_and_gets_its_answer(agent: Caller) -> None:
    body, answers = filing(), []
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("LOCK TABLE audit_pending IN EXCLUSIVE MODE")  # the first stops where it writes its evidence
        twins = [
            threading.Thread(target=lambda: answers.append(agent.post("requests", body, key="k"))) for _ in range(2)
        ]
        for twin in twins:
            twin.start()
        with services.connection("app") as other:
            eventually(
                lambda: other.execute(
                    "SELECT count(*) = 2 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                ).fetchone() == (True,),
                what="both twins to wait",
            )  # fmt: skip
    for twin in twins:
        twin.join()
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].content == answers[1].content
    assert sorted("idempotency-replayed" in answer.headers for answer in answers) == [False, True]
    assert requests_filed() == 1


def test_a_twin_that_waited_in_vain_is_told_that_the_first_is_in_progress(agent: Caller, cast: Cast) -> None:
    with services.connection("app") as first, first.transaction():
        first.execute(
            "INSERT INTO approvals_rememberedanswer (holder_kind, holder_id, key, fingerprint, status, headers, body)"
            " VALUES ('agent', %s, 'k', '', 0, '{}', '')",
            [cast.agent.pk],
        )
        response = agent.post("requests", body := filing(), key="k")
        contract.problem(response, "in-progress")
        assert 3 < response.elapsed.total_seconds() < 6
        first.execute("ROLLBACK; BEGIN")
    assert agent.post("requests", body, key="k").status_code == 201


@pytest.mark.parametrize(("hours", "kept"), [(23, True), (25, False)])
def test_an_answer_is_kept_until_24_hours_after_its_request_is_final(agent: Caller, hours: int, kept: bool) -> None:
    body = filing("docs.read")
    first = agent.post("requests", body, key="k")
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        moved = {"by": f"{hours} hours"}
        owner.execute(
            "UPDATE approvals_request SET decided_at = now() - %(by)s::interval,"
            " created_at = now() - %(by)s::interval, expires_at = now() - %(by)s::interval + interval '1 hour'",
            moved,
        )
        owner.execute("UPDATE approvals_rememberedanswer SET created_at = now() - interval '9 days'")
    assert idempotency.forget_old() == (0 if kept else 1)
    again = agent.post("requests", body, key="k")
    assert (again.content == first.content) == kept
