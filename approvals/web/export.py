"""The history's filter as a file: CSV or JSONL, every matching row, streamed. What matches is the page's own filter;
that it is evidence is `exports`' work.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.db import connections
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_GET

from accounts.sign_in import authentication_of
from approvals import access, exports, listing, queries
from approvals.access import Viewer
from approvals.exports import Export
from approvals.models import Decision
from approvals.queries import Seen
from approvals.web import filters
from approvals.web.doors import door, viewer_of
from approvals.web.history import refused_page
from audit import spreadsheet

COLUMNS = (
    "id", "status", "risk", "action", "resource", "agent", "filed_at", "expires_at", "ended_at", "summary",
    "agent_rationale", "parameters", "parameters_digest", "amended",
    "policy_version", "decisions", "told_to_agent", "retry",
    "grant_valid_until", "redeemed_at", "outcome", "details_masked",
)  # fmt: skip
MASKED = "[masked]"
_LINE_BREAK = re.compile(r"\r\n|[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]")


@door
@require_GET
def as_csv(request: HttpRequest) -> HttpResponseBase:
    """GET /history/export.csv with the history's filter."""
    return _export(request, "csv", "text/csv; charset=utf-8")


@door
@require_GET
def as_jsonl(request: HttpRequest) -> HttpResponseBase:
    """GET /history/export.jsonl with the history's filter."""
    return _export(request, "jsonl", "application/x-ndjson; charset=utf-8")


def _export(request: HttpRequest, format: str, content_type: str) -> HttpResponseBase:
    given = filters.read(request.GET)
    person = viewer_of(request)
    if given.errors:  # never more than was asked for
        return render(request, "approvals/history.html", {"page": refused_page(person, given)}, status=422)
    export = exports.begin(
        person=person,
        wanted=given.meaning,
        format=format,
        asked=given.texts,
        auth=authentication_of(request),
    )
    zipped = "gzip" in request.headers.get("Accept-Encoding", "")
    stream = _Stream(export, zipped=zipped)
    # An iterator of the wrong kind would be read into memory whole before its first byte is sent.
    content = stream.asynchronously() if isinstance(request, ASGIRequest) else iter(stream)
    name = f"countersign-history-{queries.clock():%Y-%m-%d}.{format}"
    response = StreamingHttpResponse(
        content,
        content_type=content_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"', "X-Accel-Buffering": "no"},
    )
    if zipped:
        response["Content-Encoding"] = "gzip"
    patch_vary_headers(response, ["Accept-Encoding"])
    return response


class _Stream:
    """The bytes of an export, a batch at a time, counted and digested; its end is recorded however it ends.

    `zipped` packs them on the way as one gzip member. Django's own middleware would make each part of an asynchronous
    stream a member of its own, and browsers unpack the first alone: a file that looks whole and ends early.
    """

    def __init__(self, export: Export, *, zipped: bool) -> None:
        self.export, self.rows, self.sent = export, 0, 0
        self.digest = hashlib.sha256()
        self.complete = False
        self._zipped = zipped

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._packed()
        finally:
            self._finish()

    async def asynchronously(self) -> AsyncIterator[bytes]:
        """The same where the loop must not be held: each batch in a thread, its connection given back after it."""
        parts = self._packed()
        try:
            while (part := await sync_to_async(self._next)(parts)) is not None:
                yield part
        finally:
            await sync_to_async(self._last)()

    def _packed(self) -> Iterator[bytes]:
        if not self._zipped:
            yield from self._parts()
            return
        packer = zlib.compressobj(wbits=zlib.MAX_WBITS + 16)  # with gzip's header and checksum
        for part in self._parts():
            yield packer.compress(part) + packer.flush(zlib.Z_SYNC_FLUSH)
        yield packer.flush()

    def _parts(self) -> Iterator[bytes]:
        if self.export.format == "csv":
            yield self._counted(spreadsheet.BYTE_ORDER_MARK + spreadsheet.rows([COLUMNS]))
        for batch in exports.batches(self.export):
            votes = listing.votes_of([seen.request.pk for seen in batch])
            records = [record_of(self.export.person, seen, votes.get(seen.request.pk, [])) for seen in batch]
            self.rows += len(records)
            if self.export.format == "csv":
                texts = [seen.request.effective_text for seen in batch]
                yield self._counted(spreadsheet.rows(_cells(*pair) for pair in zip(records, texts, strict=True)))
            else:
                yield self._counted("".join(f"{json.dumps(record)}\n" for record in records))
        self.complete = True

    def _next(self, parts: Iterator[bytes]) -> bytes | None:
        try:
            return next(parts, None)
        finally:
            connections.close_all()

    def _counted(self, text: str) -> bytes:
        part = text.encode()
        self.sent += len(part)
        self.digest.update(part)
        return part

    def _finish(self) -> None:
        exports.finish(
            export=self.export,
            rows=self.rows,
            sent=self.sent,
            digest=f"sha256:{self.digest.hexdigest()}",
            complete=self.complete,
        )

    def _last(self) -> None:
        try:
            self._finish()
        finally:
            connections.close_all()


