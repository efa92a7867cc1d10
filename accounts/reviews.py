"""The quarterly review of people's access: begin, answer each line, sign off. Nobody answers their own line.

Removing takes at once what one administrator may take and proposes the rest (`two_people`). What is shown is
`directory`'s.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now

from accounts import membership, two_people
from accounts.acting import Acting, Refused, changing, locked
from accounts.models import TWO_PEOPLE, AccessLine, AccessReview, RightsChange, Role, User
from accounts.people import teams_and_roles_of
from audit.canonical import dumps
from audit.entries import Draft, Party, record
from audit.types import EntryType

QUARTER = timedelta(days=92)
REASON = "Removed in the access review."


@dataclass(frozen=True)
class Due:
    """When access was last reviewed, when it is next, and whether that has passed; by the database's clock."""

    last: datetime | None
    next: datetime
    over: bool


def due() -> Due:
    """The first review is due a quarter after the first person came, each later one a quarter after the last."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT max(signed_at) FROM accounts_accessreview),"
            " (SELECT min(created_at) FROM accounts_user), now()"
        )
        last, first, now = cursor.fetchone()
    following = (last or first or now) + QUARTER
    return Due(last, following, following <= now)


def rights_digest(teams: Collection[str], roles: Collection[str]) -> str:
    """What a line is answered for: the same rights, the same digest. A form carries it."""
    return hashlib.sha256(dumps([sorted(teams), sorted(str(role) for role in roles)])).hexdigest()[:32]


def begin(*, by: Acting) -> AccessReview:
    """Begin a review of everybody who is active."""
    with changing(by):
        try:
            with transaction.atomic():
                review = AccessReview(begun_by=by.person)
                review.save(force_insert=True)
        except IntegrityError as error:
            raise Refused("A review is open already.") from error
        people = User.objects.filter(is_active=True)
        lines = AccessLine.objects.bulk_create(AccessLine(review=review, person=person) for person in people)
        record(
            Draft(
                type=EntryType.ACCESS_REVIEW_BEGUN,
                actor=by.party,
                subject=Party("review", str(review.pk)),
                facts={"people": len(lines)},
                auth=by.auth,
            )
        )
        return review


def answer(*, by: Acting, line_id: UUID, keep: bool, seen: str) -> None:
    """Keep or remove one person's access. `seen` is the `rights_digest` of what the form showed; a person whose rights
    changed meanwhile is looked at again."""
    with changing(by) as now:
        line = AccessLine.objects.select_for_update(of=("self",)).select_related("review").filter(pk=line_id).first()
        if line is None or line.review.signed_at is not None:
            raise Refused("This review is signed off already.")
        if line.verdict is not None:
            raise Refused("Somebody answered this line already.")
        person = locked(line.person_id)
        if person.pk == by.person.pk:
            raise Refused("Your own line is another administrator's to answer.")
        teams, roles = teams_and_roles_of(person)
        if not person.is_active:
            raise Refused("This person was deactivated meanwhile.")
        if seen != rights_digest(teams, roles):
            raise Refused("This person's rights changed while you were looking. Look again.")
        line.teams, line.roles = sorted(teams), sorted(str(role) for role in roles)
        line.verdict = AccessLine.Verdict.KEEP if keep else AccessLine.Verdict.REMOVE
        line.answered_by, line.answered_at = by.person, now
        line.save(update_fields=["teams", "roles", "verdict", "answered_by", "answered_at"])
        record(
            Draft(
                type=EntryType.ACCESS_LINE_ANSWERED,
                actor=by.party,
                subject=Party("review", str(line.review_id)),
                facts={"person": str(person.pk), "verdict": line.verdict},
                auth=by.auth,
            )
        )
        if not keep:
            _remove(by, person, roles, now)


def _remove(by: Acting, person: User, roles: frozenset[Role], now: datetime) -> None:
    membership.take_all(by, person, REASON)
    membership.shrank(by, person, "The voter's access was removed in a review.")
    for role in sorted(roles & TWO_PEOPLE):
        waiting = RightsChange.objects.filter(
            person=person, kind=RightsChange.Kind.TAKE, role=role, outcome__isnull=True, expires_at__gt=now
        )
        if not waiting.exists():
            two_people.put_forward(by, person, RightsChange.Kind.TAKE, role, REASON, now)


def sign_off(*, by: Acting) -> AccessReview:
    """Sign the open review off, once every line of somebody active is answered; its entry carries the digest of it."""
    with changing(by) as now:
        review = AccessReview.objects.select_for_update().filter(signed_at__isnull=True).first()
        if review is None:
            raise Refused("No review is open.")
        open_lines = review.lines.filter(verdict__isnull=True)
        open_lines.filter(person__is_active=False).update(verdict=AccessLine.Verdict.GONE, answered_at=Now())
        left = open_lines.count()
        if left:
            raise Refused(f"{left} of the lines wait for an answer.")
        lines = list(review.lines.order_by("person_id"))
        review.kept = sum(line.verdict == AccessLine.Verdict.KEEP for line in lines)
        review.removed = sum(line.verdict == AccessLine.Verdict.REMOVE for line in lines)
        review.digest = f"sha256:{hashlib.sha256(dumps([_as_reviewed(line) for line in lines])).hexdigest()}"
        review.signed_by, review.signed_at = by.person, now
        review.save()
        record(
            Draft(
                type=EntryType.ACCESS_REVIEWED,
                actor=by.party,
                subject=Party("review", str(review.pk)),
                facts={
                    "people": len(lines),
                    "kept": review.kept,
                    "removed": review.removed,
                    "gone": len(lines) - review.kept - review.removed,
                },
                digests={"access": review.digest},
                auth=by.auth,
            )
        )
        return review


def _as_reviewed(line: AccessLine) -> list[object]:
    """person, teams, roles, verdict, who answered: what the digest is over, in this order."""
    return [
        str(line.person_id),
        line.teams,
        line.roles,
        line.verdict,
        str(line.answered_by_id) if line.answered_by_id else None,
    ]
