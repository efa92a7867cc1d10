"""The endpoints over requests: file, read, list, follow, answer, withdraw, report."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from rest_framework.request import Request as APIRequest
from rest_framework.response import Response

from agents.models import Scope
from agents.problems import Problem
from agents.wire import dumps
from approvals import access, queries, questions
from approvals import requests as verbs
from approvals.api import serializers
from approvals.api.base import Endpoint, OneMediaType, parse_id
from approvals.api.documents import awaits_agent, etag, request_document
from approvals.api.schema import described
from approvals.idempotency import Answer
from approvals.models import Request
from approvals.queries import Seen
from approvals.states import Status

PAGE_BYTES = 1024 * 1024  # after which a page ends, though fewer than `limit` are on it: a payload may be 256 KiB


def _fresh(request: Request) -> Answer:
    """The request as a reader sees it now, after an act of this transaction."""
    seen = queries.read(queries.requests(), request.pk)
    if seen is None:
        raise Problem("not-found", "There is nothing here that this key may see.")
    return Answer(200, dumps(request_document(seen)), {"ETag": etag(seen)}, request.pk)


def _created(request: Request) -> Answer:
    seen = queries.just_filed(request)
    headers = {"ETag": etag(seen), "Location": f"/api/v1/requests/{request.pk}"}
    return Answer(201, dumps(request_document(seen)), headers, request.pk)


class Requests(Endpoint):
    """`/api/v1/requests`."""

    scopes = {"POST": Scope.FILE, "GET": Scope.READ, "HEAD": Scope.READ}
    queries = {"GET": serializers.ListQuery}

    @described(
        "File a request",
        operation="fileRequest",
        body=serializers.RequestInput,
        answers={201: serializers.RequestOutput},
        problems=[409, 413, 415, 422, 503],
        key=True,
    )
    def post(self, request: APIRequest) -> Response:
        """What the agent asks to do, exactly; policy rules at once."""
        agent, credential = self.agent, self.credential
        fields = self.body(serializers.RequestInput)
        filing = verbs.Filing(
            action=fields["action"],
            resource=fields["resource"],
            parameters=fields["parameters"],
            summary=fields["summary"],
            rationale=fields["rationale"],
            context=fields.get("context", {}),
            timeout_seconds=fields.get("timeout_seconds"),
        )
        return self.answer_once(
            lambda once: verbs.file.under(once)(agent=agent, credential=credential, filing=filing),
            _created,
            key_required=True,
        )

    @described(
        "List own requests",
        operation="listRequests",
        query=serializers.ListQuery,
        answers={200: serializers.RequestListOutput},
        problems=[422],
    )
    def get(self, request: APIRequest) -> Response:
        """Newest first. A page ends after 1 MiB and may hold fewer than `limit`: `next` says whether there is more."""
        agent = self.agent
        fields = self.query(serializers.ListQuery)
        rows = queries.requests_of(agent)
        if "action" in fields:
            rows = rows.filter(action=fields["action"])
        if "created_after" in fields:
            rows = rows.filter(created_at__gte=fields["created_after"])
        if "created_before" in fields:
            rows = rows.filter(created_at__lt=fields["created_before"])
        page = queries.page(
            rows,
            limit=fields["limit"],
            before=_cursor(fields.get("cursor")),
            statuses=[Status(fields["status"])] if "status" in fields else None,
        )
        documents, size, next_id = [], 0, page.next_id
        for seen in page.rows:
            documents.append(document := request_document(seen))
            size += len(dumps(document))
            if size > PAGE_BYTES:
                next_id = seen.request.pk if seen is not page.rows[-1] else page.next_id
                break
        return Response({"results": documents, "next": str(next_id) if next_id else None})


def _cursor(text: str | None) -> UUID | None:
    if text is None:
        return None
    try:
        return UUID(text)
    except ValueError as error:
        raise Problem(
            "invalid",
            "This cursor was not given by this list.",
            errors=[{"pointer": "/cursor", "detail": "Unknown."}],
        ) from error


class RequestDetail(Endpoint):
    """`/api/v1/requests/{id}`."""

    scopes = {"GET": Scope.READ, "HEAD": Scope.READ}
    queries = {"GET": serializers.ReadQuery}

    @described(
        "Read a request, and wait for its end",
        operation="readRequest",
        query=serializers.ReadQuery,
        answers={200: serializers.RequestOutput, 304: None},
        problems=[404, 422, 503],
        conditional=True,
    )
    def get(self, request: APIRequest, id: str) -> Response:
        """The request as it stands. The waiting itself is done in front of Django."""
        agent = self.agent
        self.query(serializers.ReadQuery)
        seen = access.request_for_agent(agent, parse_id(id))
        document = request_document(seen)
        tag = etag(seen)
        leave_note(request, seen, document)
        if _matches(request.headers.get("If-None-Match"), tag):
            return Response(None, status=304, headers={"ETag": tag})
        return Response(document, headers={"ETag": tag})


def _matches(header: str | None, tag: str) -> bool:
    if header is None:
        return False
    tags = [one.strip().removeprefix("W/") for one in header.split(",")]
    return "*" in tags or tag in tags


def leave_note(request: APIRequest, seen: Seen, document: dict[str, Any]) -> None:
    """Tell the ASGI front that called this view what it needs for holding the caller, beside the response.

    `seconds_left` is measured by the database's clock, so that the host's may be wrong.
    """
    scope = getattr(request._request, "scope", None)
    if scope is not None:
        scope["countersign.seen"] = {
            "final": seen.status is not Status.PENDING,
            "answer": awaits_agent(document),
            "version": seen.version,
            "status": seen.status.value,
            "seconds_since": (seen.now - seen.decided_at).total_seconds() if seen.decided_at else 0.0,
            "seconds_left": (seen.request.expires_at - seen.now).total_seconds(),
        }


class RequestEvents(Endpoint):
    """`/api/v1/requests/{id}/events`."""

    scopes = {"GET": Scope.READ}
    content_negotiation_class = OneMediaType

    @described(
        "Follow a request by Server-Sent Events",
        operation="followRequest",
        answers={200: "text/event-stream"},
        problems=[404, 503],
        last_event_id=True,
    )
    def get(self, request: APIRequest, id: str) -> HttpResponse | Response:
        """The present state as one event; the ASGI front keeps the stream going."""
        agent = self.agent
        seen = access.request_for_agent(agent, parse_id(id))
        document = request_document(seen)
        leave_note(request, seen, document)
        return HttpResponse(
            b"event: request\nid: %d\ndata: %s\n\n" % (seen.version, dumps(document)),
            content_type="text/event-stream",
        )


class RequestAnswer(Endpoint):
    """`/api/v1/requests/{id}/answer`."""

    scopes = {"POST": Scope.FILE}

    @described(
        "Answer a reviewer's question",
        operation="answerQuestion",
        body=serializers.AnswerInput,
        answers={200: serializers.RequestOutput},
        problems=[404, 409, 413, 415, 422, 503],
    )
    def post(self, request: APIRequest, id: str) -> Response:
        """The deadline does not move."""
        agent, request_id = self.agent, parse_id(id)
        fields = self.body(serializers.AnswerInput)
        return self.answer_once(
            lambda once: questions.answer.under(once)(
                agent=agent, request_id=request_id, question=fields["question"], text=fields["text"]
            ),
            _fresh,
        )


class RequestWithdraw(Endpoint):
    """`/api/v1/requests/{id}/withdraw`."""

    scopes = {"POST": Scope.FILE}

    @described(
        "Take a pending request back",
        operation="withdrawRequest",
        body=serializers.WithdrawInput,
        answers={200: serializers.RequestOutput},
        problems=[404, 409, 413, 415, 422, 503],
    )
    def post(self, request: APIRequest, id: str) -> Response:
        """Final at once."""
        agent, request_id = self.agent, parse_id(id)
        fields = self.body(serializers.WithdrawInput)
        return self.answer_once(
            lambda once: verbs.withdraw.under(once)(
                agent=agent, request_id=request_id, reason=fields.get("reason", "")
            ),
            _fresh,
        )


class RequestOutcome(Endpoint):
    """`/api/v1/requests/{id}/outcome`."""

    scopes = {"POST": Scope.REPORT}

    @described(
        "Report what came of a redeemed request",
        operation="reportOutcome",
        body=serializers.OutcomeInput,
        answers={200: serializers.RequestOutput},
        problems=[404, 409, 413, 415, 422, 503],
    )
    def post(self, request: APIRequest, id: str) -> Response:
        """Once, by the request's agent or the executor that redeemed it."""
        credential, request_id = self.credential, parse_id(id)
        fields = self.body(serializers.OutcomeInput)
        return self.answer_once(
            lambda once: verbs.report_outcome.under(once)(
                credential=credential,
                request_id=request_id,
                result=fields["result"],
                response_code=fields.get("response_code"),
                detail=fields.get("detail"),
            ),
            _fresh,
        )


class RequestActivity(Endpoint):
    """`/api/v1/requests/{id}/activity`."""

    scopes = {"POST": Scope.REPORT}

    @described(
        "Report what the agent did around a request",
        operation="reportActivity",
        body=serializers.ActivityInput,
        answers={200: serializers.RequestOutput},
        problems=[404, 409, 413, 415, 422, 503],
    )
    def post(self, request: APIRequest, id: str) -> Response:
        """Recorded; no ruling."""
        agent, credential, request_id = self.agent, self.credential, parse_id(id)
        fields = self.body(serializers.ActivityInput)
        return self.answer_once(
            lambda once: verbs.report_activity.under(once)(
                agent=agent, credential=credential, request_id=request_id, tool_calls=fields["tool_calls"]
            ),
            _fresh,
        )


__all__ = [
    "RequestActivity",
    "RequestAnswer",
    "RequestDetail",
    "RequestEvents",
    "RequestOutcome",
    "RequestWithdraw",
    "Requests",
]
