"""Administrators of tests: signed in through the pages, or acting through the verbs; and the forms they fill.

No test lives here.
"""

from __future__ import annotations

from typing import Any

from django.test import Client

from accounts.acting import Acting
from accounts.models import Role, User
from tests.support import codes
from tests.support.cast import Cast, make_cast, make_person, password_proof, password_set

ADMINISTRATORS = ("admin1", "admin2", "admin3")


def make_house(*, only: tuple[str, ...] = (), sign_in: tuple[str, ...] = ()) -> Cast:
    """The cast with a third administrator, all three of whom sign in by password; and whoever else is named."""
    cast = make_cast(only=("admin1", "admin2", *only), sign_in=("admin1", "admin2", *sign_in))
    third = make_person("admin3", roles=(Role.ADMINISTRATOR,))
    password_set(third)
    people: Any = cast.people
    people["admin3"] = third
    return cast


def acting(person: User) -> Acting:
    """An administrator who has just signed in."""
    return Acting(person, password_proof())


def at(person: User) -> Client:
    """A browser in which that person has just signed in."""
    return codes.sign_in(person)


def post(client: Client, person: User, what: str, **fields: str) -> Any:
    """POST to one of a person's forms: `teams`, `roles`, `deactivate`, `reactivate`, `sign-out`, `link`."""
    return client.post(f"/people/{person.pk}/{what}/", fields)


def answer(client: Client, change: Any, act: str = "confirm") -> Any:
    """Confirm or drop a proposed change, from its person's page."""
    return client.post(f"/people/changes/{change.pk}/", {"act": act, "person": str(change.person_id)})
