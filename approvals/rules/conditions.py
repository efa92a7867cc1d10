"""The bounds of an allowance: one Cedar expression over a request's parameters and resource. Pure.

Read strictly or not at all, and asked with values of our own mapping; in doubt a request does not fall under it. Who
may grant what is not known here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cedarpy

from approvals.rules import cedar_schema, nesting, paths, values
from approvals.rules import schema as schemas
from approvals.rules.catalogue import Action
from approvals.rules.values import JSON

LENGTH_AT_MOST = 2_000
_MAY_READ = ("parameters", "resource", "lengths")  # of the context; the rest changes without the request changing
_NOBODY_MEANS = "\U000e0001 nobody means this"
_TOO_DEEP = "It nests too deep, or has too many parts: bound it more plainly."
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORDS = frozenset({"true", "false", "if", "then", "else", "in", "is", "like", "has"})


class BadCondition(ValueError):
    """The text bounds nothing, or is no expression of this kind; the message says why."""


@dataclass(frozen=True)
class Condition:
    """A condition that was read; `free` are the action's parameters (JSON pointers) that it says nothing of."""

    text: str
    action: Action
    free: tuple[str, ...]
    likes: tuple[tuple[tuple[str, ...], str], ...] = ()  # what each `like` reads, and the beginning that it asks for

    def holds(self, *, agent: str, resource: str, parameters: JSON) -> bool:
        """Whether this request falls under it; False wherever it cannot be told."""
        try:
            if self.action.misfits(parameters):
                return False
            mapped = values.to_cedar(parameters, self.action.declares)
            lengths = values.lengths_of(parameters)
        except ValueError:
            return False
        if not self._stars_are_plain(resource, parameters):
            return False
        return _asked(self.text, agent, self.action.name, resource, mapped, lengths)

    def _stars_are_plain(self, resource: str, parameters: JSON) -> bool:
        """Whether each `*` stands for a name that leads nowhere else; False where it cannot be told."""
        for path, beginning in self.likes:
            value: Any = {"resource": resource, "parameters": parameters}
            for name in path:
                value = value.get(name) if isinstance(value, Mapping) else None
            if value is None:
                continue  # it is not there, so nothing is like it
            if not isinstance(value, str):
                return False
            if value.startswith(beginning) and not paths.may_stand_for_star(value[len(beginning) :]):
                return False
        return True


def read(text: str, action: Action) -> Condition:
    """The condition in `text` for that action; raises `BadCondition` for whatever is not exactly one expression over
    `context.parameters`, `context.resource` and `context.lengths`, or holds where nothing is given."""
    if len(text) > LENGTH_AT_MOST:
        raise BadCondition(f"At most {LENGTH_AT_MOST:,} characters.")
    if not text.strip():
        raise BadCondition("Say what it is bounded to, as in context.parameters.amount_cents <= 5000.")
    if nesting.depth(text) > nesting.DEPTH_AT_MOST or nesting.parts(text) > nesting.PARTS_AT_MOST:
        raise BadCondition(_TOO_DEEP)
    if any(not (character.isprintable() or character == "\n") for character in text):
        raise BadCondition("There is a character in it that cannot be seen.")
    try:
        return _read(text, action)
    except RecursionError as error:
        raise BadCondition(_TOO_DEEP) from error


def _read(text: str, action: Action) -> Condition:
    body = _expression(text)
    _refuse_other_reads(body)
    problems = _misfits(text, action)
    if problems:
        raise BadCondition(problems[0])
    if _bounds_nothing(text, action):
        raise BadCondition("It also holds where anything or nothing is given, so it bounds nothing: say to what.")
    _refuse_unbounded(body, action)
    return Condition(text, action, _free(body, action), tuple(_likes(body)))


def _refuse_unbounded(body: Mapping[str, Any], action: Action) -> None:
    """Ask for an upper bound on the amount and on the fact that reviewers retype, where these are numbers."""
    pointers = {action.salient, action.money[0] if action.money else None} - {None}
    for pointer in sorted(str(one) for one in pointers):
        name = pointer.removeprefix("/")
        member = action.schema.get("properties", {}).get(name)
        if member is None or not schemas.types_at(member) <= {"integer", "number"}:
            continue
        place = {".": {"left": {".": {"left": {"Var": "context"}, "attr": "parameters"}}, "attr": name}}
        if not any(_ends_above(part, place) for part in cedar_schema.parts_of(body)):
            raise BadCondition(f"Say how much at most: {_member('context.parameters', name)} <= …")


