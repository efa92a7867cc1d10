"""The cast itself: what other tests rely on it for."""

from __future__ import annotations

import pytest

from approvals import queries
from approvals.models import Request
from tests.support.cast import decide, file_request, make_cast, overdue

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_request_goes_from_filing_to_an_approval_through_the_verbs_alone() -> None:
    cast = make_cast()
    request = file_request(cast)
    assert (request.status, request.teams) == ("pending", ["support"])
    assert decide(request, cast["support1"]).status == "approved"


def test_an_overdue_request_is_stored_pending_and_read_as_expired() -> None:
    request = overdue(file_request(make_cast()))
    seen = queries.read(queries.requests(), request.pk)
    assert seen is not None
    assert (Request.objects.get(pk=request.pk).status, seen.status) == ("pending", "expired")
