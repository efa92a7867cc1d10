"""The pages of agents and of the kill switch: who sees them, who may do what, and what everybody is told."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from agents import registration, stops
from agents.models import Agent, Stop
from approvals.models import Request
from tests.support.cast import SETTING_UP, Cast, decide, file_request
from tests.support.forms import fields_of, said

pytestmark = pytest.mark.django_db(transaction=True)
SignedIn = Callable[..., Client]
HELPDESK = "/agents/helpdesk/"
# A letter that shows nothing; what is of no script at all is refused, see below.
WHY = "It mails strangers \u3164evil"


# ---- who sees what
@pytest.mark.parametrize("name", ["admin1", "auditor1", "leader1", "owner1"])
def test_administrators_auditors_leadership_and_the_owner_see_the_agent(
    cast: Cast, signed_in: SignedIn, name: str
) -> None:
    file_request(cast)
    listed = said(signed_in(name).get("/agents/"))
    assert "helpdesk" in listed
    page = said(signed_in(name).get(HELPDESK))
    assert cast.credentials["agent"].public_id in page
    assert cast.keys["agent"] not in page


@pytest.mark.parametrize("name", ["support1", "finance1", "author1"])
@pytest.mark.parametrize("path", ["/agents/", HELPDESK, "/agents/nobody/"])
def test_for_everybody_else_agents_are_not_there(cast: Cast, signed_in: SignedIn, name: str, path: str) -> None:
    assert signed_in(name).get(path).status_code == 404
    assert "/agents/" not in signed_in(name).get("/queue/").content.decode()


def test_an_owner_sees_their_own_agents_alone(cast: Cast, signed_in: SignedIn) -> None:
    registration.register_agent(by=SETTING_UP, slug="stranger", purpose="-", owner=cast["admin2"], level=1)
    client = signed_in("owner1")
    assert "stranger" not in said(client.get("/agents/"))
    assert client.get("/agents/stranger/").status_code == 404
    assert client.post("/agents/stranger/suspend/", {"reason": "x"}).status_code == 404


def test_lists_of_agents_keep_their_budget(cast: Cast, signed_in: SignedIn) -> None:
    client = signed_in("admin1")

    def cost(url: str) -> int:
        client.get(url)
        with CaptureQueriesContext(connection) as asked:
            assert client.get(url).status_code == 200
        return len([one for one in asked if one["sql"] not in ("BEGIN", "COMMIT")])

    file_request(cast)
    before = [cost("/agents/"), cost(HELPDESK), cost("/stop/")]
    for n in range(20):
        registration.register_agent(by=SETTING_UP, slug=f"more-{n}", purpose="-", owner=cast["owner1"], level=1)
        file_request(cast)
    assert [cost("/agents/"), cost(HELPDESK), cost("/stop/")] == before
    assert max(before) <= 12, before


# ---- suspending
@pytest.mark.parametrize("name", ["owner1", "admin1", "leader1"])
def test_the_owner_an_administrator_or_leadership_suspends(cast: Cast, signed_in: SignedIn, name: str) -> None:
    request = file_request(cast)
    answer = signed_in(name).post(f"{HELPDESK}suspend/", {"reason": WHY})
    assert (answer.status_code, answer["Location"]) == (303, HELPDESK)
    assert Request.objects.get(pk=request.pk).status == "withdrawn"
    assert "Suspended" in said(signed_in(name).get(HELPDESK))


def test_an_auditor_sees_and_cannot_suspend_and_a_reviewer_finds_nothing(cast: Cast, signed_in: SignedIn) -> None:
    assert "Suspend helpdesk" not in said(signed_in("auditor1").get(HELPDESK))
    for name in ("auditor1", "support1"):
        assert signed_in(name).post(f"{HELPDESK}suspend/", {"reason": WHY}).status_code == 404
    assert Agent.objects.get(pk=cast.agent.pk).state == "active"


def test_suspending_needs_a_reason_and_a_post_with_its_token(cast: Cast, signed_in: SignedIn) -> None:
    refused = signed_in("admin1").post(f"{HELPDESK}suspend/", {"reason": " "})
    assert refused.status_code == 422
    assert "Say why" in said(refused)
    assert signed_in("admin1").get(f"{HELPDESK}suspend/").status_code == 405
    strict = signed_in("admin1", enforce_csrf_checks=True)
    assert strict.post(f"{HELPDESK}suspend/", {"reason": WHY}).status_code == 403
    assert Agent.objects.get(pk=cast.agent.pk).state == "active"


@pytest.mark.parametrize(("name", "status"), [("owner1", 403), ("leader1", 403), ("auditor1", 403), ("admin2", 303)])
def test_resuming_takes_an_administrator_who_does_not_answer_for_it(
    cast: Cast, signed_in: SignedIn, name: str, status: int
) -> None:
    signed_in("owner1").post(f"{HELPDESK}suspend/", {"reason": WHY})
    answer = signed_in(name).post(f"{HELPDESK}resume/", {"reason": "Looked into it."})
    assert answer.status_code == status
    assert Agent.objects.get(pk=cast.agent.pk).state == ("active" if status == 303 else "suspended")


def test_a_withdrawn_request_says_why_it_ended_and_a_row_too(cast: Cast, signed_in: SignedIn) -> None:
    request = file_request(cast)
    signed_in("admin1").post(f"{HELPDESK}suspend/", {"reason": WHY})
    page = said(signed_in("support1").get(f"/requests/{request.pk}/"))
    assert "Withdrawn: the agent was stopped" in page
    assert "Withdrawn by the agent" not in page


# ---- the kill switch
@pytest.mark.parametrize("name", ["admin1", "leader1"])
def test_one_administrator_or_leader_stops_all_agents_by_typing_it(cast: Cast, signed_in: SignedIn, name: str) -> None:
    client = signed_in(name)
    assert "Type STOP to confirm" in said(client.get("/stop/"))
    answer = client.post("/stop/", {"reason": WHY, "confirm": "STOP"})
    assert (answer.status_code, answer["Location"]) == (303, "/stop/")
    assert Stop.objects.get().started_by == cast[name]


@pytest.mark.parametrize("fields", [{"confirm": "STOP"}, {"reason": WHY}, {"reason": WHY, "confirm": "stop"}, {}])
def test_without_a_reason_or_the_word_nobody_is_stopped_and_the_text_is_kept(
    cast: Cast, signed_in: SignedIn, fields: dict[str, str]
) -> None:
    answer = signed_in("admin1").post("/stop/", fields)
    assert answer.status_code == 422
    assert not Stop.objects.exists()
    assert fields.get("reason", "") in answer.content.decode()


@pytest.mark.parametrize("reason", [" \n ", "x" * 501, "It mails \u202estrangers", "It mails\u200b strangers"])
def test_a_reason_is_said_in_few_words_that_are_all_seen(cast: Cast, signed_in: SignedIn, reason: str) -> None:
    admin = signed_in("admin1")
    for path in (f"{HELPDESK}suspend/", "/stop/"):
        refused = admin.post(path, {"reason": reason, "confirm": "STOP"})
        assert refused.status_code == 422, path
        assert 'href="#id_reason"' in refused.content.decode()
    assert Agent.objects.get(pk=cast.agent.pk).state == "active"
    assert not Stop.objects.exists()


def test_a_reason_is_kept_with_its_spaces_folded(cast: Cast, signed_in: SignedIn) -> None:
    signed_in("admin1").post("/stop/", {"reason": " Keys\r\n have   leaked. ", "confirm": "STOP"})
    assert Stop.objects.get().reason == "Keys have leaked."


@pytest.mark.parametrize("name", ["owner1", "support1", "auditor1", "author1"])
def test_for_everybody_else_the_switch_is_not_there(cast: Cast, signed_in: SignedIn, name: str) -> None:
    client = signed_in(name)
    assert client.get("/stop/").status_code == 404
    assert client.post("/stop/", {"reason": WHY, "confirm": "STOP"}).status_code == 404
    assert client.post("/stop/lift/", {"number": "1", "reason": WHY}).status_code == 404
    assert not Stop.objects.exists()


def test_everybody_signed_in_is_told_by_whom_and_why_and_hostile_text_is_spelt_out(
    cast: Cast, signed_in: SignedIn, client: Client
) -> None:
    stops.begin(by=cast["admin1"], reason=WHY)
    for name in ("support1", "auditor1", "owner1"):
        for path in ("/queue/", "/history/", "/preferences/"):
            page = said(signed_in(name).get(path))
            assert "All agents are stopped" in page, path
            assert "Admin1 Example" in page
            assert "[U+3164]" in page
    assert "All agents are stopped" not in client.get("/accounts/login/").content.decode()
    stops.lift(number=1, by=cast["admin2"], reason="Over.")
    assert "All agents are stopped" not in said(signed_in("support1").get("/queue/"))


def test_while_all_are_stopped_a_request_says_so_instead_of_a_form_and_a_decision_is_409(
    cast: Cast, signed_in: SignedIn
) -> None:
    request = file_request(cast)
    client = signed_in("support1")
    form = fields_of(client.get(f"/requests/{request.pk}/decide/"))
    stops.begin(by=cast["admin1"], reason=WHY)
    page = client.get(f"/requests/{request.pk}/")
    assert "is being withdrawn" in said(page)
    assert "view_id" not in fields_of(page)
    for verdict in ("approve", "reject"):
        posted = {**form, "verdict": verdict, "rationale": "The text I typed for it."}
        answer = client.post(f"/requests/{request.pk}/decide/", posted)
        assert answer.status_code == 409
        assert "The text I typed for it." in said(answer)


def test_whoever_stopped_them_cannot_lift_it_and_another_can(cast: Cast, signed_in: SignedIn) -> None:
    stops.begin(by=cast["admin1"], reason=WHY)
    assert "somebody else lets them ask again" in said(signed_in("admin1").get("/stop/"))
    assert signed_in("admin1").post("/stop/lift/", {"number": "1", "reason": "Mine."}).status_code == 409
    for number in ("2", "x", "", "99999999999999"):
        assert signed_in("leader1").post("/stop/lift/", {"number": number, "reason": "Over."}).status_code == 409
    assert signed_in("leader1").post("/stop/lift/", {"number": "1", "reason": ""}).status_code == 422
    assert signed_in("leader1").post("/stop/lift/", {"number": "1", "reason": "Over."}).status_code == 303
    assert Stop.objects.get().lifted_by == cast["leader1"]
    assert "Over." in said(signed_in("admin1").get("/stop/"))


def test_an_operator_stops_all_agents_by_command_when_the_web_is_down(cast: Cast, signed_in: SignedIn) -> None:
    out = StringIO()
    call_command("stop_all_agents", "--reason", "The web is down.", stdout=out)
    assert "stop 1" in out.getvalue()
    assert file_request(cast, "docs.read").status == "blocked"
    with pytest.raises(CommandError, match="already"):
        call_command("stop_all_agents", "--reason", "Again.", stdout=out)
    assert "An operator" in said(signed_in("support1").get("/queue/"))
    signed_in("admin1").post("/stop/lift/", {"number": "1", "reason": "Up again."})
    assert file_request(cast, "docs.read").status == "approved"


def test_a_decided_request_of_the_agent_stands_in_its_page(cast: Cast, signed_in: SignedIn) -> None:
    decide(file_request(cast), cast["support1"])
    assert "Approved" in said(signed_in("admin1").get(HELPDESK))
