"""Whether the votes given so far fill the seats that policy asks for.

It knows no database, no person's rights and no policy: who is eligible is told to it.

A requirement is a tuple of alternatives, any one of which is enough; an alternative maps a team to the
number of its seats. Seats are filled by distinct people, each in one seat, so filling them is a matching in
a bipartite graph and the order of votes cannot matter.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Alternative = Mapping[str, int]
Requirement = tuple[Alternative, ...]

# Nobody has to agree: one alternative without seats. It is the neutral element of `all_of`.
NOBODY: Requirement = ({},)

# Multiplying out grows without bound; nobody can read a requirement with more alternatives than this.
ALTERNATIVES_AT_MOST = 500

# A seat count with three digits is a slip of the keyboard, not a requirement.
_SEATS = re.compile(r"([1-9][0-9]?) of ([a-z0-9](?:[a-z0-9-]*[a-z0-9])?)")


class BadRequirement(ValueError):
    """The words after `@require` are no requirement; the message says why."""


def parse(text: str) -> Requirement:
    """Read `"2 of finance, 1 of support | 1 of leadership"`: comma is and, `|` is or and binds looser.

    `"nobody"` stands alone and gives `NOBODY`. Raises `BadRequirement`. Rule: docs/reference/policy.md, Requirements.
    """
    if text.strip() == "nobody":
        return NOBODY
    alternatives = []
    for part in text.split("|"):
        seats: dict[str, int] = {}
        for term in part.split(","):
            found = _SEATS.fullmatch(" ".join(term.split()))
            if not found:
                raise BadRequirement(f'"{term.strip()}" is not of the form "2 of team" (and "nobody" stands alone)')
            count, team = int(found[1]), found[2]
            if team in seats:
                # Sum or maximum? Both readings are sensible, so neither is taken.
                raise BadRequirement(f'team "{team}" stands twice in one alternative')
            seats[team] = count
        alternatives.append(seats)
    return pruned(alternatives)


def teams_of(requirement: Requirement) -> frozenset[str]:
    """Every team with a seat in any alternative."""
    return frozenset(team for alternative in requirement for team in alternative)


def fewest_people(requirement: Requirement) -> int:
    """The smallest number of distinct people that can satisfy the requirement."""
    return min(sum(alternative.values()) for alternative in requirement)


def as_text(requirement: Requirement) -> str:
    """The requirement in the words `parse` reads; `parse(as_text(r)) == r`."""
    if any(not alternative for alternative in requirement):
        return "nobody"
    return " | ".join(
        ", ".join(f"{count} of {team}" for team, count in sorted(alternative.items())) for alternative in requirement
    )


def all_of(first: Requirement, second: Requirement) -> Requirement:
    """Both hold: alternatives multiplied out, the larger number per team (not the sum).

    Raises `BadRequirement` where that gives more alternatives than `ALTERNATIVES_AT_MOST`.
    """
    if len(first) * len(second) > ALTERNATIVES_AT_MOST:
        raise BadRequirement(f"more than {ALTERNATIVES_AT_MOST} alternatives would do together")
    return pruned(
        {team: max(left.get(team, 0), right.get(team, 0)) for team in {*left, *right}}
        for left in first
        for right in second
    )


def pruned(alternatives: Iterable[Alternative]) -> Requirement:
    """Without alternatives that ask everything another asks and more; in one canonical order."""
    ordered = sorted(
        (dict(sorted(alternative.items())) for alternative in alternatives),
        key=lambda alternative: (sum(alternative.values()), sorted(alternative.items())),
    )
    kept: list[Alternative] = []
    for alternative in ordered:
        easier = any(all(alternative.get(team, 0) >= count for team, count in other.items()) for other in kept)
        if not easier:
            kept.append(alternative)
    return tuple(kept)


# Why a vote does not count, as a slug; pages and entries put it into words.
Uncounted = Literal[
    "owner",  # who answers for the agent is never counted
    "inactive",  # the account is not active any more
    "other-parameters",  # it is of parameters that are not what would run
    "no-proof",  # it lacks the second factor that is asked for now
    "delegator-voted",  # it stood for somebody who has decided themself
    "delegation-ended",  # it stood for somebody whose delegation does not run any more
    "left",  # the person left the team they decided for
    "no-seat",  # the person sits in no team that is asked
]


@dataclass(frozen=True)
class StandsFor:
    """Whose seats a vote carries too, by delegation: `teams` the delegator sat in then and sits in now.

    `runs` is the caller's word that the delegation is in force now and that the delegator may lend their seats here:
    active, and not the agent's owner.
    """

    person: str
    teams: frozenset[str]
    runs: bool = True


@dataclass(frozen=True)
class Vote:
    """One person's verdict as it stands now.

    `teams` are those whose seats the person may fill of their own: sat in then and now; `left`, those of then that
    they have left. `barred` is the caller's word for why the vote counts for nothing whatever its teams, checked when
    the last vote came. `owner` marks who answers for the agent: never counted, may always reject.
    """

    person: str
    teams: frozenset[str]
    verdict: Literal["approve", "reject"]
    barred: Uncounted | None = None
    owner: bool = False
    stands_for: tuple[StandsFor, ...] = ()
    left: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Standing:
    """How a request stands with its votes.

    `seats` are the filled seats of the alternative nearest to completion and `open_seats` the teams of its
    free ones; `missing` holds one phrase an alternative ("1 more of finance and 1 more of support"), any of
    which would do; `open_teams` are all teams of which one more approval would help; `uncounted` says by person why
    their vote counts for nothing.
    """

    reached: bool
    rejected: bool
    seats: tuple[tuple[str, str], ...]
    open_seats: tuple[str, ...]
    missing: tuple[str, ...]
    open_teams: frozenset[str]
    have: int
    need: int
    uncounted: Mapping[str, Uncounted] = field(default_factory=dict)

    @property
    def progress(self) -> str:
        """In the queue's words: `1 of 2`."""
        return f"{self.have} of {self.need}"


