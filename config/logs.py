"""Structured logs on standard error; what is logged is decided where it happens, and no request content is."""

from __future__ import annotations

import logging.config
import re

import structlog

# What follows signs its holder in, or nearly.
_KEYS = re.compile(r"(/accounts/(?:setup|password/reset/key|confirm-email|login/code/confirm)/)[^/\s\"'?]+")


def without_keys(logger: object, method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    """The same line, keys that stand in paths masked: Django's own loggers name paths too."""
    for name, value in event.items():
        if isinstance(value, str) and "/accounts/" in value:
            event[name] = _KEYS.sub(r"\1***", value)
    return event


def configuration(*, json: bool, level: str) -> None:
    """Send structlog and the standard library's loggers through one renderer: JSON lines, or plain text for people."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        without_keys,
    ]
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=False)
    )
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "one": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
                    "foreign_pre_chain": shared,
                }
            },
            "handlers": {"standard": {"class": "logging.StreamHandler", "formatter": "one"}},
            "root": {"handlers": ["standard"], "level": level},
            # uvicorn and django name each request themselves; django-structlog's line is the one that is kept
            "loggers": {
                "uvicorn.access": {"level": "WARNING"},
                "django.server": {"level": "WARNING"},
                "celery": {"level": "WARNING"},
            },
        }
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
