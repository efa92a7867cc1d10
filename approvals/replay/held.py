"""What the rows of people, teams, agents, keys and stops hold, as their subjects' entries tell it. No row is read here.

Entries from before they named rows are followed as far as they go: what they do not say is not compared, and a row that
only such an entry can have made is counted as theirs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from audit.leaves import Leaf

USERS, ROLES, LINKS = "accounts_user", "accounts_rolegrant", "accounts_invitation"
CHANGES, FACTORS, IDENTITIES = "accounts_rightschange", "mfa_authenticator", "socialaccount_socialaccount"
TEAMS, SEATS, HOURS = "accounts_team", "accounts_membership", "accounts_teamhours"
DELEGATIONS, STOPS = "accounts_delegation", "agents_stop"
AGENTS, EXECUTORS, KEYS = "agents_agent", "agents_executor", "agents_credential"

Key = tuple[str, str]  # table, and what tells the row from the others of this subject


@dataclass(frozen=True)
class Committed:
    """A value that lies in the details of an entry: those of `names`, put together by `make`."""

    leaf: Leaf
    names: tuple[str, ...]
    make: Callable[..., Any] = lambda value: value


@dataclass
class Held:
    """The rows of one subject: by key, the columns that entries speak of and what they say."""

    subject: str
    rows: dict[Key, dict[str, Any]] = field(default_factory=dict)
    unnamed: Counter[str] = field(default_factory=Counter)  # rows of a table that entries told of without naming them
    erased_to: int = 0  # the ordinal of the newest erasure: details of earlier entries are gone

    def name(self, table: str, key: str, /, **columns: Any) -> None:
        """A row that an entry names, with what it says of it."""
        self.rows[table, key] = columns

    def drop(self, table: str, key: str) -> None:
        """A row that is gone, or that is named for the first time: then it was one of the unnamed."""
        if self.rows.pop((table, key), None) is None:
            self.unnamed[table] -= 1

    def say(self, table: str, key: str, /, **columns: Any) -> None:
        """What changed of a row that was named before."""
        if (table, key) in self.rows:
            self.rows[table, key] |= columns


Reader = Callable[[Held, Leaf], None]


def tell_rows(kind: str, subject: str, leaves: Sequence[Leaf], *, uid: Callable[[str, str], str]) -> Held:
    """The rows of a subject from its leaves in order. `uid` is how an identity of a provider is kept: of issuer and
    subject."""
    held = Held(subject)
    for leaf in leaves:
        if leaf.type == "erasure":
            held.erased_to = leaf.ordinal
        elif leaf.type == "person.changed" and leaf.facts.get("what") == "identity-linked":
            _identity_linked(held, leaf, uid)
        elif (reader := _READERS.get((kind, leaf.type))) is not None:
            reader(held, leaf)
        if kind == "person":
            _of_any_entry(held, leaf)
    return held


# ---- people


def _of_any_entry(held: Held, leaf: Leaf) -> None:
    """What entries of several types say alike of a person's rows."""
    facts = leaf.facts
    if "password_digest" in facts:
        held.say(USERS, held.subject, password_digest=facts["password_digest"])
    elif facts.get("what") in _PASSWORDS or str(facts.get("what", "")).endswith("-accepted"):
        held.rows.get((USERS, held.subject), {}).pop("password_digest", None)
    if facts.get("voids") is not None:
        held.say(LINKS, facts["voids"], state="void")
    change = facts.get("change")
    if change is None or leaf.type in ("rights.proposed", "rights.cancelled"):
        return
    if facts.get("bootstrap") is True:
        held.say(CHANGES, change, outcome="bootstrap", ended_by=None)
    else:
        held.say(CHANGES, change, outcome="confirmed", ended_by=facts.get("confirmed_by", leaf.actor.id))


#: What set a password before entries had a digest of it.
_PASSWORDS = frozenset({"password-changed", "password-reset"})


def _created(held: Held, leaf: Leaf) -> None:
    held.name(USERS, held.subject, active=True, email=Committed(leaf, ("email",)), name=Committed(leaf, ("name",)))


def _activity(active: bool) -> Reader:
    return lambda held, leaf: held.say(USERS, held.subject, active=active)


def _changed(held: Held, leaf: Leaf) -> None:
    facts = leaf.facts
    for column in facts.get("changed", ()):
        held.say(USERS, held.subject, **{str(column): Committed(leaf, (str(column),))})
    if "link" in facts:
        held.say(LINKS, facts["link"], state="used")
    if facts.get("what") == "identity-unlinked":
        held.drop(IDENTITIES, facts["account"])
    if "factor" in facts:
        _factor(held, leaf)


def _factor(held: Held, leaf: Leaf) -> None:
    facts, change = leaf.facts, leaf.facts["change"]
    if "authenticator" not in facts:
        held.unnamed[FACTORS] += 1 if change == "second-factor-added" else -1
    elif change == "second-factor-removed":
        held.drop(FACTORS, facts["authenticator"])
    else:
        if change != "second-factor-added":
            held.drop(FACTORS, facts["authenticator"])
        held.name(FACTORS, facts["authenticator"], factor=facts["factor"], factor_digest=facts["factor_digest"])


def _identity_linked(held: Held, leaf: Leaf, uid: Callable[[str, str], str]) -> None:
    if "account" not in leaf.facts:
        held.unnamed[IDENTITIES] += 1
        return
    known_as = Committed(leaf, ("issuer", "sub"), uid)
    held.name(IDENTITIES, leaf.facts["account"], provider=leaf.facts["provider"], uid=known_as)


def _invited(held: Held, leaf: Leaf) -> None:
    facts = leaf.facts
    if "link" not in facts:
        held.unnamed[LINKS] += 1
        return
    columns = {name: facts[name] for name in ("kind", "until", "token_digest")}
    held.name(LINKS, facts["link"], state="open", **columns)


