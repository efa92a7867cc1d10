"""Whether the people there are could decide in time: against trying every way by brute force, and in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approvals import quorum
from approvals.attainable import Asked, Lent, Person, gaps

T0 = datetime(2026, 11, 21, 12, tzinfo=UTC)
TEAMS = ("finance", "support", "leadership")
PEOPLE = ("a", "b", "c", "d")
HOURS = 4  # the time to decide, in hours; nothing happens but on the hour


def hour(n: int) -> datetime:
    return T0 + timedelta(hours=n)


def always(team: str, start: datetime, end: datetime) -> bool:
    return True


def asked(requirement: str = "2 of finance", **more: object) -> Asked:
    given_ = {"floor_people": 1, "stepup": False, "owner": "owner", "filed_at": T0, "expires_at": hour(HOURS), **more}
    return Asked(requirement=quorum.parse(requirement), **given_)  # type: ignore[arg-type]


def crowd(**teams: str) -> dict[str, Person]:
    return {name: Person(frozenset(word.split("+"))) for name, word in teams.items()}


# ---- by brute force

requirements = st.lists(
    st.dictionaries(st.sampled_from(TEAMS), st.integers(1, 2), min_size=1, max_size=2), min_size=1, max_size=2
).map(quorum.pruned)
crowds = st.dictionaries(
    st.sampled_from(PEOPLE),
    st.builds(Person, st.frozensets(st.sampled_from(TEAMS), max_size=2), st.booleans()),
    max_size=4,
)
spans = st.tuples(st.integers(-1, HOURS), st.integers(1, HOURS + 1)).map(lambda two: (two[0], two[0] + two[1]))


@st.composite
def absences(draw: st.DrawFn) -> list[Lent]:
    """Delegations, of one person one at a time, as the rows are."""
    found: list[Lent] = []
    for _ in range(draw(st.integers(0, 3))):
        who, by = draw(st.permutations(PEOPLE))[:2]
        start, end = draw(spans)
        new = Lent(who, by, hour(start), hour(end))
        overlapping = any(
            one.delegator == who and one.starts_at < new.ends_at and new.starts_at < one.ends_at for one in found
        )
        if not overlapping and new.starts_at < hour(HOURS) and new.ends_at > T0:
            found.append(new)
    return found


open_hours = st.fixed_dictionaries({team: st.frozensets(st.integers(0, HOURS - 1)) for team in TEAMS})


def reachable(
    ask: Asked, people: Mapping[str, Person], lent: Sequence[Lent], works: Mapping[str, frozenset[int]]
) -> bool:
    """Every person, each hour, in each capacity they could vote in; each authority used by one vote alone."""

    def may(name: str) -> bool:
        return name in people and name != ask.owner and (people[name].proves or not ask.stepup)

    def away(name: str, n: int) -> bool:
        return any(one.delegator == name and one.starts_at <= hour(n) < one.ends_at for one in lent)

    def chairs(teams: frozenset[str], n: int) -> frozenset[str]:
        widened = ask.widens_at is not None and hour(n) >= ask.widens_at and ask.widens_to in teams
        if widened and n in works[ask.widens_to]:
            return quorum.teams_of(ask.requirement)
        return frozenset(team for team in teams if n in works[team])

    capacities: dict[str, list[tuple[str, frozenset[str]]]] = {}
    for source, person in people.items():
        if source == ask.owner:
            continue
        own = [chairs(person.teams, n) for n in range(HOURS) if may(source) and not away(source, n)]
        ways = [(source, frozenset().union(*own))]
        for one in lent:
            if one.delegator == source:
                there = [
                    chairs(person.teams, n)
                    for n in range(HOURS)
                    if may(one.delegate) and one.starts_at <= hour(n) < one.ends_at and not away(one.delegate, n)
                ]
                ways.append((one.delegate, frozenset().union(*there)))
        capacities[source] = ways

    def crowds_of() -> Iterator[dict[str, frozenset[str]]]:
        for chosen in product(*capacities.values()):
            seated: dict[str, frozenset[str]] = {}
            for name, teams in chosen:
                seated[name] = seated.get(name, frozenset()) | teams
            yield seated

    return any(_filled(ask, seated) for seated in crowds_of())


def _filled(ask: Asked, seated: Mapping[str, frozenset[str]]) -> bool:
    for alternative in ask.requirement:
        wanted = [team for team, count in alternative.items() for _ in range(count)]
        useful = [name for name, teams in seated.items() if teams & alternative.keys()]
        if len(useful) < max(ask.floor_people, len(wanted)):
            continue
        for sat in product(useful, repeat=len(wanted)):
            if len(set(sat)) == len(sat) and all(team in seated[name] for team, name in zip(wanted, sat, strict=True)):
                return True
    return False


@given(
    requirements, crowds, absences(), open_hours, st.booleans(), st.integers(0, 2), st.sampled_from(["", "a", "b"]),
    st.sampled_from([None, *range(1, HOURS)]),
)  # fmt: skip
@settings(max_examples=600, deadline=None)
def test_agrees_with_trying_every_way(
    requirement: quorum.Requirement,
    people: dict[str, Person],
    lent: list[Lent],
    works: dict[str, frozenset[int]],
    stepup: bool,
    floor_people: int,
    owner: str,
    widens: int | None,
) -> None:
    ask = Asked(
        requirement, floor_people, stepup, owner, T0, hour(HOURS),
        "leadership" if widens else "", hour(widens) if widens else None,
    )  # fmt: skip

    def open_in(team: str, start: datetime, end: datetime) -> bool:
        return any(hour(n) < end and start < hour(n + 1) for n in works[team])

    assert (gaps(ask, people, lent, open_in) == ()) == reachable(ask, people, lent, works)


# ---- one rule at a time


def test_enough_people_are_enough() -> None:
    assert gaps(asked(), crowd(a="finance", b="finance"), [], always) == ()


def test_too_few_are_said_with_how_many() -> None:
    (gap,) = gaps(asked(), crowd(a="finance"), [], always)
    assert (gap.team, gap.lacking, gap.members, gap.why) == ("finance", 1, 1, {})


def test_the_owner_is_none_of_them_nor_is_what_they_lent() -> None:
    lent = [Lent("owner", "b", T0, hour(9))]
    (gap,) = gaps(asked("1 of finance"), crowd(owner="finance", b="support"), lent, always)
    assert gap.why == {"owner": 1}


def test_where_step_up_is_asked_somebody_without_a_second_factor_is_none() -> None:
    people = {"a": Person(frozenset({"finance"}), proves=False), "b": Person(frozenset({"finance"}))}
    (gap,) = gaps(asked(stepup=True), people, [], always)
    assert (gap.lacking, gap.members, gap.why) == (1, 2, {"no-proof": 1})
    assert gaps(asked(), people, [], always) == ()


def test_who_is_away_all_the_time_is_none_but_by_their_delegate() -> None:
    people = crowd(a="finance", b="support")
    assert gaps(asked("1 of finance"), people, [Lent("a", "b", T0, hour(9))], always) == ()
    (gap,) = gaps(asked("1 of finance"), people, [Lent("a", "owner", T0, hour(9))], always)
    assert gap.why == {"away": 1}
    assert gaps(asked("1 of finance"), people, [Lent("a", "owner", T0, hour(3))], always) == ()
    (gap,) = gaps(asked("1 of finance"), people, [Lent("a", "b", T0, hour(9))], lambda team, start, end: False)
    assert gap.why == {"hours": 1}


def test_whose_delegate_can_fill_their_seat_is_in_nobody_s_way() -> None:
    people = crowd(a="finance", b="support", c="finance")
    lent = [Lent("a", "b", T0, hour(9)), Lent("c", "b", T0, hour(9))]
    (gap,) = gaps(asked("3 of finance"), people, lent, always)
    assert (gap.lacking, gap.members, gap.why) == (2, 2, {})
    part = [Lent("a", "b", T0, hour(2))]  # and where they are back, but the team is closed by then

    def early(team: str, start: datetime, end: datetime) -> bool:
        return start < hour(2)

    (gap,) = gaps(asked("3 of finance"), people, part, early)
    assert (gap.lacking, gap.why) == (1, {})


def test_a_delegate_of_two_is_one_person_and_authority_counts_once() -> None:
    people = crowd(a="finance", b="finance", c="support")
    both = [Lent("a", "c", T0, hour(9)), Lent("b", "c", T0, hour(9))]
    assert gaps(asked(), people, both, always) != ()
    assert gaps(asked(), crowd(a="finance", c="support"), [Lent("a", "c", hour(1), hour(2))], always) != ()


def test_a_team_that_does_not_work_in_time_is_none() -> None:
    def open_in(team: str, start: datetime, end: datetime) -> bool:
        return team != "finance"

    (gap,) = gaps(asked("1 of finance"), crowd(a="finance"), [], open_in)
    assert gap.why == {"hours": 1}


def test_whom_it_widens_to_helps_from_that_time_on() -> None:
    people = crowd(a="finance", b="leadership")
    assert gaps(asked(widens_to="leadership", widens_at=hour(1)), people, [], always) == ()
    assert gaps(asked(), people, [], always) != ()


def test_the_floor_of_people_holds() -> None:
    (gap,) = gaps(asked("1 of finance", floor_people=2), crowd(a="finance"), [], always)
    assert (gap.team, gap.lacking) == ("", 1)


# ---- within the filing's time


@pytest.fixture
def weighings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Alternatives of each call of `quorum.weigh`, which does as always."""
    seen: list[int] = []
    weigh = quorum.weigh

    def counted(requirement: quorum.Requirement, *given: object, **more: object) -> quorum.Standing:
        seen.append(len(requirement))
        return weigh(requirement, *given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(quorum, "weigh", counted)
    return seen


def absent(count: int, *, back: bool) -> tuple[dict[str, Person], list[Lent]]:
    """So many of finance who are away, all the time or only the first hour, each with a delegate."""
    away = [f"away{n}" for n in range(count)]
    people = {name: Person(frozenset({"finance"})) for name in away}
    people |= {f"for-{name}": Person(frozenset({"support"})) for name in away}
    return people, [Lent(name, f"for-{name}", T0, hour(1 if back else 9)) for name in away]


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize(
    ("words", "can"),
    [("2 of finance, 1 of legal", False), ("20 of finance | 2 of legal", True), ("20 of finance, 2 of legal", False)],
)
def test_many_who_are_away_are_weighed_a_few_times_at_most(
    words: str, can: bool, back: bool, weighings: list[int]
) -> None:
    people, lent = absent(40, back=back)
    assert (gaps(asked(words), people, lent, always) == ()) == can
    assert sum(weighings) <= 66


def test_with_too_many_ways_to_try_nobody_is_said_to_be_missing(weighings: list[int]) -> None:
    people, lent = absent(7, back=True)  # each seat there is could be used twice, and 128 ways say that it cannot
    assert gaps(asked("8 of finance"), people, lent, always) == ()
    assert sum(weighings) <= 65
    people, lent = absent(6, back=True)
    assert gaps(asked("7 of finance"), people, lent, always) != ()
    assert gaps(asked("15 of finance"), *absent(7, back=True), always) != ()


def test_many_alternatives_are_tried_in_fewer_ways(weighings: list[int]) -> None:
    people, lent = absent(6, back=True)
    words = " | ".join(f"1 of legal, {n} of team-{n}" for n in range(1, 50))
    assert gaps(asked(words), people, lent, always) != ()
    assert sum(weighings) <= 49 + 64
