"""Reading many requests at once for a person's queue: its sections, whose turn it is, votes set-based. Nothing is
changed here, and nothing is turned into words.

Every list keeps to a number of queries that does not grow with its rows.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import (
    Case,
    Count,
    DateTimeField,
    Exists,
    F,
    IntegerField,
    JSONField,
    OuterRef,
    Q,
    QuerySet,
    Value,
    When,
    Window,
)
from django.db.models.expressions import RawSQL

from accounts.models import Membership
from agents.models import Agent
from approvals import access, queries, quorum
from approvals.access import Viewer
from approvals.models import Decision, Request
from approvals.queries import Seen
from approvals.rules.ruling import Ruling
from approvals.states import Status

RECENT = timedelta(days=1)
DENIED_WITHIN = timedelta(days=30)

# Most urgent first: Unknown sorts above High and below Critical.
URGENCY = Case(
    When(standing_risk="critical", then=Value(0)),
    When(standing_risk_unknown=True, then=Value(1)),
    When(standing_risk="high", then=Value(2)),
    When(standing_risk="medium", then=Value(3)),
    default=Value(4),
    output_field=IntegerField(),
)


def now() -> RawSQL:
    """The database's clock inside a query."""
    # statement_timestamp() and not clock_timestamp(): it is stable within a statement, so an index can serve it
    return RawSQL("statement_timestamp()", [], output_field=DateTimeField())


def ago(span: timedelta) -> RawSQL:
    """That long before the database's clock, inside a query."""
    return RawSQL("statement_timestamp() - %s", [span], output_field=DateTimeField())


def in_time() -> Q:
    """Pending as a reader sees it: a request past its deadline never is."""
    return Q(status=Status.PENDING.value, expires_at__gt=now())


def _voted(person: Viewer | None = None) -> Exists:
    standing = Decision.objects.filter(request=OuterRef("pk"), voided_at__isnull=True)
    return Exists(standing.filter(person=person.user) if person else standing)


def _denied_before() -> Exists:
    """A person rejected the same action on the same resource of the same agent in the 30 days before."""
    return Exists(
        Request.objects.filter(
            status=Status.REJECTED.value,
            agent=OuterRef("agent"),
            action=OuterRef("action"),
            resource=OuterRef("resource"),
            decided_at__gt=ago(DENIED_WITHIN),
            decided_at__lt=OuterRef("created_at"),
        )
    )


# ---- votes


# For whom a vote stood, as that is now: who has the delegation, whether it runs and where the delegator sits.
_LENDERS = """
(SELECT coalesce(jsonb_agg(jsonb_build_object(
          'person', source.person, 'name', u.name,
          'runs', u.is_active AND g.id IS NOT NULL,
          'teams', ARRAY(SELECT t.slug FROM accounts_membership m JOIN accounts_team t ON t.id = m.team_id
                          WHERE m.user_id = source.person AND source.teams ? t.slug)) ORDER BY source.person), '[]')
   FROM jsonb_to_recordset(approvals_decision.delegated_from) AS source(delegation uuid, person uuid, teams jsonb)
   JOIN accounts_user u ON u.id = source.person
   LEFT JOIN accounts_delegation g ON g.id = source.delegation AND g.delegator_id = source.person
        AND g.delegate_id = approvals_decision.person_id AND g.starts_at <= approvals_decision.decided_at
        AND least(g.ends_at, g.ended_at) > statement_timestamp())
"""


def votes_of(request_ids: Collection[UUID]) -> dict[UUID, list[Decision]]:
    """Standing decisions by request, oldest first, with their people, the teams these sit in now (`teams_now`), for
    whom they stand (`lenders_now`) and the seat they filled (`seat_team`, None while there is none); one query."""
    rows = with_people(Decision.objects.filter(request__in=list(request_ids), voided_at__isnull=True))
    found: dict[UUID, list[Decision]] = {}
    for vote in rows.order_by("decided_at", "id"):
        found.setdefault(vote.request_id, []).append(vote)
    return found


def with_people(votes: QuerySet[Decision]) -> QuerySet[Decision]:
    """Votes with what `votes_of` brings beside each."""
    teams = Membership.objects.filter(user=OuterRef("person")).values("team__slug")
    return votes.select_related("person").annotate(
        teams_now=ArraySubquery(teams),
        lenders_now=RawSQL(_LENDERS, [], output_field=JSONField()),  # noqa: S611 - a constant
        seat_team=F("seat__team"),
    )


