"""One request as its entries tell it: every rule of a request's life checked again, without a table.

It knows leaves, the table of transitions and the quorum; who wrote the leaves and whether they are sealed is the log's
verifier to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from accounts.second_factor import COUNTS, FRESH
from approvals import quorum
from approvals.replay.allowed import AllowanceOf
from approvals.states import FINAL, Status, transition_for
from audit.leaves import Leaf

#: Who answers for an agent at a moment; None where the log does not say.
OwnerAt = Callable[[str, datetime], str | None]
#: Whether a delegation ran at a moment.
RanAt = Callable[[str, datetime], bool]
#: A decision is checked by the clock a little before its entry has the time; no transaction of a verb lasts longer.
CLOCK_APART = timedelta(seconds=5)


@dataclass
class Vote:
    """A decision as recorded; `voided` once an entry said so."""

    person: str
    verdict: str
    teams: frozenset[str]
    voided: bool = False
    at: datetime | None = None
    proved: bool = True  # by a second factor, fresh then
    lenders: Sequence[Mapping[str, Any]] = ()  # `delegated_from`: whose seats it carried too


@dataclass
class Story:
    """What the entries of one request amount to. `faults` are sentences, empty where every rule held."""

    request: str
    agent: str = ""
    action: str = ""
    allowance_of: AllowanceOf = field(default=lambda allowance: None, repr=False)
    stands: Status | None = None
    expires_at: datetime | None = None
    decided_at: datetime | None = None
    asked: list[list[dict[str, Any]]] = field(default_factory=list)  # alternatives of {team, count}
    floor: int = 0
    stepup: bool = False  # whether policy asked for a second factor
    edited: bool = False
    question: str | None = None  # the open one
    votes: dict[str, Vote] = field(default_factory=dict)
    grant: str | None = None
    valid_until: datetime | None = None
    voided: bool = False
    redeemed: bool = False
    reported: bool = False
    escalated_at: datetime | None = None
    escalation_team: str = ""
    ran_at: RanAt = field(default=lambda delegation, moment: True, repr=False)
    faults: list[str] = field(default_factory=list)

    def fault(self, what: str) -> None:
        """Note what does not hold."""
        self.faults.append(what)


def _always(delegation: str, moment: datetime) -> bool:
    return True


def tell(
    request: str,
    leaves: Sequence[Leaf],
    owner_at: OwnerAt,
    allowance_of: AllowanceOf = lambda allowance: None,
    ran_at: RanAt = _always,
) -> Story:
    """The story of a request from its leaves in the order of their ordinals, complete from the first."""
    story = Story(request, allowance_of=allowance_of, ran_at=ran_at)
    for place, leaf in enumerate(leaves, start=1):
        if leaf.ordinal != place:
            story.fault(f"entry {place} is missing")
            return story
        if story.stands is None and leaf.type not in ("request.filed", "refusal.recorded", "refusal.counted"):
            story.fault(f"{leaf.type} before it was filed")
            return story
        reader = _READERS.get(leaf.type)
        if reader is not None:
            reader(story, leaf, owner_at)
    if story.stands is Status.APPROVED and story.grant is None:
        story.fault("approved without a grant")
    if story.grant is not None and story.stands is not Status.APPROVED:
        story.fault("a grant without an approval")
    return story


def _filed(story: Story, leaf: Leaf, owner_at: OwnerAt) -> None:
    if story.stands is not None:
        story.fault("filed twice")
        return
    facts = leaf.facts
    status = Status(facts["status"])
    story.agent, story.action = leaf.actor.id, str(facts.get("action", ""))
    if transition_for(None, status) is None:
        story.fault(f"it began as {status}")
    story.stands = status
    story.expires_at = datetime.fromisoformat(facts["expires_at"])
    story.asked, story.floor = facts["quorum"], facts["people_floor"]
    story.stepup = _asks_stepup(facts)
    if status is Status.APPROVED and (story.asked or story.floor):
        story.fault("allowed without people where people were asked")


def _moved(to: Status) -> Callable[[Story, Leaf, OwnerAt], None]:
    def read(story: Story, leaf: Leaf, owner_at: OwnerAt) -> None:
        if story.stands is to and story.decided_at is None and to in (Status.BLOCKED, Status.APPROVED):
            story.decided_at = leaf.at  # policy's own answer, in the entry after the filing
            return
        if story.stands is None or transition_for(story.stands, to) is None:
            story.fault(f"{story.stands} became {to}")
            return
        story.stands, story.decided_at = to, leaf.at
        if to is Status.APPROVED:
            _check_approval(story, leaf, owner_at)
        if to is Status.EXPIRED and story.expires_at is not None and leaf.at < story.expires_at:
            story.fault("it expired before its deadline")
        if to is Status.REJECTED and not any(vote.verdict == "reject" for vote in story.votes.values()):
            story.fault("rejected by nobody")

    return read


def _check_approval(story: Story, leaf: Leaf, owner_at: OwnerAt) -> None:
    if story.expires_at is not None and leaf.at >= story.expires_at:
        story.fault("approved at or after its deadline")
    owner = owner_at(story.agent, leaf.at)
    standing = [vote for vote in story.votes.values() if not vote.voided]
    if "allowance" in leaf.facts:
        standing = _agreed_ahead(story, leaf)
    # The stricter of the version frozen at filing and the one in force: what held when it was approved.
    requirement = _requirement(leaf.facts.get("quorum", story.asked))
    proof = story.stepup or _asks_stepup(leaf.facts)
    weighed = quorum.weigh(
        requirement,
        [
            quorum.Vote(
                person=vote.person,
                teams=_fills(story, vote, vote.teams, requirement),
                verdict="approve" if vote.verdict == "approve" else "reject",
                barred="no-proof" if proof and vote.verdict == "approve" and not vote.proved else None,
                owner=vote.person == owner,
                stands_for=_stands_for(story, vote, requirement, owner),
            )
            for vote in standing
        ],
        floor_people=max(story.floor, int(leaf.facts.get("people_floor", 0)), 1),
    )
    if not weighed.reached:
        story.fault(f"approved without its quorum: {' or '.join(weighed.missing) or 'somebody rejected it'}")
    by_person = {vote.person: vote for vote in standing if vote.verdict == "approve"}
    seats = leaf.facts.get("seats", [])
    if len({seat["person"] for seat in seats}) != len(seats):
        story.fault("somebody sat in two seats")
    for seat in seats:
        vote = by_person.get(seat["person"])
        if vote is None or seat["team"] not in _fills(story, vote, vote.teams, requirement).union(
            *(source.teams for source in _stands_for(story, vote, requirement, owner) if source.runs)
        ):
            story.fault(f"a seat of {seat['team']} was filled by who had no vote for it")


def _fills(story: Story, vote: Vote, teams: frozenset[str], requirement: quorum.Requirement) -> frozenset[str]:
    """The teams whose seats these let a vote fill: all, where it was given after an escalation to one of them."""
    wide = story.escalated_at is not None and vote.at is not None and vote.at >= story.escalated_at
    return teams | quorum.teams_of(requirement) if wide and story.escalation_team in teams else teams


def _stands_for(
    story: Story, vote: Vote, requirement: quorum.Requirement, owner: str | None
) -> tuple[quorum.StandsFor, ...]:
    """Whose seats it carried, by delegations that still ran when the last vote was given."""
    last = max(one.at for one in story.votes.values() if one.at is not None) if story.votes else None
    return tuple(
        quorum.StandsFor(
            lender["person"],
            _fills(story, vote, frozenset(lender["teams"]), requirement),
            runs=lender["person"] != owner and last is not None and story.ran_at(lender["delegation"], last),
        )
        for lender in vote.lenders
    )


def _escalated(story: Story, leaf: Leaf, owner_at: OwnerAt) -> None:
    if story.escalated_at is not None or story.stands is not Status.PENDING:
        story.fault("escalated twice, or when it had ended")
    story.escalated_at, story.escalation_team = leaf.at, leaf.facts["team"]


def _agreed_ahead(story: Story, leaf: Leaf) -> list[Vote]:
    """Those who agreed to the allowance that approved it, as if each had voted."""
    allowed, number = story.allowance_of(leaf.facts["allowance"]), int(leaf.facts["use"])
    if allowed is None:
        story.fault("approved under an allowance that nobody proposed")
        return []
    if (allowed.agent, allowed.action) != (story.agent, story.action):
        story.fault("approved under an allowance for something else")
    held = allowed.granted_at is not None and allowed.granted_at <= leaf.at < allowed.ends_at
    if not held or (allowed.revoked_at is not None and allowed.revoked_at <= leaf.at):
        story.fault("approved under an allowance that did not hold")
    if not 1 <= number <= allowed.uses or number in allowed.spent:
        story.fault("approved by a use that its allowance did not have")
    allowed.spent.add(number)
    return [Vote(person, "approve", teams) for person, teams in allowed.people.items()]


def _requirement(asked: Sequence[Sequence[Mapping[str, Any]]]) -> quorum.Requirement:
    return tuple({seats["team"]: int(seats["count"]) for seats in alternative} for alternative in asked) or (
        quorum.NOBODY
    )


def _decided(story: Story, leaf: Leaf, owner_at: OwnerAt) -> None:
    facts = leaf.facts
    if story.stands is not Status.PENDING:
        story.fault(f"decided while it was {story.stands}")
    if story.expires_at is not None and leaf.at >= story.expires_at:
        story.fault("a decision at or after its deadline")
    if any(vote.person == leaf.actor.id and not vote.voided for vote in story.votes.values()):
        story.fault("somebody decided twice")
    story.votes[facts["decision"]] = Vote(
        leaf.actor.id,
        facts["verdict"],
        frozenset(facts["teams"]),
        at=leaf.at,
        proved=_proved(leaf),
        lenders=facts.get("delegated_from", ()),
    )


def _asks_stepup(facts: Mapping[str, Any]) -> bool:
    return bool(facts.get("stepup")) or facts.get("risk") == "critical"


def _proved(leaf: Leaf) -> bool:
    auth = leaf.body["auth"]
    if auth is None or auth["method"] not in COUNTS:
        return False
    age = leaf.at - datetime.fromisoformat(auth["at"])
    return timedelta() <= age < FRESH + CLOCK_APART


def _void(story: Story, leaf: Leaf, owner_at: OwnerAt) -> None:
    vote = story.votes.get(leaf.facts["decision"])
    if vote is None or vote.voided or story.stands is not Status.PENDING:
        story.fault("a decision was voided that did not stand")
    else:
        vote.voided = True


def _amended(story: Story, leaf: Leaf, owner_at: OwnerAt) -> None:
    """An edit: what policy asks of it is what is asked from here on, and no vote on what stood before stands."""
    if story.stands is not Status.PENDING:
        story.fault(f"edited while it was {story.stands}")
    if story.expires_at is not None and leaf.at >= story.expires_at:
        story.fault("an edit at or after its deadline")
    if leaf.actor.id == owner_at(story.agent, leaf.at):
        story.fault("edited by who answers for the agent")
    if any(not vote.voided for vote in story.votes.values()):
        story.fault("an edit left votes on what stood before it")
    if not leaf.facts["quorum"]:
        story.fault("an edit that asks nobody")
    story.edited = True
    story.asked, story.floor = leaf.facts["quorum"], leaf.facts["people_floor"]
    story.stepup = _asks_stepup(leaf.facts)


def _asked(story: Story, leaf: Leaf, owner_at: OwnerAt) -> None:
    if story.stands is not Status.PENDING or story.question is not None:
        story.fault("a question while another was open, or after the end")
    story.question = leaf.facts["question"]


def _answered(story: Story, leaf: Leaf, owner_at: OwnerAt) -> None:
    if story.stands is not Status.PENDING or story.question != leaf.facts["question"]:
        story.fault("an answer to no open question")
    story.question = None


def _granted(story: Story, leaf: Leaf, owner_at: OwnerAt) -> None:
    if story.grant is not None:
        story.fault("granted twice")
    story.grant = leaf.facts["grant"]
    story.valid_until = datetime.fromisoformat(leaf.facts["valid_until"])


def _grant_voided(story: Story, leaf: Leaf, owner_at: OwnerAt) -> None:
    if story.redeemed or story.voided or story.grant != leaf.facts["grant"]:
        story.fault("a grant was voided that did not stand")
    story.voided = True


def _redeemed(story: Story, leaf: Leaf, owner_at: OwnerAt) -> None:
    if story.voided:
        story.fault("redeemed though it was void")
    if story.redeemed:
        story.fault("redeemed twice")
    if story.stands is not Status.APPROVED or story.grant != leaf.facts["grant"]:
        story.fault("redeemed without its approval")
    if story.valid_until is not None and leaf.at >= story.valid_until:
        story.fault("redeemed after it lapsed")
    story.redeemed = True


def _reported(story: Story, leaf: Leaf, owner_at: OwnerAt) -> None:
    if not story.redeemed or story.reported:
        story.fault("an outcome without a redemption, or a second one")
    story.reported = True


_READERS: Mapping[str, Callable[[Story, Leaf, OwnerAt], None]] = {
    "request.filed": _filed,
    "request.allowed": _moved(Status.APPROVED),
    **{f"request.{status}": _moved(status) for status in FINAL},
    "request.escalated": _escalated,
    "decision.recorded": _decided,
    "decision.void": _void,
    "request.amended": _amended,
    "question.asked": _asked,
    "question.answered": _answered,
    "grant.issued": _granted,
    "grant.voided": _grant_voided,
    "grant.redeemed": _redeemed,
    "outcome.reported": _reported,
}
