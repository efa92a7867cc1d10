"""The app's configuration: after each migration, the privileges of every role are set again.

No table is read or written here but through `roles`.
"""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AuditConfig(AppConfig):
    default_auto_field = "django.db.models.BigAutoField"
    name = "audit"
    verbose_name = "Evidence"

    def ready(self) -> None:
        # With this app as sender it runs once a `migrate`, after every app's tables stand; a flush (the
        # teardown of transactional tests) sends it too, which brings the sealer's one state row back.
        post_migrate.connect(_after_migrate, sender=self, dispatch_uid="audit.after_migrate")


def _after_migrate(*, using: str, **_: Any) -> None:
    from audit import roles

    roles.grant_all(using=using)
    roles.ensure_state_row(using=using)
