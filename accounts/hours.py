"""The hours a team works: setting them, and whether a span of time holds any of them.

They are said on pages and counted in by the alert at filing; they move no deadline and keep nobody from deciding.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

from accounts.absence import TeamHours
from accounts.acting import Refused
from accounts.models import Team, User
from accounts.people import person_party
from audit.commitments import JSON
from audit.entries import Authentication, Draft, Party, record
from audit.limits import limited
from audit.types import EntryType

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, slots=True)
class Hours:
    """On these ISO weekdays from `opens` until `closes`, local to `zone`; past midnight where it closes before."""

    weekdays: frozenset[int]
    opens: time
    closes: time
    zone: str

    def within(self, start: datetime, end: datetime) -> bool:
        """Whether any moment of [start, end) lies in them; both aware."""
        zone = ZoneInfo(self.zone)
        day, last = start.astimezone(zone).date() - timedelta(days=1), end.astimezone(zone).date()
        while day <= last:
            if day.isoweekday() in self.weekdays:
                opens = datetime.combine(day, self.opens, zone)
                overnight = timedelta(days=1) if self.closes < self.opens else timedelta()
                closes = datetime.combine(day + overnight, self.closes, zone)
                # both of one zone would be compared by the wall; as moments they are compared by UTC
                if max(opens.timestamp(), start.timestamp()) < min(closes.timestamp(), end.timestamp()):
                    return True
            day += timedelta(days=1)
        return False

    def __str__(self) -> str:
        return f"{_days(self.weekdays)} {self.opens:%H:%M}–{self.closes:%H:%M} {self.zone}"


def _days(weekdays: Collection[int]) -> str:
    """`Mon–Fri`, `Mon, Wed, Fri`, `every day`."""
    days = sorted(weekdays)
    if len(days) == 7:
        return "every day"
    if len(days) > 2 and days[-1] - days[0] == len(days) - 1:
        return f"{DAYS[days[0] - 1]}–{DAYS[days[-1] - 1]}"
    return ", ".join(DAYS[day - 1] for day in days)


def of_teams(slugs: Collection[str]) -> dict[str, Hours]:
    """The hours of those of these teams that have any; one query."""
    return {row.team.slug: read(row) for row in TeamHours.objects.filter(team__slug__in=slugs).select_related("team")}


def of(whose: Team) -> Hours | None:
    """This team's hours; None where it has none, which is always."""
    found = TeamHours.objects.filter(team=whose).first()
    return read(found) if found is not None else None


def read(row: TeamHours) -> Hours:
    """A row as a value."""
    return Hours(frozenset(row.weekdays), row.opens, row.closes, row.timezone)


def facts_of(hours: Hours | None) -> dict[str, JSON]:
    """What an entry says of a team's hours; `hours` is None where they were taken away."""
    if hours is None:
        return {"hours": None}
    return {
        "hours": str(hours),
        "weekdays": sorted(hours.weekdays),
        "opens": f"{hours.opens:%H:%M:%S.%f}",
        "closes": f"{hours.closes:%H:%M:%S.%f}",
        "timezone": hours.zone,
    }


def keep(*, by: User, team: Team, hours: Hours | None, auth: Authentication | None = None) -> None:
    """Set a team's hours, or with None take them away; raises `Refused`. That `by` may is the gate's to say."""
    if hours is not None:
        _refuse(hours)
    with limited():
        if hours is None:
            TeamHours.objects.filter(team=team).delete()
        else:
            TeamHours.objects.update_or_create(
                team=team,
                defaults={
                    "weekdays": sorted(hours.weekdays),
                    "opens": hours.opens,
                    "closes": hours.closes,
                    "timezone": hours.zone,
                },
            )
        record(
            Draft(
                type=EntryType.TEAM_HOURS,
                actor=person_party(by),
                subject=Party("team", str(team.pk)),
                facts={"slug": team.slug, **facts_of(hours)},
                auth=auth,
            )
        )


def _refuse(hours: Hours) -> None:
    if not hours.weekdays or not hours.weekdays <= set(range(1, 8)):
        raise Refused("Choose at least one day.", "weekdays")
    if hours.opens == hours.closes:
        raise Refused("It closes when it opens; choose another time.", "closes")
    if hours.zone not in available_timezones():
        raise Refused("That is no time zone such as Europe/Berlin or UTC.", "timezone")
