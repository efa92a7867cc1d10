"""Judges mutmut's mutants from one process that has collected the tests once: a fork for each, no start and no report.

`mutmut run` makes the mutants and would give the same verdicts in hours. How the two are used together is said in
docs/explanation/mutation-testing.md. A plugin of pytest; nothing of the product imports it.
"""

from __future__ import annotations

import fnmatch
import gc
import json
import os
import signal
import time
import traceback
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from _pytest.tmpdir import tmppath_result_key
from jsonschema import Draft202012Validator
from pytest_django.plugin import blocking_manager_key

# Deterministic, and without the search for the smallest example: that it fails is enough.
hypothesis.settings.register_profile(
    "mutants",
    derandomize=True,
    database=None,
    deadline=None,
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
)
hypothesis.settings.load_profile("mutants")

# Four fifths of loading a pack is jsonschema checking the same schemas by its own: once is enough.
_check_schema = Draft202012Validator.check_schema
_sound: set[str] = set()


def _check_once(_: Any, schema: Any) -> None:
    if (key := repr(schema)) not in _sound:
        _check_schema(schema)
        _sound.add(key)


KILLED, SURVIVED, UNCOVERED, TIMEOUT = 1, 0, 33, 36  # mutmut's exit codes, so that `mutmut results` can read them


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--mutants", action="append", default=[], help="names of mutants, as `mutmut run` takes them")
    parser.addoption("--survivors", action="store_true", help="only those that survived the last run")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool:
    if session.testsfailed:
        raise session.Interrupted("collection failed")
    from approvals.rules import schema

    schema._Validator.check_schema = classmethod(_check_once)
    _database_once(session)
    covering = _who_covers_what(session)
    for item in session.items:
        _fewer_examples(item)
    gc.collect()
    gc.freeze()  # what is collected in a child need not be copied into it first
    asked = [name for name in session.config.getoption("--mutants") for name in _names(name)]
    kept = {meta: json.loads(meta.read_text()) for meta in sorted(Path("approvals").rglob("*.meta"))}
    known = {name: meta for meta, data in kept.items() for name in data["exit_code_by_key"]}
    for name in dict.fromkeys(name for pattern in asked for name in fnmatch.filter(known, pattern)):
        meta = known[name]
        verdicts = kept[meta]["exit_code_by_key"]
        if session.config.getoption("--survivors") and verdicts[name] not in (SURVIVED, UNCOVERED, None):
            continue
        items = covering.get(name.rpartition("__mutmut_")[0], [])
        verdicts[name], killer = _verdict(session, name, items)
        if killer is not None:  # likely to find the next mutant of this function too
            items.insert(0, items.pop(killer))
        print(f"{verdicts[name]:3} {name}", flush=True)
        unfinished = meta.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(kept[meta], indent=4))
        unfinished.replace(meta)  # whole or not at all, so that a run may be stopped at any time
    return True


def _names(given: str) -> list[str]:
    """A pattern, or with an @ those of a file, a line each."""
    return Path(given[1:]).read_text().split() if given.startswith("@") else [given]


def _fewer_examples(item: Any) -> None:
    """A hundred examples find what five hundred do, but for what is rare."""
    test = getattr(item.obj, "__func__", item.obj)
    given = getattr(test, "_hypothesis_internal_use_settings", None)
    if given is not None and given.max_examples > 100:
        test._hypothesis_internal_use_settings = hypothesis.settings(given, max_examples=100)


def _database_once(session: pytest.Session) -> None:
    """Where tests use the database, it is made here; what a child leaves behind is emptied before the next."""
    from django.db import connections

    from tests.support import services

    if any("django_db_setup" in item.fixturenames for item in session.items):  # type: ignore[attr-defined]
        with session.config.stash[blocking_manager_key].unblock():
            services.make_database()
            connections.close_all()
        services.make_database = services.restore_database


def _who_covers_what(session: pytest.Session) -> dict[str, list[pytest.Item]]:
    """Mutated function → the items that reach it, the quickest first. Fails when an item fails without a mutant."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.environ["MUTANT_UNDER_TEST"] = "stats"
        from mutmut.state import state

        found = []
        for number, item in enumerate(session.items):
            state()._stats.clear()
            began = time.monotonic()
            try:
                _run(session, item, session.items[number + 1 : number + 2])
            except BaseException:
                print(f"fails without a mutant: {item.nodeid}", flush=True)
                traceback.print_exc()
                os._exit(1)
            found.append((sorted(state()._stats), time.monotonic() - began))
        with os.fdopen(write, "w") as pipe:
            json.dump(found, pipe)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        reached = json.load(pipe)
    if os.waitpid(child, 0)[1]:
        raise session.Interrupted("the tests fail without a mutant")
    covering: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for number, (functions, seconds) in enumerate(reached):
        for function in functions:
            covering[function].append((seconds, number))
    print(f"{len(reached)} tests in {sum(seconds for _, seconds in reached):.1f} s", flush=True)
    return {name: [session.items[number] for _, number in sorted(those)] for name, those in covering.items()}


def _verdict(session: pytest.Session, name: str, items: list[pytest.Item]) -> tuple[int, int | None]:
    """The verdict, and the place of the test that found the mutant."""
    if not items:
        return UNCOVERED, None
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.setpgid(0, 0)
        os.environ["MUTANT_UNDER_TEST"] = name
        for descriptor in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
        for number, item in enumerate(items):
            try:
                _run(session, item, items[number + 1 : number + 2])
            except BaseException:  # pytest's own outcomes are none of Exception
                os.write(write, str(number).encode())
                with suppress(BaseException):
                    session._setupstate.teardown_exact(None)
                os._exit(KILLED)
        os._exit(SURVIVED)
    os.close(write)
    until = time.monotonic() + 30 + 2 * len(items)
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            with os.fdopen(read) as pipe:
                killer = pipe.read()
            return os.waitstatus_to_exitcode(status), int(killer) if killer else None
        time.sleep(0.002)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(read)
    return TIMEOUT, None


def _run(session: pytest.Session, item: Any, following: list[Any]) -> None:
    """One test without its report: to put a failure in words takes longer than most tests here."""
    item.stash[tmppath_result_key] = {}  # what the report would leave for the fixture tmp_path
    session._setupstate.setup(item)
    item.runtest()
    session._setupstate.teardown_exact(following[0] if following else None)