def record_of(person: Viewer, seen: Seen, votes: Sequence[Decision]) -> dict[str, Any]:
    """One request as it is exported, JSON values by column; `null` where masked and `details_masked` says so."""
    request = seen.request
    masked = not access.sees_payload_of(person, request, votes)
    grant, outcome = getattr(request, "grant", None), getattr(request, "outcome", None)
    return {
        "id": str(request.pk),
        "status": seen.status.value,
        "risk": request.shown_risk,
        "action": request.action,
        "resource": request.resource,
        "agent": request.agent.slug,
        "filed_at": _time(request.created_at),
        "expires_at": _time(request.expires_at),
        "ended_at": _time(seen.decided_at),
        "summary": None if masked else request.summary,
        "agent_rationale": None if masked else request.rationale,
        "parameters": None if masked else request.effective_parameters,
        "parameters_digest": None if masked else request.effective_digest,
        "amended": request.is_amended,  # by a reviewer: parameters and digest are not what the agent asked
        "policy_version": request.policy.number if request.policy else None,
        "decisions": [_decision(vote, notes=access.reads_notes(person, request, votes)) for vote in votes],
        "told_to_agent": seen.reason,
        "retry": seen.retry,
        "grant_valid_until": _time(grant.valid_until) if grant else None,
        "redeemed_at": _time(grant.redeemed_at) if grant else None,
        "outcome": outcome.result if outcome else "unknown" if seen.outcome_unknown else None,
        "details_masked": masked,
    }


def _decision(vote: Decision, *, notes: bool) -> dict[str, Any]:
    return {
        "verdict": vote.verdict,
        "name": vote.person.name,
        "email": vote.person.email,
        "at": _time(vote.decided_at),
        "opened_at": _time(vote.opened_at),
        "reason_code": vote.reason_code or None,
        "rationale": vote.rationale,
        **({"note": vote.note} if notes else {}),
        "authentication": vote.auth_method,
    }


def _time(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z") if moment else None


def _cells(record: dict[str, Any], parameters: str) -> list[str]:
    """A record as a row of text; `parameters` is their canonical JSON."""
    flat = dict(record)
    flat["decisions"] = "\n".join(_line(one) for one in record["decisions"])
    if record["details_masked"]:
        flat |= dict.fromkeys(("summary", "agent_rationale", "parameters", "parameters_digest"), MASKED)
    else:
        flat["parameters"] = parameters
    return ["" if flat[name] is None else str(flat[name]) for name in COLUMNS]


def _line(decision: dict[str, Any]) -> str:
    """A decision as one line of the cell. The further lines of its reason are indented, so that none of them can pass
    for another person's decision."""
    said = (
        f"{decision['verdict']} by {decision['name']} <{decision['email']}> at {decision['at']}:"
        f" {decision['rationale'] or decision['reason_code']}"
    )
    return _LINE_BREAK.sub(lambda broken: f"{broken[0]}    ", said)
