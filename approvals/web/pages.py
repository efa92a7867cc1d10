"""What each page is given: plain dataclasses between the views and the templates.

Nothing is fetched or decided here, and nothing is turned into HTML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from approvals.display.visible import Run

Risk = Literal["critical", "unknown", "high", "medium", "low"]  # "unknown" whenever risk_unknown
Status = Literal["pending", "approved", "rejected", "expired", "withdrawn", "blocked"]  # as SEEN (effective)
Urgency = Literal["", "soon", "now"]  # <= 10 min, <= 2 min left


Text = Sequence[Run]


@dataclass(frozen=True)
class Deadline:
    at: datetime  # aware, UTC
    seconds: int  # left, by the DATABASE clock; <= 0: passed
    left: str  # "45 s", "4 min", "2 h 5 min", "3 d 4 h" (floor; two units; hours once >= 60 min)
    clock: str  # "4:12", "2:05:00" for the rail; same instant
    urgency: Urgency


# ---- queue.html
@dataclass(frozen=True)
class Row:
    id: UUID
    url: str  # /requests/<id>/
    title: Text
    risk: Risk
    agent: str  # slug (ours, validated)
    status: Status
    deadline: Deadline
    why: Text  # "You sit in Privacy" | "You approved 14:02, waits for Finance"
    progress: str = ""  # "1 of 2 approvals"; "" when one person is enough
    after_denial: bool = False
    result: Text = ()  # Recently decided / decided under my eyes: "Rejected by NAME", "Expired, denied by default"
    ended_at: datetime | None = None


@dataclass(frozen=True)
class QueueNews:  # the answer of the poll; also on the page itself with count 0
    poll_url: str  # where to ask next (its query holds whatever the server needs to tell "new")
    new: int = 0
    new_critical: int = 0
    show_url: str = "/queue/"
    changed: Sequence[Row] = ()  # rows on the reader's page that ended meanwhile (with .result); [] on the page itself


@dataclass(frozen=True)
class QueuePage:  # context name: page
    decides: bool  # sits in a team, or owns an agent: False gets the sentence
    count: int  # requests in Your turn, over all pages
    your_turn: Sequence[Row]
    waiting: Sequence[Row]
    recent: Sequence[Row]
    news: QueueNews
    undecidable: Sequence[Row] = ()  # for administrators and leadership: what nobody can decide
    older_url: str = ""  # keyset paging of Your turn
    first_url: str = ""  # back to the first page when not on it


# ---- request.html and decide.html
@dataclass(frozen=True)
class Line:  # one consequence line
    label: str  # catalogue's or ours ("To", "Can be undone")
    value: Text
    emphasis: Literal["", "strong", "danger"] = ""


@dataclass(frozen=True)
class ParameterRow:
    pointer: Text  # JSON pointer (keys are hostile text too)
    label: str
    value: Text  # canonical JSON text, visible
    type: str = ""
    shown: int = 0  # characters shown / in all; equal or 0 when whole
    total: int = 0
    reads: str = ""  # view row .reads: "$42.00"


@dataclass(frozen=True)
class Parameters:
    rows: Sequence[ParameterRow]  # understood
    unknown: Sequence[ParameterRow]  # "not understood"
    raw: Text  # pretty-printed canonical JSON, visible; cut like the rows
    bytes: int
    digest: str  # "sha256:…"
    shown: int
    total: int
    exact_url: str  # GET /requests/<id>/parameters/ : the canonical bytes, application/json, for Copy and for no-JS
    whole_url: str = ""  # this page with everything opened (?whole=1); "" when nothing is cut
    scripts_mixed: bool = False  # some word mixes scripts
    hidden_found: bool = False  # some character was replaced by a token


@dataclass(frozen=True)
class DiffLine:
    kind: Literal["same", "removed", "added"]
    pointer: Text
    value: Text


@dataclass(frozen=True)
class Denial:  # what changed since the last denial of the same thing
    identical: bool
    ago: str  # "2 h ago"
    reason: Text
    url: str
    lines: Sequence[DiffLine] = ()


@dataclass(frozen=True)
class Amendment:  # a reviewer's edit: what stands is not what the agent asked
    by: Text
    at: datetime
    lines: Sequence[DiffLine] = ()  # filed → as it stands
    filed_url: str = ""  # the filed bytes; "" where values are masked


@dataclass(frozen=True)
class Exchange:  # one question to the agent, with its answer
    who: Text
    at: datetime
    question: Text
    answer: Text = ()
    answered_at: datetime | None = None


@dataclass(frozen=True)
class Questions:
    asked: Sequence[Exchange] = ()
    ask_url: str = ""  # "" when this reader may not ask now
    typed: str = ""  # as posted, where it was not taken
    error: str = ""  # why it was not
    means: Sequence[tuple[str, bool]] = ()  # words that look like a name, and whether "I mean the word" is ticked


@dataclass(frozen=True)
class Rule:
    id: str
    requirement: str  # "1 of privacy, 1 of security"
    because: str = ""
    controls: Sequence[str] = ()


@dataclass(frozen=True)
class Seat:
    team: str
    state: Literal["approved", "open", "yours"]
    words: Text  # "approved 14:21 by NAME" | "open" | "you"


@dataclass(frozen=True)
class StandingView:
    progress: str  # "1 of 2 approvals"
    seats: Sequence[Seat]
    missing: Sequence[str]  # sentences: "1 more of finance"
    unattended: bool = False  # policy answered without people (allowed / blocked)
    uncounted: Sequence[Text] = ()  # votes that no longer count, with why
    notes: Sequence[Text] = ()  # to whom it is or will be opened, who stands for whom, when a team works
    alarm: Sequence[str] = ()  # why nobody can decide it before its deadline; () where somebody can


@dataclass(frozen=True)
class AgentSays:
    summary: Text
    rationale: Text
    flags: Sequence[str] = ()  # sentences of the detectors; [] for now


@dataclass(frozen=True)
class Event:  # history, oldest first
    at: datetime
    who: Text
    what: str  # "filed", "approved", "rejected", "expired", …: a translated word or phrase
    words: Text = ()  # the rationale
    note: Text = ()  # internal; only for who may read it
    code: str = ""  # reason code's label


@dataclass(frozen=True)
class Receipt:  # stands in the rail once the request ended
    status: Status
    sentence: Text  # "Rejected by NAME", "Expired 14:32:00, denied by default", "Approved by A and B"
    at: datetime
    words: Text = ()  # what the agent was told
    grant: Text = ()  # "Grant valid until 15:32:00, not yet redeemed"
    mine: Text = ()  # "You rejected this."


@dataclass(frozen=True)
class StepUp:  # approving asks for a second factor: what is said of it, and where to go
    sentence: str
    confirm_url: str = ""  # the form is posted here: "Confirm it's you"; "" when it is fresh, or there is none
    set_up_url: str = ""  # this person has none: where one is set up


@dataclass(frozen=True)
class Decide:  # the form; None when this person cannot decide (then why_not says it)
    action: str  # /requests/<id>/decide/
    act: str  # as_text(view.act): "refund $42.00 to order 1188" -> button "Approve: …"
    display_digest: str
    view_id: str
    risk: Risk
    approve_codes: Sequence[tuple[str, str]]  # (value, label)
    reject_codes: Sequence[tuple[str, str]]
    approve_why_not: str = ""  # sentence: approve is disabled (no second factor, unread rest, owner)
    confirm_label: str = ""  # critical: "Rows" → asks to retype; "" otherwise
    confirm_pointer: str = ""  # "/rows"
    keep: str = ""  # as_text(view.keep) when there is one: "keep 1,204 records" -> button "Reject: …"; else act is used
    stepup: StepUp | None = None
    editable: str = ""  # the parameters as text to edit; "" where approving with changes is not offered
    editing: bool = False  # `editable` is what this person has typed
    opened_at_ms: int = 0
    values: Mapping[str, str] = field(
        default_factory=dict
    )  # verdict, rationale, note, reason_code, confirm, parameters as posted
    errors: Mapping[str, str] = field(default_factory=dict)  # field name (or "form") → sentence, in the form's order
    means: Sequence[tuple[str, bool]] = ()  # words that look like a name, and whether "I mean the word" is ticked


@dataclass(frozen=True)
class RequestLive:  # the poll's answer, and on the page itself with notice ""
    poll_url: str  # "" when ended: nothing more to ask
    notice: str = ""  # one announcement: "Rejected by NAME.", "1 of 2 approvals: finance approved."
    reload: bool = False  # the content changed (edit, answer, withdrawal): says so with a link to reload


@dataclass(frozen=True)
class RequestPage:  # context name: page
    id: UUID
    url: str
    decide_url: str
    status: Status
    risk: Risk
    title: Text
    plain_title: str  # plain_visible(title), for <title>
    agent: str
    action: Text
    resource: Text
    filed_at: datetime
    deadline: Deadline
    headline: Text  # the consequence block's big line
    lines: Sequence[Line]
    parameters: Parameters
    standing: StandingView
    rules: Sequence[Rule]
    policy_version: str
    says: AgentSays
    history: Sequence[Event]
    live: RequestLive
    blast_unknown: bool = False  # "unknown blast radius: treated as high"
    amendment: Amendment | None = None
    questions: Questions = Questions()
    voided: str = ""  # the sentence for a reader whose own decision fell
    denial: Denial | None = None
    decide: Decide | None = None
    why_not: str = ""  # the sentence when decide is None and the request is pending
    receipt: Receipt | None = None  # when ended
    next_url: str = ""  # j / k through the reader's queue
    previous_url: str = ""
    decided: bool = False  # this reader's own decision on it is recorded (wipes their draft)
    allowance_url: str = ""  # what it was approved under, without a decision of its own
    allow_url: str = ""  # where the reader may propose an allowance for the next ones like it


@dataclass(frozen=True)
class Problem:  # decide.html answered 409, 410, 403, 503: context name problem (absent otherwise)
    code: int
    title: str  # "This changed while you were looking"
    detail: str  # a sentence or two: what happened, what to do
    kept: Mapping[str, str]  # verdict, rationale, note, parameters as posted; {} on GET
    link_url: str = ""  # what to do about it: an address and its words
    link_text: str = ""


# ---- history.html
@dataclass(frozen=True)
class HistoryRow:
    id: UUID
    url: str
    title: Text
    action: Text
    risk: Risk
    agent: str
    status: Status
    filed_at: datetime
    ended_at: datetime | None
    people: Text = ()  # "support1@…, finance1@…"
    words: Text = ()  # the deciding rationale


@dataclass(frozen=True)
class HistoryPage:  # context name: page
    filters: Mapping[str, str]  # as given: status, action, agent, risk, person, from, to, q ("" when absent)
    errors: Mapping[str, str]  # filter → sentence (answer 200 with no rows… or 422; input kept)
    statuses: Sequence[tuple[str, str]]
    risks: Sequence[tuple[str, str]]
    actions: Sequence[str]  # for a datalist
    agents: Sequence[str]
    rows: Sequence[HistoryRow]
    filtered: bool  # any filter set (tells the two empty states apart)
    csv_url: str  # exactly this filter
    jsonl_url: str
    may_export: bool = True
    older_url: str = ""
    first_url: str = ""
