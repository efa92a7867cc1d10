"""The doors of webhooks and deliveries, for administrators; for anyone else they are not there. Nothing is sent."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlencode, urlsplit
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.sign_in import authentication_of
from approvals import access
from approvals.models import Delivery, Event, Webhook
from approvals.notifications import endpoints
from approvals.web.doors import door, person_of

PAGE = 50


@dataclass(frozen=True)
class DeliveryRow:
    """A delivery as the table shows it; `requests` are ids and addresses of what it speaks of."""

    id: UUID
    at: datetime
    events: str
    requests: list[tuple[str, str]]
    to: str
    state: str
    state_word: str
    attempts: int
    code: int | None
    said: str
    next_at: datetime | None
    ended_at: datetime | None
    resend_url: str


@dataclass(frozen=True)
class WebhooksPage:
    """All webhooks, and the form for another one with what was typed."""

    webhooks: list[Webhook]
    events: list[tuple[str, bool]]
    url: str = ""
    errors: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class WebhookPage:
    """One webhook; `secret` only in the answer to the act that made it."""

    webhook: Webhook
    events: list[tuple[str, bool]]
    rows: list[DeliveryRow]
    older_url: str
    old_until: datetime | None = None  # until when the secret before signs along
    secret: str = ""
    error: str = ""


@dataclass(frozen=True)
class DeliveriesPage:
    """Deliveries of every channel, newest first."""

    rows: list[DeliveryRow]
    failed: bool
    older_url: str


@door
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def index(request: HttpRequest) -> HttpResponse:
    """/preferences/webhooks/: GET all, POST `url` and `events`; 201 with the secret, shown this once, or 422."""
    access.administrator(person_of(request))
    if request.method != "POST":
        page = WebhooksPage(endpoints.webhooks(), _events((Event.PENDING.value,)))
        return render(request, "approvals/webhooks.html", {"page": page})
    url, events = request.POST.get("url", "").strip().replace("\x00", ""), request.POST.getlist("events")
    try:
        webhook, secret = endpoints.add(by=person_of(request), url=url, events=events, auth=authentication_of(request))
    except endpoints.Unfit as unfit:
        page = WebhooksPage(endpoints.webhooks(), _events(events), url=url, errors={unfit.field: str(unfit)})
        return render(request, "approvals/webhooks.html", {"page": page}, status=422)
    return _webhook_page(request, webhook, secret=secret, status=201)


@door
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def show(request: HttpRequest, webhook_id: UUID) -> HttpResponse:
    """/preferences/webhooks/<id>/: GET it with its deliveries, POST `events` and `active`; 303 back, or 422."""
    access.administrator(person_of(request))
    webhook = _found(webhook_id)
    if request.method != "POST":
        return _webhook_page(request, webhook)
    events, active = request.POST.getlist("events"), request.POST.get("active") == "on"
    try:
        endpoints.change(
            by=person_of(request), webhook_id=webhook_id, events=events, active=active, auth=authentication_of(request)
        )
    except endpoints.Unfit as unfit:
        return _webhook_page(request, webhook, error=str(unfit), status=422)
    messages.success(request, _("The webhook was changed."))
    return HttpResponseRedirect(reverse("webhook", args=[webhook_id]), status=303)


@door
@never_cache
@require_POST
def rotate(request: HttpRequest, webhook_id: UUID) -> HttpResponse:
    """POST /preferences/webhooks/<id>/rotate/: 200 with the new secret, shown this once."""
    access.administrator(person_of(request))
    _found(webhook_id)
    webhook, secret = endpoints.rotate(by=person_of(request), webhook_id=webhook_id, auth=authentication_of(request))
    return _webhook_page(request, webhook, secret=secret)


@door
@require_safe
def deliveries(request: HttpRequest) -> HttpResponse:
    """GET /preferences/deliveries/: of every channel, newest first; `?failed=1` only what failed."""
    access.administrator(person_of(request))
    failed = request.GET.get("failed") == "1"
    rows, more = _rows(request, failed=failed)
    asked = {"failed": "1"} if failed else {}
    older = f"{reverse('deliveries')}?{urlencode({**asked, 'before': rows[-1].id})}" if more else ""
    return render(request, "approvals/deliveries.html", {"page": DeliveriesPage(rows, failed, older)})


@door
@require_POST
def resend(request: HttpRequest, delivery_id: UUID) -> HttpResponse:
    """POST /preferences/deliveries/<id>/resend/: due now, under the same id; 303 back to its list."""
    access.administrator(person_of(request))
    try:
        delivery = endpoints.send_again(delivery_id=delivery_id)
    except Delivery.DoesNotExist as error:
        raise Http404 from error
    messages.success(request, _("It will be sent again within seconds."))
    back = reverse("webhook", args=[delivery.webhook_id]) if delivery.webhook_id else reverse("deliveries")
    return HttpResponseRedirect(back, status=303)


def _found(webhook_id: UUID) -> Webhook:
    webhook = endpoints.webhook(webhook_id)
    if webhook is None:
        raise Http404
    return webhook


def _events(chosen: Collection[str]) -> list[tuple[str, bool]]:
    return [(event.value, event.value in chosen) for event in Event]


def _webhook_page(
    request: HttpRequest, webhook: Webhook, *, secret: str = "", error: str = "", status: int = 200
) -> HttpResponse:
    rows, more = _rows(request, webhook=webhook)
    url = reverse("webhook", args=[webhook.pk])
    page = WebhookPage(
        webhook=webhook,
        events=_events(webhook.events),
        rows=rows,
        older_url=f"{url}?{urlencode({'before': rows[-1].id})}" if more else "",
        old_until=endpoints.old_secret_until(webhook),
        secret=secret,
        error=error,
    )
    return render(request, "approvals/webhook.html", {"page": page}, status=status)


def _rows(
    request: HttpRequest, *, webhook: Webhook | None = None, failed: bool = False
) -> tuple[list[DeliveryRow], bool]:
    found = endpoints.deliveries(webhook=webhook, failed=failed, before=_before(request), limit=PAGE + 1)
    return [_row(one) for one in found[:PAGE]], len(found) > PAGE


def _before(request: HttpRequest) -> UUID | None:
    try:
        return UUID(request.GET.get("before", ""))
    except ValueError:
        return None


def _row(delivery: Delivery) -> DeliveryRow:
    notices = list(delivery.notices.all())
    waiting = delivery.state == Delivery.State.WAITING
    return DeliveryRow(
        id=delivery.pk,
        at=delivery.created_at,
        events=", ".join(sorted({notice.event for notice in notices})),
        requests=[(str(n.request_id)[-12:], reverse("request", args=[n.request_id])) for n in notices if n.request_id],
        to=_receiver(delivery),
        state=delivery.state,
        state_word=_state_words()[delivery.state],
        attempts=delivery.attempts,
        code=delivery.last_code,
        said=delivery.last_error,
        next_at=delivery.due_at if waiting else None,
        ended_at=delivery.ended_at,
        resend_url=reverse("delivery_resend", args=[delivery.pk]),
    )


def _receiver(delivery: Delivery) -> str:
    if delivery.person is not None:
        return delivery.person.email
    if delivery.webhook is not None:
        return urlsplit(delivery.webhook.url).netloc
    return _("chat room %(room)s") % {"room": delivery.room}


def _state_words() -> dict[str, str]:
    return {
        Delivery.State.WAITING: _("Waiting"),
        Delivery.State.SENT: _("Sent"),
        Delivery.State.FAILED: _("Failed"),
        Delivery.State.OVERTAKEN: _("Overtaken"),
    }
