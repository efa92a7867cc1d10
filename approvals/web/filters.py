"""The history's filter as its address spells it: read, checked, and written again for paging and export.

A filter that cannot be used is an error, never a wider answer; what matches it is `history`'s to fetch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from urllib.parse import urlencode
from uuid import UUID

from django.http import QueryDict
from django.utils.translation import gettext as _

from approvals.history import Filter
from approvals.states import Status
from approvals.web import words

NAMES = ("status", "action", "agent", "risk", "person", "from", "to", "q")
PAGING = "before"
LENGTH_AT_MOST = 320  # characters of one field; nothing it is compared with is longer


@dataclass(frozen=True)
class Given:
    """A filter as given: the texts by field name, what is wrong with them, and its meaning where nothing is."""

    texts: Mapping[str, str]
    errors: Mapping[str, str]
    meaning: Filter
    before: UUID | None

    @property
    def any(self) -> bool:
        """Whether anything was asked for."""
        return any(self.texts.values())

    def query(self, **more: str) -> str:
        """The same filter as a query string, with its `?`; empty where it would be."""
        pairs = {name: text for name, text in self.texts.items() if text} | more
        return f"?{urlencode(pairs)}" if pairs else ""


def read(query: QueryDict) -> Given:
    """The filter in a query string. An unknown or repeated name is an error: it may have been meant."""
    texts = {name: query.get(name, "").strip() for name in NAMES}
    errors: dict[str, str] = {}
    unknown = sorted(set(query) - {*NAMES, PAGING})
    if unknown:
        errors["q"] = _("%(name)s is not a filter; these are: %(names)s.") % {
            "name": unknown[0][:50],
            "names": ", ".join(NAMES),
        }
    for name, text in texts.items():
        if len(query.getlist(name)) > 1:
            errors[name] = _("Give %(name)s once.") % {"name": name}
        elif len(text) > LENGTH_AT_MOST or "\x00" in text:
            errors[name] = _("At most %(n)s characters, all of them visible.") % {"n": LENGTH_AT_MOST}
    status = _one_of(texts, "status", [one.value for one in Status], errors)
    risk = _one_of(texts, "risk", list(words.RISKS), errors)
    since, to = _day(texts, "from", errors), _day(texts, "to", errors)
    if since and to and since > to:
        errors["to"] = _("The last day lies before the first.")
    meaning = Filter(
        status=Status(status) if status else None,
        action=texts["action"],
        agent=texts["agent"],
        risk=risk,
        person=texts["person"],
        since=since,
        to=to,
        words=texts["q"],
    )
    return Given(texts, errors, meaning, _id(query.get(PAGING, "")))


def _one_of(texts: Mapping[str, str], name: str, choices: list[str], errors: dict[str, str]) -> str:
    text = texts[name]
    if text and text not in choices:
        errors[name] = _("%(name)s is one of %(choices)s.") % {
            "name": name.capitalize(),
            "choices": ", ".join(choices),
        }
        return ""
    return text


def _day(texts: Mapping[str, str], name: str, errors: dict[str, str]) -> date | None:
    text = texts[name]
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        errors[name] = _("Give a day as 2026-11-30.")
        return None


def _id(text: str) -> UUID | None:
    """Where a page begins; an address that was cut or made up begins at the newest."""
    try:
        return UUID(text)
    except ValueError:
        return None
