"""How a change of people's rights is held: one at a time, limited in time, by an administrator who is one still.

What is changed is the verbs'. The locks of changes of rights are taken in one order, of which this room holds the first
and the third: all of them, the row of the change or line, the person, their links, requests (ADR 0016). A decision
holds its person likewise, before its request (`hold_active`), so none overtakes a deactivation.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection

from accounts.models import Role, User
from accounts.people import person_party, teams_and_roles_of
from audit.entries import Authentication, Party
from audit.limits import clock, limited

_WHOLE_SECONDS = 30  # a deactivation voids every open vote of its person; its statements have the usual limit
_ALL_RIGHTS = 0x636F_7269  # the advisory lock of changes of rights: 'cori'


class Refused(Exception):
    """What a person asked for and is not done; the sentence says why, `field` what on the form it is about."""

    def __init__(self, sentence: str, field: str = "") -> None:
        super().__init__(sentence)
        self.field = field


def all_seen(text: str, field: str) -> str:
    """The text, refused where it holds characters that cannot be seen, so that no page need spell them out."""
    if any(unicodedata.category(character)[0] == "C" for character in text):
        raise Refused("This holds characters that cannot be seen.", field)
    return text


@dataclass(frozen=True, slots=True)
class Acting:
    """Who changes rights, and how they last proved who they are. That they may is asked under the lock."""

    person: User
    auth: Authentication

    @property
    def party(self) -> Party:
        """How entries name them."""
        return person_party(self.person)


@contextmanager
def one_at_a_time() -> Iterator[datetime]:
    """A transaction in which no other change of rights is made; gives the database's clock, read under the lock.

    Changes of rights are rare, and each rests on what others hold ("never without an administrator"), which no row
    lock covers.
    """
    with limited(whole_seconds=_WHOLE_SECONDS):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_ALL_RIGHTS])
        yield clock()


@contextmanager
def changing(by: Acting) -> Iterator[datetime]:
    """`one_at_a_time`, by somebody who is an active administrator under the lock."""
    with one_at_a_time() as now:
        if not is_active(by.person) or Role.ADMINISTRATOR not in teams_and_roles_of(by.person)[1]:
            raise Refused("You are no administrator any more, so nothing was changed.")
        yield now


def locked(person_id: UUID) -> User:
    """The person, whose row nobody else may change until this transaction ends, nor hold active to decide by. Rows that
    name them may be written meanwhile: a stop waits for nobody."""
    return User.objects.select_for_update(no_key=True).get(pk=person_id)


def hold_active(person: User) -> None:
    """Read anew whether this person is active, and keep it so until this transaction ends: a deactivation, a seat or a
    role that is being taken waits, and finds what was decided. Take it before any request's lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT is_active FROM accounts_user WHERE id = %s FOR SHARE", [person.pk])
        found = cursor.fetchone()
    person.is_active = bool(found and found[0])


def is_active(person: User) -> bool:
    """Whether this person is active, read anew."""
    return User.objects.filter(pk=person.pk, is_active=True).exists()


def administrators() -> set[UUID]:
    """The active administrators, by the database's clock."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT u.id FROM accounts_user u JOIN accounts_rolegrant r ON r.user_id = u.id"
            " WHERE u.is_active AND r.role = %s AND (r.expires_at IS NULL OR r.expires_at > now())",
            [Role.ADMINISTRATOR.value],
        )
        return {row[0] for row in cursor.fetchall()}
