"""A version of policy: loaded strictly or not at all, parsed once, asked many times.

Loading says everything that is wrong at once. Asking never raises: whatever goes wrong is a block. Storing,
proposing and activating versions happen elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import cedarpy
import rfc8785

from approvals.rules import answers, cedar_schema, evaluation
from approvals.rules.annotations import PermitTerms
from approvals.rules.catalogue import Action, load_action
from approvals.rules.floors import breaches_of, floors
from approvals.rules.policies import Policy, read_policies
from approvals.rules.ruling import Ask, Ruling, blocked, merge


class InvalidPack(Exception):
    """The version cannot be used; `problems` names every reason, each in one sentence."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = list(problems)


class Pack:
    """One immutable version: its digest, its catalogue, its policies. Safe to share between threads."""

    def __init__(self, digest: str, catalogue: Mapping[str, Action], policies: Sequence[Policy], text: str) -> None:
        self.digest = digest
        self.catalogue = catalogue
        self.policies = tuple(policies)
        self.rule_ids = tuple(policy.terms.id for policy in policies)
        self._engine = evaluation.Engine(text, policies, catalogue)

    def rule(self, ask: Ask) -> Ruling:
        """Policy's answer to one question. Never raises; an error is a ruling that blocks."""
        return self._engine.rule(ask)

    def rule_again(self, ask: Ask, frozen: Ruling, *, level: int) -> Ruling:
        """What holds when a decision is taken: the ruling frozen at filing and this version's, merged.

        `ask` is the question as it was stored at filing, `level` the agent's level now: the floors are
        asked again with it. Never raises; a block means that the pending request becomes `blocked`.
        """
        merged = merge(frozen, self.rule(ask))
        if merged.outcome == "blocked":
            return merged
        action = self.catalogue.get(ask.action)
        if action is None:
            return blocked(answers.NOT_OPEN, "not-in-catalogue")
        breach = floors(merged, action, level)
        if breach is None:
            return merged
        return blocked(breach.answer, breach.cause, breach.why, matched=merged.matched, risk=merged.risk)


def load_pack(files: Mapping[str, str], *, teams: Collection[str], people: Collection[str] = ()) -> Pack:
    """Check everything that can be checked before anything is filed, and parse.

    `files` maps names (`demo.cedar`, `actions/refund.create.toml`) to texts; `teams` are the teams that
    exist; `people` are full names a `@tell` must not contain. Raises `InvalidPack`.
    """
    problems = [f"{name}: neither *.cedar nor actions/*.toml" for name in sorted(files) if not _kind(name)]
    catalogue: dict[str, Action] = {}
    for name, text in sorted(files.items()):
        if _kind(name) == "action":
            action, wrong = load_action(Path(name).name.removesuffix(".toml"), text)
            problems += wrong
            if action is not None:
                catalogue[action.name] = action
    cedar = {name: text for name, text in files.items() if _kind(name) == "policy"}
    if not cedar:
        problems.append("there is no policy: a version has at least one *.cedar file")
    joined, policies, wrong = read_policies(cedar, teams=teams, people=people)
    problems += wrong
    if not problems:
        # Only what parses can be validated, and only against a whole catalogue.
        problems += _validation(joined, policies, catalogue) + _floors(policies, catalogue)
    if problems:
        raise InvalidPack(problems)
    try:
        return Pack(digest_of(files), catalogue, policies, joined)
    except ValueError as error:
        raise InvalidPack([str(error)]) from error


def digest_of(files: Mapping[str, str]) -> str:
    """`sha256:<hex>` over the canonical JSON of names and texts."""
    return "sha256:" + hashlib.sha256(rfc8785.dumps(dict(files))).hexdigest()


def read_folder(folder: Path) -> dict[str, str]:
    """The files of a pack on disk, as `load_pack` takes them; its tests are not part of it."""
    found = [*folder.glob("*.cedar"), *folder.glob("actions/*.toml")]
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in found}


def _kind(name: str) -> str | None:
    folder, _, last = name.rpartition("/")
    if not folder and last.endswith(".cedar"):
        return "policy"
    return "action" if folder == "actions" and last.endswith(".toml") else None


def _validation(text: str, policies: Sequence[Policy], catalogue: Mapping[str, Action]) -> list[str]:
    schema, soft = cedar_schema.compile_schema(catalogue)
    by_handle = {policy.handle: policy for policy in policies}
    problems = []
    for error in cedarpy.validate_policies(text, schema).errors:
        policy = by_handle.get(error.policy_id)
        if policy is None:
            problems.append(error.error)
            continue
        reached = catalogue.keys() if policy.actions is None else policy.actions & catalogue.keys()
        unclear = frozenset[str]().union(*(soft[name] for name in reached))
        if not (reached and cedar_schema.reads_soft(policy.body, unclear)):
            problems.append(f"{policy.terms.id}: {error.error}")
    return problems


def _floors(policies: Sequence[Policy], catalogue: Mapping[str, Action]) -> list[str]:
    problems = []
    for policy in policies:
        if not isinstance(policy.terms, PermitTerms):
            continue
        # A scope without actions reaches all of them, unless its condition narrows it: then filing decides.
        surely = policy.actions if policy.actions is not None else policy.unconditional and catalogue.keys()
        for name in sorted(surely or ()):
            if name in catalogue:
                wrong = breaches_of(policy.terms, catalogue[name], policy.lowest_level)
                problems += [f"{policy.terms.id}: {breach}" for breach in wrong]
    return list(dict.fromkeys(problems))
