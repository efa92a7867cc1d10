"""The accounts app's entry in Django's registry; it begins to listen to what people do, nothing else."""

from __future__ import annotations

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from accounts import changes, second_factor, sign_in

        sign_in.connect()
        second_factor.connect()
        changes.connect()
