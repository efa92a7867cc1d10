"""The alert at filing that nobody can decide a request before its deadline: looked for once, told at once.

What can be reached is `attainable`'s to say. The request is filed all the same and the agent learns nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, time
from typing import Any

import structlog
from django.db import connection

from accounts.hours import Hours
from approvals import access, attainable, outbox, quorum
from approvals.lifecycle import SYSTEM
from approvals.models import Event, Request
from approvals.rules.ruling import Ruling
from audit.entries import Draft, Party, record
from audit.types import EntryType

log = structlog.get_logger(__name__)

# Active people of the teams that are asked, whoever stands for them within the time to decide, and the teams' hours.
_PEOPLE = """
WITH member AS (
  SELECT DISTINCT u.id FROM accounts_user u JOIN accounts_membership m ON m.user_id = u.id
    JOIN accounts_team t ON t.id = m.team_id
   WHERE u.is_active AND t.slug = ANY(%(teams)s)
), lent AS (
  SELECT d.delegator_id, d.delegate_id, d.starts_at, least(d.ends_at, d.ended_at) AS ends_at
    FROM accounts_delegation d JOIN member ON member.id = d.delegator_id
   WHERE d.starts_at < %(until)s AND least(d.ends_at, d.ended_at) > greatest(%(since)s, d.starts_at)
)
SELECT (SELECT coalesce(jsonb_agg(jsonb_build_array(u.id,
          ARRAY(SELECT t.slug FROM accounts_membership m JOIN accounts_team t ON t.id = m.team_id
                 WHERE m.user_id = u.id AND t.slug = ANY(%(teams)s)),
          EXISTS (SELECT FROM mfa_authenticator f WHERE f.user_id = u.id AND f.type IN ('totp', 'webauthn')))), '[]')
          FROM accounts_user u
         WHERE u.is_active AND (u.id IN (SELECT id FROM member) OR u.id IN (SELECT delegate_id FROM lent)))::text,
       (SELECT coalesce(jsonb_agg(jsonb_build_array(delegator_id, delegate_id, extract(epoch FROM starts_at),
          extract(epoch FROM ends_at))), '[]') FROM lent)::text,
       (SELECT coalesce(jsonb_agg(jsonb_build_array(t.slug, h.weekdays, h.opens, h.closes, h.timezone)), '[]')
          FROM accounts_teamhours h JOIN accounts_team t ON t.id = h.team_id WHERE t.slug = ANY(%(teams)s))::text
"""


def look(request: Request, ruling: Ruling) -> None:
    """Note on a request that is being filed, before it is saved, whether anybody can decide it; one query."""
    if ruling.outcome != "people":
        return
    requirement = ruling.requirement or quorum.NOBODY
    asked = attainable.Asked(
        requirement=requirement,
        floor_people=max(ruling.floor_people, 1),
        stepup=access.asks_stepup(ruling),
        owner=str(request.agent.owner_id),
        filed_at=request.created_at,
        expires_at=request.expires_at,
        widens_to=request.escalation_team,
        widens_at=request.escalates_at,
    )
    teams = quorum.teams_of(requirement) | ({request.escalation_team} - {""})
    with connection.cursor() as cursor:
        cursor.execute(_PEOPLE, {"teams": sorted(teams), "since": request.created_at, "until": request.expires_at})
        people, lent, hours = map(json.loads, cursor.fetchone())
    found = attainable.gaps(
        asked,
        {pk: attainable.Person(frozenset(seats), proves) for pk, seats, proves in people},
        [attainable.Lent(who, by, _moment(start), _moment(end)) for who, by, start, end in lent],
        _open_in({slug: _hours(*rest) for slug, *rest in hours}),
    )
    request.undecidable = [gap.as_json() for gap in found] or None


def alert(request: Request) -> None:
    """Where nobody can decide a request that was just filed: its entry, a notice to those who can mend it, and a line
    in the log; inside the caller's transaction."""
    if request.undecidable is None:
        return
    log.warning("request.undecidable", request=str(request.pk), teams=[gap["team"] for gap in request.undecidable])
    record(
        Draft(
            type=EntryType.REQUEST_UNDECIDABLE,
            actor=SYSTEM,
            subject=Party("request", str(request.pk)),
            facts={"gaps": request.undecidable},
        )
    )
    outbox.tell(Event.UNDECIDABLE, [request.pk])


def _open_in(hours: Mapping[str, Hours]) -> attainable.OpenIn:
    def open_in(team: str, start: datetime, end: datetime) -> bool:
        return team not in hours or hours[team].within(start, end)

    return open_in


def _hours(weekdays: list[int], opens: str, closes: str, zone: str) -> Hours:
    return Hours(frozenset(weekdays), time.fromisoformat(opens), time.fromisoformat(closes), zone)


def _moment(epoch: Any) -> datetime:
    return datetime.fromtimestamp(float(epoch), UTC)
