"""Reading requests as they stand by the database's clock. Nothing is changed here, and nothing is authorised.

A pending request past its deadline is read again `FOR SHARE` before anyone is told it expired: a commit may land
after the deadline it was checked against, and nobody may be told expired and later approved.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import OperationalError, connection, transaction
from django.db.models import JSONField, QuerySet
from django.db.models.expressions import RawSQL
from django.db.models.fields import DateTimeField, IntegerField

from agents import permission
from agents.models import Agent
from agents.problems import Problem
from approvals.errors import NotPending
from approvals.lifecycle import EXPIRED_REASON
from approvals.models import Grant, Request
from approvals.states import Retry, Status
from approvals.transactions import sqlstate_of
from audit.limits import clock as clock  # the one clock, for the rooms above to ask here

SHARE_WAIT_MS = 1_000
OUTCOME_WITHIN = timedelta(minutes=15)  # of a redemption; then its outcome reads as unknown


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as a reader sees it at `now` (the database's clock): past its deadline it is expired, swept or not."""

    request: Request
    now: datetime

    @property
    def lapsed(self) -> bool:
        """Expired, though the sweep has not come by."""
        return self.request.status == Status.PENDING and self.request.expires_at <= self.now

    @property
    def status(self) -> Status:
        """The status every reader is told."""
        return Status.EXPIRED if self.lapsed else Status(self.request.status)

    @property
    def halted(self) -> bool:
        """Pending from before a stop of all agents, or of an agent that is suspended: nobody can decide it any more,
        and the sweep will withdraw it."""
        return self.request.epoch < self.request.stops or self.request.agent.state == Agent.State.SUSPENDED  # type: ignore[attr-defined]  # annotated by `requests`

    @property
    def outcome_unknown(self) -> bool:
        """Redeemed `OUTCOME_WITHIN` ago or longer, and nobody has reported what came of it."""
        grant: Grant | None = getattr(self.request, "grant", None)
        if grant is None or grant.redeemed_at is None or getattr(self.request, "outcome", None) is not None:
            return False
        return self.now - grant.redeemed_at >= OUTCOME_WITHIN

    @property
    def version(self) -> int:
        """Of what is seen: the sweep later makes it true in the row, and changes nothing a reader sees."""
        return self.request.version + 1 if self.lapsed else self.request.version

    @property
    def decided_at(self) -> datetime | None:
        """An expiry's is the deadline itself, before and after the sweep."""
        return self.request.expires_at if self.lapsed else self.request.decided_at

    @property
    def reason(self) -> str:
        """What the agent hears."""
        return EXPIRED_REASON if self.lapsed else self.request.reason

    @property
    def retry(self) -> str | None:
        """What the agent may do after a no."""
        return Retry.LATER.value if self.lapsed else self.request.retry


def requests() -> QuerySet[Request]:
    """Requests with what every reader needs beside them; `seen_at` is the clock of the very read, `log_forks` how
    many forks of the log were declared, `stops` how many stops of all agents were begun (a grant issued before one of
    either is void), `newest_question` the newest question, or None, as
    `{"id", "text", "asked_at", "answer_text", "answered_at"}`, times in ISO 8601."""
    return Request.objects.select_related("agent", "agent__owner", "amended_by", "grant", "outcome", "policy").annotate(
        seen_at=RawSQL("clock_timestamp()", [], output_field=DateTimeField()),
        log_forks=RawSQL("(SELECT forks FROM audit_sealerstate WHERE id = 1)", [], output_field=IntegerField()),
        stops=RawSQL("(SELECT coalesce(max(number), 0) FROM agents_stop)", [], output_field=IntegerField()),
        newest_question=RawSQL(  # by its words: Django takes a millisecond to find them, at each read of each who waits
            "(SELECT jsonb_build_object('id', id, 'text', text, 'asked_at', asked_at,"
            " 'answer_text', answer_text, 'answered_at', answered_at) FROM approvals_question"
            " WHERE request_id = approvals_request.id ORDER BY asked_at DESC, id DESC LIMIT 1)",
            [],
            output_field=JSONField(),
        ),
    )


def requests_of(agent: Agent) -> QuerySet[Request]:
    """This agent's requests, with no more beside them than it is told."""
    return requests().filter(agent=agent).select_related(None).select_related("agent", "grant", "outcome")


def _seen(request: Request) -> Seen:
    return Seen(request, request.seen_at)  # type: ignore[attr-defined]  # annotated by `requests`


