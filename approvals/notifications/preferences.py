"""How a person wants to be told. Whether they are told at all of a request is `turns`' to know."""

from __future__ import annotations

from datetime import timedelta

from accounts.models import User
from approvals.models import Preference
from approvals.transactions import verb

DEFAULT_WINDOW = timedelta(minutes=5)
WINDOWS = (0, 300, 900, 3600)  # seconds that can be chosen


def of(person: User) -> Preference:
    """What this person chose, or the defaults."""
    found = Preference.objects.filter(person=person).first()
    return found or Preference(person=person, window_seconds=int(DEFAULT_WINDOW.total_seconds()))


@verb
def choose(*, person: User, email: bool, window_seconds: int) -> None:
    """Keep what a person chose; `window_seconds` is one of `WINDOWS`, else `ValueError`. No evidence: it is comfort."""
    if window_seconds not in WINDOWS:
        raise ValueError(f"{window_seconds} s is no window to choose")
    Preference.objects.update_or_create(person=person, defaults={"email": email, "window_seconds": window_seconds})
