"""What is said beside the seats: to whom a request is or will be opened, who stands for whom, when its teams work, and
that nobody can decide it. Rows come from `accounts` and the gates; nothing is decided here.
"""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts import delegations, hours
from approvals import quorum
from approvals.display.visible import Runs, joined
from approvals.queries import Seen
from approvals.rules.ruling import Ruling
from approvals.states import Status
from approvals.web import words


def notes(seen: Seen, ruling: Ruling) -> list[Runs]:
    """A line each, while the request is pending; two queries."""
    if seen.status is not Status.PENDING:
        return []
    request, teams = seen.request, quorum.teams_of(ruling.requirement or quorum.NOBODY)
    found = [words.own(said) for said in (*_asked_since(seen, ruling), *_opened(seen, ruling))]
    asked = teams | ({request.escalation_team} if request.escalated_at is not None else set())
    for one in delegations.covering(asked):
        if request.agent.owner_id in (one.delegator_id, one.delegate_id):
            continue  # worth nothing here
        until = words.own(_(" until %(at)s") % {"at": words.day(one.until, seen.now)})
        found.append(joined(words.name(one.delegate), words.own(_(" decides for ")), words.name(one.delegator), until))
    for team, working in sorted(hours.of_teams(asked).items()):
        found.append(words.own(_("%(team)s works %(hours)s") % {"team": team, "hours": working}))
    return found


def _asked_since(seen: Seen, ruling: Ruling) -> list[str]:
    """Where the policy in force cannot do without a team that was not asked: its members do not see the request."""
    asked, requirement = set(seen.request.effective_teams), ruling.requirement or quorum.NOBODY
    if any(set(alternative) <= asked for alternative in requirement):
        return []
    since = ", ".join(sorted(quorum.teams_of(requirement) - asked))
    return [
        _("The policy in force now also asks %(teams)s, which was not asked when this was filed.") % {"teams": since}
        + " "
        + _("Only people who may decide this anyway can fill those seats. Otherwise it expires; it can be filed again.")
    ]


def _opened(seen: Seen, ruling: Ruling) -> list[str]:
    request, team = seen.request, seen.request.escalation_team
    if request.escalates_at is None:
        return []
    if ruling.escalate is None or ruling.escalate.team != team:
        return [_("The policy in force now opens it to no other team.")] if request.escalated_at else []
    if request.escalated_at is None:
        at = words.day(request.escalates_at, seen.now)
        return [_("Opens to %(team)s at %(at)s") % {"team": team, "at": at}]
    at = words.day(request.escalated_at, seen.now)
    return [_("Opened to %(team)s at %(at)s: they may fill any seat") % {"team": team, "at": at}]


def alarm(seen: Seen) -> list[str]:
    """Why nobody could decide it, as found at filing: a sentence for each team."""
    if seen.status is not Status.PENDING:
        return []
    return [_gap(gap) for gap in seen.request.undecidable or ()]


def _gap(gap: dict[str, Any]) -> str:
    lacking = (
        _("%(n)s more of %(team)s") % {"n": gap["lacking"], "team": gap["team"]}
        if gap["team"]
        else ngettext("%(n)s more person", "%(n)s more people", gap["lacking"]) % {"n": gap["lacking"]}
    )
    why = gap["why"]
    reasons = [
        said % {"n": why[slug]}
        for slug, said in (
            ("owner", _("%(n)s answers for this agent")),
            ("no-proof", _("%(n)s without a second factor")),
            ("away", _("%(n)s away without a delegate who could")),
            ("hours", _("%(n)s only at other hours")),
        )
        if why.get(slug)
    ]
    members = ngettext("%(n)s member", "%(n)s members", gap["members"]) % {"n": gap["members"]}
    return f"{lacking}: {members}{', ' if reasons else ''}{', '.join(reasons)}."
