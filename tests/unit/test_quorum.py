"""The algebra of requirements, and the weighing of votes against brute force."""

from __future__ import annotations

from itertools import permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approvals import quorum
from approvals.quorum import NOBODY, BadRequirement, Requirement, StandsFor, Vote, weigh

TEAMS = ("finance", "privacy", "security", "support")

requirements = st.lists(
    st.dictionaries(st.sampled_from(TEAMS), st.integers(1, 3), min_size=1, max_size=3), min_size=1, max_size=3
).map(quorum.pruned)
crowds = st.lists(st.frozensets(st.sampled_from(TEAMS), max_size=3), max_size=5)


def votes(*teams: str) -> list[Vote]:
    """One approving person for each word; `a+b` sits in both teams."""
    return [Vote(f"person{n}", frozenset(word.split("+")), "approve") for n, word in enumerate(teams)]


def crowd(teams: list[frozenset[str]]) -> list[Vote]:
    return [Vote(f"person{n}", theirs, "approve") for n, theirs in enumerate(teams)]


class TestReading:
    def test_comma_is_and_and_the_bar_is_or_that_binds_looser(self) -> None:
        assert quorum.parse("2 of a, 1 of b | 3 of c") == ({"a": 2, "b": 1}, {"c": 3})

    def test_alternatives_that_ask_for_more_than_another_fall_away(self) -> None:
        assert quorum.parse("1 of a | 2 of a | 1 of a, 1 of b") == ({"a": 1},)

    def test_nobody_is_one_alternative_without_seats(self) -> None:
        assert quorum.parse("nobody") == NOBODY

    @pytest.mark.parametrize(
        "text",
        ["", "a", "1", "1 a", "0 of a", "-1 of a", "01 of a", "100 of a", "1 of A", "1 of a b", "1 of a,",
         "1 of a |", "nobody | 1 of a", "nobody, 1 of a", "1 of a, 1 of a", "1.5 of a", "１ of a"],
    )  # fmt: skip
    def test_anything_else_is_refused(self, text: str) -> None:
        with pytest.raises(BadRequirement):
            quorum.parse(text)

    def test_the_refusal_names_the_term_and_the_form(self) -> None:
        with pytest.raises(BadRequirement, match='"two of b" is not of the form "2 of team"'):
            quorum.parse("1 of a,  two of b ")

    def test_nobody_is_written_in_the_word_it_is_read_from(self) -> None:
        assert quorum.as_text(NOBODY) == "nobody"

    @given(requirements)
    def test_a_requirement_survives_being_written(self, requirement: Requirement) -> None:
        assert quorum.parse(quorum.as_text(requirement)) == requirement


class TestBothHold:
    def test_the_larger_number_per_team_not_the_sum(self) -> None:
        both = quorum.all_of(quorum.parse("2 of a, 1 of b"), quorum.parse("1 of a, 3 of c"))
        assert both == ({"a": 2, "b": 1, "c": 3},)

    def test_alternatives_are_multiplied_out(self) -> None:
        both = quorum.all_of(quorum.parse("1 of a | 1 of b"), quorum.parse("1 of c | 1 of d"))
        assert quorum.as_text(both) == "1 of a, 1 of c | 1 of a, 1 of d | 1 of b, 1 of c | 1 of b, 1 of d"

    def test_five_hundred_alternatives_are_read_and_one_more_is_refused(self) -> None:
        many = quorum.pruned({f"team-{n}": 1} for n in range(quorum.ALTERNATIVES_AT_MOST))
        assert len(quorum.all_of(many, NOBODY)) == 500
        with pytest.raises(BadRequirement, match="more than 500 alternatives"):
            quorum.all_of((*many, {"one-more": 1}), NOBODY)

    @given(requirements)
    def test_nobody_adds_nothing_and_a_requirement_twice_is_itself(self, requirement: Requirement) -> None:
        assert quorum.all_of(requirement, NOBODY) == requirement
        assert quorum.all_of(requirement, requirement) == requirement

    @given(requirements, requirements, requirements)
    def test_order_does_not_matter(self, a: Requirement, b: Requirement, c: Requirement) -> None:
        assert quorum.all_of(a, b) == quorum.all_of(b, a)
        assert quorum.all_of(quorum.all_of(a, b), c) == quorum.all_of(a, quorum.all_of(b, c))

    @given(requirements, requirements, crowds)
    @settings(max_examples=300)
    def test_what_satisfies_both_satisfies_each(
        self, a: Requirement, b: Requirement, teams: list[frozenset[str]]
    ) -> None:
        if weigh(quorum.all_of(a, b), crowd(teams)).reached:
            assert weigh(a, crowd(teams)).reached
            assert weigh(b, crowd(teams)).reached


