"""Reading a page as somebody without JavaScript uses it: the form's fields as they stand, its text as it is read.

No test lives here.
"""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from typing import Any

from django.http import HttpResponse


class _Form(HTMLParser):
    """Collects the fields of the form with id `decide` as a browser would send them."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = False
        self.fields: dict[str, str] = {}
        self.disabled: set[str] = set()
        self._area = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self.inside = given.get("id") == "decide"
        name = given.get("name") or ""
        if not self.inside or not name:
            return
        if "disabled" in given:
            self.disabled.add(f"{name}={given.get('value') or ''}")
        elif tag == "textarea":
            self._area, self.fields[name] = name, ""
        elif tag == "input" and (given.get("type") != "radio" or "checked" in given):
            self.fields[name] = given.get("value") or ""

    def handle_data(self, data: str) -> None:
        if self._area:
            self.fields[self._area] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea" and self._area:
            self.fields[self._area] = self.fields[self._area].removeprefix("\n")
            self._area = ""
        if tag == "form":
            self.inside = False


def fields_of(response: HttpResponse | Any) -> dict[str, str]:
    """What the decision form on a page would send; empty where there is none."""
    return _parsed(response).fields


def disabled_in(response: HttpResponse | Any) -> set[str]:
    """The fields that cannot be chosen, as `name=value`."""
    return _parsed(response).disabled


def _parsed(response: Any) -> _Form:
    form = _Form()
    form.feed(response.content.decode())
    return form


def said(response: HttpResponse | Any) -> str:
    """What a page says, without its markup, spaces as one."""
    text = re.sub(r"<(script|style|svg)\b.*?</\1>", "", response.content.decode(), flags=re.S)
    text = re.sub(r"</?(span|bdi|strong|small|kbd|a|time)\b[^>]*>", "", text)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())
