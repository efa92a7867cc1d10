"""The quarterly access review through the pages: due by the database's clock, answered by others, signed off once."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError
from django.db.models import F
from django.test import Client

from accounts import reviews
from accounts.models import AccessLine, AccessReview, RightsChange, Role, User
from accounts.people import teams_and_roles_of
from tests.support.cast import Cast
from tests.support.colleagues import at, make_house, post
from tests.support.forging import forging
from tests.support.forms import said
from tests.support.leaves import entries

URL = "/reviews/access/"


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    """Three administrators, an auditor, one of support and its owner."""
    return make_house(only=("support1",))


def lines_on(client: Client) -> dict[str, str]:
    """The digests that the page's form carries, by line."""
    page = client.get(URL).content.decode()
    parts = [part.partition('"') for part in page.split('name="seen-')[1:]]
    return {line: rest.partition('value="')[2].partition('"')[0] for line, _, rest in parts}


def answers(client: Client, verdicts: dict[str, str]) -> Any:
    """Post an answer for these people's lines, `*` for all that the page asks of."""
    fields, whose = {"act": "answer"}, {str(line.pk): line for line in AccessLine.objects.select_related("person")}
    for line, seen in lines_on(client).items():
        verdict = verdicts.get(whose[line].person.email.partition("@")[0], verdicts.get("*"))
        if verdict:
            fields |= {f"line-{line}": verdict, f"seen-{line}": seen}
    return client.post(URL, fields)


def test_a_review_is_answered_signed_off_and_its_entry_carries_the_digest_of_it(cast: Cast) -> None:
    one, two = at(cast["admin1"]), at(cast["admin2"])
    assert one.post(URL, {"act": "begin"}).status_code == 303
    assert one.post(URL, {"act": "begin"}).status_code == 422
    assert answers(one, {"support1": "remove", "*": "keep"}).status_code == 303
    assert one.post(URL, {"act": "sign"}).status_code == 422  # their own line waits
    assert answers(two, {"*": "keep"}).status_code == 303
    assert two.post(URL, {"act": "sign"}).status_code == 303
    assert two.post(URL, {"act": "sign"}).status_code == 422
    review = AccessReview.objects.get()
    assert (review.kept, review.removed) == (5, 1)
    (begun,) = entries("access.review_begun")
    assert (begun["actor"]["id"], begun["facts"]) == (str(cast["admin1"].pk), {"people": 6})
    told = {leaf["facts"]["person"]: leaf for leaf in entries("access.line_answered")}
    assert {who: leaf["facts"]["verdict"] for who, leaf in told.items()} == {
        str(person.pk): "remove" if person == cast["support1"] else "keep" for person in User.objects.all()
    }
    assert {leaf["auth"]["method"] for leaf in told.values()} == {"password"}
    assert told[str(cast["admin1"].pk)]["actor"]["id"] == str(cast["admin2"].pk)
    (entry,) = entries("access.reviewed")
    assert entry["facts"] == {"people": 6, "kept": 5, "removed": 1, "gone": 0}
    lines = [
        [str(line.person_id), line.teams, line.roles, line.verdict, str(line.answered_by_id)]
        for line in review.lines.order_by("person_id")
    ]
    text = json.dumps(lines, separators=(",", ":"))
    assert entry["digests"]["access"] == review.digest == "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    assert teams_and_roles_of(cast["support1"]) == (frozenset(), frozenset())
    assert [leaf["facts"]["person"] for leaf in entries("team.left")] == [str(cast["support1"].pk)]
    assert review.digest in said(one.get(URL))


def test_nobody_answers_their_own_line(cast: Cast) -> None:
    one = at(cast["admin1"])
    one.post(URL, {"act": "begin"})
    mine = AccessLine.objects.get(person=cast["admin1"])
    teams, roles = teams_and_roles_of(cast["admin1"])
    seen = reviews.rights_digest(teams, roles)
    refused = one.post(URL, {"act": "answer", f"line-{mine.pk}": "keep", f"seen-{mine.pk}": seen})
    assert refused.status_code == 422
    assert "another administrator's" in said(refused)
    with pytest.raises(IntegrityError):
        AccessLine.objects.filter(pk=mine.pk).update(answered_by=cast["admin1"])
    mine.refresh_from_db()
    assert mine.verdict is None