def _role_given(held: Held, leaf: Leaf) -> None:
    columns = {name: leaf.facts[name] for name in ("until", "role_grant") if name in leaf.facts}
    held.name(ROLES, leaf.facts["role"], **columns)


def _role_taken(held: Held, leaf: Leaf) -> None:
    held.rows.pop((ROLES, leaf.facts["role"]), None)


def _proposed(held: Held, leaf: Leaf) -> None:
    facts = leaf.facts
    held.name(
        CHANGES,
        facts["change"],
        kind=facts["kind"],
        role=facts["role"],
        until=facts["until"],
        proposed_by=facts.get("proposed_by", leaf.actor.id),
        reason=Committed(leaf, ("reason",)),
        outcome=None,
        ended_by=None,
        **({"identity": Committed(leaf, ("identity",))} if "identity" in leaf.commitments else {}),
    )


def _cancelled(held: Held, leaf: Leaf) -> None:
    lapsed = "why" in leaf.facts
    held.say(
        CHANGES,
        leaf.facts["change"],
        outcome=leaf.facts.get("outcome", "lapsed" if lapsed else "cancelled"),
        ended_by=leaf.facts.get("ended_by", None if lapsed else leaf.actor.id),
    )


# ---- teams and delegations


def _team_created(held: Held, leaf: Leaf) -> None:
    held.name(TEAMS, held.subject, **{name: leaf.facts[name] for name in ("slug", "name") if name in leaf.facts})


def _joined(held: Held, leaf: Leaf) -> None:
    held.name(SEATS, leaf.facts["person"], **{name: leaf.facts[name] for name in ("seat",) if name in leaf.facts})


def _left(held: Held, leaf: Leaf) -> None:
    held.rows.pop((SEATS, leaf.facts["person"]), None)


def _hours(held: Held, leaf: Leaf) -> None:
    if leaf.facts["hours"] is None:
        held.rows.pop((HOURS, held.subject), None)
        return
    told = ("hours", "weekdays", "opens", "closes", "timezone")
    held.name(HOURS, held.subject, **{name: leaf.facts[name] for name in told if name in leaf.facts})


def _delegation_made(held: Held, leaf: Leaf) -> None:
    facts = leaf.facts
    held.name(
        DELEGATIONS,
        held.subject,
        **{name: facts[name] for name in ("delegator", "delegate", "starts_at", "ends_at")},
        named_by=facts.get("named_by", leaf.actor.id),
        reason=Committed(leaf, ("reason",)),
        ended_by=None,
    )


def _delegation_ended(held: Held, leaf: Leaf) -> None:
    ended = {"ended_at": leaf.facts["ended_at"]} if "ended_at" in leaf.facts else {}
    held.say(DELEGATIONS, held.subject, ended_by=leaf.facts.get("ended_by", leaf.actor.id), **ended)


# ---- agents, executors, keys and stops


def _agent(held: Held, leaf: Leaf) -> None:
    columns = {name: leaf.facts[name] for name in ("slug", "owner", "level")}
    held.name(AGENTS, held.subject, **columns, state="active", purpose=Committed(leaf, ("purpose",)))


def _agent_state(state: str) -> Reader:
    return lambda held, leaf: held.say(AGENTS, held.subject, state=state)


def _executor(held: Held, leaf: Leaf) -> None:
    held.name(EXECUTORS, held.subject, slug=leaf.facts["slug"])


def _issued(held: Held, leaf: Leaf) -> None:
    told = ("key", "scopes", "expires_at", "holder", "secret_digest")
    held.name(KEYS, held.subject, revoked=False, **{name: leaf.facts[name] for name in told if name in leaf.facts})


def _revoked(held: Held, leaf: Leaf) -> None:
    at = {"revoked_at": leaf.facts["revoked_at"]} if "revoked_at" in leaf.facts else {}
    held.say(KEYS, held.subject, revoked=True, **at)


def _begun(held: Held, leaf: Leaf) -> None:
    by = leaf.actor.id if leaf.actor.kind == "person" else None
    held.name(STOPS, held.subject, by=leaf.facts.get("by", by), reason=Committed(leaf, ("reason",)), lifted_by=None)


def _lifted(held: Held, leaf: Leaf) -> None:
    at = {"lifted_at": leaf.facts["lifted_at"]} if "lifted_at" in leaf.facts else {}
    by = leaf.facts.get("by", leaf.actor.id)
    held.say(STOPS, held.subject, lifted_by=by, lift_reason=Committed(leaf, ("reason",)), **at)


_READERS: dict[tuple[str, str], Reader] = {
    ("person", "person.created"): _created,
    ("person", "person.deactivated"): _activity(False),
    ("person", "person.reactivated"): _activity(True),
    ("person", "person.changed"): _changed,
    ("person", "person.invited"): _invited,
    ("person", "role.given"): _role_given,
    ("person", "role.taken"): _role_taken,
    ("person", "rights.proposed"): _proposed,
    ("person", "rights.cancelled"): _cancelled,
    ("team", "team.created"): _team_created,
    ("team", "team.joined"): _joined,
    ("team", "team.left"): _left,
    ("team", "team.hours"): _hours,
    ("delegation", "delegation.made"): _delegation_made,
    ("delegation", "delegation.ended"): _delegation_ended,
    ("agent", "agent.registered"): _agent,
    ("agent", "agent.suspended"): _agent_state("suspended"),
    ("agent", "agent.resumed"): _agent_state("active"),
    ("executor", "agent.registered"): _executor,
    ("credential", "credential.issued"): _issued,
    ("credential", "credential.revoked"): _revoked,
    ("stop", "stop.begun"): _begun,
    ("stop", "stop.lifted"): _lifted,
}
