"""var/demo.json belongs to the database that runs now, and says where it answers now."""

from __future__ import annotations

import json
from pathlib import Path

from config.embedded import demo_file, environment

ELSEWHERE = "postgresql://app:secret@db.example/countersign"


def of(name: str) -> str:
    return json.dumps({"url": "http://localhost:8000", "users": [name], "keys": {}})


def test_sign_ins_of_another_database_are_put_aside_and_come_back_with_it(tmp_path: Path) -> None:
    demo, other = tmp_path / "demo.json", demo_file.database_of(ELSEWHERE)
    demo.write_text(of("embedded"))
    demo_file.bring(tmp_path, other)
    assert not demo.exists()  # so that DEMO=1 fills that database, and the banner shows nobody else's
    demo.write_text(of("elsewhere"))
    demo_file.bring(tmp_path, demo_file.EMBEDDED)
    assert json.loads(demo.read_text())["users"] == ["embedded"]
    demo_file.bring(tmp_path, other)
    assert json.loads(demo.read_text())["users"] == ["elsewhere"]


def test_a_database_is_known_by_its_place_and_not_by_who_signs_in(tmp_path: Path) -> None:
    assert demo_file.database_of(ELSEWHERE) == demo_file.database_of("postgresql://owner:x@db.example:5432/countersign")
    assert demo_file.database_of(ELSEWHERE) != demo_file.database_of(ELSEWHERE + "2")
    assert demo_file.database_of(None) == demo_file.EMBEDDED


def test_the_address_in_it_is_the_one_of_this_run(tmp_path: Path) -> None:
    demo = tmp_path / "demo.json"
    demo.write_text(of("x"))
    demo_file.readdress(tmp_path, "http://localhost:8123")
    assert json.loads(demo.read_text()) == {"url": "http://localhost:8123", "users": ["x"], "keys": {}}
    assert demo.stat().st_mode & 0o777 == 0o600


def test_each_database_has_an_outside_copy_of_its_own_log(tmp_path: Path) -> None:
    def outside(**given: str) -> str:
        whole = environment.complete(given, tmp_path, database_urls={}, redis_url="")
        return whole["AUDIT_OUTSIDE_PATH"]

    assert outside() != outside(DATABASE_URL=ELSEWHERE) != outside(DATABASE_URL=ELSEWHERE + "2")
    assert outside(DATABASE_URL=ELSEWHERE, AUDIT_OUTSIDE_PATH="/evidence/checkpoint") == "/evidence/checkpoint"
