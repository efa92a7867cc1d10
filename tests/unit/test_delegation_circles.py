"""Whether delegations close a circle, against looking at every moment. No row is made here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.delegations import Span, closes_a_circle

T0 = datetime(2026, 11, 21, tzinfo=UTC)
PEOPLE = [UUID(int=n) for n in range(5)]
DAYS = 6


def day(n: int) -> datetime:
    return T0 + timedelta(days=n)


@st.composite
def span(draw: st.DrawFn) -> Span:
    delegator, delegate = draw(st.permutations(PEOPLE))[:2]
    start = draw(st.integers(0, DAYS - 1))
    return Span(delegator, delegate, day(start), day(start + draw(st.integers(1, DAYS))))


def circle_at(spans: list[Span], person: UUID, moment: datetime) -> bool:
    """Whether, following who stands for whom at this moment, one comes back to `person`."""
    at, met = person, set()
    while True:
        following = [one.delegate for one in spans if one.delegator == at and one.starts_at <= moment < one.ends_at]
        if not following or following[0] in met:
            return False
        at = following[0]
        if at == person:
            return True
        met.add(at)


@given(st.lists(span(), max_size=8))
@settings(max_examples=500)
def test_agrees_with_looking_at_every_moment(wanted: list[Span]) -> None:
    kept: list[Span] = []
    for new in wanted:
        if any(
            one.delegator == new.delegator and one.starts_at < new.ends_at and new.starts_at < one.ends_at
            for one in kept
        ):
            continue  # one delegate at a time
        moments = [day(n) for n in range(2 * DAYS) if new.starts_at <= day(n) < new.ends_at]
        found = any(circle_at([*kept, new], new.delegator, moment) for moment in moments)
        assert closes_a_circle(new, kept) == found
        if not found:
            kept.append(new)
