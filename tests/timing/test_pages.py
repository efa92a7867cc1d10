"""The pages of absence and hours: forms without JavaScript, for whom they are, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts import hours
from accounts.absence import Delegation, TeamHours
from accounts.acting import Refused
from accounts.hours import Hours
from approvals import queries
from tests.support import codes
from tests.support.cast import Cast, decide, file_request, password_set
from tests.support.forms import said
from tests.support.leaves import entries
from tests.support.times import LARGE, away

SignedIn = Callable[[str], Client]
HERE = "/preferences/delegation/"


def form(delegate: str = "support2", *, days: float = 1, **more: str) -> dict[str, str]:
    until = queries.clock() + timedelta(days=days)
    given = {"delegate": f"{delegate}@example.test", "starts_at": "", "ends_at": f"{until:%Y-%m-%dT%H:%M}",
             "reason": "On leave", **more}  # fmt: skip
    return given


def test_a_person_names_a_delegate_and_ends_it(cast: Cast, signed_in: SignedIn) -> None:
    client = signed_in("finance1")
    answer = client.post(HERE, form())
    assert (answer.status_code, answer["Location"]) == (303, HERE)
    made = Delegation.objects.get()
    assert (made.delegator, made.delegate, made.named_by) == (cast["finance1"], cast["support2"], cast["finance1"])
    page = said(client.get(HERE))
    assert "Support2 Example for Fina Nowak in force" in page
    assert "“On leave”" in page
    assert "For whom you decide" in said(signed_in("support2").get(HERE))
    assert client.post(f"{HERE}{made.pk}/end/").status_code == 303
    assert "Support2 Example for Fina Nowak" not in said(client.get(HERE))


def test_entries_say_how_whoever_changed_absence_or_hours_had_proved_who_they_are(cast: Cast) -> None:
    password_set(cast["admin1"])
    client = codes.sign_in(cast["admin1"])
    client.post(HERE, form("support2"))
    client.post(f"{HERE}{Delegation.objects.get().pk}/end/")
    given = {"weekdays": ["1"], "opens": "09:00", "closes": "17:00", "timezone": "UTC"}
    client.post("/teams/finance/hours/", given)
    client.post("/teams/finance/hours/", {"always": "1"})
    told = [*entries("delegation.made"), *entries("delegation.ended"), *entries("team.hours")]
    assert [leaf["auth"]["method"] for leaf in told] == ["password"] * 4


def test_what_is_wrong_is_said_beside_its_field_and_kept(cast: Cast, signed_in: SignedIn) -> None:
    client = signed_in("finance1")
    for given, field, why in (
        (form("finance1"), "delegate", "Nobody stands for themselves."),
        (form("nobody"), "delegate", "Nobody here has this address."),
        (form(days=31), "ends_at", "30 days at most"),
        (form(days=-1), "ends_at", "in the past"),
        (form(reason=""), "reason", "required"),
    ):
        answer = client.post(HERE, given)
        assert answer.status_code == 422
        assert why in said(answer)
        assert f'href="#id_{field}"' in answer.content.decode()
        assert given["delegate"] in answer.content.decode()
        assert "Error:" in answer.content.decode()
    assert not Delegation.objects.exists()


def test_only_an_administrator_is_asked_for_whom(cast: Cast, signed_in: SignedIn) -> None:
    assert 'name="delegator"' not in signed_in("finance1").get(HERE).content.decode()
    signed_in("finance1").post(HERE, form(delegator="finance2@example.test"))
    assert Delegation.objects.get().delegator == cast["finance1"]  # the field is not theirs
    answer = signed_in("admin1").post(HERE, form(delegator="finance2@example.test"))
    assert answer.status_code == 303
    assert Delegation.objects.filter(delegator=cast["finance2"], named_by=cast["admin1"]).exists()
    assert "another administrator" in said(
        signed_in("admin1").post(HERE, form("admin1", delegator="support1@example.test"))
    )


def test_auditors_and_administrators_see_all_and_others_their_own(cast: Cast, signed_in: SignedIn) -> None:
    away(cast["finance1"], cast["support2"])
    for name in ("auditor1", "admin1"):
        assert "Support2 Example for Fina Nowak" in said(signed_in(name).get(HERE))
    assert "End now" not in said(signed_in("auditor1").get(HERE))
    assert "End now" in said(signed_in("admin1").get(HERE))
    assert "Fina Nowak" not in said(signed_in("support1").get(HERE))


@pytest.mark.parametrize("name", ["support2", "finance2", "auditor1"])
def test_whom_it_is_not_to_end_finds_nothing(cast: Cast, signed_in: SignedIn, name: str) -> None:
    made = away(cast["finance1"], cast["support2"])
    assert signed_in(name).post(f"{HERE}{made.pk}/end/").status_code == 404
    assert signed_in(name).get(f"{HERE}{made.pk}/end/").status_code == 405
    made.refresh_from_db()
    assert made.ended_at is None


def test_the_page_says_whose_requests_it_does_not_cover(cast: Cast, signed_in: SignedIn) -> None:
    away(cast["finance1"], cast["owner1"])
    assert "Not for requests of helpdesk" in said(signed_in("finance1").get(HERE))


def test_hostile_text_is_spelt_out(cast: Cast, signed_in: SignedIn) -> None:
    with pytest.raises(Refused, match="cannot be seen"):
        away(cast["finance1"], cast["support2"], reason="away\u202egpj.exe")
    away(cast["finance1"], cast["support2"], reason="away<script>")
    assert "away<script>" not in signed_in("finance1").get(HERE).content.decode()


def test_a_delegates_queue_and_page_keep_their_budgets(cast: Cast, signed_in: SignedIn) -> None:
    away(cast["finance1"], cast["support2"])
    away(cast["privacy1"], cast["support2"])
    client = signed_in("support2")
    counted = []
    for many in (2, 10):
        for _ in range(many):
            decide(file_request(cast, parameters=LARGE), cast["finance2"])
            request = file_request(cast, parameters=LARGE)
        for url in ("/queue/", f"/requests/{request.pk}/"):
            client.get(url)
            with CaptureQueriesContext(connection) as asked:
                assert client.get(url).status_code == 200
            counted.append(len([one for one in asked if one["sql"] not in ("BEGIN", "COMMIT")]))
    assert counted[:2] == counted[2:]
    assert counted[0] <= 12
    assert counted[1] <= 20


# ---- hours


def test_an_administrator_sets_a_teams_hours_and_takes_them_away(cast: Cast, signed_in: SignedIn) -> None:
    client, url = signed_in("admin1"), "/teams/finance/hours/"
    given = {"weekdays": ["1", "2", "3", "4", "5"], "opens": "09:00", "closes": "17:30", "timezone": "Europe/Berlin"}
    assert client.get(url).status_code == 200
    assert client.post(url, given).status_code == 303
    assert "Mon–Fri 09:00–17:30 Europe/Berlin" in said(client.get(url))
    request = file_request(cast, parameters=LARGE)
    page = said(signed_in("finance1").get(f"/requests/{request.pk}/"))
    assert "finance works Mon–Fri 09:00–17:30 Europe/Berlin" in page
    assert client.post(url, {"always": "1"}).status_code == 303
    assert not TeamHours.objects.exists()
    assert [entry["facts"]["hours"] is None for entry in sorted(entries("team.hours"), key=lambda e: e["ordinal"])] == [
        False,
        True,
    ]


def test_they_are_nobody_elses_to_set_and_a_team_that_is_not_has_none(cast: Cast, signed_in: SignedIn) -> None:
    assert signed_in("finance1").get("/teams/finance/hours/").status_code == 404
    assert signed_in("auditor1").post("/teams/finance/hours/", {"always": "1"}).status_code == 404
    assert signed_in("admin1").get("/teams/nobody/hours/").status_code == 404


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"weekdays": []}, "required"),
        ({"timezone": "Europe/Nowhere"}, "no time zone"),
        ({"closes": "09:00"}, "It closes when it opens"),
        ({"opens": "25:00"}, "valid time"),
    ],
)
def test_hours_that_are_none_are_refused(cast: Cast, signed_in: SignedIn, change: dict[str, object], why: str) -> None:
    given = {"weekdays": ["1"], "opens": "09:00", "closes": "17:00", "timezone": "UTC", **change}
    answer = signed_in("admin1").post("/teams/finance/hours/", given)
    assert answer.status_code == 422
    assert why in said(answer)
    assert not TeamHours.objects.exists()


def test_hours_move_no_deadline_and_keep_nobody_from_deciding(cast: Cast) -> None:
    today = queries.clock().isoweekday()
    off = Hours(frozenset({(today + 2) % 7 + 1}), time(9), time(17), "UTC")
    hours.keep(by=cast["admin1"], team=cast.teams["support"], hours=off)
    request = file_request(cast)
    assert request.expires_at - request.created_at == timedelta(minutes=30)
    assert decide(request, cast["support1"]).status == "approved"


# ---- when a span holds any of them

TUESDAY = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.mark.parametrize(
    ("start", "end", "inside"),
    [
        (8, 9, False),
        (8, 9.01, True),
        (12, 13, True),
        (17, 18, False),
        (16.99, 18, True),
        (18, 33, False),
        (18, 34, True),
    ],
)
def test_a_span_holds_hours_from_their_opening_until_before_their_closing(
    start: float, end: float, inside: bool
) -> None:
    working = Hours(frozenset({2, 3}), time(9), time(17), "UTC")
    assert working.within(TUESDAY + timedelta(hours=start), TUESDAY + timedelta(hours=end)) == inside


def test_hours_past_midnight_belong_to_the_day_they_began_and_clocks_change() -> None:
    night = Hours(frozenset({2}), time(22), time(6), "UTC")
    assert night.within(TUESDAY + timedelta(hours=26), TUESDAY + timedelta(hours=27))
    assert not night.within(TUESDAY + timedelta(hours=2), TUESDAY + timedelta(hours=3))
    summer = datetime(2026, 7, 1, 7, 30, tzinfo=UTC)  # a Wednesday, 09:30 in Berlin
    winter = datetime(2026, 12, 2, 7, 30, tzinfo=UTC)  # a Wednesday, 08:30 in Berlin
    berlin = Hours(frozenset({3}), time(9), time(10), "Europe/Berlin")
    half = timedelta(minutes=20)
    assert (berlin.within(summer, summer + half), berlin.within(winter, winter + half)) == (True, False)
