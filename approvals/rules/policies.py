"""Cedar text into policies whose annotations are understood and whose scope can be asked about.

The scope (the head of a policy) is read here so that an answer can be given where parameters cannot be
evaluated, and so that floors can be checked before anything is filed. Conditions are Cedar's matter.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import cedarpy

from approvals.rules import nesting
from approvals.rules.annotations import ForbidTerms, PermitTerms, read
from approvals.rules.cedar_schema import LEVELS, RESOURCE, attributes_of, likes_in, parts_of


@dataclass(frozen=True)
class Policy:
    """One policy. `handle` is the id Cedar gave it by position; `body` its form in Cedar's JSON."""

    handle: str
    terms: PermitTerms | ForbidTerms
    body: Mapping[str, Any]

    @property
    def unconditional(self) -> bool:
        """Whether the scope alone decides."""
        return not self.body["conditions"]

    @property
    def actions(self) -> frozenset[str] | None:
        """The actions its scope names; None where it names none and so covers all."""
        scope = self.body["action"]
        if scope["op"] == "All":
            return None
        entities = scope.get("entities") or ([scope["entity"]] if "entity" in scope else [])
        return frozenset(entity["id"] for entity in entities)

    @property
    def lowest_level(self) -> int | None:
        """The lowest level its scope lets in; None where it names an agent or a condition looks at levels."""
        conditions = self.body["conditions"]
        if "level" in set(attributes_of(conditions)) or {"Var": "principal"} in parts_of(conditions):
            return None
        scope = self.body["principal"]
        inside = scope.get("in", scope).get("entity")
        if inside is None:
            return 1
        return int(inside["id"]) if inside["type"] == "Level" else None

    @property
    def reads_resource_by_like(self) -> bool:
        """Whether a condition looks at the beginning of the resource, or at another part of it, by a pattern."""
        return any(left == RESOURCE for left, _ in likes_in(self.body["conditions"]))

    def covers(self, *, agent: str, level: int, action: str, resource: str) -> bool:
        """Whether the scope matches, whatever the condition would say."""
        if self.actions is not None and action not in self.actions:
            return False
        own = {("Agent", agent), *(("Level", str(n)) for n in range(1, level + 1))}
        return _covers(self.body["principal"], "Agent", own) and _covers(
            self.body["resource"], "Resource", {("Resource", resource)}
        )


def read_policies(
    files: Mapping[str, str], *, teams: Collection[str], people: Collection[str] = ()
) -> tuple[str, list[Policy], list[str]]:
    """All policies of the files in order of their names: the joined text, the policies, the problems."""
    policies: list[Policy] = []
    problems: list[str] = []
    bodies: list[tuple[str, Mapping[str, Any]]] = []
    for name, text in sorted(files.items()):
        if nesting.depth(text) > nesting.DEPTH_AT_MOST:
            problems.append(f"{name}: brackets nest deeper than {nesting.DEPTH_AT_MOST}")
            continue
        try:
            parsed = json.loads(cedarpy.policies_to_json_str(text))
        except (ValueError, RecursionError) as error:
            problems.append(f"{name}: {error}")
            continue
        if parsed["templates"] or parsed["templateLinks"]:
            # A template authorises nothing until linked, and nothing here links one.
            problems.append(f"{name}: a policy with ?principal or ?resource is a template and never applies")
        bodies += [(name, body) for body in _in_order(parsed["staticPolicies"])]
    # A file may end in a comment, so a line break stands between two.
    text = "\n".join(text for _, text in sorted(files.items()))
    for position, (name, body) in enumerate(bodies):
        given = body.get("annotations", {})
        called = given.get("id") or f"the policy without @id at place {position + 1}"
        terms, wrong = read(body["effect"], given, teams=teams, people=people)
        wrong += [f"{literal} is no level, those are 1, 2 and 3" for literal in sorted(_false_levels(body))]
        problems += [f"{name}: {called}: {problem}" for problem in wrong]
        if terms is not None:
            policies.append(Policy(f"policy{position}", terms, body))
    problems += _repeated(policies)
    return text, policies, problems


def _in_order(policies: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [policies[handle] for handle in sorted(policies, key=lambda h: int(h.removeprefix("policy")))]


def _repeated(policies: list[Policy]) -> list[str]:
    counts = Counter(policy.terms.id for policy in policies)
    return [f"@id: {one} stands on {count} policies" for one, count in sorted(counts.items()) if count > 1]


def _false_levels(body: Mapping[str, Any]) -> set[str]:
    """Levels that don't exist: a `forbid` for one would never apply, with no error."""
    entities = (part for part in parts_of(body) if isinstance(part, Mapping) and part.get("type") == "Level")
    return {f'Level::"{entity["id"]}"' for entity in entities if entity.get("id") not in LEVELS}


def _covers(scope: Mapping[str, Any], kind: str, own: set[tuple[str, str]]) -> bool:
    if scope["op"] == "is":
        return scope["entity_type"] == kind and ("in" not in scope or _named(scope["in"]["entity"]) in own)
    return scope["op"] == "All" or _named(scope["entity"]) in own


def _named(entity: Mapping[str, Any]) -> tuple[str, str]:
    return entity["type"], entity["id"]
