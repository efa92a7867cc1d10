"""Reading one request: its validator, conditional reads, and a status that is told once and for all."""

from __future__ import annotations

from datetime import timedelta

from approvals.models import Request
from approvals.tasks import expire_due
from tests.support import contract, sealing, services
from tests.support.cast import Cast, decide, held, overdue
from tests.support.live import Caller


def row(document: dict[str, object]) -> Request:
    """The row of a request that was answered."""
    return Request.objects.get(pk=str(document["id"]))


def test_a_matching_validator_is_answered_304_without_a_body(agent: Caller) -> None:
    path = f"requests/{agent.file().json()['id']}"
    tag = agent.get(path).headers["etag"]
    assert tag.startswith('"')  # strong
    for condition in (tag, f'"other", {tag}', "*"):
        response = agent.get(path, headers={"If-None-Match": condition})
        assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", tag)
    for condition in ('"other"', "", tag.strip('"')):
        assert agent.get(path, headers={"If-None-Match": condition}).status_code == 200


def test_head_answers_the_headers_alone(agent: Caller) -> None:
    path = f"/api/v1/requests/{agent.file().json()['id']}"
    response = agent.http.head(path)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["etag"] == agent.http.get(path).headers["etag"]


def test_the_validator_changes_with_every_change_a_reader_sees(agent: Caller, executor: Caller, cast: Cast) -> None:
    document = agent.file().json()
    path, tags = f"requests/{document['id']}", []

    def note() -> None:
        tags.append(agent.get(path).headers["etag"])

    note()
    decide(row(document), cast["support1"])
    note()
    with sealing.running():
        body = {"grant": agent.read(document["id"])["grant"], "parameters": document["parameters"]}
        assert executor.post("grants/redeem", body).status_code == 200
    note()
    assert executor.post(f"{path}/outcome", {"result": "succeeded"}).status_code == 200
    note()
    assert len(set(tags)) == 4


def test_a_rejection_is_told_in_the_reviewers_own_words_and_who_they_are_is_not(agent: Caller, cast: Cast) -> None:
    document = agent.file().json()
    words = 'The carrier says it was "delivered" & signed for on Friday; ask the customer again.'
    decide(row(document), cast["support1"], "reject", rationale=f"  {words}\n", note="Sam saw this twice.")
    told = contract.request(agent.read(document["id"]), "rejected")
    assert told["decision"]["reason"] == words
    assert (told["decision"]["retry"], told["decision"]["stop"]) == ("changed", False)


def test_an_approvals_rationale_and_note_are_never_sent(agent: Caller, cast: Cast) -> None:
    document = agent.file().json()
    decide(row(document), cast["support1"], rationale="Xyzzy matches our records.", note="Plugh.")
    response = agent.get(f"requests/{document['id']}")
    contract.request(response.json(), "approved")
    assert response.json()["decision"]["reason"] == "Approved."
    assert b"Xyzzy" not in response.content
    assert b"Plugh" not in response.content


def test_a_refusal_can_be_told_from_an_expiry(agent: Caller, cast: Cast) -> None:
    refused, late = agent.file().json(), agent.file().json()
    decide(row(refused), cast["support1"], "reject", rationale="Not this one.")
    overdue(row(late))
    no, silence = agent.read(refused["id"])["decision"], agent.read(late["id"])["decision"]
    assert (no["outcome"], no["retry"]) == ("rejected", "changed")
    assert (silence["outcome"], silence["retry"]) == ("expired", "later")
    assert silence["reason"] == "Nobody decided in time; this is not a refusal."


def test_an_overdue_request_is_expired_to_every_read_though_nothing_swept_it(agent: Caller) -> None:
    document = agent.file().json()
    overdue(row(document), by=timedelta(seconds=1))
    path = f"requests/{document['id']}"
    told = contract.request(agent.read(document["id"]), "expired")
    assert told["decision"]["decided_at"] == told["expires_at"]
    contract.problem(agent.post(f"{path}/withdraw", {}), "not-pending")
    contract.problem(agent.post(f"{path}/answer", {"question": "q", "text": "t"}), "not-pending")
    assert row(document).status == "pending"


def test_a_read_before_the_sweep_and_one_after_it_are_equal_to_the_byte(agent: Caller) -> None:
    document = agent.file().json()
    overdue(row(document))
    path = f"requests/{document['id']}"
    before, listed = agent.get(path), agent.get("requests").content
    stream = agent.get(f"{path}/events").content
    assert expire_due() == 1
    assert row(document).status == "expired"
    after = agent.get(path)
    assert (after.content, after.headers["etag"]) == (before.content, before.headers["etag"])
    assert agent.get(path, headers={"If-None-Match": before.headers["etag"]}).status_code == 304
    assert (agent.get("requests").content, agent.get(f"{path}/events").content) == (listed, stream)


def test_at_its_deadline_a_request_that_somebody_holds_is_503_after_a_second_and_never_expired(agent: Caller) -> None:
    document = agent.file().json()
    overdue(row(document))
    with held(row(document)):
        response = agent.get(f"requests/{document['id']}")
        contract.problem(response, "busy")
        assert 0.9 < response.elapsed.total_seconds() < 3
        listed = agent.get("requests")
        assert [one["status"] for one in listed.json()["results"]] == ["pending"]
        assert listed.elapsed.total_seconds() < 0.9
    contract.request(agent.read(document["id"]), "expired")


def test_before_its_deadline_a_held_request_is_read_without_waiting(agent: Caller) -> None:
    document = agent.file().json()
    with held(row(document)):
        assert agent.read(document["id"]) == document


def test_an_identical_request_after_a_persons_rejection_is_blocked_for_24_hours(agent: Caller, cast: Cast) -> None:
    first = agent.file(resource="order/7", summary="Once").json()
    decide(row(first), cast["support1"], "reject", rationale="Not this one.")
    again = contract.request(agent.file(resource="order/7", summary="Twice").json(), "blocked")
    assert again["decision"]["retry"] == "changed"
    assert agent.file(resource="order/8").json()["status"] == "pending"
    other = {"amount_cents": 4201, "currency": "USD"}
    assert agent.file(resource="order/7", parameters=other).json()["status"] == "pending"
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        owner.execute(
            "UPDATE approvals_request SET decided_at = now() - interval '24 hours 1 second',"
            " created_at = now() - interval '25 hours', expires_at = now() - interval '24 hours' WHERE id = %s",
            [first["id"]],
        )
    assert agent.file(resource="order/7").json()["status"] == "pending"


def test_an_expiry_a_withdrawal_or_a_block_is_no_denial_that_sticks(agent: Caller) -> None:
    late = agent.file(resource="order/7").json()
    overdue(row(late))
    assert expire_due() == 1
    back = agent.file(resource="order/7").json()
    assert agent.post(f"requests/{back['id']}/withdraw", {}).status_code == 200
    assert agent.file(resource="order/7").json()["status"] == "pending"
    for _ in range(2):
        assert agent.file("backup.delete", resource="b").json()["decision"]["retry"] == "never"
