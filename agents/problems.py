"""Every error an outsider may be told, as RFC 9457 problems; pure, so that the ASGI front can say them too.

What raises them lives elsewhere; how they become a response of DRF's is `wire`'s work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

MEDIA_TYPE = "application/problem+json"

#: slug → (status, title): the whole table of the contract.
PROBLEMS: dict[str, tuple[int, str]] = {
    "not-json": (400, "The body is not JSON"),
    "idempotency-key-missing": (400, "An Idempotency-Key is needed"),
    "unauthenticated": (401, "No valid key"),
    "missing-scope": (403, "The key lacks a scope"),
    "not-found": (404, "Not found"),
    "method-not-allowed": (405, "Method not allowed"),
    "not-acceptable": (406, "Not acceptable"),
    "in-progress": (409, "The same call is still in progress"),
    "not-pending": (409, "The request is not pending"),
    "already-redeemed": (409, "The grant was already redeemed"),
    "outcome-already-reported": (409, "The outcome was already reported"),
    "on-hold": (409, "The request is on hold"),
    "not-redeemed": (409, "The grant was not redeemed"),
    "no-question": (409, "No such open question"),
    "grant-lapsed": (410, "The grant no longer holds"),
    "too-large": (413, "The body is too large"),
    "not-json-media-type": (415, "The body must be application/json"),
    "invalid": (422, "The request does not fit"),
    "idempotency-key-reused": (422, "The Idempotency-Key was used with another body"),
    "parameters-mismatch": (422, "Not what was approved"),
    "grant-invalid": (422, "The grant is not valid"),
    "too-many-requests": (429, "Too many requests"),
    "evidence-unavailable": (503, "Evidence cannot be recorded"),
    "busy": (503, "Busy"),
}


class FieldError(TypedDict):
    """One thing wrong with the input: where (RFC 6901) and what."""

    pointer: str
    detail: str


class Problem(Exception):
    """A refusal in the contract's words: `slug` gives status and title, `detail` says why in a sentence.

    `extra` are further members of the problem document; `headers` go with the response.
    """

    def __init__(
        self,
        slug: str,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.slug = slug
        self.status, self.title = PROBLEMS[slug]
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})
        #: what a verb wants recorded of this refusal, once what it did was undone
        self.evidence: Callable[[], Any] | None = None

    def document(self) -> dict[str, Any]:
        """The problem document: `type`, `title`, `status`, `detail`, `errors` for bad input."""
        document: dict[str, Any] = {
            "type": f"urn:countersign:problem:{self.slug}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            **self.extra,
        }
        if self.errors:
            document["errors"] = [dict(error) for error in self.errors]
        return document


def pointer(*parts: str | int) -> str:
    """An RFC 6901 pointer to a place in the body; no parts is the whole body, the empty string."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)
