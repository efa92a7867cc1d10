"""The demo organisation's past: critical requests were approved by two people, each with their app."""

from __future__ import annotations

import pytest

from accounts import second_factor
from accounts.models import User
from approvals import demo
from approvals.models import Decision, Request
from tests.support import sealing
from tests.support.cast import demo_policy
from tests.support.codes import App

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(240)]


def test_the_two_who_decide_critical_requests_have_apps_and_approved_some_with_them() -> None:
    with sealing.running():
        made = demo.make(demo_policy(), say=lambda _: None)
    secrets = {user["email"]: user["totp"] for user in made.users if "totp" in user}
    assert list(secrets) == ["privacy1@example.test", "security1@example.test"]
    assert all(App(secret).at(1) for secret in secrets.values())
    assert {user.email for user in User.objects.all() if second_factor.has_one(user)} == set(secrets)
    critical = Request.objects.filter(risk="critical")
    assert {"approved", "rejected", "pending"} <= set(critical.values_list("status", flat=True))
    for request in critical.filter(status="approved"):
        votes = Decision.objects.filter(request=request)
        assert {vote.person.email for vote in votes} == set(secrets)
        assert {vote.auth_method for vote in votes} == {"mfa:totp"}
