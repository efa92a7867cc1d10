"""A reviewer's edit of the parameters: read from its text, ruled on, and made what stands. Never action or resource.

Policy is asked anew about the edit, the votes on what stood before fall, and whoever approves next approves the edit.
Whether its maker may decide at all, and their own vote, are `decisions`' work.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings

from accounts.models import User
from agents import wire
from agents.problems import FieldError, Problem
from approvals import access, policies, viewing, votes
from approvals.display.view import VIEW_VERSION
from approvals.display.visible import plain_visible
from approvals.errors import ChangedMeanwhile, Unfit
from approvals.models import Decision, Request
from approvals.models.request import AMENDMENT
from approvals.payloads import canonical, digest_of
from approvals.queries import Seen
from approvals.rules.ruling import Ruling
from audit.entries import Authentication, Draft, Party, Personal, record
from audit.types import EntryType

VOID = "Another reviewer changed the parameters."
_POINTERS_TOLD = 5


@dataclass(frozen=True, slots=True)
class Edit:
    """Parameters as they shall be: canonical text and digest, policy's ruling on them, and the view they will have."""

    parameters: dict[str, Any]
    text: str
    digest: str
    ruling: Ruling
    shown: viewing.Shown


def parse(text: str) -> dict[str, Any]:
    """The parameters in a form's field, by the rules of a filing's; `Unfit` with a sentence for the field."""
    if len(text.encode()) > settings.API_BODY_LIMIT_BYTES:  # as little as a filing may hold
        raise _unfit("Parameters may be 256 KiB at most.")
    try:
        parameters = wire.parse_json(text.encode())
        if not isinstance(parameters, dict):
            raise _unfit("The parameters are a JSON object.")
        errors: Sequence[FieldError] = wire.parameter_errors(parameters, at=())
    except Problem as problem:
        if not problem.errors:
            raise _unfit("This could not be read as JSON: mend it, or leave it as it was.") from problem
        errors = problem.errors
    if errors:
        said = (f"{error['pointer'] or 'As a whole'}: {error['detail']}" for error in errors[:_POINTERS_TOLD])
        raise _unfit(" ".join(said))
    return parameters


def edits(text: str, *digests: str) -> bool:
    """Whether a form's field holds other parameters than those of these digests; what cannot be read is an edit that is
    not finished."""
    try:
        return digest_of(canonical(parse(text))) not in digests
    except Unfit:
        return True


def prepare(request_id: UUID, text: str) -> Edit | None:
    """The edit in a form's field, ruled on and drawn before the request is locked; None where these are the parameters
    that stand. Raises `Unfit`."""
    parameters = parse(text)
    text = canonical(parameters)
    digest = digest_of(text)
    request = Request.objects.select_related("agent").filter(pk=request_id).first()
    if request is None or digest == request.effective_digest:
        return None
    ruling = policies.ruling_on_edit(request, parameters)
    shown = viewing.show_edit(request, parameters=parameters, parameters_digest=digest, ruling=ruling)
    return Edit(parameters, text, digest, ruling, shown)


def refuse_unfit(person: access.Viewer, seen: Seen, edit: Edit) -> None:
    """Under the lock: policy still says the same of the edit, does not forbid it, and asks this person among others.

    Raises `Unfit`, or `ChangedMeanwhile` where policy itself changed since the edit was ruled on.
    """
    ruling = edit.ruling
    if policies.ruling_on_edit(seen.request, edit.parameters) != ruling:
        raise ChangedMeanwhile("The policy changed while you were editing. Read it again before you decide.")
    if ruling.outcome == "blocked":
        raise _unfit(_why(ruling))
    as_edited = copy(seen.request)
    _assign(as_edited, edit, person=person.user, at=seen.now)
    edited = Seen(as_edited, seen.now)
    barred = access.why_not_approve(person, edited, []) or access.why_not_widened(person, edited, [], ruling)
    if barred:
        raise _unfit(f"These parameters are not yours to approve: policy would ask {', '.join(ruling.teams)}.")


def apply(
    request: Request,
    edit: Edit,
    *,
    person: User,
    standing: Sequence[Decision],
    decision_id: UUID,
    at: datetime,
    auth: Authentication,
) -> None:
    """Make the edit what stands on a locked request, with its entry; the `standing` votes, on what stood, fall."""
    _assign(request, edit, person=person, at=at)
    in_force = policies.in_force()
    request.amended_likeness = in_force.likeness(request.action, request.resource, edit.parameters)
    request.save(update_fields=[*AMENDMENT, "amended_likeness"])
    by, ruling, salt = Party("person", str(person.pk)), edit.ruling, bytes(request.digest_salt)
    votes.void(standing, request=request, by=by, reason=VOID)
    record(
        Draft(
            type=EntryType.REQUEST_AMENDED,
            actor=by,
            subject=Party("request", str(request.pk)),
            facts={
                "decision": str(decision_id),
                "action": request.action,
                "risk": ruling.risk,
                "risk_unknown": request.amended_risk_unknown,
                "matched": list(ruling.matched),
                "quorum": ruling.quorum,
                "people_floor": ruling.floor_people,
                "stepup": ruling.stepup,
                "policy": str(in_force.version_id) if in_force.version_id else None,
                "policy_at_filing": str(request.policy_id) if request.policy_id else None,
            },
            digests={"policy": in_force.digest, "renderer": VIEW_VERSION},
            personal={
                "parameters": Personal(edit.parameters),
                "parameters_digest": Personal(edit.digest, salt),
                "display_digest": Personal(edit.shown.display_digest, salt),
            },
            auth=auth,
        )
    )


def _assign(request: Request, edit: Edit, *, person: User, at: datetime) -> None:
    ruling = edit.ruling
    request.amended_text, request.amended_digest = edit.text, edit.digest
    request.amended_ruling, request.amended_quorum = ruling.as_json(), ruling.quorum
    request.amended_people_floor, request.amended_teams = ruling.floor_people, ruling.teams
    request.amended_risk, request.amended_risk_unknown = ruling.risk, ruling.risk_shown == "unknown"
    request.amended_by_id, request.amended_at = person.pk, at


def _why(ruling: Ruling) -> str:
    """A block in words for a reviewer; what the agent would hear speaks to the agent."""
    problems = "; ".join(ruling.problems[:_POINTERS_TOLD])
    if ruling.cause == "parameters":
        return f"These parameters do not fit the action: {problems}"
    if ruling.cause == "not-permitted":
        return "Policy does not allow these parameters: no rule permits them."
    return f"Policy does not allow these parameters: {problems or ruling.reason}"


def _unfit(sentence: str) -> Unfit:
    return Unfit({"parameters": plain_visible(sentence)})
