"""What each process is told by its environment: the least that lets it do its duty.

Which processes there are stands in the Procfile; what a variable means, in `config.settings`.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psutil

from config.embedded import demo_file
from config.embedded.keys import made_once
from config.embedded.places import write_private

ROLE_VARIABLES = {
    "app": "DATABASE_URL",
    "owner": "DATABASE_OWNER_URL",
    "sealer": "DATABASE_SEALER_URL",
    "eraser": "DATABASE_ERASER_URL",
}
# Which of the database's roles a process of the Procfile works as; every other one is an app process.
PROCESS_ROLES = {"sealer": "sealer"}
# Which role a command of manage.py works as; every other one is an app process.
COMMAND_ROLES = {
    "migrate": "owner",
    "makemigrations": "owner",
    "sqlmigrate": "owner",
    "showmigrations": "owner",
    "seal_audit_log": "sealer",
    "erase_details": "eraser",
    "declare_fork": "sealer",
}
LOOPBACK = ("127.0.0.1", "localhost", "::1")
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - to tell that somebody asked for it
_IP = (socket.AF_INET, socket.AF_INET6)
LOG_KEY = "AUDIT_KEY_PATH"
OUTSIDE = "checkpoint"  # the log's newest checkpoint, kept outside the database
_RECORD = "environment.json"


def complete(
    given: Mapping[str, str], root: Path, *, database_urls: Mapping[str, str], redis_url: str
) -> dict[str, str]:
    """An installation's whole environment: what was given wins, the rest is from `root` and the servers.

    `database_urls` is empty where DATABASE_URL was given, `redis_url` where REDIS_URL was.
    """
    made = made_once(root)
    host, port = given.get("HOST") or "127.0.0.1", given.get("PORT") or "8000"
    database = demo_file.database_of(given.get("DATABASE_URL"))  # each database's log has an outside copy of its own
    ours = {
        "HOST": host,
        "PORT": port,
        "BASE_URL": f"http://{_known_as(host)}:{port}",
        "SECRET_KEY": made.secret_key,
        "GRANT_KEY_PATH": str(made.grant_key),
        LOG_KEY: str(made.audit_key),
        "AUDIT_OUTSIDE_PATH": str(root / (OUTSIDE if database == demo_file.EMBEDDED else f"{OUTSIDE}-{database}")),
        "AUDIT_ORIGIN_HOST": "localhost",
    }
    if host not in LOOPBACK:
        known = urlsplit(given.get("BASE_URL") or ours["BASE_URL"]).hostname or ""
        ours["ALLOWED_HOSTS"] = ",".join(dict.fromkeys([bracketed(known), *_answered_for(host)]))
    if database_urls:
        ours |= {ROLE_VARIABLES[role]: url for role, url in database_urls.items()} | {"DEMO": "1"}
        ours["EMAIL_FILE_PATH"] = str(root / "mail")
        if os.geteuid() == 0:  # what the worker would say of that at each start, in eight lines, is known
            ours["PYTHONWARNINGS"] = "ignore:You're running the worker with superuser privileges"
    if redis_url:
        ours["REDIS_URL"] = redis_url
    return {**ours, **{name: value for name, value in given.items() if value or name not in ours}}


def bracketed(host: str) -> str:
    """The host as it stands in a URL and in a Host header: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def _known_as(host: str) -> str:
    """The host of the address that is given out for a process listening on `host`.

    A name wherever one leads there, because passkeys refuse a bare address.
    """
    return "localhost" if host in LOOPBACK or host in EVERYWHERE else bracketed(host)


def _answered_for(host: str) -> list[str]:
    """The hosts that a process listening on `host` may be asked for: its own and this machine's loopback, and where
    it listens everywhere, every name and address of this machine."""
    hosts = [bracketed(host)] if host not in EVERYWHERE else []
    if host in EVERYWHERE:
        addresses = [each.address for card in psutil.net_if_addrs().values() for each in card if each.family in _IP]
        hosts = [socket.gethostname(), *(bracketed(one.partition("%")[0]) for one in addresses)]
    return [one.lower() for one in [*hosts, "localhost", "127.0.0.1", "[::1]"] if one]


def for_role(role: str, whole: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that works as `role`: the other roles' URLs are without a password.

    They stay as names because migrations grant by them and the health page asks whether roles are separated;
    what could sign in with them is left out. The key of the log goes to the sealer alone.
    """
    told = dict(whole)
    for other, variable in ROLE_VARIABLES.items():
        if other != role and told.get(variable) and _apart(told, role, variable):
            told[variable] = without_password(told[variable])
    if role != "sealer":
        told.pop(LOG_KEY, None)
    return told | {"COUNTERSIGN_ROLE": role}


def _apart(told: Mapping[str, str], role: str, variable: str) -> bool:
    """Whether `variable` speaks of another user than `role`'s own URL, which falls back to the app's."""
    own = ROLE_VARIABLES[role]
    return bool(told.get(own)) and urlsplit(told[own]).username != urlsplit(told[variable]).username


def for_process(name: str, whole: Mapping[str, str]) -> dict[str, str]:
    """The environment of the process of that name in the Procfile."""
    return for_role(PROCESS_ROLES.get(name, "app"), whole)


def for_command(command: str, whole: Mapping[str, str]) -> dict[str, str]:
    """The environment of that command of manage.py."""
    return for_role(COMMAND_ROLES.get(command, "app"), whole)


def without_password(url: str) -> str:
    """The same URL, with which nobody can sign in."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username}@{host}"))


def publish(root: Path, whole: Mapping[str, str], given: Mapping[str, str]) -> Path:
    """Leave what the installation runs with in a file of mode 0600, for manage.py in another terminal."""
    write_private(
        root / _RECORD, json.dumps({name: value for name, value in whole.items() if given.get(name) != value})
    )
    return root / _RECORD


def join_running(root: Path, command: str) -> bool:
    """Set a command's role; where no DATABASE_URL is given, take the environment of a running `make up` and return
    True. What that was given by its own environment is not in its record."""
    record = root / _RECORD
    if os.environ.get("DATABASE_URL") or not record.exists():
        os.environ["COUNTERSIGN_ROLE"] = COMMAND_ROLES.get(command, "app")
        return False
    whole = {**json.loads(record.read_text()), **os.environ}
    told = for_command(command, whole)
    for variable in {*os.environ} - {*told}:
        del os.environ[variable]
    os.environ |= told
    return True
