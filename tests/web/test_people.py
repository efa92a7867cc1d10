"""People and teams through the pages: who may see them, inviting, seats, roles that one administrator gives."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.core import mail
from django.db import IntegrityError
from django.test import Client, override_settings

from accounts import reviews
from accounts.models import AccessLine, Invitation, Role, RoleGrant, Team, User
from accounts.people import teams_and_roles_of
from agents import registration
from config.logs import without_keys
from tests.support import services
from tests.support.cast import PASSWORD, SETTING_UP, Cast, make_person
from tests.support.colleagues import at, make_house, post
from tests.support.forging import forging
from tests.support.forms import said
from tests.support.leaves import entries
from tests.web.test_budgets import HTML, LIST, cost

NEW = "a wholly different passphrase"
INVITED = {"email": "new@example.test", "name": "Nina New"}


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    """Administrators, and one of each who may only read or may not."""
    return make_house(only=("support1", "auditor1", "leader1"), sign_in=("support1",))


def link_in(page: str) -> str:
    """The path of the one-time link that a page shows."""
    return "/accounts/setup/" + page.partition("/accounts/setup/")[2].partition('"')[0]


def invite(client: Client, **fields: object) -> tuple[User, str]:
    answer = client.post("/people/invite/", {**INVITED, **fields})
    assert answer.status_code == 201, said(answer)
    return User.objects.get(email=fields.get("email", INVITED["email"])), link_in(answer.content.decode())


def choose(path: str, password: str = NEW) -> object:
    return Client().post(path, {"password1": password, "password2": password})


# ---- who may see


@pytest.mark.parametrize("path", ["/people/", "/teams/", "/teams/support/", "/reviews/access/", "/reviews/access.csv"])
def test_administrators_auditors_and_leadership_read_and_for_others_nothing_is_there(cast: Cast, path: str) -> None:
    for name, status in (("admin1", 200), ("auditor1", 200), ("leader1", 200), ("support1", 404)):
        client = Client()
        client.force_login(cast[name])
        assert client.get(path).status_code == status, name
        queue = client.get("/queue/").content.decode()
        assert ('href="/people/"' in queue) is (status == 200), name


def test_who_reads_changes_nothing(cast: Cast) -> None:
    for name in ("auditor1", "leader1", "support1"):
        client, person = Client(), cast["support1"]
        client.force_login(cast[name])
        for what in ("teams", "roles", "deactivate", "reactivate", "sign-out", "link"):
            assert post(client, person, what, act="seat", team="finance", reason="because").status_code in (400, 404)
        assert client.post("/people/invite/", INVITED).status_code == 404
        assert client.get("/people/invite/").status_code == 404
        assert client.post("/teams/", {"slug": "night", "name": "Night"}).status_code == 404
        assert client.post("/teams/support/", {"act": "seat", "email": person.email}).status_code == 404
        assert client.post("/reviews/access/", {"act": "begin"}).status_code == 404
    assert teams_and_roles_of(cast["support1"]) == (frozenset({"support"}), frozenset())
    assert User.objects.get(pk=cast["support1"].pk).is_active


def test_people_are_found_by_name_address_and_state_and_a_page_leads_to_the_next(cast: Cast) -> None:
    for number in range(60):
        make_person(f"crowd{number:02}")
    client = at(cast["admin1"])
    first = client.get("/people/")
    assert said(first).count("@example.test") == 50 + 2  # twice in the frame: who is signed in
    more = first.content.decode().partition('<a href="/people/?after=')[2].partition('"')[0]
    assert more
    second = client.get(f"/people/?after={more}")
    shown = [one for page in (first, second) for one in User.objects.all() if one.email in said(page)]
    assert len({one.pk for one in shown}) == User.objects.count()
    assert "Crowd07 Example" in said(client.get("/people/?q=crowd07"))
    assert "Crowd08" not in said(client.get("/people/?q=crowd07"))
    assert "Crowd08" not in said(client.get("/people/?state=deactivated"))
    assert client.get("/people/?after=nonsense&state=nonsense&q=%00").status_code == 200


# ---- inviting


def test_an_invited_person_chooses_a_password_by_the_link_once_and_then_signs_in(cast: Cast) -> None:
    person, path = invite(at(cast["admin1"]), teams=["support"], roles=["policy-author"])
    assert teams_and_roles_of(person) == (frozenset({"support"}), frozenset({Role.POLICY_AUTHOR}))
    assert [letter.to for letter in mail.outbox] == [[person.email]]
    assert path in mail.outbox[0].body
    form = Client().get(path)
    assert "Nina New" in said(form)
    assert not Invitation.objects.filter(accepted_at__isnull=False).exists()  # reading it spends nothing
    client = Client()
    answer = client.post(path, {"password1": NEW, "password2": NEW})
    assert (answer.status_code, answer["Location"]) == (303, "/accounts/login/")
    assert client.get("/queue/").status_code == 302  # accepting signs nobody in
    assert choose(path, "yet another passphrase").status_code == 410  # type: ignore[attr-defined]
    assert Client().post("/accounts/login/", {"login": person.email, "password": NEW})["Location"] == "/queue/"
    assert [leaf["facts"]["kind"] for leaf in entries("person.invited")] == ["invitation"]
    assert "invitation-accepted" in [leaf["facts"].get("what") for leaf in entries("person.changed")]


def test_only_the_digest_of_a_links_token_is_kept(cast: Cast) -> None:
    _, path = invite(at(cast["admin1"]))
    token = path.rstrip("/").rpartition("/")[2]
    with services.connection("owner") as owner:
        tables = owner.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
        for (table,) in tables.fetchall():
            found = owner.execute(f'SELECT count(*) FROM "{table}" t WHERE t::text LIKE %s', [f"%{token}%"]).fetchone()
            assert found == (0,), table


def test_a_link_ends_with_its_hours_by_the_databases_clock_and_a_newer_one_voids_it(cast: Cast) -> None:
    admin = at(cast["admin1"])
    person, first = invite(admin)
    again = post(admin, person, "link")
    second = link_in(again.content.decode())
    assert choose(first).status_code == 410  # type: ignore[attr-defined]
    with forging():
        Invitation.objects.filter(voided_at__isnull=True).update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert Client().get(second).status_code == 410
    assert choose(second).status_code == 410  # type: ignore[attr-defined]
    assert not User.objects.get(pk=person.pk).has_usable_password()


@pytest.mark.parametrize("password", ["short", "password1234", "new@example.test"])
def test_a_password_that_is_no_good_is_422_and_the_link_stays_good(cast: Cast, password: str) -> None:
    _, path = invite(at(cast["admin1"]))
    assert choose(path, password).status_code == 422  # type: ignore[attr-defined]
    assert Client().post(path, {"password1": NEW, "password2": "another one of them"}).status_code == 422
    assert choose(path).status_code == 303  # type: ignore[attr-defined]


def test_an_invitation_gives_no_role_that_takes_two(cast: Cast) -> None:
    admin = at(cast["admin1"])
    for role in ("administrator", "policy-activator"):
        answer = admin.post("/people/invite/", {**INVITED, "roles": [role]})
        assert answer.status_code == 422
    assert not User.objects.filter(email=INVITED["email"]).exists()


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"email": "SUPPORT1@example.test"}, "Somebody has this address already."),
        ({"email": "nobody"}, "This is no e-mail address."),
        ({"email": "nina@ex\u202eample.test"}, "This holds characters that cannot be seen."),
        ({"name": " "}, "A name has 1 to 100 characters."),
        ({"name": "Nina \u202ewen"}, "This holds characters that cannot be seen."),
    ],
)
def test_what_cannot_be_invited_is_422_with_what_was_typed(cast: Cast, fields: dict[str, str], sentence: str) -> None:
    answer = at(cast["admin1"]).post("/people/invite/", {**INVITED, **fields})
    assert answer.status_code == 422
    assert sentence in said(answer)
    assert User.objects.filter(name="Nina New").count() == 0


def test_a_new_link_for_who_lost_everything_ends_sessions_and_second_factors_when_it_is_used(cast: Cast) -> None:
    from tests.support import codes

    codes.equip(cast["support1"])
    old = Client()
    old.force_login(cast["support1"])
    path = link_in(post(at(cast["admin1"]), cast["support1"], "link").content.decode())
    assert old.get("/queue/").status_code == 200  # until it is used, nothing changed
    assert choose(path).status_code == 303  # type: ignore[attr-defined]
    assert old.get("/queue/").status_code == 302
    assert not Authenticator.objects.filter(user=cast["support1"]).exists()
    assert Client().post("/accounts/login/", {"login": cast["support1"].email, "password": PASSWORD}).status_code == 200
    assert Client().post("/accounts/login/", {"login": cast["support1"].email, "password": NEW}).status_code == 302
    changed = [(leaf["facts"].get("what"), leaf["facts"].get("change")) for leaf in entries("person.changed")]
    assert ("reset-accepted", None) in changed
    assert (None, "second-factor-removed") in changed


# ---- seats and roles


def test_one_administrator_seats_and_unseats_and_each_is_an_entry(cast: Cast) -> None:
    admin, person = at(cast["admin1"]), cast["support1"]
    assert post(admin, person, "teams", act="seat", team="finance").status_code == 303
    assert admin.post("/teams/support/", {"act": "unseat", "person": str(person.pk)}).status_code == 303
    assert teams_and_roles_of(person)[0] == {"finance"}
    assert admin.post("/teams/privacy/", {"act": "seat", "email": person.email.upper()}).status_code == 303
    assert [(leaf["facts"]["slug"], leaf["actor"]["id"], leaf["auth"]["method"]) for leaf in entries("team.left")] == [
        ("support", str(cast["admin1"].pk), "password")
    ]
    by_admin = [leaf for leaf in entries("team.joined") if leaf["actor"]["id"] == str(cast["admin1"].pk)]
    assert sorted(leaf["facts"]["slug"] for leaf in by_admin) == ["finance", "privacy"]


def test_an_administrator_seats_everybody_but_themselves(cast: Cast) -> None:
    admin = at(cast["admin1"])
    refused = post(admin, cast["admin1"], "teams", act="seat", team="finance")
    assert refused.status_code == 422
    assert "another administrator's" in said(refused)
    assert admin.post("/teams/finance/", {"act": "seat", "email": cast["admin1"].email}).status_code == 422
    assert post(admin, cast["admin1"], "roles", act="give", role="leadership", reason="I like it").status_code == 422
    assert teams_and_roles_of(cast["admin1"])[0] == frozenset()
    assert Role.LEADERSHIP not in teams_and_roles_of(cast["admin1"])[1]
    assert post(at(cast["admin2"]), cast["admin1"], "teams", act="seat", team="finance").status_code == 303


def test_an_auditor_is_one_until_the_day_given_by_the_databases_clock(cast: Cast) -> None:
    admin, person = at(cast["admin1"]), cast["support1"]
    day = (datetime.now(UTC) + timedelta(days=3)).date()
    assert post(admin, person, "roles", act="give", role="auditor", until=day.isoformat()).status_code == 303
    grant = RoleGrant.objects.get(user=person, role=Role.AUDITOR)
    assert grant.expires_at is not None
    assert grant.expires_at.date() == day
    client = Client()
    client.force_login(person)
    assert client.get("/people/").status_code == 200
    with forging():
        RoleGrant.objects.filter(pk=grant.pk).update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert client.get("/people/").status_code == 404
    assert post(admin, person, "roles", act="give", role="auditor", until=day.isoformat()).status_code == 303
    assert client.get("/people/").status_code == 200


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 422),
        ({"reason": "The audit committee asks for it."}, 303),
        ({"until": "2020-01-01"}, 422),
        ({"until": "31.12.2999"}, 422),
    ],
)
def test_an_auditor_has_an_end_in_the_future_or_a_reason(cast: Cast, fields: dict[str, str], status: int) -> None:
    answer = post(at(cast["admin1"]), cast["support1"], "roles", act="give", role="auditor", **fields)
    assert answer.status_code == status


def test_a_reason_is_one_that_can_be_read(cast: Cast) -> None:
    admin, person = at(cast["admin1"]), cast["support1"]
    for reason in ("It is \u202eso", "x" * 501, "a\x00b"):
        assert post(admin, person, "teams", act="seat", team="finance", reason=reason).status_code == 422, reason
    assert post(admin, person, "teams", act="seat", team="finance", reason=" It is  so ").status_code == 303


def test_a_team_is_made_once_and_its_slug_is_one_that_policy_can_name(cast: Cast) -> None:
    admin = at(cast["admin1"])
    assert admin.post("/teams/", {"slug": "night-shift", "name": "Night shift"}).status_code == 303
    assert admin.post("/teams/", {"slug": "night-shift", "name": "Again"}).status_code == 422
    for slug in ("Night", "n", "1st", "two words", "-x", ""):
        assert admin.post("/teams/", {"slug": slug, "name": "Wrong"}).status_code == 422, slug
    assert list(Team.objects.filter(name="Night shift").values_list("slug", flat=True)) == ["night-shift"]


def test_who_is_no_administrator_any_more_changes_nothing_even_in_the_middle_of_it(cast: Cast) -> None:
    from accounts import membership
    from accounts.acting import Refused
    from tests.support.colleagues import acting

    by = acting(cast["admin3"])
    with forging():
        RoleGrant.objects.filter(user=cast["admin3"]).delete()
    with pytest.raises(Refused):
        membership.seat(by=by, person_id=cast["support1"].pk, team=cast.teams["finance"])
    assert teams_and_roles_of(cast["support1"])[0] == {"support"}


def test_the_database_has_one_open_link_a_person(cast: Cast) -> None:
    person, _ = invite(at(cast["admin1"]))
    with pytest.raises(IntegrityError):
        Invitation(kind="reset", person=person, token_sha256=b"x" * 32, expires_at=datetime.now(UTC)).save()


# ---- what pages cost, and what logs keep


def test_lists_cost_no_more_with_more_people_and_no_more_than_they_may(cast: Cast) -> None:
    admin = at(cast["admin1"])
    admin.post("/reviews/access/", {"act": "begin"})
    urls = ("/people/", "/teams/", "/teams/support/", f"/people/{cast['support1'].pk}/", "/reviews/access/")
    few = {url: cost(admin, url)[0] for url in urls}
    for number in range(30):
        make_person(f"crowd{number:02}", teams=[cast.teams["support"]], roles=[Role.LEADERSHIP])
    for url in urls:
        queries, size = cost(admin, url)
        assert queries == few[url], url
        assert queries <= LIST, url
        assert size <= HTML, url


def test_no_log_keeps_a_link() -> None:
    event: dict[str, Any] = {"request": "GET /accounts/setup/dG9rZW4/", "event": "request_started"}
    assert without_keys(None, "info", event)["request"] == "GET /accounts/setup/***/"


def test_no_list_grows_without_bound_and_each_says_how_many_more_there_are(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accounts.directory.AT_MOST", 2)
    client, gone = at(cast["admin1"]), cast["owner1"]
    for number in range(3):
        make_person(f"member{number}", teams=[cast.teams["support"]])
        registration.register_agent(
            by=SETTING_UP, slug=f"agent{number}", purpose="Waits.", owner=gone, level=3
        )  # with helpdesk: four that nobody answers for
    for name in ("support1", "auditor1", "leader1"):
        post(client, cast[name], "roles", act="give", role="administrator", reason="Needed.")
    post(client, gone, "deactivate", reason="Left.")
    people = said(client.get("/people/"))
    assert "1 more is not shown here." in people  # of three proposals
    assert "2 more are not shown here." in people  # of four agents
    for address in ("/teams/", "/teams/support/"):
        met, at_page = [], client.get(address)
        while True:
            page = at_page.content.decode()
            met += [part.partition('"')[0] for part in page.split('class="what"><a href="')[1:]]
            if 'href="?after=' not in page:
                break
            at_page = client.get(address + "?after=" + page.partition('href="?after=')[2].partition('"')[0])
        assert len(met) == len(set(met)) == (Team.objects.count() if address == "/teams/" else 4)
    assert "more teams are not listed" in said(client.get("/people/invite/"))
    assert "more teams are not listed" in said(client.get(f"/people/{cast['leader1'].pk}/"))
    client.post("/reviews/access/", {"act": "begin"})
    lines = AccessLine.objects.exclude(person=cast["admin1"]).select_related("person")
    for line in lines[:3]:
        teams, roles = teams_and_roles_of(line.person)
        seen = reviews.rights_digest(teams, roles)
        client.post("/reviews/access/", {"act": "answer", f"line-{line.pk}": "keep", f"seen-{line.pk}": seen})
    review = said(client.get("/reviews/access/"))
    assert "3 lines answered" in review
    assert "1 more is not shown here." in review


@override_settings(SHOW_LINKS=False)
def test_who_makes_a_link_does_not_see_it_or_they_could_become_the_person_it_is_for(cast: Cast) -> None:
    admin = at(cast["admin1"])
    answer = admin.post("/people/invite/", INVITED)
    assert answer.status_code == 201
    (letter,) = mail.outbox
    (path,) = re.findall(r"/accounts/setup/\S+", str(letter.body))
    assert letter.to == [INVITED["email"]]
    assert path not in answer.content.decode()
    assert "It was sent to" in answer.content.decode()
    again = post(admin, User.objects.get(email=INVITED["email"]), "link")
    assert "/accounts/setup/" not in again.content.decode()