def brute_force(requirement: Requirement, teams: list[frozenset[str]], floor_people: int) -> bool:
    """Try every way to seat people."""
    for alternative in requirement:
        chairs = [team for team, count in alternative.items() for _ in range(count)]
        useful = [theirs for theirs in teams if theirs & alternative.keys()]
        if len(useful) < floor_people or len(chairs) > len(teams):
            continue
        for seated in permutations(teams, len(chairs)):
            if all(chair in theirs for chair, theirs in zip(chairs, seated, strict=True)):
                return True
    return False


class TestWeighing:
    @given(requirements, crowds, st.integers(0, 2))
    @settings(max_examples=500)
    def test_agrees_with_trying_every_seating(
        self, requirement: Requirement, teams: list[frozenset[str]], floor_people: int
    ) -> None:
        standing = weigh(requirement, crowd(teams), floor_people=floor_people)
        assert standing.reached == brute_force(requirement, teams, floor_people)

    @given(requirements, crowds, st.randoms(use_true_random=False))
    def test_the_order_of_votes_does_not_matter(
        self, requirement: Requirement, teams: list[frozenset[str]], random: st.DataObject
    ) -> None:
        cast = crowd(teams)
        shuffled = list(cast)
        random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
        assert weigh(requirement, cast) == weigh(requirement, shuffled)

    @given(requirements, crowds)
    def test_each_person_sits_in_one_seat_of_a_team_of_theirs(
        self, requirement: Requirement, teams: list[frozenset[str]]
    ) -> None:
        seats = weigh(requirement, crowd(teams)).seats
        assert len({person for _, person in seats}) == len(seats)
        theirs = {vote.person: vote.teams for vote in crowd(teams)}
        assert all(team in theirs[person] for team, person in seats)

    @given(requirements, crowds)
    def test_a_team_is_open_exactly_when_one_more_of_it_brings_the_end_nearer(
        self, requirement: Requirement, teams: list[frozenset[str]]
    ) -> None:
        standing = weigh(requirement, crowd(teams))
        if standing.reached:
            assert standing.open_teams == frozenset()
        for team in standing.open_teams:
            alternatives = [
                (weigh((one,), crowd(teams)), weigh((one,), [*crowd(teams), Vote("new", frozenset({team}), "approve")]))
                for one in requirement
            ]
            assert any(after.need - after.have < before.need - before.have for before, after in alternatives)

    @given(requirements, crowds)
    def test_one_more_approval_never_undoes_a_quorum(
        self, requirement: Requirement, teams: list[frozenset[str]]
    ) -> None:
        if weigh(requirement, crowd(teams)).reached:
            for more in product([frozenset(), frozenset({"support"})]):
                assert weigh(requirement, crowd([*teams, *more])).reached

    def test_a_person_of_two_teams_gives_way_to_one_who_has_only_one(self) -> None:
        requirement = quorum.parse("1 of privacy, 1 of security")
        for order in (("privacy+security", "privacy"), ("privacy", "privacy+security")):
            assert weigh(requirement, votes(*order)).reached

    def test_a_person_of_two_teams_does_not_fill_two_seats(self) -> None:
        standing = weigh(quorum.parse("1 of privacy, 1 of security"), votes("privacy+security"))
        assert not standing.reached
        assert standing.progress == "1 of 2"

    def test_a_vote_given_twice_counts_once(self) -> None:
        twice = [Vote("kim", frozenset({"finance"}), "approve")] * 2
        assert not weigh(quorum.parse("2 of finance"), twice).reached

    def test_a_person_whose_votes_name_different_teams_may_sit_for_either(self) -> None:
        kim = [Vote("kim", frozenset({team}), "approve") for team in ("privacy", "security")]
        for requirement in ("1 of privacy", "1 of security"):
            assert weigh(quorum.parse(requirement), kim).reached
            assert weigh(quorum.parse(requirement), kim[::-1]).reached
        assert not weigh(quorum.parse("1 of privacy, 1 of security"), kim).reached

    def test_who_is_no_longer_eligible_does_not_count(self) -> None:
        gone = [Vote("kim", frozenset({"support"}), "approve", barred="inactive")]
        assert not weigh(quorum.parse("1 of support"), gone).reached

    def test_the_owner_never_counts(self) -> None:
        own = [Vote("kim", frozenset({"support"}), "approve", owner=True)]
        assert not weigh(quorum.parse("1 of support"), own).reached

    def test_nobody_is_reached_by_no_votes(self) -> None:
        assert weigh(NOBODY, []).reached

    def test_the_floor_of_critical_holds_whatever_the_requirement(self) -> None:
        assert not weigh(NOBODY, [], floor_people=2).reached
        one = quorum.parse("1 of finance")
        assert not weigh(one, votes("finance"), floor_people=2).reached
        assert weigh(one, votes("finance", "finance"), floor_people=2).reached
        assert not weigh(one, votes("finance", "support"), floor_people=2).reached