def lenders_of(vote: Decision) -> list[dict[str, Any]]:
    """For whom a vote of `votes_of` stood: `person` (id), `name`, whether the delegation `runs`, `teams`."""
    found: list[dict[str, Any]] = vote.lenders_now  # type: ignore[attr-defined]  # annotated by `votes_of`
    return found


def seat_of(vote: Decision) -> str:
    """The team whose seat a vote of `votes_of` filled when the quorum was reached; empty where none."""
    return vote.seat_team or ""  # type: ignore[attr-defined]  # annotated by `votes_of`


def standing(request: Request, votes: Sequence[Decision], ruling: Ruling | None = None) -> quorum.Standing:
    """Where a request stands with the decisions of `votes_of`, by its frozen ruling (or by `ruling`).

    Each voter counts as they are now: active, still in a team, not the owner, with the proof that is asked for; and
    so does whom they stand for.
    """
    ruling = ruling or request.effective_ruling
    requirement = ruling.requirement or quorum.NOBODY
    return quorum.weigh(
        requirement,
        [_weighed(vote, request, ruling, quorum.teams_of(requirement)) for vote in votes],
        floor_people=max(ruling.floor_people, 1),
    )


def _weighed(vote: Decision, request: Request, ruling: Ruling, seatable: frozenset[str]) -> quorum.Vote:
    then, now = frozenset(vote.teams), frozenset(vote.teams_now)  # type: ignore[attr-defined]  # by `votes_of`
    wide = access.widens(request, ruling, vote.decided_at)

    def fills(teams: frozenset[str]) -> frozenset[str]:
        return teams | seatable if wide and request.escalation_team in teams else teams

    return quorum.Vote(
        person=str(vote.person_id),
        teams=fills(then & now),  # the seat a person came to sit in after they voted is not one they voted from
        verdict="approve" if vote.verdict == Decision.Verdict.APPROVE else "reject",
        barred=_barred(vote, request, ruling),
        owner=vote.person_id == request.agent.owner_id,
        stands_for=tuple(
            quorum.StandsFor(
                lender["person"],
                fills(frozenset(lender["teams"])),
                runs=lender["runs"] and lender["person"] != str(request.agent.owner_id),
            )
            for lender in lenders_of(vote)
        ),
        left=then - now,
    )


def _barred(vote: Decision, request: Request, ruling: Ruling) -> quorum.Uncounted | None:
    if not vote.person.is_active:
        return "inactive"
    if vote.parameters_digest != request.effective_digest:
        return "other-parameters"
    if not access.proved(vote, ruling):
        return "no-proof"
    return None


# ---- the queue


def owns_an_agent(person: Viewer) -> bool:
    """Whether this person answers for an agent; one query."""
    return Agent.objects.filter(owner=person.user).exists()


def owned_by(people: Collection[UUID]) -> dict[UUID, list[str]]:
    """Agents' slugs by who answers for them; one query."""
    found: dict[UUID, list[str]] = {}
    for owner, slug in Agent.objects.filter(owner__in=people).order_by("slug").values_list("owner_id", "slug"):
        found.setdefault(owner, []).append(slug)
    return found


def half_decided(person: Viewer) -> list[Request]:
    """Pending requests of this person's teams, or that they decided, on which somebody has voted: few, and each needs
    its quorum weighed to know whose turn it is. Payloads are left unread."""
    mine = access.fillable(person) | Q(_voted(person))
    rows = Request.objects.filter(in_time(), mine, _voted()).select_related("agent")
    return list(rows.only(*_TO_WEIGH))


#: Columns of a request that `standing` reads, and who may fill its seats.
_TO_WEIGH = (
    "teams", "ruling", "amended_ruling", "amended_teams", "agent__owner", "created_at", "decided_at", "escalated_at",
    "escalation_team", "parameters_digest", "amended_digest",
)  # fmt: skip


def _urgent_first(rows: QuerySet[Request]) -> QuerySet[Request]:
    found: QuerySet[Request] = rows.annotate(urgency=URGENCY, after_denial=_denied_before())
    return found.order_by("urgency", "expires_at", "id")


