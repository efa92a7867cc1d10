"""Authenticator apps of the cast: setting one up, its codes each once, and sign-ins and proofs through the doors.

No test lives here. Codes come from the standard library alone, so that the house's own arithmetic is checked by them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from typing import Any

from allauth.account.authentication import AUTHENTICATION_METHODS_SESSION_KEY as RECORDS
from django.test import Client
from django.urls import reverse

from accounts import second_factor
from accounts.models import User
from accounts.sign_in import STAMP
from tests.support.cast import PASSWORD
from tests.support.eventually import eventually

SECRET = base64.b32encode(b"a secret of the test").decode()


class App:
    """A phone with an authenticator app: `code()` is one that was not given before and is good now."""

    def __init__(self, secret: str = SECRET) -> None:
        self.secret = secret
        self._given = 0

    def code(self) -> str:
        """Of the step before, this one or the next: those the house accepts. One of the step before is given only while
        there is time to type it; who has used all three waits for the clock, as a person would."""
        now, gone = divmod(time.time(), 30)
        self._given = max(self._given + 1, int(now) - (1 if gone < 10 else 0))
        eventually(lambda: self._given <= time.time() // 30 + 1, within=35, what="the app's next code")
        return self.at(self._given)

    def at(self, step: int) -> str:
        """The code of one step, by RFC 4226."""
        digest = hmac.new(base64.b32decode(self.secret), step.to_bytes(8, "big"), hashlib.sha1).digest()
        place = digest[19] & 15
        return f"{(int.from_bytes(digest[place : place + 4], 'big') & 0x7FFFFFFF) % 1_000_000:06}"


def equip(*people: User) -> dict[str, App]:
    """An authenticator app for each, by the name before the @."""
    apps = {}
    for person in people:
        name = person.email.partition("@")[0]
        apps[name] = App(base64.b32encode(f"the secret of {name}".ljust(20).encode()[:20]).decode())
        second_factor.give_totp(user=person, secret=apps[name].secret)
    return apps


def sign_in(person: User, app: App | None = None) -> Client:
    """Through the pages: password, and the app's code where there is one."""
    client = Client()
    answer = client.post(reverse("account_login"), {"login": person.email, "password": PASSWORD})
    assert answer.status_code == 302, answer.content.decode()
    if app is not None:
        assert answer["Location"] == reverse("mfa_authenticate")
        answer = client.post(reverse("mfa_authenticate"), {"code": app.code()})
        assert answer.status_code == 302, answer.content.decode()
    return client


def confirm(client: Client, code: str, *, back: str = "/queue/") -> Any:
    """The page of confirming, with this code."""
    return client.post(f"{reverse('mfa_reauthenticate')}?next={back}", {"code": code, "next": back})


def move(client: Client, *, at: float = 0, stamp: float | None = None) -> None:
    """Let the session's proofs be dated so many seconds later (earlier: negative): by this host's clock, and by the
    database's (the same where `stamp` is not given)."""
    session = client.session
    for record in session[RECORDS]:
        record["at"] += at
        record[STAMP] += at if stamp is None else stamp
    session.save()
