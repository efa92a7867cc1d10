"""`manage.py reseal_secrets`: all that SECRET_KEY seals under the one in use, so that former ones can be forgotten."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts import resealing
from approvals.notifications import endpoints


class Command(BaseCommand):
    """Calls the two verbs; may be run again, and changes nobody's factor and no webhook's secret."""

    help = "Seal secrets of second factors and webhooks anew under SECRET_KEY; run it before you drop a fallback."

    def handle(self, *args: Any, **options: Any) -> None:
        """Reseal, say how many, and fail where something is sealed under a key that is not known here."""
        factors, lost_factors = resealing.reseal()
        webhooks, lost_webhooks = endpoints.reseal()
        self.stdout.write(f"{factors} second factors and {webhooks} secrets of webhooks are sealed under SECRET_KEY.")
        if lost_factors or lost_webhooks:
            raise CommandError(
                f"{lost_factors} second factors and {lost_webhooks} secrets of webhooks are sealed under a key that is "
                "neither SECRET_KEY nor one of SECRET_KEY_FALLBACKS. Give it as a fallback and run this again."
            )
