"""Hands one letter to the mail server. To whom and when is not decided here."""

from __future__ import annotations

import smtplib
from collections.abc import Sequence
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMessage
from django.utils.translation import gettext as _

from approvals.notifications.errors import NotSent
from approvals.notifications.messages import Line, paragraph, subject


def send(delivery_id: UUID, to: str, lines: Sequence[Line]) -> int | None:
    """Send one letter of plain text; raises `NotSent`.

    The Message-ID stays the same when it is sent again, so that a mail program shows it once.
    """
    footer = _("Links show a request and decide nothing. How you are told: %(link)s") % {
        "link": f"{settings.BASE_URL}/preferences/"
    }
    message = EmailMessage(
        subject=f"[Countersign] {subject(lines)}",
        body="\n\n".join([*map(paragraph, lines), footer]) + "\n",
        to=[to],
        headers={
            "Message-ID": f"<{delivery_id}@{urlsplit(settings.BASE_URL).hostname}>",
            "Auto-Submitted": "auto-generated",
        },
    )
    try:
        message.send()
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _text in error.recipients.values()]
        code = codes[0] if codes else None
        raise NotSent(
            "The mail server refused the receiver.", permanent=bool(code and code >= 500), code=code
        ) from error
    except smtplib.SMTPResponseException as error:
        raise NotSent("The mail server refused the message.", lane=True, code=error.smtp_code) from error
    except (smtplib.SMTPException, OSError) as error:
        raise NotSent("The mail server could not be reached.", lane=True) from error
    return None
