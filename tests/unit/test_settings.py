"""What settings refuse at the start, each in one sentence."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

READ = "import django; django.setup(); from django.conf import settings; print(settings.BASE_URL)"


def started(**environment: str) -> subprocess.CompletedProcess[str]:
    """A process that reads the settings."""
    given = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "SECRET_KEY": "x",
        "DATABASE_URL": "postgresql:///x",
        **environment,
    }
    return subprocess.run([sys.executable, "-c", READ], env=given, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/countersign", "https://example.org?x", "https://example.org#x", "https://me@example.org",
        "example.org", "ftp://example.org", "https://", "https:/example.org",
    ],
)  # fmt: skip
def test_base_url_that_is_no_origin_is_refused(url: str) -> None:
    ended = started(BASE_URL=url)
    assert ended.returncode != 0
    assert "BASE_URL must be an origin" in ended.stderr


@pytest.mark.parametrize("url", ["https://example.org", "http://localhost:8000/", "https://[::1]:8443"])
def test_base_url_that_is_an_origin_is_taken(url: str) -> None:
    assert started(BASE_URL=url).stdout.strip() == url.rstrip("/")
