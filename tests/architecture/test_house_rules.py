"""The house rules bite: each breach is planted in a small copy of the layout and must be caught, its neighbours not.

What the rules are for is said in each rule's own file, in house-rules/rules.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RULES = Path(__file__).with_name("house-rules")
AST_GREP = Path(sys.executable).with_name("ast-grep")

# rule → (file, code) that must be caught
BREACHES: dict[str, list[tuple[str, str]]] = {
    "status-moves-in-lifecycle": [
        ("approvals/decisions.py", "request.status = Status.APPROVED"),
        ("approvals/requests.py", "request.status, request.version = row"),
        ("approvals/web/queue.py", "visible.filter(pk=pk).update(status='approved')"),
        ("approvals/management/commands/mend.py", "setattr(request, 'status', 'approved')"),
        ("approvals/expiry.py", "cursor.execute(\"UPDATE approvals_request SET status = 'approved'\")"),
        ("agents/suspension.py", "for request in pending:\n    request.status = 'withdrawn'"),
    ],
    "no-enqueueing-inside-a-transaction": [
        ("approvals/requests.py", "notify.delay(request.pk)"),
        ("accounts/people.py", "invite.apply_async(args=[user.pk])"),
    ],
    "doors-fetch-no-rows": [
        ("approvals/api/requests.py", "row = Request.objects.get(pk=pk)"),
        ("approvals/web/queue.py", "rows = models.Request.objects.filter(status='pending')"),
        ("approvals/tasks.py", "Grant.objects.all().delete()"),
    ],
    "no-timers-in-the-broker": [
        ("approvals/requests.py", "expire.s().set(countdown=900)"),
        ("config/celery.py", "send(eta=deadline)"),
    ],
    "no-clock-but-the-database": [
        ("approvals/decisions.py", "now = timezone.now()"),
        ("approvals/redemption.py", "now = datetime.now(UTC)"),
        ("approvals/web/forms.py", "opened = time.time()"),
    ],
    "nothing-is-marked-safe": [
        ("approvals/web/queue.py", "title = mark_safe(request.summary)"),
        ("config/assets.py", "return SafeString(text)"),
    ],
    "templates-escape-everything": [
        ("templates/approvals/request.html", "<p>{{ request.summary|safe }}</p>"),
        ("templates/approvals/queue.html", '<p title="{{ request.summary | safe }}">x</p>'),
        ("templates/base.html", "<main>{% autoescape off %}{{ x }}{% endautoescape %}</main>"),
    ],
    "nothing-outlives-the-tab": [
        ("static/js/live.js", 'localStorage.setItem("seen", id);'),
        ("static/js/draft.js", 'window.localStorage.setItem("draft", text);'),
    ],
    "only-drafts-are-stored": [("static/js/copy.js", 'sessionStorage.setItem("raw", element.textContent);')],
    "drafts-hold-no-parameters": [
        ("static/js/draft.js", 'sessionStorage.setItem(key, form.elements["parameters"].value);'),
        ("static/js/draft.js", "sessionStorage.setItem(key, form.elements.parameters.value);"),
    ],
    "no-test-sleeps-or-is-skipped": [
        ("tests/races/test_twins.py", "time.sleep(2)"),
        ("tests/races/test_sealing.py", "from time import monotonic, sleep"),
        ("tests/browser/test_queue.py", "@pytest.mark.skipif(True, reason='no browser')\ndef test_it() -> None: ..."),
        ("tests/browser/test_pages.py", "pytest.skip('no browser here')"),
    ],
}

# code that looks like a breach and is none
ALLOWED: list[tuple[str, str]] = [
    ("approvals/lifecycle.py", "request.status = status.value"),
    ("approvals/queries.py", "if request.status == 'pending':\n    rows = rows.filter(status='pending')"),
    ("approvals/idempotency.py", "RememberedAnswer.objects.filter(pk=1).update(status=201)"),
    ("approvals/requests.py", "transaction.on_commit(lambda: notify.delay(pk))\nnotify.delay_on_commit(pk)"),
    ("approvals/access.py", "Decision.objects.filter(person=person)"),
    ("approvals/queries.py", "moment = Now()\nelapsed = time.monotonic()"),
    ("audit/store.py", "moment = datetime.now(UTC)"),
    ("templates/approvals/request.html", "<p>{{ request.summary }} is safe|sound</p>"),
    (
        "static/js/draft.js",
        'sessionStorage.setItem(form.dataset.draft, JSON.stringify(kept)); const F = ["rationale"];',
    ),
    ("tests/support/eventually.py", "time.sleep(every)"),
]


def scan(folder: Path) -> dict[str, set[str]]:
    """Rule ids that fire, by file relative to `folder`."""
    done = subprocess.run(
        [AST_GREP, "scan", "--config", RULES / "sgconfig.yml", "--json=stream"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    fired: dict[str, set[str]] = defaultdict(set)
    for line in done.stdout.splitlines():
        match = json.loads(line)
        fired[str(Path(match["file"]))].add(match["ruleId"])
    return fired


def plant(folder: Path, file: str, code: str) -> None:
    place = folder / file
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(code + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("rule", "file", "code"),
    [(rule, file, code) for rule, planted in BREACHES.items() for file, code in planted],
)
def test_a_planted_breach_is_caught(tmp_path: Path, rule: str, file: str, code: str) -> None:
    plant(tmp_path, file, code)
    assert scan(tmp_path) == {file: {rule}}


@pytest.mark.parametrize(("file", "code"), ALLOWED)
def test_what_only_looks_like_a_breach_passes(tmp_path: Path, file: str, code: str) -> None:
    plant(tmp_path, file, code)
    assert scan(tmp_path) == {}


def test_every_rule_has_a_breach_that_proves_it() -> None:
    assert {path.stem for path in (RULES / "rules").glob("*.yml")} == set(BREACHES)


def test_every_rule_is_an_error_and_says_what_to_do_instead() -> None:
    for path in (RULES / "rules").glob("*.yml"):
        text = path.read_text(encoding="utf-8")
        assert f"id: {path.stem}\n" in text
        assert "severity: error\n" in text
        assert "\nmessage: " in text
        assert "\nnote: " in text


def test_the_house_itself_keeps_them() -> None:
    assert scan(ROOT) == {}
