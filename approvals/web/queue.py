"""The queue: what needs this person, what they wait for, what ended lately; and the poll that says what changed.

What is whose turn is `listing`'s to know; nothing is decided here.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from approvals import access, listing, marks, policies, queries
from approvals.access import Viewer
from approvals.models import Request
from approvals.queries import Seen
from approvals.web import rows
from approvals.web.doors import door, milliseconds, person_of, stamped, viewer_of
from approvals.web.pages import QueueNews, QueuePage
from approvals.web.rows import Surroundings

PAGE = 30
OTHERS = 15  # rows of the sections below
ENDED_AT_ONCE = 5  # rows a poll brings: its answer stays small, the next one brings the rest
NEW_AT_MOST = 100  # counted; more are still "100 new"
SHOWN_AT_MOST = 60  # ids a poll carries


@door
@require_safe
def show(request: HttpRequest) -> HttpResponse:
    """GET /queue/: one page, most urgent first; `?after=` pages on through Your turn."""
    mark = marks.queue_mark(person_of(request).pk)  # before the rows: what comes between is told by the first poll
    page = _page(viewer_of(request), mark, _place(request.GET.get("after", "")))
    return render(request, "approvals/queue.html", {"page": page, "now": mark.at, "now_ms": milliseconds(mark.at)})


@door
@require_safe
def poll(request: HttpRequest) -> HttpResponse:
    """GET /queue/poll/: 204 when nothing changed since the mark in the query, else the news."""
    mark = marks.queue_mark(person_of(request).pk)
    told = _Told.read(request)
    if told.mark == mark.mark:
        return stamped(HttpResponse(status=204), mark.at)
    news = _news(viewer_of(request), mark, told)
    page = QueuePage(decides=True, count=0, your_turn=(), waiting=(), recent=(), news=news)
    return stamped(render(request, "approvals/queue.html#news", {"page": page}), mark.at)


def _page(person: Viewer, mark: marks.QueueMark, place: listing.Place | None) -> QueuePage:
    current = policies.in_force()
    half = listing.half_decided(person) if person.decides else []
    recent = listing.recently_ended(person, OTHERS) if place is None else []
    votes = listing.votes_of([one.pk for one in half] + [seen.request.pk for seen in recent])
    filled = _filled(person, half, votes, current)
    turn = listing.your_turn(person, filled=filled)
    known = filled | {one.pk for one in half if any(v.person_id == person.user.pk for v in votes[one.pk])}
    if place is None:
        mine, count = listing.counted(turn, PAGE + 1)
        waiting = listing.waiting(person, known, OTHERS)
    else:
        mine, count, waiting = list(listing.after(turn, place)[: PAGE + 1]), turn.count(), []
    alarming = listing.undecidable(OTHERS) if place is None and person.oversees else []
    shown = [*mine[:PAGE], *waiting, *(seen.request for seen in recent)]
    versions = policies.versions((one.policy_id for one in shown), current)
    around = Surroundings(person, mark.at, versions, votes, policies.shown_now([*mine[:PAGE], *waiting], current))
    return QueuePage(
        decides=person.decides or listing.owns_an_agent(person),
        count=count,
        your_turn=[rows.pending(one, around, my_turn=True) for one in mine[:PAGE]],
        waiting=[rows.pending(one, around, my_turn=False) for one in waiting],
        recent=[rows.ended(seen, around) for seen in recent],
        news=QueueNews(poll_url=_first_poll(mark, mine, recent)),
        undecidable=[rows.undecidable(one, around) for one in alarming],
        older_url=_older(mine[PAGE - 1]) if len(mine) > PAGE else "",
        first_url=reverse("queue") if place else "",
    )


def _filled(
    person: Viewer, half: Collection[Request], votes: dict[UUID, list[listing.Decision]], current: policies.InForce
) -> frozenset[UUID]:
    """Half-decided requests in which this person's seats are taken: it is the others' turn."""
    rulings, found = policies.shown_now(half, current), set()
    for one in half:
        given = votes.get(one.pk, [])
        if not listing.standing(one, given, rulings[one.pk]).open_teams & access.seats_of(person, one, given):
            found.add(one.pk)
    return frozenset(found)


def _older(last: Request) -> str:
    place = listing.Place.of(last)
    stamp = int(place.expires_at.timestamp() * 1_000_000)
    return f"{reverse('queue')}?after={place.urgency}.{stamp}.{place.id.hex}"


def _place(given: str) -> listing.Place | None:
    """Where a page begins; an address that was cut or made up begins at the most urgent."""
    found = re.fullmatch(r"([0-4])\.([0-9]{16})\.([0-9a-f]{32})", given)
    if found is None:
        return None
    seconds, micro = divmod(int(found[2]), 1_000_000)
    try:
        expires_at = datetime.fromtimestamp(seconds, UTC).replace(microsecond=micro)
    except (ValueError, OverflowError, OSError):
        return None
    return listing.Place(int(found[1]), expires_at, UUID(found[3]))


# ---- the poll


@dataclass(frozen=True)
class _Told:
    """What a page in somebody's browser already says. It travels in the poll's address, so that nothing is kept here.

    `made` is when the page was made, `knew` the rows of then that might have become visible only after it; `ended` is
    up to when ends were told, `said` those told that lie within the same few seconds. Ids by their last 12 hex digits.
    """

    mark: str
    made: datetime
    knew: frozenset[str]
    ended: datetime
    said: frozenset[str]

    @property
    def url(self) -> str:
        return f"{reverse('queue_poll')}?" + urlencode(
            {
                "mark": self.mark,
                "made": milliseconds(self.made),
                "knew": "".join(sorted(self.knew)[:SHOWN_AT_MOST]),
                "ended": milliseconds(self.ended),
                "said": "".join(sorted(self.said)[:SHOWN_AT_MOST]),
            }
        )

    @classmethod
    def read(cls, request: HttpRequest) -> _Told:
        given = request.GET
        return cls(
            given.get("mark", ""),
            _moment(given.get("made", "")),
            _ids(given.get("knew", "")),
            _moment(given.get("ended", "")),
            _ids(given.get("said", "")),
        )


def _moment(given: str) -> datetime:
    """A time out of an address; what is no time is the moment of asking, so that made-up ones ask for little."""
    if re.fullmatch(r"[0-9]{1,14}", given):
        return datetime.fromtimestamp(int(given) / 1000, UTC)
    return queries.clock()


def _ids(given: str) -> frozenset[str]:
    return frozenset(re.findall(r"[0-9a-f]{12}", given))


def _short(request_id: UUID) -> str:
    return request_id.hex[-12:]  # the random end of a UUIDv7


def _first_poll(mark: marks.QueueMark, mine: Collection[Request], recent: Collection[Seen]) -> str:
    since = mark.at - marks.SETTLED_AFTER
    knew = frozenset(_short(one.pk) for one in mine if max(one.created_at, one.amended_at or one.created_at) > since)
    said = frozenset(_short(s.request.pk) for s in recent if s.decided_at and s.decided_at > since)
    return _Told(mark.mark, mark.at, knew, mark.at, said).url


def _news(person: Viewer, mark: marks.QueueMark, told: _Told) -> QueueNews:
    half = listing.half_decided(person) if person.decides else []
    current = policies.in_force()
    filled = _filled(person, half, listing.votes_of([one.pk for one in half]), current)
    arrived = marks.arrived(person, told.made, filled=filled, limit=NEW_AT_MOST)
    new = [risk for request_id, risk in arrived if _short(request_id) not in told.knew]
    found = marks.ended_since(person, told.ended, ENDED_AT_ONCE + len(told.said) + 1)
    fresh = [seen for seen in found if _short(seen.request.pk) not in told.said]
    more, fresh = len(fresh) > ENDED_AT_ONCE, fresh[:ENDED_AT_ONCE]
    until = (fresh[-1].decided_at if more else None) or mark.at
    kept = {
        _short(seen.request.pk)
        for seen in found
        if (seen in fresh or _short(seen.request.pk) in told.said)
        and seen.decided_at
        and seen.decided_at > until - marks.SETTLED_AFTER
    }
    # With more to tell the mark stays unsaid, so that the next poll is answered too.
    now_told = _Told("" if more else mark.mark, told.made, told.knew, until, frozenset(kept))
    around = Surroundings(
        person,
        mark.at,
        policies.versions((seen.request.policy_id for seen in fresh), current),
        listing.votes_of([seen.request.pk for seen in fresh]),
    )
    return QueueNews(
        poll_url=now_told.url,
        new=len(new),
        new_critical=new.count("critical"),
        show_url=reverse("queue"),
        changed=[rows.ended(seen, around) for seen in fresh],
    )