def _ends_above(part: Any, place: Mapping[str, Any]) -> bool:
    """Whether this part of an expression compares the place with a fixed value that it may not pass."""
    if not isinstance(part, Mapping):
        return False
    for operators, own, other in (("< <= ==", "left", "right"), ("> >= ==", "right", "left")):
        for operator in operators.split():
            sides = part.get(operator)
            if isinstance(sides, Mapping) and sides.get(own) == place and "Value" in sides.get(other, {}):
                return True
    sides = part.get("contains")
    return isinstance(sides, Mapping) and sides.get("right") == place and "Set" in sides.get("left", {})


def _likes(body: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """What each `like` reads and the beginning that it asks for; refused where that is not all that it asks."""
    for left, pattern in cedar_schema.likes_in(body):
        stars = sum(part == "Wildcard" for part in pattern)
        if stars != 1 or pattern[-1] != "Wildcard":
            raise BadCondition('A `like` has one *, at its end, as in context.resource like "order/*".')
        path: list[str] = []
        while isinstance(left, Mapping) and "." in left:
            path.insert(0, str(left["."]["attr"]))
            left = left["."]["left"]
        if left != {"Var": "context"} or path[:1] not in (["resource"], ["parameters"]):
            raise BadCondition("A `like` reads context.resource or one parameter.")
        yield tuple(path), "".join(part["Literal"] for part in pattern if part != "Wildcard")


def suggestion(action: Action, *, resource: str, parameters: JSON) -> str:
    """A condition that a request like this one falls under: numbers up to its own, all else as it is."""
    lines = []
    required = action.schema.get("required", [])
    given = parameters if isinstance(parameters, dict) else {}
    for name in sorted(action.schema.get("properties", {})):
        value = given.get(name)
        clause = _clause(_member("context.parameters", name), value)
        if clause is None:
            continue
        there = "" if name in required else f"{_has(name)} && "
        lines.append(f"{there}{clause}")
    head = re.match(r".*[/:]", resource)
    if head:
        pattern = _literal(head[0]).replace("*", r"\*")[:-1]
        lines.append(f'context.resource like {pattern}*"')
    return "\n&& ".join(lines) or f"context.resource == {_literal(resource)}"


def _policy(text: str) -> str:
    # the line break ends a comment that the text may close with
    return f"permit (principal, action, resource) when {{\n{text}\n}};"


def _expression(text: str) -> Mapping[str, Any]:
    """The one expression, in Cedar's JSON form. A text that closes our braces makes more than one of something."""
    try:
        parsed = json.loads(cedarpy.policies_to_json_str(_policy(text)))
    except ValueError as error:
        raise BadCondition(f"This is no Cedar expression: {str(error).splitlines()[0][:200]}") from error
    policies = list(parsed["staticPolicies"].values())
    one = len(policies) == 1 and not parsed["templates"] and not parsed["templateLinks"]
    policy = policies[0] if one else {}
    conditions = policy.get("conditions", [])
    open_scope = all(policy.get(part) == {"op": "All"} for part in ("principal", "action", "resource"))
    if (
        not one
        or policy.get("effect") != "permit"
        or policy.get("annotations")
        or not open_scope
        or len(conditions) != 1
        or conditions[0].get("kind") != "when"
    ):
        raise BadCondition("Write one expression, and nothing else.")
    body: Mapping[str, Any] = conditions[0]["body"]
    return body


def _refuse_other_reads(body: Mapping[str, Any]) -> None:
    whole = json.dumps(body)
    if any(f'"Var": "{name}"' in whole for name in ("principal", "action", "resource")):
        raise BadCondition("Read context.parameters and context.resource alone.")
    reads = set(_context_reads(body))
    if reads - {*_MAY_READ} or whole.count('"Var": "context"') != len(list(_context_reads(body))):
        raise BadCondition("Read context.parameters and context.resource alone.")
    if not reads:
        raise BadCondition("It names no parameter and no resource: say what it is bounded to.")


def _context_reads(expression: Any) -> Iterator[str]:
    """The first attribute of each `context.…` in the expression."""
    if isinstance(expression, Mapping):
        for operator in (".", "has"):
            inner = expression.get(operator)
            if isinstance(inner, Mapping) and inner.get("left") == {"Var": "context"} and "attr" in inner:
                yield str(inner["attr"])
        for member in expression.values():
            yield from _context_reads(member)
    elif isinstance(expression, list):
        for item in expression:
            yield from _context_reads(item)


def _misfits(text: str, action: Action) -> list[str]:
    """What Cedar's validator says against the action's schema, where the schema can speak."""
    schema, soft = cedar_schema.compile_schema({action.name: action})
    scoped = f"permit (principal, action == Action::{_literal(action.name)}, resource) when {{\n{text}\n}};"
    errors = cedarpy.validate_policies(scoped, schema).errors
    if not errors:
        return []
    body = next(iter(json.loads(cedarpy.policies_to_json_str(scoped))["staticPolicies"].values()))
    if soft[action.name] and cedar_schema.reads_soft(body, soft[action.name]):
        return []
    return [re.sub(r"^for policy `policy0`, ", "", error.error) for error in errors]


def _bounds_nothing(text: str, action: Action) -> bool:
    """Whether it holds for a request that gives nothing, or for the least and the most that the schema lets through,
    on a resource and with texts that nobody means. No proof, but what a slip of the hand leaves open is found."""

    def holds(resource: str, parameters: dict[str, Any]) -> bool:
        return _asked(text, "", action.name, resource, parameters, values.lengths_of(parameters))

    properties = action.schema.get("properties", {})
    least = {name: _extreme(member, "minimum", -values.INTEGER_LIMIT) for name, member in properties.items()}
    most = {name: _extreme(member, "maximum", values.INTEGER_LIMIT) for name, member in properties.items()}
    return holds("", {}) or (holds(_NOBODY_MEANS, least) and holds(_NOBODY_MEANS, most))


def _extreme(member: schemas.Schema, bound: str, otherwise: int) -> Any:
    types = schemas.types_at(member) - {"null"}
    if types == {"integer"}:
        return int(member.get(bound, otherwise))
    if types == {"boolean"}:
        return bound == "maximum"
    if types == {"array"}:
        return []
    if types == {"object"}:
        return {}
    return _NOBODY_MEANS


def _free(body: Mapping[str, Any], action: Action) -> tuple[str, ...]:
    named = set(cedar_schema.attributes_of(body))
    return tuple(values.child("", name) for name in action.schema.get("properties", {}) if name not in named)


@lru_cache(maxsize=256)
def _parsed(text: str) -> Any:
    return cedarpy.PolicySet.from_str(_policy(text))


def _asked(text: str, agent: str, action: str, resource: str, parameters: Any, lengths: Mapping[str, int]) -> bool:
    result = cedarpy.is_authorized(
        {
            "principal": {"type": "Agent", "id": agent},
            "action": {"type": "Action", "id": action},
            "resource": {"type": "Resource", "id": resource},
            "context": {"parameters": parameters, "resource": resource, "lengths": dict(lengths)},
        },
        _parsed(text),
        cedarpy.Entities.from_json_str("[]"),
    )
    # Cedar skips a policy that errs: what cannot be evaluated does not hold
    return bool(result.decision is cedarpy.Decision.Allow and not list(result.diagnostics.errors))


def _clause(place: str, value: JSON) -> str | None:
    if isinstance(value, bool):
        return f"{place} == {str(value).lower()}"
    if isinstance(value, int | float) and float(value).is_integer() and abs(value) <= values.INTEGER_LIMIT:
        return f"{place} <= {int(value)}"
    if isinstance(value, str):
        return f"{place} == {_literal(value)}"
    return None


def _member(whole: str, name: str) -> str:
    return f"{whole}.{name}" if _NAME.fullmatch(name) and name not in _WORDS else f"{whole}[{_literal(name)}]"


def _has(name: str) -> str:
    plain = _NAME.fullmatch(name) and name not in _WORDS
    return f"context.parameters has {name if plain else _literal(name)}"


def _literal(text: str) -> str:
    """A Cedar string: what could be mistaken or not be seen is spelt out."""
    out = []
    for character in text:
        if character in '"\\':
            out.append(f"\\{character}")
        elif (character.isascii() and character.isprintable()) or (character.isprintable() and character.isalnum()):
            out.append(character)
        else:
            out.append(f"\\u{{{ord(character):x}}}")
    return f'"{"".join(out)}"'
