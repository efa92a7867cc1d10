"""Whether the people there are could fill the seats that policy asks for, before the deadline; and if not, what stands
in the way. Every one of them is taken to say yes.

It knows no database: who sits where, who is away and who can prove themselves is told to it. Nobody's vote is counted
here, and nobody is kept from voting.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import product
from math import prod
from typing import Any

from approvals import quorum
from approvals.quorum import Requirement, Standing

Span = tuple[datetime, datetime]
#: Whether a team works at any moment of a span.
OpenIn = Callable[[str, datetime, datetime], bool]
#: Who votes, and the teams whose seats one authority lets them fill.
_Capacity = tuple[str, frozenset[str]]

# Ways to use absent people's authority, times alternatives, that are weighed at most: this runs within the filing, and
# has seconds. Of more, only what is out of reach with everybody there at once is said to be: an alert not given leaves
# it to the deadline to deny, while a wrong one says of people who can decide that they cannot.
WEIGHED_AT_MOST = 64


@dataclass(frozen=True)
class Person:
    """Somebody active: the teams they sit in, and whether they have a second factor."""

    teams: frozenset[str]
    proves: bool = True


@dataclass(frozen=True)
class Lent:
    """For a span `delegate` holds the seats of `delegator`, who is away."""

    delegator: str
    delegate: str
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True)
class Asked:
    """What is to be reached, from filing until the deadline, for an agent of `owner`; from `widens_at` on members of
    `widens_to` may fill any seat."""

    requirement: Requirement
    floor_people: int
    stepup: bool
    owner: str
    filed_at: datetime
    expires_at: datetime
    widens_to: str = ""
    widens_at: datetime | None = None


@dataclass(frozen=True)
class Gap:
    """`lacking` people of `team` ("" for anybody of those asked) that cannot be had: of its `members` so many answer
    for the agent (`owner`), have no second factor (`no-proof`), are away without a delegate who could (`away`), or
    work at other hours (`hours`)."""

    team: str
    lacking: int
    members: int
    why: Mapping[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As it is stored and recorded."""
        return {"team": self.team, "lacking": self.lacking, "members": self.members, "why": dict(self.why)}


def gaps(asked: Asked, people: Mapping[str, Person], lent: Sequence[Lent], open_in: OpenIn) -> tuple[Gap, ...]:
    """What cannot be had; empty where the requirement can be reached, and where finding out would take too long."""
    crowd = _Crowd(asked, people, lent, open_in)
    choices = crowd.choices()
    nearest = _weighed(asked, crowd.united())
    if prod(map(len, choices)) * len(asked.requirement) <= WEIGHED_AT_MOST:
        ways = [_weighed(asked, crowd.seated(chosen)) for chosen in product(*choices)]
        nearest = min(ways, key=lambda standing: (not standing.reached, standing.need - standing.have))
    if nearest.reached:
        return ()
    return tuple(crowd.gap(team, count) for team, count in _lacking(nearest))


def _weighed(asked: Asked, seated: Mapping[str, frozenset[str]]) -> Standing:
    enough = max(asked.floor_people, *(sum(seats.values()) for seats in asked.requirement))
    alike: Counter[frozenset[str]] = Counter()
    votes = []
    for person, teams in seated.items():
        alike[teams] += 1
        if teams and alike[teams] <= enough:  # more who could fill the same seats change nothing
            votes.append(quorum.Vote(person, teams, "approve"))
    return quorum.weigh(asked.requirement, votes, floor_people=asked.floor_people)


def _lacking(standing: Standing) -> Iterator[tuple[str, int]]:
    for team in dict.fromkeys(standing.open_seats):
        yield team, standing.open_seats.count(team)
    extra = standing.need - standing.have - len(standing.open_seats)
    if extra > 0:
        yield "", extra