def test_removing_proposes_what_takes_two(cast: Cast) -> None:
    one = at(cast["admin1"])
    one.post(URL, {"act": "begin"})
    assert answers(one, {"admin2": "remove"}).status_code == 303
    assert Role.ADMINISTRATOR in teams_and_roles_of(cast["admin2"])[1]
    assert set(RightsChange.objects.filter(person=cast["admin2"]).values_list("kind", "role")) == {
        ("take-role", "administrator"),
        ("take-role", "policy-activator"),
    }


def test_what_changed_since_the_page_was_shown_is_looked_at_again(cast: Cast) -> None:
    one = at(cast["admin1"])
    one.post(URL, {"act": "begin"})
    shown = lines_on(one)
    line = str(AccessLine.objects.get(person=cast["support1"]).pk)
    post(at(cast["admin2"]), cast["support1"], "roles", act="give", role="leadership")
    refused = one.post(URL, {"act": "answer", f"line-{line}": "keep", f"seen-{line}": shown[line]})
    assert refused.status_code == 422
    assert "changed while you were looking" in said(refused)
    assert AccessLine.objects.get(pk=line).verdict is None


def test_a_line_is_answered_once_and_who_was_deactivated_meanwhile_needs_no_answer(cast: Cast) -> None:
    one, two = at(cast["admin1"]), at(cast["admin2"])
    one.post(URL, {"act": "begin"})
    fields = {"act": "answer", **{f"seen-{line}": seen for line, seen in lines_on(one).items()}}
    fields |= {f"line-{line}": "keep" for line in lines_on(one)}
    post(two, cast["support1"], "deactivate", reason="Left.")
    assert one.post(URL, fields).status_code == 422  # of the one who left; the others are recorded
    again = {name: "remove" if name.startswith("line-") else value for name, value in fields.items()}
    assert one.post(URL, again).status_code == 422
    assert not AccessLine.objects.filter(verdict="remove").exists()
    assert answers(two, {"*": "keep"}).status_code == 303
    assert two.post(URL, {"act": "sign"}).status_code == 303
    assert entries("access.reviewed")[0]["facts"] == {"people": 6, "kept": 5, "removed": 0, "gone": 1}


def test_a_review_is_due_a_quarter_after_the_last_and_administrators_are_told_on_every_page(cast: Cast) -> None:
    one = at(cast["admin1"])
    assert not reviews.due().over
    assert "overdue" not in said(one.get("/queue/"))
    User.objects.update(created_at=F("created_at") - timedelta(days=92, seconds=1))
    assert reviews.due().over
    assert "overdue" in said(one.get("/queue/"))
    client = Client()
    client.force_login(cast["support1"])
    assert "overdue" not in said(client.get("/queue/"))
    AccessReview(
        begun_by=cast["admin1"],
        signed_by=cast["admin2"],
        signed_at=User.objects.get(pk=cast["admin2"].pk).last_login or cast["admin1"].created_at,
    ).save()
    AccessReview.objects.update(signed_at=F("begun_at"))
    assert "overdue" not in said(one.get("/queue/"))
    AccessReview.objects.update(signed_at=F("signed_at") - timedelta(days=92, seconds=1))
    assert "overdue" in said(one.get("/queue/"))


def test_the_list_as_csv_runs_in_no_spreadsheet(cast: Cast) -> None:
    with forging():
        User.objects.filter(pk=cast["support1"].pk).update(name='Sam;=HYPERLINK("https://evil.example")')
    text = at(cast["admin1"]).get("/reviews/access.csv").content.decode()
    assert text.startswith("\ufeff")
    assert ";'=HYPERLINK" in text
    assert ',"support","","",' in text
    assert '"administrator policy-activator"' in text
    assert ',"helpdesk",' in text
