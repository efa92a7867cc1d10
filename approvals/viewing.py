"""What a person is shown of a request, and the signed ticket that binds their decision to it. Opening writes nothing.

The view is built by the catalogue's renderer from the stored canonical bytes; its digest is what a decision carries.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.core import signing
from django.utils.crypto import salted_hmac

from accounts.models import User
from approvals import policies
from approvals.display.digest import display_digest
from approvals.display.view import View, build_view
from approvals.errors import ChangedMeanwhile
from approvals.models import Question, Request
from approvals.rules.ruling import Ruling

TICKET_SECONDS = 60 * 60
_SALT = "approvals.viewing"


@dataclass(frozen=True, slots=True)
class Shown:
    """What a page shows of a request and the digest of it."""

    view: View
    display_digest: str
    basis: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Ticket:
    """What `view_id` says, verified: this person, in this session, was shown this, from this moment."""

    nonce: str
    display_digest: str
    opened_at: datetime


def show(request: Request, *, full: bool = False) -> Shown:
    """The view of a request as it would be executed, and its display digest; with `full` nothing is cut."""
    ruling = request.effective_ruling
    return _shown(request, request.effective_parameters, request.effective_digest, ruling, full=full)


def show_edit(request: Request, *, parameters: Any, parameters_digest: str, ruling: Ruling) -> Shown:
    """The view that an edit will have, whole: who typed all of it has seen all of it."""
    return _shown(request, parameters, parameters_digest, ruling, full=True)


def _shown(request: Request, parameters: Any, parameters_digest: str, ruling: Ruling, *, full: bool) -> Shown:
    pack = policies.version(request.policy_id).pack
    answers = [one for one in questions_of(request) if one.answered_at is not None]
    view = build_view(
        pack.catalogue.get(request.action) if pack is not None else None,
        action_name=request.action,
        resource=request.resource,
        parameters=parameters,
        agent_slug=request.agent.slug,
        risk=ruling.risk_shown,
        valid_seconds=ruling.valid_seconds,
        summary=request.summary,
        rationale=request.rationale,
        answers=[(one.text, one.answer_text or "") for one in answers],
        full=full,
    )
    return Shown(view, display_digest(view, parameters_digest), _basis(request, len(answers)))


def questions_of(request: Request) -> list[Question]:
    """The questions about a request, oldest first, with who asked; one query."""
    return list(request.questions.select_related("asked_by").order_by("asked_at", "id"))


def basis_of(request: Request) -> tuple[object, ...]:
    """All of a request that its view is made from and that may change; the rest of what was filed never does. An
    answer never changes either, so their number says them all. One query."""
    return _basis(request, request.questions.filter(answered_at__isnull=False).count())


def _basis(request: Request, answers: int) -> tuple[object, ...]:
    return (request.pk, request.effective_digest, request.amended_at, request.policy_id, request.agent.slug, answers)


def show_by_digest(request_id: UUID, digest: str) -> Shown | None:
    """The view of a request, cut or whole, that has this digest; None where neither has."""
    request = Request.objects.select_related("agent").filter(pk=request_id).first()
    if request is None:
        return None
    shown = show(request)
    if shown.display_digest != digest and shown.view.truncated:
        shown = show(request, full=True)
    return shown if shown.display_digest == digest else None


def _session_mark(session_key: str) -> str:
    # The ticket travels in pages: it must not carry the session's key.
    return salted_hmac(_SALT, session_key).hexdigest()[:32]


def issue_ticket(request: Request, shown: Shown, *, person: User, session_key: str, at: datetime) -> str:
    """A `view_id` for one opening of the page; spent by the decision, kept through form errors, good for an hour."""
    return signing.dumps(
        {
            "p": str(person.pk),
            "s": _session_mark(session_key),
            "r": str(request.pk),
            "d": shown.display_digest,
            "o": at.timestamp(),
            "n": secrets.token_hex(16),
        },
        salt=_SALT,
        compress=True,
    )


def nonce_of(view_id: str) -> str | None:
    """The nonce in a ticket we signed, whatever else it says; None for anything else."""
    try:
        said = signing.loads(view_id, salt=_SALT)
        return str(said["n"])
    except (signing.BadSignature, KeyError, TypeError, ValueError):
        return None


def read_ticket(view_id: str, *, person: User, session_key: str, request_id: UUID, at: datetime) -> Ticket:
    """The ticket behind a `view_id`; `ChangedMeanwhile` where it is another's, of another request, or too old.

    Its age is measured by `at`, the database's clock.
    """
    try:
        said = signing.loads(view_id, salt=_SALT)
        opened = datetime.fromtimestamp(float(said["o"]), UTC)
        good = (
            said["p"] == str(person.pk)
            and said["s"] == _session_mark(session_key)
            and said["r"] == str(request_id)
            and 0 <= (at - opened).total_seconds() + 1 <= TICKET_SECONDS + 1
        )
    except (signing.BadSignature, KeyError, TypeError, ValueError) as error:
        raise ChangedMeanwhile("This form is not one that was given to you; open the request again.") from error
    if not good:
        raise ChangedMeanwhile("This page was opened over an hour ago, or in another session; open it again.")
    return Ticket(said["n"], said["d"], opened)
