"""The rows of people: users, teams, memberships and roles. Changing them is `people`'s work."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.hashers import check_password
from django.db import models
from django.db.models import F, Func
from django.db.models.functions import Lower, Now
from django.utils.crypto import salted_hmac
from uuid_utils.compat import uuid7

from accounts.absence import Delegation, TeamHours
from accounts.rights import AccessLine, AccessReview, Invitation, RightsChange

__all__ = [
    "AccessLine",
    "AccessReview",
    "Delegation",
    "Invitation",
    "Membership",
    "RightsChange",
    "Role",
    "RoleGrant",
    "Team",
    "TeamHours",
    "User",
    "UserManager",
]


class Role(models.TextChoices):
    """What a person may do beyond sitting in a team (where they review) and owning an agent."""

    POLICY_AUTHOR = "policy-author", "Policy author"
    POLICY_ACTIVATOR = "policy-activator", "Policy activator"
    AUDITOR = "auditor", "Auditor"
    ADMINISTRATOR = "administrator", "Administrator"
    LEADERSHIP = "leadership", "Leadership"


#: Giving or taking these, and deactivating whoever holds one, takes two administrators.
TWO_PEOPLE = frozenset({Role.ADMINISTRATOR, Role.POLICY_ACTIVATOR})


class UserManager(BaseUserManager["User"]):
    """Finds people by their address."""

    def get_by_natural_key(self, username: str | None) -> User:
        """The person with this address (`addresses.whose`); `User.DoesNotExist` when there is none."""
        from accounts.addresses import whose  # that room is above this one

        return whose(username or "").get()


class User(AbstractBaseUser):
    """A person. The e-mail address signs in; `name` is what colleagues see."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    email = models.EmailField()
    name = models.CharField(max_length=100)
    is_active = models.BooleanField(default=True)
    # Part of what a session is bound to: counting it up ends every session of this person at once.
    sessions_epoch = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now())
    # The address as people read it. Whose an address is, `addresses.whose` says; this only keeps look-alikes out.
    address_alike = models.GeneratedField(
        expression=Lower(Func(F("email"), template="normalize(%(expressions)s, NFKC)")),
        output_field=models.TextField(),
        db_persist=True,
    )

    # As `people.teams_and_roles_of` read them last: for the frame of a page, and for no rule.
    roles_seen: frozenset[Role] | None = None

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]

    class Meta:
        constraints = (
            models.UniqueConstraint(Lower("email"), name="one_person_per_address"),
            models.UniqueConstraint(fields=["address_alike"], name="no_two_addresses_alike"),
        )

    def __str__(self) -> str:
        return self.email

    def get_full_name(self) -> str:
        """What colleagues see."""
        return self.name

    def check_password(self, raw_password: str) -> bool:
        """Whether this is their password; a hash that Django makes anew on the way leaves its entry."""
        from accounts.changes import upgrade_hash  # which reads this module

        return check_password(raw_password, self.password, lambda raw: upgrade_hash(self, raw))

    def _get_session_auth_hash(self, secret: str | bytes | None = None) -> str:
        # Django compares this with each session on each request; the hashes of fallback keys go through here too.
        made: str = super()._get_session_auth_hash(secret)  # type: ignore[misc]  # Django's own, not in the stubs
        if not self.sessions_epoch:
            return made
        return salted_hmac("accounts.User.sessions", f"{made}:{self.sessions_epoch}", secret=secret).hexdigest()

    # Django's own permissions are not used; these keep its and allauth's checks at 'no'.
    is_staff = False
    is_superuser = False

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        """No permission comes from Django's tables: gates decide."""
        return False

    def has_module_perms(self, app_label: str) -> bool:
        """No permission comes from Django's tables: gates decide."""
        return False


class Team(models.Model):
    """A group of reviewers that policy names, as in `2 of finance`."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    slug = models.SlugField(max_length=50, unique=True)
    name = models.CharField(max_length=100)
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.slug


class Membership(models.Model):
    """A person's seat in a team."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="memberships")
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="memberships")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = (models.UniqueConstraint(fields=["user", "team"], name="one_seat_per_team"),)

    def __str__(self) -> str:
        return f"{self.user_id} in {self.team_id}"


class RoleGrant(models.Model):
    """A role a person holds, until a moment or until it is taken back."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="roles")
    role = models.CharField(max_length=30, choices=Role.choices)
    expires_at: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = (models.UniqueConstraint(fields=["user", "role"], name="one_grant_per_role"),)

    def __str__(self) -> str:
        return f"{self.user_id} as {self.role}"
