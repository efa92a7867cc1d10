"""The view model of a request: everything a reviewer is shown about what would run, as plain values.

Made from the stored parameters and the catalogue, never from the agent's own words about them. No HTML,
no database, no clock: the same request gives the same view, and so the same digest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from approvals.display import consequences
from approvals.display.consequences import Consequence
from approvals.display.lines import TITLE_AT_MOST, Facts, canonical, first_filled, worded
from approvals.display.rows import Row, rows_of
from approvals.display.visible import Run, Runs, as_text, joined, make_visible
from approvals.rules import schema
from approvals.rules.catalogue import Action
from approvals.rules.values import JSON, resolve

# Part of every display digest and of the evidence: raise it whenever the same request would look otherwise.
VIEW_VERSION = "countersign-view-2"

RAW_AT_MOST = 20_000  # characters of the raw view on the page; the rest is on the full one


@dataclass(frozen=True)
class Salient:
    """The fact a reviewer retypes for critical: `canonical` is its RFC 8785 text, such as `1204`."""

    pointer: str
    label: str
    canonical: str


@dataclass(frozen=True)
class View:
    """What the page shows. All shown text is runs (see `visible.Run`), `pointer`s are exact.

    `rows` are the parameters the catalogue knows, `unknown` those it does not; every JSON pointer stands in
    one of them. `shown_characters` is less than `characters` when something was cut: high risk cannot be
    approved until the rest was opened (`truncated`). `answers` are questions with what the agent answered.
    """

    version: str
    action: str
    resource: Runs
    agent: Runs
    risk: str
    title: Runs
    act: Runs
    keep: Runs | None
    headline: Runs
    consequences: tuple[Consequence, ...]
    blast_unknown: bool
    rows: tuple[Row, ...]
    unknown: tuple[Row, ...]
    salient: Salient | None
    raw: Runs
    size_bytes: int
    characters: int
    shown_characters: int
    raw_characters: int
    raw_shown_characters: int
    summary: Runs
    rationale: Runs
    answers: tuple[tuple[Runs, Runs], ...] = ()

    @property
    def truncated(self) -> bool:
        """Whether something of the parameters is not on the page."""
        return self.shown_characters < self.characters or self.raw_shown_characters < self.raw_characters

    @property
    def plain_title(self) -> str:
        """The title as one string, with tokens."""
        return as_text(self.title)

    @property
    def approve_label(self) -> str:
        """What the committing button says: `Approve: refund $42.00`."""
        return f"Approve: {as_text(self.act)}"

    @property
    def reject_label(self) -> str:
        """`Reject: keep 1,204 records`, or the act itself where the catalogue has no words for keeping."""
        return f"Reject: {as_text(self.act if self.keep is None else self.keep)}"

    @property
    def hidden_found(self) -> bool:
        """Whether unseen characters were spelt out anywhere in the parameters."""
        return any(run.text.startswith("[U+") for run in self._parameter_runs() if run.kind == "token")

    @property
    def scripts_mixed(self) -> bool:
        """Whether a word of mixed script stands anywhere in the parameters."""
        return any(run.kind == "mixed" for run in self._parameter_runs())

    def canonical(self) -> dict[str, Any]:
        """The view as JSON values, for `display_digest`."""
        return {name: _plain(value) for name, value in vars(self).items()}

    def _parameter_runs(self) -> list[Run]:
        return [run for row in (*self.rows, *self.unknown) for run in (*row.shown_pointer, *row.value)]


def build_view(
    action: Action | None,
    *,
    action_name: str,
    resource: str,
    parameters: JSON,
    agent_slug: str,
    risk: Literal["low", "medium", "high", "critical", "unknown"] | str,
    valid_seconds: int,
    summary: str = "",
    rationale: str = "",
    answers: Sequence[tuple[str, str]] = (),
    full: bool = False,
) -> View:
    """What is shown of a request.

    `action` is the catalogue's entry, None where there is none (the reach is then unknown); `risk` is
    `Ruling.risk_shown`; `answers` pairs each answered question with its answer; with `full` nothing is cut.
    Deterministic: the same arguments, the same view.
    """
    facts = Facts(parameters, resource, agent_slug)
    text = canonical(parameters)
    rows = rows_of(action, parameters, full=full)
    unknown = tuple(row for row in rows if not row.understood)
    raw_shown = len(text) if full else min(len(text), RAW_AT_MOST)
    fallback = joined((Run(f"{action_name} on "),), worded(resource, TITLE_AT_MOST))
    return View(
        version=VIEW_VERSION,
        action=action_name,
        resource=make_visible(resource),
        agent=make_visible(agent_slug),
        risk=risk,
        title=_line(action, "title", facts) or fallback,
        act=_line(action, "act", facts) or fallback,
        keep=_line(action, "keep", facts),
        headline=_line(action, "headline", facts) or (Run("What this does is not known"),),
        consequences=consequences.block(action, facts, _not_understood(action, parameters), valid_seconds),
        blast_unknown=action is None or bool(unknown),
        rows=tuple(row for row in rows if row.understood),
        unknown=unknown,
        salient=_salient(action, parameters),
        raw=make_visible(text[:raw_shown]),
        size_bytes=len(text.encode("utf-8")),
        characters=sum(row.total for row in rows),
        shown_characters=sum(row.shown for row in rows),
        raw_characters=len(text),
        raw_shown_characters=raw_shown,
        summary=make_visible(summary),
        rationale=make_visible(rationale, multiline=True),
        answers=tuple(
            (make_visible(question, multiline=True), make_visible(answer, multiline=True))
            for question, answer in answers
        ),
    )


def _plain(value: Any) -> Any:
    """Dataclasses and tuples as JSON; `dataclasses.asdict` copies every text on the way."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Run):
        return [value.kind, value.text]
    if isinstance(value, Row | Consequence | Salient):
        return {name: _plain(member) for name, member in vars(value).items()}
    return value


def _line(action: Action | None, name: Literal["title", "act", "keep", "headline"], facts: Facts) -> Runs | None:
    return None if action is None else first_filled(getattr(action, name), facts, TITLE_AT_MOST)


def _not_understood(action: Action | None, parameters: JSON) -> tuple[str, ...]:
    """The topmost pointers the catalogue says nothing about; what lies below them goes with them."""
    if action is not None:
        return action.unknown(parameters)
    return tuple(schema.undeclared({}, parameters))


def _salient(action: Action | None, parameters: JSON) -> Salient | None:
    if action is None or action.salient is None:
        return None
    try:
        value = resolve(parameters, action.salient)
    except KeyError:
        return None
    field = action.fields.get(action.salient)
    return Salient(action.salient, field.label if field else action.salient.lstrip("/"), canonical(value))