class _Crowd:
    """The people as far as they can help with one request."""

    def __init__(self, asked: Asked, people: Mapping[str, Person], lent: Sequence[Lent], open_in: OpenIn) -> None:
        self.asked, self.people, self.open_in = asked, people, open_in
        self.seatable = quorum.teams_of(asked.requirement)
        self.lent: dict[str, list[Lent]] = {}
        for one in lent:
            self.lent.setdefault(one.delegator, []).append(one)
        self.alone = {person: self._own(person) for person in people if person not in self.lent}

    def united(self) -> dict[str, frozenset[str]]:
        """Person → teams whose seats they may fill, were each absent person's authority there as often as there is
        somebody to use it: what this does not reach, no way does."""
        return self.seated([one for lender in self.lent for one in self._capacities(lender)])

    def choices(self) -> list[list[_Capacity]]:
        """Of each absent person who could help, the capacities one of which their authority is used in: themself, in
        what is left of their time, or through a delegate."""
        return [useful for lender in sorted(self.lent) if (useful := self._capacities(lender))]

    def seated(self, chosen: Iterable[_Capacity]) -> dict[str, frozenset[str]]:
        """Person → teams whose seats they may fill, with these capacities of absent people."""
        found = dict(self.alone)
        for person, teams in chosen:
            found[person] = found.get(person, frozenset()) | teams
        return found

    def _capacities(self, lender: str) -> list[_Capacity]:
        """Those that give a seat; without what another of the same person gives too."""
        found = {(lender, self._own(lender)), *((one.delegate, self._through(one)) for one in self.lent[lender])}
        useful = [
            (person, teams)
            for person, teams in found
            if teams and not any(other == person and teams < more for other, more in found)
        ]
        return sorted(useful, key=lambda one: (one[0], sorted(one[1])))

    def gap(self, team: str, lacking: int) -> Gap:
        """Why so many of a team cannot be had."""
        teams = frozenset({team}) if team else self.seatable
        members = [name for name, person in sorted(self.people.items()) if person.teams & teams]
        why: dict[str, int] = {}
        for name in members:
            reason = self._why_not(name, teams)
            if reason:
                why[reason] = why.get(reason, 0) + 1
        return Gap(team, lacking, len(members), why)

    def _why_not(self, name: str, teams: frozenset[str]) -> str:
        if any(self._through(one) & teams for one in self._lent_by(name)):
            return ""
        if name == self.asked.owner:
            return "owner"
        if self.asked.stepup and not self.people[name].proves:
            return "no-proof"
        if not self._present(name) and not any(self._may(one.delegate) for one in self._lent_by(name)):
            return "away"
        return "" if self._own(name) & teams else "hours"

    def _lent_by(self, lender: str) -> list[Lent]:
        return self.lent.get(lender, [])

    def _may(self, name: str) -> bool:
        person = self.people.get(name)
        return person is not None and name != self.asked.owner and (person.proves or not self.asked.stepup)

    def _own(self, name: str) -> frozenset[str]:
        if not self._may(name):
            return frozenset()
        return self._seats(self.people[name].teams, self._present(name))

    def _through(self, one: Lent) -> frozenset[str]:
        lender = self.people.get(one.delegator)
        if lender is None or one.delegator == self.asked.owner or not self._may(one.delegate):
            return frozenset()
        spans = [
            (max(start, one.starts_at), min(end, one.ends_at))
            for start, end in self._present(one.delegate)
            if max(start, one.starts_at) < min(end, one.ends_at)
        ]
        return self._seats(lender.teams, spans)

    def _present(self, name: str) -> list[Span]:
        """What is left of the time to decide when this person's own absences are taken out."""
        start, spans = self.asked.filed_at, []
        for one in sorted(self._lent_by(name), key=lambda one: one.starts_at):
            if start < min(one.starts_at, self.asked.expires_at):
                spans.append((start, min(one.starts_at, self.asked.expires_at)))
            start = max(start, one.ends_at)
        if start < self.asked.expires_at:
            spans.append((start, self.asked.expires_at))
        return spans

    def _seats(self, teams: frozenset[str], spans: Sequence[Span]) -> frozenset[str]:
        found: frozenset[str] = frozenset()
        for start, end in spans:
            found |= frozenset(team for team in teams & self.seatable if self.open_in(team, start, end))
            if self.asked.widens_to in teams and self.asked.widens_at is not None:
                wide = max(start, self.asked.widens_at)
                if wide < end and self.open_in(self.asked.widens_to, wide, end):
                    return self.seatable
        return found
