"""Starts and stops of processes, and changed configuration, as evidence. What a process does is not known here."""

from __future__ import annotations

import hashlib
import json

import structlog
from django.conf import settings
from django.db import Error, close_old_connections, connection, transaction

from audit.entries import Draft, EvidenceUnavailable, Party, record
from audit.types import EntryType

log = structlog.get_logger(__name__)

#: What an auditor would ask about: no secret is among them, and no address of a database or of Redis; only the names
#: by which the house itself is known.
WATCHED = (
    "DEBUG",
    "DEMO",
    "BASE_URL",
    "ALLOWED_HOSTS",
    "TRUSTED_PROXIES",
    "ROLES_SEPARATED",
    "API_RATE_PER_SECOND",
    "API_RATE_BURST",
    "API_BODY_LIMIT_BYTES",
    "API_WAITS_PER_KEY",
    "PAGE_BODY_LIMIT_BYTES",
    "SESSION_COOKIE_AGE",
    "SESSION_COOKIE_SECURE",
    "ACCOUNT_REAUTHENTICATION_TIMEOUT",
    "REDIS_TIMEOUT_SECONDS",
)


def configuration() -> dict[str, object]:
    """The watched settings as they are, in a form that entries can hold."""
    return {name.lower(): json.loads(json.dumps(getattr(settings, name), default=str)) for name in WATCHED}


def started(name: str) -> None:
    """Record that this process started, and that its configuration is not what it started with last time."""
    _recorded(name, EntryType.PROCESS_STARTED)


def stopped(name: str) -> None:
    """Record that this process was stopped."""
    _recorded(name, EntryType.PROCESS_STOPPED)


def _recorded(name: str, type: EntryType) -> None:
    """An entry cannot stop a process from starting: without it the process still says no, which is the point."""
    watched = {key: value if not isinstance(value, float) else str(value) for key, value in configuration().items()}
    digest = hashlib.sha256(json.dumps(watched, sort_keys=True).encode()).hexdigest()
    process, system = Party("process", name), Party("system", "countersign")
    try:
        with transaction.atomic():
            if type is EntryType.PROCESS_STARTED and _last_configuration(name) not in (None, digest):
                record(Draft(EntryType.CONFIGURATION_CHANGED, system, process, {"configuration": watched}))
            record(Draft(type, system, process, {"process": name}, {"configuration": digest}))
    except (EvidenceUnavailable, Error, OSError) as error:
        log.error("process.not_recorded", process=name, type=type.value, error=str(error))
    finally:
        close_old_connections()


def _last_configuration(name: str) -> str | None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT convert_from(leaf, 'UTF8')::jsonb -> 'digests' ->> 'configuration' FROM audit_leaf"
            " WHERE subject_kind = 'process' AND subject_id = %s AND type = 'process.started'"
            " ORDER BY index DESC LIMIT 1",
            [name],
        )
        row = cursor.fetchone()
    return row[0] if row else None
