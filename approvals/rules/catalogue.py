"""The action catalogue: one TOML file an action, and everything that follows from it.

Parameters' schema, effect, domain, the pointers that matter and the renderer's lines come from here; who
may do the action does not (that is policy).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from jsonschema.protocols import Validator

from approvals.rules import schema as schemas
from approvals.rules import templates
from approvals.rules.templates import BadTemplate, Template
from approvals.rules.values import JSON, child

ACTION_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")  # docs/reference/api.md; at most 100 characters
ACTION_NAME_AT_MOST = 100

EFFECTS = ("read", "write", "irreversible")
ORDINARY_DOMAINS = ("general", "documents", "communication", "operations")
# Open to level 3 only and never to nobody (docs/reference/policy.md, Floors).
HIGH_IMPACT_DOMAINS = ("money", "people-data", "security", "code-and-configuration")
TONES = ("plain", "warn", "danger")


@dataclass(frozen=True)
class Line:
    """One line of the consequence block: a label and the first of `values` whose slots all have values."""

    label: str
    values: tuple[Template, ...]
    tone: Literal["plain", "warn", "danger"] = "plain"


@dataclass(frozen=True)
class Field:
    """How one parameter is shown: its label, and whether line breaks are kept as line breaks."""

    label: str
    multiline: bool = False


@dataclass(frozen=True)
class Same:
    """An action's normal form: what does not make two requests different. Pointers into the parameters.

    `fold_case`: case does not count. `list_of_one`: an item and a list of it alone are the same. `absent_if_empty`:
    empty and absent are the same. `exact`: code, commands, paths, secrets, hashes: every sign counts. `known`: the
    parameters that the schema describes; with `ignore_unknown` no others count.
    """

    fold_case: frozenset[str] = frozenset()
    list_of_one: frozenset[str] = frozenset()
    absent_if_empty: frozenset[str] = frozenset()
    exact: frozenset[str] = frozenset()
    ignore_unknown: bool = False
    known: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Action:
    """One catalogue entry, checked. Pointers are RFC 6901 into the parameters."""

    name: str
    effect: Literal["read", "write", "irreversible"]
    external: bool
    domain: str
    environment: str
    schema: Mapping[str, Any]
    money: tuple[str, str] | None  # pointers of the amount in smallest units and of the currency
    recipients: tuple[str, ...]
    count: str | None
    salient: str | None
    sensitive: tuple[str, ...]
    title: tuple[Template, ...]
    act: tuple[Template, ...]
    keep: tuple[Template, ...]
    headline: tuple[Template, ...]
    consequences: tuple[Line, ...]
    fields: Mapping[str, Field] = field(default_factory=dict)
    same: Same = field(default_factory=Same)

    @property
    def high_impact(self) -> bool:
        """Whether the domain is one of those where people always decide."""
        return self.domain in HIGH_IMPACT_DOMAINS

    @property
    def open_to_level_1(self) -> bool:
        """Level 1 reaches only what reads and stays inside."""
        return self.effect == "read" and not self.external

    @property
    def lowest_level(self) -> int:
        """The lowest safety level any policy can open this action to."""
        if self.high_impact:
            return 3
        return 1 if self.open_to_level_1 else 2

    @cached_property
    def _validator(self) -> Validator:
        return schemas.validator_for(self.schema)

    def misfits(self, parameters: JSON) -> list[str]:
        """Pointers (with why) at which parameters don't fit this action; empty when they do."""
        return schemas.misfits(self._validator, parameters)

    def unknown(self, parameters: JSON) -> tuple[str, ...]:
        """Pointers of parameters this catalogue says nothing about."""
        return tuple(schemas.undeclared(self.schema, parameters))

    def declares(self, pointer: str) -> bool:
        """Whether the schema speaks of this pointer."""
        return schemas.at(self.schema, pointer) is not None

    def types_at(self, pointer: str) -> frozenset[str]:
        """The JSON types the schema names for a pointer; empty where it names none."""
        declared = schemas.at(self.schema, pointer)
        return frozenset() if declared is None else schemas.types_at(declared)