# Everything a vote may bring, few enough to try all: five people, each perhaps standing for others of them.
NAMES = ("p0", "p1", "p2", "p3", "p4")
team_sets = st.frozensets(st.sampled_from(TEAMS), max_size=2)
sources = st.lists(
    st.builds(StandsFor, st.sampled_from((*NAMES, "absent")), team_sets, st.booleans()),
    max_size=2,
    unique_by=lambda one: one.person,
).map(tuple)


@st.composite
def ballots(draw: st.DrawFn) -> list[Vote]:
    """One vote a person, of any kind."""
    return [
        Vote(
            name,
            draw(team_sets),
            draw(st.sampled_from(["approve", "approve", "approve", "reject"])),
            barred=draw(st.sampled_from([None, None, None, "inactive", "no-proof"])),
            owner=draw(st.sampled_from([False, False, False, True])),
            stands_for=tuple(one for one in draw(sources) if one.person != name),
        )
        for name in NAMES[: draw(st.integers(0, len(NAMES)))]
    ]


def model(requirement: Requirement, ballot: list[Vote], floor_people: int) -> tuple[bool, bool]:
    """(reached, rejected) in the plainest words: who may sit where, then every seating."""
    voters = {vote.person for vote in ballot}
    asked = {team for alternative in requirement for team in alternative}
    yes: list[frozenset[str]] = []
    rejected = False
    for vote in ballot:
        teams = set(vote.teams)
        for source in vote.stands_for:
            others = [
                other.person
                for other in ballot
                if any(one.person == source.person and one.runs for one in other.stands_for)
            ]
            if source.runs and source.person not in voters and others == [vote.person]:
                teams |= source.teams
        counts = not vote.owner and vote.barred is None and bool(teams & asked)
        if vote.verdict == "reject":
            rejected = rejected or vote.owner or counts
        elif counts:
            yes.append(frozenset(teams))
    return not rejected and brute_force(requirement, yes, floor_people), rejected


class TestStandingForOthers:
    @given(requirements, ballots(), st.integers(0, 2))
    @settings(max_examples=800)
    def test_agrees_with_the_plainest_words(
        self, requirement: Requirement, ballot: list[Vote], floor_people: int
    ) -> None:
        standing = weigh(requirement, ballot, floor_people=floor_people)
        assert (standing.reached, standing.rejected) == model(requirement, ballot, floor_people)

    @given(requirements, ballots(), st.randoms(use_true_random=False))
    def test_the_order_of_votes_does_not_matter_here_either(
        self, requirement: Requirement, ballot: list[Vote], random: st.DataObject
    ) -> None:
        shuffled = list(ballot)
        random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
        assert weigh(requirement, ballot) == weigh(requirement, shuffled)

    @given(requirements, ballots())
    def test_whoever_is_seated_counts_and_whoever_does_not_count_says_why(
        self, requirement: Requirement, ballot: list[Vote]
    ) -> None:
        standing = weigh(requirement, ballot)
        assert not {person for _, person in standing.seats} & standing.uncounted.keys()
        for vote in ballot:
            if vote.owner or vote.barred:
                assert standing.uncounted[vote.person] == ("owner" if vote.owner else vote.barred)

    @pytest.mark.parametrize(
        ("vote", "why"),
        [
            (Vote("a", frozenset(), "approve", left=frozenset({"finance"})), "left"),
            (Vote("a", frozenset({"support"}), "approve"), "no-seat"),
            (Vote("a", frozenset(), "approve", stands_for=(StandsFor("b", frozenset({"finance"})),)),
             "delegator-voted"),
            (Vote("a", frozenset(), "approve", stands_for=(StandsFor("c", frozenset({"finance"}), runs=False),)),
             "delegation-ended"),
        ],
    )  # fmt: skip
    def test_says_why_a_vote_no_longer_counts(self, vote: Vote, why: str) -> None:
        ballot = [vote, Vote("b", frozenset({"finance"}), "approve")]
        standing = weigh(quorum.parse("2 of finance"), ballot)
        assert (standing.uncounted, standing.progress) == ({"a": why}, "1 of 2")

    def test_where_two_votes_carry_the_same_seats_neither_does(self) -> None:
        lent = (StandsFor("away", frozenset({"finance"})),)
        ballot = [Vote(name, frozenset(), "approve", stands_for=lent) for name in ("a", "b")]
        assert not weigh(quorum.parse("1 of finance"), ballot).reached
        assert weigh(quorum.parse("1 of finance"), ballot[:1]).reached


