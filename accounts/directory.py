"""Reading people, teams, proposals and reviews for their pages. Nothing is changed here, and no door is kept.

Every list keeps to a number of queries that does not grow with its rows. Whose agents somebody answers for is read by
the relation's name: agents are a floor above.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from allauth.mfa.models import Authenticator
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Lower, Now

from accounts.addresses import whose
from accounts.models import AccessLine, AccessReview, Invitation, RightsChange, Role, RoleGrant, Team, User
from accounts.people import teams_and_roles_of
from accounts.reviews import due
from accounts.rights import GOOD

AT_MOST = 100  # rows of one list on a page
READERS = frozenset({Role.ADMINISTRATOR, Role.AUDITOR, Role.LEADERSHIP})
_LIVE = Q(expires_at__isnull=True) | Q(expires_at__gt=Now())
_FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)


T = TypeVar("T")


class Some(list[T]):
    """The first rows of a list, and how many `more` there are."""

    def __init__(self, rows: Iterable[T], more: int = 0) -> None:
        super().__init__(rows)
        self.more = more

    @property
    def whole(self) -> int:
        """How many there are in all."""
        return len(self) + self.more


def _first(rows: QuerySet[Any]) -> Some[Any]:
    """As many as a page shows; one query more where there are others."""
    found = list(rows[: AT_MOST + 1])
    return Some(found[:AT_MOST], rows.count() - AT_MOST if len(found) > AT_MOST else 0)


@dataclass(frozen=True)
class Entry:
    """A person as lists show them."""

    user: User
    teams: tuple[str, ...]
    roles: tuple[Role, ...]
    agents: tuple[str, ...]
    second_factor: bool
    link_open: bool

    @property
    def state(self) -> str:
        """`deactivated`, `invited` (nobody has signed in yet) or `active`."""
        if not self.user.is_active:
            return "deactivated"
        return "active" if self.user.last_login else "invited"


def _people() -> QuerySet[User]:
    """People with what `Entry` reads of them."""
    teams = Team.objects.filter(memberships__user=OuterRef("pk")).order_by("slug").values("slug")
    roles = RoleGrant.objects.filter(_LIVE, user=OuterRef("pk")).order_by("role").values("role")
    owned = User.objects.filter(pk=OuterRef("pk"), agents__isnull=False).order_by("agents__slug")
    links = Invitation.objects.filter(GOOD, person=OuterRef("pk"))
    return User.objects.annotate(
        team_slugs=ArraySubquery(teams),
        role_names=ArraySubquery(roles),
        agent_slugs=ArraySubquery(owned.values("agents__slug")),
        second_factor=Exists(Authenticator.objects.filter(user=OuterRef("pk"), type__in=_FACTORS)),
        link_open=Exists(links),
    )


def _entry(row: Any) -> Entry:
    return Entry(
        user=row,
        teams=tuple(row.team_slugs),
        roles=tuple(Role(name) for name in row.role_names),
        agents=tuple(row.agent_slugs),
        second_factor=row.second_factor,
        link_open=row.link_open,
    )


def page_of_people(*, words: str = "", state: str = "", after: UUID | None = None, limit: int) -> list[Entry]:
    """People by name, from after that person; `words` in name or address, `state` as `Entry` has it."""
    rows = _by_name(_people(), after)
    if words:
        rows = rows.filter(Q(name__icontains=words) | Q(email__icontains=words))
    if state == "deactivated":
        rows = rows.filter(is_active=False)
    elif state:
        rows = rows.filter(is_active=True, last_login__isnull=state == "invited")
    return [_entry(row) for row in rows[:limit]]


def _by_name(people: QuerySet[User], after: UUID | None) -> QuerySet[Any]:
    rows = people.annotate(by_name=Lower("name")).order_by("by_name", "pk")
    anchor = User.objects.filter(pk=after).values_list(Lower("name"), flat=True).first() if after else None
    if anchor is None:
        return rows
    return rows.filter(Q(by_name__gt=anchor) | Q(by_name=anchor, pk__gt=after))


def person(person_id: UUID) -> Entry | None:
    """One person; None where there is none."""
    row = _people().filter(pk=person_id).first()
    return _entry(row) if row is not None else None


def by_email(email: str) -> User | None:
    """The person with this address."""
    return whose(email).first()


def role_grants(user: User) -> list[RoleGrant]:
    """The roles somebody holds now, with their ends."""
    return list(RoleGrant.objects.filter(_LIVE, user=user).order_by("role"))


def waiting_changes() -> Some[RightsChange]:
    """Changes that wait for a second administrator, oldest first."""
    rows = RightsChange.objects.filter(outcome__isnull=True, expires_at__gt=Now())
    return _first(rows.select_related("person", "proposed_by").order_by("proposed_at", "pk"))


def changes_of(user: User, limit: int = 20) -> list[RightsChange]:
    """What was proposed about somebody, newest first."""
    rows = RightsChange.objects.filter(person=user).select_related("proposed_by", "ended_by")
    return list(
        rows.annotate(lapsed=Q(outcome__isnull=True) & Q(expires_at__lte=Now())).order_by("-proposed_at")[:limit]
    )


def ownerless() -> Some[tuple[str, User]]:
    """Agents whose owner is deactivated, by name: nobody answers for them."""
    rows = User.objects.filter(is_active=False, agents__isnull=False).annotate(slug=F("agents__slug"))
    some = _first(rows.order_by("slug"))
    return Some([(row.slug, row) for row in some], some.more)


# ---- teams


def teams(after: str = "") -> Some[Any]:
    """Teams by slug, from after that one, with how many active people sit in each (`seated`)."""
    seated = Count("memberships", filter=Q(memberships__user__is_active=True))
    rows = Team.objects.filter(slug__gt=after) if after and "\x00" not in after else Team.objects.all()
    return _first(rows.annotate(seated=seated).order_by("slug"))


def team(slug: str) -> Team | None:
    """One team."""
    return Team.objects.filter(slug=slug).first() if "\x00" not in slug else None


def teams_called(slugs: list[str]) -> list[Team]:
    """The teams of these slugs that there are."""
    return list(Team.objects.filter(slug__in=[slug for slug in slugs if "\x00" not in slug]).order_by("slug"))


def members(of: Team, after: UUID | None = None) -> Some[Entry]:
    """Who sits in a team, by name, from after that person."""
    some = _first(_by_name(_people().filter(memberships__team=of), after))
    return Some([_entry(row) for row in some], some.more)


def somebody_to_seat(in_team: Team) -> list[User]:
    """Active people who do not sit in it, by name, for a form's suggestions."""
    rows = User.objects.filter(is_active=True).exclude(memberships__team=in_team)
    return list(rows.order_by(Lower("name"), "pk")[:200])


