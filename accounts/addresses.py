"""Says whose an e-mail address is, for everybody who asks. Whether a new one may be made is the database's rule.

An address given by a provider, a form or a command is a person's only where both are equal after A–Z are made lower
case. Any wider rule takes a stranger's address for a colleague's: upper case turns ſ into S and ı into I.
"""

from __future__ import annotations

import string

from django.db.models import F, Func, QuerySet, Value

from accounts.models import User

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def folded(address: str) -> str:
    """The address as it is compared: A–Z in lower case, every other character as it is."""
    return address.translate(_LOWER)


def same(one: str, other: str) -> bool:
    """Whether two addresses are the same person's."""
    return folded(one) == folded(other)


def whose(address: str) -> QuerySet[User]:
    """The one person with this address, or nobody; white space around a typed address is ignored."""
    if "\x00" in address:  # PostgreSQL stores none, so nobody has it
        return User.objects.none()
    known = Func(F("email"), Value(string.ascii_uppercase), Value(string.ascii_lowercase), function="translate")
    return User.objects.alias(known_by=known).filter(known_by=folded(address.strip()))