def _known(request: Request, name: str) -> Any:
    """The row that says more of a request, where this transaction made one; None, without looking, where it didn't."""
    relation: Any = Request._meta.get_field(name)
    relation.set_cached_value(request, relation.get_cached_value(request, default=None))
    return relation.get_cached_value(request)


def just_filed(request: Request) -> Seen:
    """A request that this very transaction filed, as a reader sees it at that moment, without asking the database for
    what was just written: nobody has asked or answered anything yet, and its grant is of the log and the stops it was
    ruled under. A stop that comes in between makes the commit fail; a fork of the log does not, and the next read says
    that the grant is void."""
    grant: Grant | None = _known(request, "grant")
    _known(request, "outcome")
    request.newest_question = None  # type: ignore[attr-defined]  # as `requests` annotates it; so the next two
    request.log_forks = grant.fork if grant is not None else 0  # type: ignore[attr-defined]
    request.stops = request.epoch  # type: ignore[attr-defined]
    return Seen(request, request.created_at)


def read(rows: QuerySet[Request], request_id: UUID) -> Seen | None:
    """One request out of `rows` as a reader sees it; None where it is not among them.

    Raises 503 `busy` where somebody has held an overdue one for a second.
    """
    request = rows.filter(pk=request_id).first()
    if request is None:
        return None
    seen = _seen(request)
    if not seen.lapsed:
        return seen
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{SHARE_WAIT_MS}"])
            cursor.execute("SELECT status FROM approvals_request WHERE id = %s FOR SHARE", [request_id])
            cursor.execute("SELECT set_config('lock_timeout', '0', true)")
            request = rows.filter(pk=request_id).first()
    except OperationalError as error:
        if sqlstate_of(error) == "55P03":
            raise Problem("busy", "This request is being decided at its deadline; read it again.") from error
        raise
    return _seen(request) if request is not None else None


def settle(page: Sequence[Request]) -> list[Seen]:
    """A page of a list as a reader sees it: overdue rows are read again, one that is locked is shown as pending."""
    overdue = [request.pk for request in page if _seen(request).lapsed]
    if not overdue:
        return [_seen(request) for request in page]
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT id FROM approvals_request WHERE id = ANY(%s) FOR SHARE SKIP LOCKED", [overdue])
            free = [row[0] for row in cursor.fetchall()]
        again = {request.pk: request for request in requests().filter(pk__in=free)}
    settled = []
    for request in page:
        if request.pk in again:
            settled.append(_seen(again[request.pk]))
        elif request.pk in overdue:  # somebody is deciding it: pending until they are done
            settled.append(Seen(request, request.created_at))
        else:
            settled.append(_seen(request))
    return settled


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list, newest first, and where the next begins (None: this was the last)."""

    rows: list[Seen]
    next_id: UUID | None


def page(
    rows: QuerySet[Request],
    *,
    limit: int,
    before: UUID | None = None,
    statuses: Iterable[Status] | None = None,
) -> Page:
    """Newest first by id, keyset-paged. `statuses` are as a reader sees them, so rows that expired meanwhile are
    judged after they were read again."""
    wanted = frozenset(statuses) if statuses is not None else None
    if wanted is not None:
        stored = set(wanted) | ({Status.PENDING} if Status.EXPIRED in wanted else set())
        rows = rows.filter(status__in=[status.value for status in stored])
        now = RawSQL("statement_timestamp()", [], output_field=DateTimeField())
        if Status.PENDING not in wanted:
            rows = rows.exclude(status=Status.PENDING.value, expires_at__gt=now)
        elif Status.EXPIRED not in wanted:
            # Somebody may still hold one that ran out of time just now: until they are done it is pending.
            long_ago = RawSQL("statement_timestamp() - interval '1 minute'", [], output_field=DateTimeField())
            rows = rows.exclude(status=Status.PENDING.value, expires_at__lte=long_ago)
    rows = rows.order_by("-id")
    found: list[Seen] = []
    while True:
        window = list((rows.filter(pk__lt=before) if before else rows)[: limit + 1])
        for seen in settle(window[:limit]):
            if wanted is None or seen.status in wanted:
                found.append(seen)
            before = seen.request.pk
            if len(found) == limit:
                break
        more = len(window) > limit or (window and before is not None and before != window[-1].pk)
        if len(found) == limit or not more:
            return Page(found, before if more else None)


def history_of(
    agent_id: UUID, *, owner_id: UUID, action: str, resource: str, parameters_digest: str, likeness: str
) -> tuple[dict[str, int], datetime]:
    """What policy may know of this agent's recent past, and the database's clock, in one query.

    Counts: `denials_24h` (a person's rejects), `filings_1h`, `same_denied` (the same thing, asked for by any agent of
    this owner, rejected in 24 h). The same thing is told by the likeness of what stood, the edit's where there was one;
    a row without one, of older code, by its exact resource and digest. By `statement_timestamp()`, so that an index can
    serve the windows: by the other clock all that the agent ever filed was looked through, 50 ms for 90,000.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT count(*) FROM approvals_request WHERE agent_id = %(agent)s AND status = 'rejected'"
            "         AND decided_at > statement_timestamp() - interval '24 hours'),"
            " (SELECT count(*) FROM approvals_request WHERE agent_id = %(agent)s"
            "   AND created_at > statement_timestamp() - interval '1 hour'),"
            " (SELECT count(*) FROM approvals_request r JOIN agents_agent a ON a.id = r.agent_id"
            "   WHERE r.status = 'rejected' AND a.owner_id = %(owner)s"
            "   AND r.decided_at > statement_timestamp() - interval '24 hours'"
            "   AND ((r.likeness = %(likeness)s AND r.amended_digest IS NULL) OR r.amended_likeness = %(likeness)s"
            "        OR (CASE WHEN r.amended_digest IS NULL THEN r.likeness ELSE r.amended_likeness END IS NULL"
            "            AND r.action = %(action)s AND r.resource = %(resource)s"
            "            AND coalesce(r.amended_digest, r.parameters_digest) = %(digest)s))),"
            " clock_timestamp()",
            {
                "agent": agent_id,
                "owner": owner_id,
                "action": action,
                "resource": resource,
                "digest": parameters_digest,
                "likeness": likeness,
            },
        )
        denials, filings, same, now = cursor.fetchone()
    return {"denials_24h": denials, "filings_1h": filings, "same_denied": same}, now


