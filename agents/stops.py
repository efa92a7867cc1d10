"""The kill switch: stops all agents by one write, and lets them ask again. Nothing is waited for and nothing else is
touched; what was pending and granted is withdrawn from rows afterwards, elsewhere.

From the commit of a stop on, whoever files, decides or redeems reads it (`permission`) and refuses.
"""

from __future__ import annotations

from django.db import IntegrityError, connection

from accounts import reasons
from accounts.acting import Refused
from accounts.models import User
from accounts.people import person_party, transaction_clock
from agents.models import Stop
from audit.canonical import timestamp
from audit.entries import Authentication, Draft, Party, Personal, record
from audit.limits import limited
from audit.types import EntryType

OPERATOR = Party("system", "operator")  # whoever has a shell on the server, when the web is down


class StopRefused(Refused):
    """Nothing was stopped, or nothing lifted; the text says why. 409, or 422 where it is about what was typed
    (`field`)."""

    @property
    def status(self) -> int:
        """What the page answers with."""
        return 422 if self.field else 409


def newest() -> int:
    """The number of the newest stop, 0 before the first; one query."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(number), 0) FROM agents_stop")
        number: int = cursor.fetchone()[0]
        return number


def in_force() -> Stop | None:
    """The stop that holds now, with who began it; one query."""
    return Stop.objects.select_related("started_by").filter(lifted_at__isnull=True).first()


def recent(limit: int = 20) -> list[Stop]:
    """The newest stops, with their people; one query."""
    return list(Stop.objects.select_related("started_by", "lifted_by").order_by("-number")[:limit])


def begin(*, by: User | None, reason: str, auth: Authentication | None = None) -> Stop:
    """Stop all agents from this commit on; `by` is None for an operator's command. Raises `StopRefused`."""
    said = _reason(reason)
    try:
        with limited(durable=True):
            stop = Stop(number=newest() + 1, started_by=by, reason=said)
            stop.save(force_insert=True)
            record(
                Draft(
                    type=EntryType.STOP_BEGUN,
                    actor=person_party(by) if by is not None else OPERATOR,
                    subject=Party("stop", str(stop.number)),
                    facts={"number": stop.number, "by": str(by.pk) if by is not None else None},
                    personal={"reason": Personal(said)},
                    auth=auth,
                )
            )
    except IntegrityError as error:  # somebody else was first, and theirs holds
        raise StopRefused("All agents are stopped already.") from error
    return stop


def lift(*, number: int, by: User, reason: str, auth: Authentication | None = None) -> Stop:
    """Let agents ask again; takes somebody other than who stopped them. Raises `StopRefused`."""
    said = _reason(reason)
    with limited(durable=True):
        stop = Stop.objects.select_for_update().filter(number=number, lifted_at__isnull=True).first()
        if stop is None:
            raise StopRefused("This stop is not in force.")
        if stop.started_by_id == by.pk:
            raise StopRefused("You stopped all agents, so somebody else lets them ask again.")
        stop.lifted_at, stop.lifted_by, stop.lift_reason = transaction_clock(), by, said
        stop.save(update_fields=["lifted_at", "lifted_by", "lift_reason"])
        record(
            Draft(
                type=EntryType.STOP_LIFTED,
                actor=person_party(by),
                subject=Party("stop", str(number)),
                facts={"number": number, "by": str(by.pk), "lifted_at": timestamp(stop.lifted_at)},
                personal={"reason": Personal(said)},
                auth=auth,
            )
        )
    return stop


def _reason(text: str) -> str:
    return reasons.clean(text, why="Say why: everybody who works here will read it.", refused=StopRefused)