def your_turn(person: Viewer, *, filled: Collection[UUID] = ()) -> QuerySet[Request]:
    """Pending requests that wait for this person: whose seats they may fill, not decided by them, not their own
    agent's, and not among `filled`, where their seats are taken. Most urgent first."""
    if not person.decides:
        return queries.requests().none()
    return _urgent_first(
        queries.requests()
        .filter(in_time(), ~_voted(person), access.fillable(person))
        .exclude(agent__owner=person.user)
        .exclude(pk__in=list(filled))
    )


@dataclass(frozen=True, slots=True)
class Place:
    """A row's place in the order of urgency, to page from."""

    urgency: int
    expires_at: datetime
    id: UUID

    @classmethod
    def of(cls, request: Request) -> Place:
        """Where a row of `your_turn` stands."""
        return cls(request.urgency, request.expires_at, request.pk)  # type: ignore[attr-defined]  # annotated


def after(rows: QuerySet[Request], place: Place) -> QuerySet[Request]:
    """The rows that follow a place in the order of urgency."""
    later = Q(expires_at__gt=place.expires_at) | Q(expires_at=place.expires_at, id__gt=place.id)
    return rows.filter(Q(urgency__gt=place.urgency) | (Q(urgency=place.urgency) & later))


def before(rows: QuerySet[Request], place: Place) -> QuerySet[Request]:
    """The rows that precede a place, nearest first."""
    earlier = Q(expires_at__lt=place.expires_at) | Q(expires_at=place.expires_at, id__lt=place.id)
    found = rows.filter(Q(urgency__lt=place.urgency) | (Q(urgency=place.urgency) & earlier))
    return found.order_by("-urgency", "-expires_at", "-id")


def counted(rows: QuerySet[Request], limit: int) -> tuple[list[Request], int]:
    """The first `limit` rows and how many there are in all, in one query."""
    found: list[Any] = list(rows.annotate(in_all=Window(Count("*")))[:limit])
    return found, found[0].in_all if found else 0


def waiting(person: Viewer, known: Collection[UUID], limit: int) -> list[Request]:
    """Pending requests this person follows without it being their turn: `known` ones (see `half_decided`) and those
    of agents they own. Most urgent first."""
    rows = queries.requests().filter(in_time(), Q(pk__in=list(known)) | Q(agent__owner=person.user))
    return list(_urgent_first(rows)[:limit])


def recently_ended(person: Viewer, limit: int) -> list[Seen]:
    """What ended within a day among what this person reviews, owns or decided, latest first, as a reader sees it.

    One that somebody is deciding at its deadline is left out: nobody is told that it expired.
    """
    ended = Q(decided_at__gt=ago(RECENT)) | Q(
        status=Status.PENDING.value, expires_at__lte=now(), expires_at__gt=ago(RECENT)
    )
    rows = queries.requests().filter(involved(person), ended).exclude(teams=[])
    page = list(rows.order_by(*_LATEST_END)[:limit])
    return [seen for seen in queries.settle(page) if seen.status is not Status.PENDING]


_LATEST_END = (
    Case(When(decided_at__isnull=True, then=F("expires_at")), default=F("decided_at")).desc(),
    "-id",
)


def involved(person: Viewer) -> Q:
    """What the queue speaks of: not all that auditors may see, but what this person reviews, owns or decided."""
    return access.involving(person)


def undecidable(limit: int) -> list[Request]:
    """Pending requests of which it was known at filing that nobody can decide them, newest first."""
    return list(queries.requests().filter(in_time(), undecidable__isnull=False).order_by("-id")[:limit])


def neighbours(person: Viewer, request: Request) -> tuple[UUID | None, UUID | None]:
    """The requests before and after this one in the order of the person's turn; two queries, none without a team."""
    rows = your_turn(person).exclude(pk=request.pk)
    if not person.decides:
        return None, None
    ranks = {"critical": 0, "unknown": 1, "high": 2, "medium": 3}
    place = Place(ranks.get(request.shown_risk, 4), request.expires_at, request.pk)
    return (
        before(rows, place).values_list("pk", flat=True).first(),
        after(rows, place).values_list("pk", flat=True).first(),
    )