# ---- reviews


@dataclass(frozen=True)
class Line:
    """One person in the open review, with what they hold now."""

    id: UUID
    entry: Entry


def open_review() -> AccessReview | None:
    """The review that is not signed off yet."""
    return AccessReview.objects.filter(signed_at__isnull=True).select_related("begun_by").first()


def last_reviews(limit: int = 8) -> list[AccessReview]:
    """Signed reviews, newest first."""
    rows = AccessReview.objects.filter(signed_at__isnull=False).select_related("signed_by")
    return list(rows.order_by("-signed_at")[:limit])


def unanswered(review: AccessReview, limit: int) -> tuple[list[Line], int]:
    """The first lines of active people that wait for an answer, by name, and how many there are in all."""
    waiting = AccessLine.objects.filter(review=review, verdict__isnull=True, person__is_active=True)
    ordered = waiting.order_by(Lower("person__name"), "person").values_list("pk", "person")[:limit]
    lines = list(ordered)
    found = {row.pk: _entry(row) for row in _people().filter(pk__in=[person_id for _, person_id in lines])}
    return [Line(pk, found[person_id]) for pk, person_id in lines], waiting.count()


def answered(review: AccessReview) -> Some[AccessLine]:
    """The lines that were answered, newest first."""
    rows = review.lines.filter(verdict__isnull=False).select_related("person", "answered_by")
    return _first(rows.order_by("-answered_at", "pk"))


def everybody() -> list[Entry]:
    """All active people by name, for an export."""
    return [_entry(row) for row in _people().filter(is_active=True).order_by(Lower("name"), "pk")]


@dataclass(frozen=True)
class Rights:
    """What the frame of every page shows of somebody's rights."""

    reads_people: bool = False
    review_over: bool = False  # asked for administrators alone


def rights_of(user: Any) -> Rights:
    """For the frame of a page: whether people's pages are there for this person, and whether they should review
    access. No query where the page has read this person's roles, one more for an administrator."""
    if user is None or not user.is_authenticated:
        return Rights()
    roles = user.roles_seen if user.roles_seen is not None else teams_and_roles_of(user)[1]
    return Rights(bool(roles & READERS), Role.ADMINISTRATOR in roles and due().over)
