"""The approvals app's entry in Django's registry."""

from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    name = "approvals"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Listen for what happens to agents."""
        from approvals import stopping  # its models are only there now

        stopping.connect()
