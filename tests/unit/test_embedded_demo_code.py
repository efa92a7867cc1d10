"""`make demo-code`: the codes of the demo's authenticator apps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from config.embedded import demo_code
from tests.support.codes import SECRET, App


def test_it_prints_the_current_code_of_each_who_has_an_app_and_how_long_it_lasts(tmp_path: Path) -> None:
    demo = tmp_path / "demo.json"
    users = [{"email": "support1@example.test"}, {"email": "privacy1@example.test", "totp": SECRET}]
    demo.write_text(json.dumps({"users": users}))
    assert demo_code.lines(demo, now=3012.5) == [f"privacy1@example.test  {App().at(100)}  (18 s left)"]


@pytest.mark.parametrize("text", ['{"users": [{"email": "support1@example.test"}]}', None])
def test_without_a_demo_or_apps_it_says_what_to_do(tmp_path: Path, text: str | None) -> None:
    demo = tmp_path / "demo.json"
    if text is not None:
        demo.write_text(text)
    with pytest.raises(LookupError, match="make up"):
        demo_code.lines(demo, now=0)
