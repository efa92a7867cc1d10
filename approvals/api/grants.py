"""The executor's endpoint, and the keys that verify grants."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from rest_framework.request import Request as APIRequest
from rest_framework.response import Response

from agents.models import Scope
from agents.wire import dumps
from approvals import grants, redemption
from approvals.api import serializers
from approvals.api.base import Endpoint
from approvals.api.schema import described
from approvals.idempotency import Answer, OncePerKey
from approvals.redemption import Redeemed
from approvals.transactions import Guarded
from audit.canonical import timestamp


def _answer(redeemed: Redeemed) -> Answer:
    request = redeemed.request
    return Answer(
        200,
        dumps(
            {
                "request": str(request.pk),
                "action": request.action,
                "resource": request.resource,
                "redeemed_at": timestamp(redeemed.redeemed_at),
            }
        ),
        {},
        request.pk,
    )


class Redeem(Endpoint):
    """`/api/v1/grants/redeem`."""

    scopes = {"POST": Scope.REDEEM}

    @described(
        "Redeem a grant, once",
        operation="redeemGrant",
        body=serializers.RedeemInput,
        answers={200: serializers.RedeemedOutput},
        problems=[409, 410, 413, 415, 422, 503],
    )
    def post(self, request: APIRequest) -> Response:
        """Just before acting, with exactly what will be executed."""
        credential = self.credential
        fields = self.body(serializers.RedeemInput)

        def redeem(once: OncePerKey | None) -> Redeemed:
            try:
                return redemption.redeem.under(once)(
                    credential=credential,
                    token=fields["grant"],
                    parameters=fields["parameters"],
                    action=fields.get("action"),
                    resource=fields.get("resource"),
                )
            except Guarded as guarded:
                if guarded.kind != "stopped":
                    raise
                raise redemption.lapsed() from guarded  # stopped between the check and the commit

        response = self.answer_once(redeem, _answer)
        if response.status_code == 200 and "Idempotency-Replayed" in response.headers:
            # Who crashed between redeeming and acting must find out what happened, not act again: asked anew, the
            # verb says 409, when it was redeemed and whether by this key.
            redeem(None)
        return response


@login_not_required
@require_safe
def jwks(request: HttpRequest) -> HttpResponse:
    """`/.well-known/jwks.json`: the keys that verify grants."""
    return HttpResponse(dumps(grants.jwks()), content_type="application/json", headers={"Cache-Control": "max-age=300"})
