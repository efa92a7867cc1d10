"""Small packs of policy for tests: a catalogue of four actions, policies written in the test, questions.

No database; the teams are the words in `TEAMS`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from approvals.rules import RECENT, Ask, InvalidPack, Pack, Ruling, load_pack, read_folder

TEAMS = ("support", "finance", "privacy", "security", "leadership", "finance-leads")
DEMO = Path(__file__).parents[2] / "policies" / "demo"

_ACTION = """
action = "{name}"
effect = "{effect}"
external = {external}
domain = "{domain}"
environment = "Production"

[parameters]
type = "object"
required = ["amount"]

[parameters.properties.amount]
type = "integer"

[parameters.properties.note]
type = ["string", "null"]

[parameters.properties.rate]
type = "number"

[parameters.properties.to]
type = "array"
items = {{ type = "string" }}

[parameters.properties.owner]
type = ["object", "string"]

[parameters.properties.address.properties.city]
type = "string"

[parameters.properties.address]
type = "object"

[pointers]
salient = "/amount"

[renderer]
title = "Do {{amount}}"
act = "do {{amount}}"
headline = "{{amount}} is done"
"""


def action_file(name: str, *, effect: str = "write", external: bool = False, domain: str = "general") -> dict[str, str]:
    """One catalogue file with parameters `amount` (required), `note`, `rate`, `to`, `owner`, `address`."""
    text = _ACTION.format(name=name, effect=effect, external=str(external).lower(), domain=domain)
    return {f"actions/{name}.toml": text}


CATALOGUE = {
    **action_file("page.read", effect="read"),
    **action_file("page.write"),
    **action_file("money.move", effect="irreversible", external=True, domain="money"),
    **action_file("news.fetch", effect="read", external=True),
}


def permit(
    annotations: str = '@id("rule") @require("1 of support") @risk("medium")',
    *,
    level: int = 3,
    action: str = "page.write",
    when: str = "",
) -> str:
    """A permit for one action from a level upwards."""
    condition = f"when {{ {when} }}" if when else ""
    scope = f'principal in Level::"{level}", action == Action::"{action}", resource'
    return f"{annotations} permit ({scope}) {condition};"


def pack_of(*policies: str, more: dict[str, str] | None = None) -> Pack:
    """A valid pack of these policies over `CATALOGUE`."""
    return load_pack({"test.cedar": "\n".join(policies), **CATALOGUE, **(more or {})}, teams=TEAMS)


def problems_of(*policies: str, files: dict[str, str] | None = None, people: tuple[str, ...] = ()) -> str:
    """All that is wrong with a pack, as one text; fails the test when nothing is."""
    with pytest.raises(InvalidPack) as caught:
        load_pack({"test.cedar": "\n".join(policies), **CATALOGUE, **(files or {})}, teams=TEAMS, people=people)
    return "\n".join(caught.value.problems)


def demo_pack() -> Pack:
    """The demo organisation's pack."""
    return load_pack(read_folder(DEMO), teams=TEAMS)


def ask(action: str = "page.write", parameters: Any = None, *, level: int = 3, **more: Any) -> Ask:
    """A question of the agent `helpdesk`, on an ordinary Tuesday noon."""
    given: dict[str, Any] = {
        "agent": "helpdesk",
        "phase": "full",
        "resource": "wiki:page/1",
        "hour": 12,
        "weekday": 2,
        "recent": dict.fromkeys(RECENT, 0),
        **more,
    }
    return Ask(level=level, action=action, parameters={"amount": 1} if parameters is None else parameters, **given)


def ruling_of(*policies: str, **question: Any) -> Ruling:
    """What these policies answer to one question."""
    return pack_of(*policies).rule(ask(**question))
