"""What comes after filing: withdrawing, answering, reporting activity and outcome, each by whom and when."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from django.db import connection

from agents import registration
from agents.models import Scope
from approvals.models import Request
from tests.support import contract, sealing, services
from tests.support.cast import SETTING_UP, Cast, decide
from tests.support.live import Caller, Server


@pytest.fixture
def redeemed(agent: Caller, executor: Caller) -> Iterator[dict[str, Any]]:
    """A request whose grant the executor redeemed."""
    document = agent.file("docs.read").json()
    with sealing.running():
        body = {"grant": document["grant"], "parameters": document["parameters"]}
        assert executor.post("grants/redeem", body).status_code == 200
        yield document


# ---- withdraw
def test_a_pending_request_can_be_taken_back_at_once_and_for_good(agent: Caller, cast: Cast) -> None:
    document = agent.file().json()
    response = agent.post(f"requests/{document['id']}/withdraw", {"reason": "The customer called off."})
    assert response.status_code == 200
    told = contract.request(response.json(), "withdrawn")
    assert (told["decision"]["retry"], told["decision"]["stop"]) == ("changed", False)
    assert told["expires_at"] == document["expires_at"]
    assert agent.read(document["id"]) == told
    assert response.headers["etag"] == agent.get(f"requests/{document['id']}").headers["etag"]
    with pytest.raises(Exception, match="withdrawn"):
        decide(Request.objects.get(pk=document["id"]), cast["support1"])


def test_a_reason_may_be_left_out(agent: Caller) -> None:
    assert agent.post(f"requests/{agent.file().json()['id']}/withdraw", {}).status_code == 200


@pytest.mark.parametrize("action", ["docs.read", "backup.delete"])
def test_what_is_final_cannot_be_taken_back(agent: Caller, action: str) -> None:
    document = agent.file(action).json()
    contract.problem(agent.post(f"requests/{document['id']}/withdraw", {}), "not-pending")
    assert agent.read(document["id"]) == document


# ---- answer
def test_no_question_is_open_yet(agent: Caller) -> None:
    document = agent.file().json()
    path = f"requests/{document['id']}/answer"
    contract.problem(agent.post(path, {"question": document["id"], "text": "Because."}), "no-question")
    assert agent.read(document["id"]) == document
    assert contract.pointers(agent.post(path, {})) == ["/question", "/text"]


def test_a_final_request_is_not_answered(agent: Caller) -> None:
    path = f"requests/{agent.file('docs.read').json()['id']}/answer"
    contract.problem(agent.post(path, {"question": "q", "text": "Because."}), "not-pending")


# ---- activity
def test_activity_is_recorded_and_changes_nothing_a_reader_sees(agent: Caller) -> None:
    document = agent.file().json()
    calls = [{"tool": "orders.get", "parameters": {"id": 1187}, "status": 200, "more": [1.5, None]}, {}]
    response = agent.post(f"requests/{document['id']}/activity", {"tool_calls": calls})
    assert (response.status_code, response.json()) == (200, document)
    with connection.cursor() as cursor:
        cursor.execute("SELECT content::text FROM audit_detail WHERE content::text LIKE '%orders.get%'")
        assert len(cursor.fetchall()) == 1


def test_activity_is_taken_of_a_final_request_too(agent: Caller) -> None:
    path = f"requests/{agent.file('docs.read').json()['id']}/activity"
    assert agent.post(path, {"tool_calls": [{"tool": "t"}]}).status_code == 200
    assert contract.pointers(agent.post(path, {"tool_calls": []})) == ["/tool_calls"]
    assert contract.pointers(agent.post(path, {"tool_calls": [{"tool": 1}]})) == ["/tool_calls/0/tool"]


# ---- outcome
def test_the_executor_that_redeemed_reports_the_outcome_once(
    agent: Caller, executor: Caller, redeemed: dict[str, Any]
) -> None:
    path = f"requests/{redeemed['id']}/outcome"
    body = {"result": "succeeded", "response_code": 200, "detail": {"refund": "re_1", "n": 1.0}}
    response = executor.post(path, body)
    assert response.status_code == 200
    told = contract.request(response.json(), "approved")
    assert list(told["outcome"]) == ["result", "response_code", "detail", "reported_at"]
    assert {k: v for k, v in told["outcome"].items() if k != "reported_at"} == body
    contract.moment(told["outcome"]["reported_at"])
    assert agent.read(redeemed["id"]) == told
    contract.problem(executor.post(path, body), "outcome-already-reported")
    contract.problem(agent.post(path, {"result": "failed"}), "outcome-already-reported")


def test_the_agent_itself_may_report_it(agent: Caller, redeemed: dict[str, Any]) -> None:
    response = agent.post(f"requests/{redeemed['id']}/outcome", {"result": "failed"})
    outcome = response.json()["outcome"]
    assert (outcome["result"], outcome["response_code"], outcome["detail"]) == ("failed", None, None)


def test_an_outcome_comes_after_redemption(agent: Caller) -> None:
    for action in ("docs.read", "refund.create", "backup.delete"):
        path = f"requests/{agent.file(action).json()['id']}/outcome"
        contract.problem(agent.post(path, {"result": "succeeded"}), "not-redeemed")


def test_another_executor_finds_nothing_to_report_on(server: Server, cast: Cast, redeemed: dict[str, Any]) -> None:
    other = registration.register_executor(by=SETTING_UP, slug="other")
    key = registration.issue_credential(by=SETTING_UP, holder=other, scopes=(Scope.REPORT,))[1]
    response = Caller(server.url, key).post(f"requests/{redeemed['id']}/outcome", {"result": "succeeded"})
    contract.problem(response, "not-found")


def test_an_executor_sees_no_requests(executor: Caller, redeemed: dict[str, Any], server: Server, cast: Cast) -> None:
    contract.problem(executor.get("requests"), "missing-scope")
    scopes = (Scope.READ, Scope.FILE, Scope.REPORT)
    key = registration.issue_credential(by=SETTING_UP, holder=cast.executor, scopes=scopes)[1]
    caller = Caller(server.url, key)
    contract.problem(caller.get("requests"), "not-found")
    contract.problem(caller.get(f"requests/{redeemed['id']}"), "not-found")
    contract.problem(caller.get(f"requests/{redeemed['id']}/events"), "not-found")
    contract.problem(caller.file(), "not-found")


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"result": "done"}, "/result"), ({"result": None}, "/result"), ({"result": "failed", "more": 1}, "/more"),
        ({"result": "failed", "response_code": "200"}, "/response_code"),
        ({"result": "failed", "response_code": 2**31}, "/response_code"),
        ({"result": "failed", "detail": []}, "/detail"),
        ({"result": "failed", "detail": {"a": 1e17}}, "/detail/a"),
    ],
)  # fmt: skip
def test_an_outcome_that_does_not_fit_is_pointed_at(agent: Caller, fields: dict[str, Any], where: str) -> None:
    path = f"requests/{agent.file('docs.read').json()['id']}/outcome"
    assert contract.pointers(agent.post(path, fields)) == [where]


# ---- unknown
def redeemed_ago(minutes: int) -> None:
    """Let the redemption lie so far back, as the owner, triggers at rest."""
    with services.connection("owner") as owner, owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        owner.execute("UPDATE approvals_grant SET redeemed_at = redeemed_at - make_interval(mins => %s)", [minutes])


def test_outcome_unreported_after_15_minutes_is_unknown_until_reported(
    agent: Caller, executor: Caller, redeemed: dict[str, Any]
) -> None:
    path = f"requests/{redeemed['id']}"
    redeemed_ago(14)
    before = agent.get(path)
    assert before.json()["outcome"] is None
    redeemed_ago(1)
    after = agent.get(path)
    unknown = {"result": "unknown", "response_code": None, "detail": None, "reported_at": None}
    assert after.json()["outcome"] == unknown
    assert after.headers["etag"] != before.headers["etag"]
    assert agent.get(path, headers={"If-None-Match": before.headers["etag"]}).status_code == 200
    assert agent.get(path, headers={"If-None-Match": after.headers["etag"]}).status_code == 304
    assert [one["outcome"] for one in agent.get("requests").json()["results"]] == [unknown]
    reported = executor.post(f"{path}/outcome", {"result": "succeeded"})
    assert reported.json()["outcome"]["result"] == "succeeded"
    assert agent.get(path).headers["etag"] not in (before.headers["etag"], after.headers["etag"])


def test_outcome_unknown_is_counted_for_the_operator(server: Server, redeemed: dict[str, Any]) -> None:
    def told() -> str:
        text = httpx.get(f"{server.url}/metrics", trust_env=False).text
        return next(line for line in text.splitlines() if line.startswith("countersign_outcomes_unknown "))

    assert told() == "countersign_outcomes_unknown 0.0"
    redeemed_ago(16)
    assert told() == "countersign_outcomes_unknown 1.0"