class TestRejecting:
    def test_one_reject_by_who_may_sit_in_any_seat_ends_it(self) -> None:
        requirement = quorum.parse("2 of finance | 1 of privacy")
        reject = Vote("lee", frozenset({"privacy"}), "reject")
        standing = weigh(requirement, [*votes("finance", "finance"), reject])
        assert (standing.rejected, standing.reached) == (True, False)

    def test_a_reject_by_who_has_no_seat_ends_nothing(self) -> None:
        reject = Vote("lee", frozenset({"support"}), "reject")
        assert not weigh(quorum.parse("1 of finance"), [reject]).rejected

    def test_a_reject_by_who_is_barred_ends_nothing(self) -> None:
        reject = Vote("lee", frozenset({"finance"}), "reject", barred="inactive")
        assert not weigh(quorum.parse("1 of finance"), [reject]).rejected

    def test_who_rejects_sits_in_no_seat(self) -> None:
        reject = Vote("lee", frozenset({"finance"}), "reject")
        standing = weigh(quorum.parse("2 of finance"), [*votes("finance"), reject])
        assert (standing.seats, standing.progress) == ((("finance", "person0"),), "1 of 2")
        outsider = Vote("lee", frozenset({"support"}), "reject")
        assert weigh(quorum.parse("1 of finance"), [*votes("finance"), outsider]).reached

    def test_the_owner_may_always_reject(self) -> None:
        reject = Vote("lee", frozenset(), "reject", owner=True)
        assert weigh(quorum.parse("1 of finance"), [reject]).rejected

    def test_who_said_both_has_not_approved(self) -> None:
        both = [Vote("kim", frozenset({"finance"}), verdict) for verdict in ("approve", "reject")]
        assert not weigh(quorum.parse("1 of finance"), both).reached


class TestWords:
    def test_say_what_is_missing(self) -> None:
        standing = weigh(quorum.parse("2 of finance, 1 of support"), votes("finance"))
        assert standing.missing == ("1 more of finance and 1 more of support",)
        assert standing.open_teams == {"finance", "support"}
        assert (standing.seats, standing.open_seats) == ((("finance", "person0"),), ("finance", "support"))
        assert standing.progress == "1 of 3"

    def test_say_it_for_each_alternative(self) -> None:
        standing = weigh(quorum.parse("2 of finance | 1 of leadership"), votes("finance"))
        assert standing.missing == ("1 more of leadership", "1 more of finance")

    def test_say_nothing_when_nothing_is_missing(self) -> None:
        standing = weigh(quorum.parse("1 of finance"), votes("finance"))
        assert (standing.missing, standing.progress) == ((), "1 of 1")

    def test_say_that_the_floor_asks_for_another_person(self) -> None:
        standing = weigh(quorum.parse("1 of finance"), votes("finance"), floor_people=2)
        assert (standing.missing, standing.progress) == (("1 more person",), "1 of 2")
        assert standing.open_teams == {"finance"}

    def test_say_how_many_people_the_floor_asks_for(self) -> None:
        assert weigh(NOBODY, [], floor_people=2).missing == ("2 more people",)
