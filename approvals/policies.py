"""The policy version in force, compiled once a process, and the verb that loads the first one.

What a policy means is `rules`' to say; proposing and activating later versions comes with the policy pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any
from uuid import UUID

import structlog
from django.db import connection
from django.db.models import Max

from accounts.models import Team, User
from approvals.models import PolicyActivation, PolicyVersion, Request
from approvals.rules import answers, likeness
from approvals.rules.pack import InvalidPack, Pack, load_pack
from approvals.rules.ruling import Ask, Ruling, blocked
from approvals.rules.values import JSON
from approvals.transactions import verb
from audit.entries import Draft, Party, record
from audit.types import EntryType

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class InForce:
    """A version and what became of compiling it: `pack`, or the `problems` for which everything is blocked."""

    version_id: UUID | None
    digest: str
    pack: Pack | None
    problems: tuple[str, ...] = ()

    def likeness(self, action: str, resource: str, parameters: JSON) -> str:
        """What makes a request the same thing as another, by this version's normal form of the action."""
        entry = self.pack.catalogue.get(action) if self.pack is not None else None
        return likeness.of(action, resource, parameters, entry.same if entry is not None else likeness.NOTHING)

    def rule(self, ask: Ask) -> Ruling:
        """Policy's answer; blocked where there is no version, or none that can be read."""
        if self.pack is None:
            return blocked(answers.CANNOT_BE_CHECKED, "policy-unreadable", *self.problems)
        return self.pack.rule(ask)


_MISSING = InForce(None, "", None, ("The policy version of this request is missing.",))


def in_force() -> InForce:
    """The version activated last; one query, compiled at the first use and whenever teams change."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT v.id, v.digest, ARRAY(SELECT slug FROM accounts_team ORDER BY slug)"
            " FROM approvals_policyactivation a JOIN approvals_policyversion v ON v.id = a.version_id"
            " ORDER BY a.id DESC LIMIT 1"
        )
        row = cursor.fetchone()
    if row is None:
        return InForce(None, "", None, ("No policy version is in force.",))
    return _compiled(row[0], row[1], tuple(row[2]))


def version(version_id: UUID | None) -> InForce:
    """A version by id, as frozen into a request; one query."""
    return versions([version_id] if version_id is not None else []).get(version_id, _MISSING)


def versions(version_ids: Iterable[UUID | None], *known: InForce) -> dict[UUID | None, InForce]:
    """Versions by id, however many in one query, and none for those `known`; what does not exist is left out."""
    found: dict[UUID | None, InForce] = {one.version_id: one for one in known if one.version_id is not None}
    wanted = [version_id for version_id in set(version_ids) if version_id is not None and version_id not in found]
    if not wanted:
        return found
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, digest, ARRAY(SELECT slug FROM accounts_team ORDER BY slug)"
            " FROM approvals_policyversion WHERE id = ANY(%s)",
            [wanted],
        )
        rows = cursor.fetchall()
    return found | {row[0]: _compiled(row[0], row[1], tuple(row[2])) for row in rows}


@lru_cache(maxsize=64)
def _compiled(version_id: UUID, digest: str, teams: tuple[str, ...]) -> InForce:
    files: dict[str, str] = PolicyVersion.objects.values_list("files", flat=True).get(pk=version_id)
    try:
        pack = load_pack(files, teams=teams)
    except InvalidPack as error:
        return InForce(version_id, digest, None, tuple(error.problems))
    if pack.digest != digest:
        return InForce(version_id, digest, None, ("The stored files are not what this version's digest says.",))
    return InForce(version_id, digest, pack)


def ruling_now(request: Request) -> Ruling:
    """What holds for a pending request at this moment: the stricter of its frozen ruling (on a reviewer's edit where
    there is one, else on what was filed) and the current version."""
    return _merged(request, asked_of(request), request.effective_ruling, in_force())


def shown_now(requests: Iterable[Request], current: InForce | None = None) -> dict[UUID, Ruling]:
    """`ruling_now` of many pending requests, to show and to tell whose turn it is; one query for the version in force
    where it is not given as `current`, and one where some come without what policy was asked.

    Where the current version would block, the frozen ruling: a block shows when somebody approves, by the verb. And
    under the version that was frozen nothing is to be asked again.
    """
    current, known = current or in_force(), {request.pk: request for request in requests}
    found = {pk: request.effective_ruling for pk, request in known.items()}
    changed = {pk: request for pk, request in known.items() if request.policy_id != current.version_id}
    partly = [pk for pk, request in changed.items() if request.get_deferred_fields()]
    if partly:
        changed |= {row.pk: row for row in Request.objects.select_related("agent").filter(pk__in=partly)}
    for pk, request in changed.items():
        merged = _merged(request, asked_of(request), found[pk], current)
        if merged.outcome == "people":
            found[pk] = merged
    return found


def ruling_on_edit(request: Request, parameters: Any) -> Ruling:
    """What policy says where a pending request had these parameters and all else as filed: the version frozen into it
    is asked anew, and merged with the current one.

    An edit never does without people: where policy would ask nobody, one person of the teams asked at filing is (ADR
    0014).
    """
    ask = asked_of(request, parameters)
    ruling = _merged(request, ask, version(request.policy_id).rule(ask), in_force())
    if ruling.outcome != "allowed":
        return ruling
    anyone: tuple[dict[str, int], ...] = tuple({team: 1} for team in request.teams)
    return replace(ruling, outcome="people", reason="", retry=None, requirement=anyone)


def _merged(request: Request, ask: Ask, frozen: Ruling, current: InForce) -> Ruling:
    if current.pack is None:
        return current.rule(ask)
    return current.pack.rule_again(ask, frozen, level=request.agent.level)


def raise_alarm(request: Request, ruling: Ruling) -> None:
    """Say in the log, where operators' alerts listen, that policy itself is at fault; nothing of the payload."""
    if ruling.is_alarming:
        log.error("policy.alarm", request=str(request.pk), cause=ruling.cause, problems=list(ruling.problems))


def asked_of(request: Request, parameters: Any = None) -> Ask:
    """What policy was asked at filing, of what may be executed now, or of these `parameters`; they stand canonical in
    columns of their own."""
    asked = request.effective_parameters if parameters is None else parameters
    return Ask.from_json({**request.asked, "parameters": asked})


@verb
def bootstrap(*, files: Mapping[str, str], by: Party) -> PolicyVersion:
    """Put the first version in force, in an empty database only; raises `InvalidPack` with every problem found."""
    if PolicyVersion.objects.exists():
        raise InvalidPack(["There is a policy version already; propose a change instead."])
    return activate(files, by=by)


def activate(files: Mapping[str, str], *, by: Party) -> PolicyVersion:
    """Check a pack and put it in force from now on, within the caller's transaction; raises `InvalidPack`."""
    pack = load_pack(
        files,
        teams=tuple(Team.objects.values_list("slug", flat=True)),
        people=tuple(User.objects.values_list("name", flat=True)),
    )
    number = (PolicyVersion.objects.aggregate(last=Max("number"))["last"] or 0) + 1
    made = PolicyVersion(number=number, digest=pack.digest, files=dict(files))
    made.save(force_insert=True)
    PolicyActivation(version=made).save(force_insert=True)
    record(
        Draft(
            type=EntryType.POLICY_BOOTSTRAPPED,
            actor=by,
            subject=Party("policy", str(made.pk)),
            facts={"number": number, "rules": len(pack.policies)},
            digests={"policy": pack.digest},
        )
    )
    return made