_TOP = {
    "action", "effect", "external", "domain", "environment", "parameters", "pointers", "renderer", "fields", "same",
}  # fmt: skip
_POINTERS = {"money", "recipients", "count", "salient", "sensitive", "exact"}
_SAME = {"fold_case", "list_of_one", "absent_if_empty", "ignore_unknown"}
_RENDERER = {"title", "act", "keep", "headline", "consequences"}
_LINE = {"label", "value", "tone"}
_FIELD = {"label", "multiline"}


def load_action(name: str, text: str) -> tuple[Action | None, list[str]]:
    """Read one entry; the action, or None with every problem found, each in one sentence."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return None, [f"actions/{name}.toml: {error}"]
    reader = _Reader(name, table)
    action = reader.read()
    problems = [f"actions/{name}.toml: {problem}" for problem in reader.problems]
    return (None if problems else action), problems


class _Reader:
    """Reads one table and collects problems instead of stopping at the first."""

    def __init__(self, name: str, table: dict[str, Any]) -> None:
        self.name, self.table, self.problems = name, table, []  # type: str, dict[str, Any], list[str]
        self.schema: Mapping[str, Any] = {"type": "object"}

    def read(self) -> Action | None:
        table = self.table
        self._only(table, _TOP, "")
        if table.get("action") != self.name:
            self.problems.append(f'action must be "{self.name}", the name of the file')
        if not ACTION_NAME.fullmatch(self.name) or len(self.name) > ACTION_NAME_AT_MOST:
            self.problems.append("the name is not dotted lower-case words of at most 100 characters")
        wrong = schemas.problems_of(table.get("parameters"))
        self.problems += wrong
        if wrong:
            return None
        self.schema = table["parameters"]
        pointers = self._table(table, "pointers")
        self._only(pointers, _POINTERS, "pointers.")
        renderer = self._table(table, "renderer")
        self._only(renderer, _RENDERER, "renderer.")
        return Action(
            name=self.name,
            effect=self._one_of(table, "effect", EFFECTS),
            external=self._external(),
            domain=self._one_of(table, "domain", (*ORDINARY_DOMAINS, *HIGH_IMPACT_DOMAINS)),
            environment=self._text(table, "environment"),
            schema=self.schema,
            money=self._money(pointers),
            recipients=self._pointers(pointers, "recipients"),
            count=self._pointer(pointers, "count", {"integer"}),
            salient=self._salient(pointers),
            sensitive=self._pointers(pointers, "sensitive"),
            title=self._lines(renderer, "title", must=True),
            act=self._lines(renderer, "act", must=True),
            keep=self._lines(renderer, "keep"),
            headline=self._lines(renderer, "headline", must=True),
            consequences=self._consequences(renderer),
            fields=self._fields(),
            same=self._same(pointers),
        )

    def _same(self, pointers: Mapping[str, Any]) -> Same:
        table = self._table(self.table, "same")
        self._only(table, _SAME, "same.")
        ignore = table.get("ignore_unknown", False)
        if not isinstance(ignore, bool):
            self.problems.append("same.ignore_unknown must be true or false")
        return Same(
            fold_case=frozenset(self._pointers(table, "fold_case", "same")),
            list_of_one=frozenset(self._pointers(table, "list_of_one", "same")),
            absent_if_empty=frozenset(self._pointers(table, "absent_if_empty", "same")),
            exact=frozenset(self._pointers(pointers, "exact")),
            ignore_unknown=bool(ignore),
            known=frozenset(child("", name) for name in self.schema.get("properties", {})),
        )

    def _only(self, table: Mapping[str, Any], known: set[str], prefix: str) -> None:
        for key in sorted(set(table) - known):
            why = "; there is no approve on timeout, silence means no" if "timeout" in key else ""
            self.problems.append(f"{prefix}{key} is not a known name{why}")

    def _table(self, table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        value = table.get(key, {})
        if isinstance(value, Mapping):
            return value
        self.problems.append(f"{key} must be a table")
        return {}

    def _text(self, table: Mapping[str, Any], key: str) -> str:
        value = table.get(key)
        if isinstance(value, str) and value.strip():
            return value
        self.problems.append(f"{key} must be some text")
        return ""

    def _one_of(self, table: Mapping[str, Any], key: str, choices: tuple[str, ...]) -> Any:
        value = table.get(key)
        if value not in choices:
            self.problems.append(f"{key} must be one of {', '.join(choices)}")
        return value

    def _external(self) -> bool:
        value = self.table.get("external")
        if not isinstance(value, bool):
            self.problems.append("external must be true or false")
        return bool(value)

    def _pointer(
        self, table: Mapping[str, Any], key: str, types: set[str] | None = None, *, where: str = "pointers"
    ) -> str | None:
        value = table.get(key)
        if value is None:
            return None
        declared = schemas.at(self.schema, value) if isinstance(value, str) and value[:1] == "/" else None
        if declared is None:
            self.problems.append(f"{where}.{key}: {value} is no JSON pointer to a described parameter")
        elif types and not schemas.types_at(declared) <= types:
            self.problems.append(f"pointers.{key}: {value} must be of type {' or '.join(sorted(types))}")
        return str(value)

    def _pointers(self, table: Mapping[str, Any], key: str, where: str = "pointers") -> tuple[str, ...]:
        values = table.get(key, [])
        if not isinstance(values, list):
            self.problems.append(f"{where}.{key} must be a list of JSON pointers")
            return ()
        return tuple(str(self._pointer({key: value}, key, where=where)) for value in values)

    def _money(self, pointers: Mapping[str, Any]) -> tuple[str, str] | None:
        if "money" not in pointers:
            return None
        money = self._table(pointers, "money")
        if set(money) != {"amount", "currency"}:
            self.problems.append("pointers.money must name amount and currency, and nothing else")
            return None
        amount, currency = (self._pointer(money, "amount", {"integer"}), self._pointer(money, "currency", {"string"}))
        return str(amount), str(currency)

    def _salient(self, pointers: Mapping[str, Any]) -> str | None:
        pointer = self._pointer(pointers, "salient", {"integer", "string", "number", "boolean"})
        if pointer is not None and not schemas.always_there(self.schema, pointer):
            self.problems.append(f"pointers.salient: {pointer} must be required, a reviewer retypes it")
        return pointer

    def _lines(self, table: Mapping[str, Any], key: str, *, must: bool = False) -> tuple[Template, ...]:
        """One line or a list of them, the first that can be filled wins; the last must always be fillable."""
        written = table.get(key, [])
        texts = [written] if isinstance(written, str) else written
        if not isinstance(texts, list) or not all(isinstance(text, str) and text.strip() for text in texts):
            self.problems.append(f"renderer.{key} must be a line or a list of lines")
            return ()
        if must and not texts:
            self.problems.append(f"renderer.{key} is missing")
        parsed = self._parsed(texts, f"renderer.{key}")
        if parsed and key != "value":
            last = parsed[-1]
            for pointer in sorted(last.needs):
                if not schemas.always_there(self.schema, pointer):
                    self.problems.append(f"renderer.{key}: its last line needs {pointer}, which may be absent")
        return parsed

    def _parsed(self, texts: list[str], where: str) -> tuple[Template, ...]:
        parsed = []
        for text in texts:
            try:
                template = templates.parse(text)
            except BadTemplate as error:
                self.problems.append(f"{where}: {error}")
                continue
            for pointer in sorted(template.needs):
                if schemas.at(self.schema, pointer) is None:
                    self.problems.append(f"{where}: {pointer} is no described parameter")
            parsed.append(template)
        return tuple(parsed)

    def _consequences(self, renderer: Mapping[str, Any]) -> tuple[Line, ...]:
        rows = renderer.get("consequences", [])
        if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
            self.problems.append("renderer.consequences must be a list of tables")
            return ()
        lines = []
        for row in rows:
            self._only(row, _LINE, "renderer.consequences.")
            tone = self._one_of({"tone": "plain", **row}, "tone", TONES)
            lines.append(Line(self._text(row, "label"), self._lines(row, "value", must=True), tone))
        return tuple(lines)

    def _fields(self) -> dict[str, Field]:
        fields = {}
        for pointer, row in self._table(self.table, "fields").items():
            known = pointer.startswith("/") and schemas.at(self.schema, pointer) is not None
            if not known or not isinstance(row, Mapping):
                self.problems.append(f"fields: {pointer} is no JSON pointer to a described parameter")
                continue
            self._only(row, _FIELD, f"fields.{pointer}.")
            multiline = row.get("multiline", False)
            if not isinstance(multiline, bool):
                self.problems.append(f"fields.{pointer}.multiline must be true or false")
            fields[pointer] = Field(self._text(row, "label"), bool(multiline))
        return fields
