"""The addresses of the agents' API. No slash at the end; a path with one answers the same resource."""

from __future__ import annotations

from django.urls import re_path

from approvals.api import documentation, grants, requests
from approvals.api.base import ID

_ID = rf"(?P<id>{ID})"

urlpatterns = [
    re_path(r"^requests/?$", requests.Requests.as_view(), name="api-requests"),
    re_path(rf"^requests/{_ID}/?$", requests.RequestDetail.as_view(), name="api-request"),
    re_path(rf"^requests/{_ID}/events/?$", requests.RequestEvents.as_view(), name="api-events"),
    re_path(rf"^requests/{_ID}/answer/?$", requests.RequestAnswer.as_view(), name="api-answer"),
    re_path(rf"^requests/{_ID}/withdraw/?$", requests.RequestWithdraw.as_view(), name="api-withdraw"),
    re_path(rf"^requests/{_ID}/outcome/?$", requests.RequestOutcome.as_view(), name="api-outcome"),
    re_path(rf"^requests/{_ID}/activity/?$", requests.RequestActivity.as_view(), name="api-activity"),
    re_path(r"^grants/redeem/?$", grants.Redeem.as_view(), name="api-redeem"),
    re_path(r"^schema/?$", documentation.Schema.as_view(), name="api-schema"),
    re_path(r"^docs/?$", documentation.docs, name="api-docs"),
]
