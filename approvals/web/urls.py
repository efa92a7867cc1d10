"""The addresses of people's pages; scripts rely on them (see the design of the workplace)."""

from __future__ import annotations

from django.urls import path

from approvals.web import (
    absence,
    agents,
    allowances,
    ask,
    decide,
    export,
    history,
    hours,
    preferences,
    queue,
    request,
    step_up,
    stop,
    webhooks,
)

urlpatterns = [
    path("queue/", queue.show, name="queue"),
    path("queue/poll/", queue.poll, name="queue_poll"),
    path("requests/<uuid:request_id>/", request.show, name="request"),
    path("requests/<uuid:request_id>/poll/", request.poll, name="request_poll"),
    path("requests/<uuid:request_id>/parameters/", request.parameters, name="request_parameters"),
    path("requests/<uuid:request_id>/decide/", decide.decide, name="decide"),
    path("requests/<uuid:request_id>/ask/", ask.ask, name="ask"),
    path("requests/<uuid:request_id>/step-up/", step_up.step_up, name="step_up"),
    path("history/", history.show, name="history"),
    path("history/export.csv", export.as_csv, name="history_csv"),
    path("history/export.jsonl", export.as_jsonl, name="history_jsonl"),
    path("agents/", agents.index, name="agents"),
    path("agents/<slug:slug>/", agents.show, name="agent"),
    path("agents/<slug:slug>/suspend/", agents.suspend, name="agent_suspend"),
    path("agents/<slug:slug>/resume/", agents.resume, name="agent_resume"),
    path("allowances/", allowances.index, name="allowances"),
    path("allowances/new/", allowances.new, name="allowance_new"),
    path("allowances/<uuid:allowance_id>/", allowances.show, name="allowance"),
    path("allowances/<uuid:allowance_id>/agree/", allowances.agree, name="allowance_agree"),
    path("allowances/<uuid:allowance_id>/revoke/", allowances.revoke, name="allowance_revoke"),
    path("stop/", stop.show, name="stop"),
    path("stop/lift/", stop.lift, name="stop_lift"),
    path("preferences/", preferences.show, name="preferences"),
    path("preferences/delegation/", absence.show, name="delegation"),
    path("preferences/delegation/<uuid:delegation_id>/end/", absence.end, name="delegation_end"),
    path("teams/<slug:slug>/hours/", hours.show, name="team_hours"),
    path("preferences/webhooks/", webhooks.index, name="webhooks"),
    path("preferences/webhooks/<uuid:webhook_id>/", webhooks.show, name="webhook"),
    path("preferences/webhooks/<uuid:webhook_id>/rotate/", webhooks.rotate, name="webhook_rotate"),
    path("preferences/deliveries/", webhooks.deliveries, name="deliveries"),
    path("preferences/deliveries/<uuid:delivery_id>/resend/", webhooks.resend, name="delivery_resend"),
]