def has_pending(agent_id: UUID, *, at_least: int) -> bool:
    """Whether this agent has so many requests that wait for people; those past their deadline don't count.

    It reads `at_least` entries of an index at most. Filings that race each other don't see each other.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM (SELECT FROM approvals_request WHERE agent_id = %s AND status = 'pending'"
            " AND expires_at > statement_timestamp() LIMIT %s) AS pending",
            [agent_id, at_least],
        )
        return bool(cursor.fetchone()[0] >= at_least)


def share_permission(request_id: UUID) -> None:
    """`permission.share` of the agent that filed it; of nobody where there is no such request."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock_shared(%s, hashtext(agent_id::text)) FROM approvals_request WHERE id = %s",
            [permission.SPACE, request_id],
        )


def locked(request_id: UUID) -> tuple[Request, datetime]:
    """The request under its row lock and the database's clock after the lock was taken; for verbs alone.

    Its agent's permission to ask is shared first: a suspension waits for this, or is waited for.
    """
    share_permission(request_id)
    request = Request.objects.select_for_update(no_key=True).get(pk=request_id)
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp(), (SELECT coalesce(max(number), 0) FROM agents_stop)")
        now, request.stops = cursor.fetchone()  # type: ignore[attr-defined]  # as `requests` annotates it
    return request, now


def locked_pending_of(agent_id: UUID, request_id: UUID) -> tuple[Request, datetime]:
    """The agent's own request under its row lock, pending and in time, and the clock; for verbs alone. Raises 404, or
    409 `not-pending`."""
    try:
        request, now = locked(request_id)
    except Request.DoesNotExist as error:
        raise Problem("not-found", "There is nothing here that this key may see.") from error
    if request.agent_id != agent_id:
        raise Problem("not-found", "There is nothing here that this key may see.")
    seen = Seen(request, now)
    if seen.status is not Status.PENDING:
        raise NotPending(seen.status.value)
    return request, now


def newer_versions(held: Mapping[str, int]) -> dict[str, int]:
    """Of these requests (id: the version somebody has read) those that have a newer one, with it.

    The one query every few seconds for all who wait, who may be ten thousand: two arrays and not ten thousand
    parameters, and only what is news comes back.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT request.id::text, request.version FROM approvals_request AS request"
            " JOIN unnest(%s::uuid[], %s::bigint[]) AS held (id, version) ON held.id = request.id"
            " WHERE request.version > held.version",
            [list(held), list(held.values())],
        )
        return dict(cursor.fetchall())
