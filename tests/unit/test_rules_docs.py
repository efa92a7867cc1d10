"""The examples of the policy reference load and answer as the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from approvals.rules import answers, load_pack
from approvals.rules.cases import read_cases
from approvals.rules.catalogue import HIGH_IMPACT_DOMAINS, ORDINARY_DOMAINS
from approvals.rules.ruling import RECENT
from approvals.rules.schema import KEYWORDS
from approvals.rules.templates import FILTERS
from tests.support.packs import TEAMS, demo_pack

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "policy.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_pages_policies_and_entry_make_a_valid_version() -> None:
    permit, forbid = blocks("cedar")
    entry, _ = blocks("toml")
    backup = entry.replace("refund.create", "backup.delete")
    pack = load_pack(
        {
            "a.cedar": permit,
            "b.cedar": forbid,
            "actions/refund.create.toml": entry,
            "actions/backup.delete.toml": backup,
        },
        teams=TEAMS,
    )
    assert pack.rule_ids == ("refund-large", "backups-stay")


def test_the_pages_case_holds_for_the_demo_pack() -> None:
    _, cases = blocks("toml")
    for case in read_cases(cases):
        assert case.failures(demo_pack()) == []


def test_the_page_has_every_fixed_sentence() -> None:
    for answer in vars(answers).values():
        if isinstance(answer, answers.Answer):
            assert answer.reason in PAGE


@pytest.mark.parametrize("word", [*RECENT, *FILTERS, *ORDINARY_DOMAINS, *HIGH_IMPACT_DOMAINS, *sorted(KEYWORDS)])
def test_the_page_names_every(word: str) -> None:
    assert re.search(rf"[`. |]{word}[`:, ]", PAGE)
