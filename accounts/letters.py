"""The letters about somebody's own sign-in: a one-time link, and that a factor came or went.

Notifications of requests are a floor above.
"""

from __future__ import annotations

import structlog
from django.core.mail import send_mail
from django.utils.translation import gettext as _

from accounts.models import User

log = structlog.get_logger(__name__)


def tell_of_factor(person: User, said: str) -> bool:
    """Tell somebody that a second factor of theirs came or went, once that is committed; whether the letter left."""
    text = _("If this was not you, tell an administrator at once: somebody may be using your account.")
    try:
        send_mail(_("Your second factor has changed"), f"{said}\n\n{text}\n", None, [person.email])
    except OSError:
        log.warning("factor_letter_not_sent", person=str(person.pk))
        return False
    return True


def send_link(person: User, address: str) -> bool:
    """Send somebody their link, after the transaction that made it; whether it left. The page shows the link too, so
    a house without mail works and a dead mail server holds nothing up."""
    text = _("An administrator lets you in to Countersign. Choose your password here; the link works once:")
    try:
        send_mail(_("Your way in to Countersign"), f"{text}\n\n{address}\n", None, [person.email])
    except OSError:  # SMTP's own errors are among them
        log.warning("link_not_sent", person=str(person.pk))
        return False
    return True
