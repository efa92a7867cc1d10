"""`manage.py check --deploy` under the settings that `deploy/` runs: nothing to say, and still able to say it."""

from __future__ import annotations

import re
import secrets
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml
from django.conf import settings

from tests.support.live import Server, web

ROOT = Path(settings.BASE_DIR)
# What `deploy/make-secrets` writes into deploy/.env, and the address of the example.
GIVEN = {"SECRET_KEY": secrets.token_hex(32), "APP_PASSWORD": "a" * 64, "BASE_URL": "https://countersign.example.org"}


def production() -> dict[str, str]:
    """The environment of the web process as deploy/compose.yml gives it."""
    compose = yaml.safe_load((ROOT / "deploy" / "compose.yml").read_text())

    def filled(text: str) -> str:
        return re.sub(r"\$\{(\w+)(?::([-?])([^}]*))?\}", lambda m: GIVEN.get(m[1], m[3] if m[2] == "-" else ""), text)

    told = {name: filled(str(value)) for name, value in compose["services"]["web"]["environment"].items()}
    return {**told, "PATH": "/usr/bin:/bin"}


def check(**changed: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env=production() | changed,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_check_for_production_has_nothing_to_say() -> None:
    done = check()
    assert done.returncode == 0, done.stderr
    silenced = len(settings.SILENCED_SYSTEM_CHECKS)
    assert done.stdout.strip() == f"System check identified no issues ({silenced} silenced)."


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"DEBUG": "1"}, "security.W018"),
        ({"SECRET_KEY": "short"}, "security.W009"),
        ({"BASE_URL": "http://countersign.example.org"}, "security.W004"),  # no HSTS
    ],
)
def test_what_would_be_wrong_is_still_said(changed: dict[str, str], said: str) -> None:
    done = check(**changed)
    assert done.returncode == 1
    assert said in done.stderr


def test_each_silenced_check_has_its_reason_beside_it() -> None:
    text = (ROOT / "config" / "settings.py").read_text()
    listed = re.search(r"^SILENCED_SYSTEM_CHECKS = \[\n(.*?)^\]", text, re.M | re.S)
    assert listed is not None
    lines = listed[1].splitlines()
    assert len(lines) == len(settings.SILENCED_SYSTEM_CHECKS)
    for line in lines:
        assert re.fullmatch(r'    "[a-z]+\.[A-Z]\d{3}",  # .{20,}', line), line


def test_what_stands_in_for_the_silenced_checks_holds(transactional_db: None) -> None:
    with web(BASE_URL="https://localhost", TRUSTED_PROXIES="1") as server:
        through = {"X-Forwarded-Proto": "https", "Host": "localhost"}
        page = get(server, "/accounts/login/", through)
        policy = page.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy  # W002
        assert page.headers["strict-transport-security"].startswith("max-age=31536000")
        posted = httpx.post(f"{server.url}/accounts/login/", data={}, headers=through, trust_env=False)
        assert posted.status_code == 403  # W003: a form without its token
        assert "Secure" in page.headers["set-cookie"]
        assert get(server, "/api/v1/requests", through).headers["content-security-policy"] == policy


def get(server: Server, path: str, headers: dict[str, str]) -> httpx.Response:
    return httpx.get(f"{server.url}{path}", headers=headers, trust_env=False)