def weigh(requirement: Requirement, votes: Collection[Vote], *, floor_people: int = 0) -> Standing:
    """Count the votes against the requirement.

    `floor_people` is the number of distinct approving people below which nothing is reached whatever the
    requirement says (two for critical). One reject by a person who counts and may sit in any seat ends it,
    and so does one by the owner. A requirement of nobody is reached with `floor_people` zero.

    Authority counts once: whoever voted takes back the seats that somebody else's vote carried for them, and where
    two votes carry the same person's seats, neither does.
    """
    seatable = teams_of(requirement)
    carried = _carried(votes)
    uncounted = {
        vote.person: why for vote in votes if (why := _why_not(vote, carried[vote.person], seatable, votes)) is not None
    }
    rejected = any(vote.verdict == "reject" and (vote.owner or vote.person not in uncounted) for vote in votes)
    against = {vote.person for vote in votes if vote.verdict == "reject"}
    approving = {person: teams for person, teams in sorted(carried.items()) if person not in against | uncounted.keys()}
    counts = [_count(alternative, approving, floor_people) for alternative in requirement]
    # The nearest alternative; of equally near ones the first in canonical order.
    nearest = min(counts, key=lambda count: count.lacking)
    lacking = [] if nearest.lacking == 0 else counts
    reached = not rejected and nearest.lacking == 0
    return Standing(
        reached=reached,
        rejected=rejected,
        seats=nearest.seats,
        open_seats=nearest.open_seats,
        missing=tuple(count.phrase() for count in lacking),
        open_teams=frozenset(team for count in lacking for team in count.open_teams),
        have=nearest.need - nearest.lacking,
        need=nearest.need,
        uncounted=uncounted,
    )


def _carried(votes: Collection[Vote]) -> dict[str, frozenset[str]]:
    """Person → every team whose seat their vote may fill: their own and, once, those of whom they stand for."""
    voted = {vote.person for vote in votes}
    lent: dict[str, set[str]] = {}
    for vote in votes:
        for source in vote.stands_for:
            if source.runs:
                lent.setdefault(source.person, set()).add(vote.person)
    carried: dict[str, frozenset[str]] = {}
    for vote in votes:
        teams = vote.teams.union(
            *(
                source.teams
                for source in vote.stands_for
                if source.runs and source.person not in voted and len(lent[source.person]) == 1
            )
        )
        carried[vote.person] = carried.get(vote.person, frozenset()) | teams
    return carried


def _why_not(vote: Vote, teams: frozenset[str], seatable: frozenset[str], votes: Collection[Vote]) -> Uncounted | None:
    if vote.owner:
        return "owner"
    if vote.barred is not None:
        return vote.barred
    if teams & seatable:
        return None
    voted = {other.person for other in votes}
    if any(source.teams & seatable and source.person in voted for source in vote.stands_for):
        return "delegator-voted"
    if vote.stands_for:
        return "delegation-ended"
    return "left" if vote.left & seatable else "no-seat"


@dataclass(frozen=True)
class _Count:
    seats: tuple[tuple[str, str], ...]
    open_seats: tuple[str, ...]
    open_teams: frozenset[str]
    extra: int  # distinct people the floor asks for beyond the seats
    need: int

    @property
    def lacking(self) -> int:
        return len(self.open_seats) + self.extra

    def phrase(self) -> str:
        wanted = {team: self.open_seats.count(team) for team in self.open_seats}
        phrases = [f"{count} more of {team}" for team, count in wanted.items()]
        if self.extra:
            phrases.append(f"{self.extra} more {'person' if self.extra == 1 else 'people'}")
        return " and ".join(phrases)


def _count(alternative: Alternative, people: Mapping[str, frozenset[str]], floor_people: int) -> _Count:
    chairs = [team for team, count in sorted(alternative.items()) for _ in range(count)]
    sitting = _matching(chairs, people)
    useful = sum(1 for teams in people.values() if teams & alternative.keys())
    open_seats = tuple(team for chair, team in enumerate(chairs) if chair not in sitting)
    # Whoever fills an open seat also counts towards the floor.
    extra = max(0, floor_people - useful - len(open_seats))
    if extra:
        open_teams = frozenset(alternative)
    else:
        open_teams = frozenset(
            team for team in alternative if len(_matching(chairs, {**people, "": frozenset({team})})) > len(sitting)
        )
    return _Count(
        seats=tuple((chairs[chair], person) for chair, person in sorted(sitting.items())),
        open_seats=open_seats,
        open_teams=open_teams,
        extra=extra,
        need=max(len(chairs), floor_people),
    )


def _matching(chairs: Sequence[str], people: Mapping[str, frozenset[str]]) -> dict[int, str]:
    """A largest assignment chair → person by augmenting paths (Kuhn); each person sits in one chair."""
    sitting: dict[int, str] = {}

    def seat(person: str, tried: set[int]) -> bool:
        for chair, team in enumerate(chairs):
            if team in people[person] and chair not in tried:
                tried.add(chair)
                if chair not in sitting or seat(sitting[chair], tried):
                    sitting[chair] = person
                    return True
        return False

    for person in people:
        seat(person, set())
    return sitting
