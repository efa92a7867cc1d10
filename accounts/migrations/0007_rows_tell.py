"""No row of people, teams, roles, links, factors and sign-ins changes without the entry that says so.

Each guard asks, as the last thing before the commit, for an entry of the same transaction, of this subject, whose facts
equal what the row then holds. What no verb does is refused whatever is recorded. Plain SQL for the reasons of
approvals 0002, and its SQLSTATEs: CS409 for a change that never is, CS422 for one without its entry.
"""

from __future__ import annotations

from django.db import migrations

MEANS = """
-- As leaves spell a moment.
CREATE FUNCTION accounts_moment(moment timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;

CREATE FUNCTION accounts_must_tell(what text, kind text, subject text, types text[], facts jsonb)
  RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF NOT audit_tells(kind, subject, types, facts) THEN
    RAISE EXCEPTION '% has its entry, in the same transaction', what USING ERRCODE = 'CS422';
  END IF;
END $$;

CREATE FUNCTION accounts_never(what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '%', what USING ERRCODE = 'CS409';
END $$;
"""

USERS = """
CREATE FUNCTION accounts_user_tells() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  hashed text;
BEGIN
  IF TG_OP = 'DELETE' THEN
    PERFORM accounts_never('people are never deleted');
    RETURN NULL;
  END IF;
  hashed := encode(sha256(convert_to(NEW.password, 'UTF8')), 'hex');
  IF TG_OP = 'INSERT' THEN
    PERFORM accounts_must_tell('a person', 'person', NEW.id::text, '{person.created}',
      jsonb_build_object('active', NEW.is_active, 'password_digest', hashed));
    RETURN NULL;
  END IF;
  IF NEW.id <> OLD.id OR NEW.sessions_epoch < OLD.sessions_epoch THEN
    PERFORM accounts_never('a person keeps their id, and ended sessions stay ended');
  END IF;
  IF NEW.is_active <> OLD.is_active THEN
    PERFORM accounts_must_tell('who may sign in', 'person', NEW.id::text,
      CASE WHEN NEW.is_active THEN '{person.reactivated}' ELSE '{person.deactivated}' END::text[],
      jsonb_build_object('active', NEW.is_active));
  END IF;
  IF NEW.password <> OLD.password THEN
    PERFORM accounts_must_tell('a password', 'person', NEW.id::text, '{person.created,person.changed,erasure}',
      jsonb_build_object('password_digest', hashed));
  END IF;
  -- Erased details leave nothing to compare a name with: so exactly these values, and only of who is gone.
  IF (NEW.email <> OLD.email OR NEW.name <> OLD.name)
     AND NOT (NOT NEW.is_active AND NEW.email = '' AND NEW.name = 'Erased person'
              AND audit_tells('person', NEW.id::text, '{erasure}', '{}')) THEN
    PERFORM accounts_must_tell('a name or address', 'person', NEW.id::text, '{person.changed}',
      jsonb_build_object('changed', to_jsonb(array_remove(ARRAY[
        CASE WHEN NEW.email <> OLD.email THEN 'email' END, CASE WHEN NEW.name <> OLD.name THEN 'name' END], NULL))));
  END IF;
  RETURN NULL;
END $$;
"""

TEAMS = """
CREATE FUNCTION accounts_team_tells() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN
    PERFORM accounts_never('a team does not change, nor go: policy names it');
  ELSE
    PERFORM accounts_must_tell('a team', 'team', NEW.id::text, '{team.created}',
      jsonb_build_object('slug', NEW.slug, 'name', NEW.name));
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION accounts_membership_tells() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' THEN
    PERFORM accounts_never('a seat is taken and given anew, never moved');
  ELSIF TG_OP = 'INSERT' THEN
    PERFORM accounts_must_tell('a seat', 'team', NEW.team_id::text, '{team.joined}',
      jsonb_build_object('person', NEW.user_id, 'seat', NEW.id));
  ELSE
    PERFORM accounts_must_tell('a seat that is taken', 'team', OLD.team_id::text, '{team.left}',
      jsonb_build_object('person', OLD.user_id, 'seat', OLD.id));
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION accounts_rolegrant_tells() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' THEN
    PERFORM accounts_never('a role is taken and given anew, never changed');
  ELSIF TG_OP = 'INSERT' THEN
    PERFORM accounts_must_tell('a role', 'person', NEW.user_id::text, '{role.given}',
      jsonb_build_object('role', NEW.role, 'role_grant', NEW.id, 'until', accounts_moment(NEW.expires_at)));
  ELSIF NOT audit_tells('person', OLD.user_id::text, '{role.given}',
      jsonb_build_object('role', OLD.role, 'replaces', OLD.id)) THEN
    PERFORM accounts_must_tell('a role that is taken', 'person', OLD.user_id::text, '{role.taken}',
      jsonb_build_object('role', OLD.role, 'role_grant', OLD.id));
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION accounts_teamhours_tells() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    PERFORM accounts_must_tell('a team''s hours', 'team', OLD.team_id::text, '{team.hours}', '{"hours": null}');
    RETURN NULL;
  END IF;
  IF TG_OP = 'UPDATE' AND NEW.team_id <> OLD.team_id THEN
    PERFORM accounts_never('hours stay with their team');
  END IF;
  PERFORM accounts_must_tell('a team''s hours', 'team', NEW.team_id::text, '{team.hours}',
    jsonb_build_object('weekdays', to_jsonb(NEW.weekdays), 'opens', to_char(NEW.opens, 'HH24:MI:SS.US'),
      'closes', to_char(NEW.closes, 'HH24:MI:SS.US'), 'timezone', NEW.timezone));
  RETURN NULL;
END $$;
"""

RIGHTS = """
CREATE FUNCTION accounts_rightschange_tells() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    PERFORM accounts_never('changes of rights are never deleted');
    RETURN NULL;
  END IF;
  IF TG_OP = 'INSERT' THEN
    IF NEW.outcome IS NOT NULL THEN
      PERFORM accounts_never('a change of rights begins without an outcome');
    END IF;
    PERFORM accounts_must_tell('a proposed change', 'person', NEW.person_id::text, '{rights.proposed}',
      jsonb_build_object('change', NEW.id, 'kind', NEW.kind, 'role', nullif(NEW.role, ''),
        'until', accounts_moment(NEW.expires_at), 'proposed_by', NEW.proposed_by_id));
    RETURN NULL;
  END IF;
  IF OLD.outcome IS NOT NULL OR NEW.outcome IS NULL
     OR to_jsonb(NEW) - '{outcome,ended_by_id,ended_at}'::text[]
        <> to_jsonb(OLD) - '{outcome,ended_by_id,ended_at}'::text[] THEN
    PERFORM accounts_never('a change of rights does not change, but to end once');
  END IF;
  IF NEW.outcome IN ('confirmed', 'bootstrap') THEN
    PERFORM accounts_must_tell('a change of rights that took effect', 'person', NEW.person_id::text,
      CASE NEW.kind WHEN 'give-role' THEN '{role.given}' WHEN 'take-role' THEN '{role.taken}'
        WHEN 'deactivate' THEN '{person.deactivated}' WHEN 'reactivate' THEN '{person.reactivated}'
        WHEN 'reset-sign-in' THEN '{person.invited}' ELSE '{person.changed}' END::text[],
      CASE NEW.outcome WHEN 'bootstrap' THEN jsonb_build_object('change', NEW.id, 'bootstrap', true)
        ELSE jsonb_build_object('change', NEW.id, 'proposed_by', NEW.proposed_by_id, 'confirmed_by', NEW.ended_by_id)
        END);
  ELSE
    PERFORM accounts_must_tell('the end of a change of rights', 'person', NEW.person_id::text, '{rights.cancelled}',
      jsonb_build_object('change', NEW.id, 'outcome', NEW.outcome, 'ended_by', NEW.ended_by_id));
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION accounts_invitation_tells() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    PERFORM accounts_never('links are never deleted');
    RETURN NULL;
  END IF;
  IF TG_OP = 'INSERT' THEN
    IF NEW.accepted_at IS NOT NULL OR NEW.voided_at IS NOT NULL THEN
      PERFORM accounts_never('a link begins open');
    END IF;
    PERFORM accounts_must_tell('a link', 'person', NEW.person_id::text, '{person.invited}',
      jsonb_build_object('link', NEW.id, 'kind', NEW.kind, 'until', accounts_moment(NEW.expires_at),
        'token_digest', encode(sha256(NEW.token_sha256), 'hex')));
    RETURN NULL;
  END IF;
  IF OLD.accepted_at IS NOT NULL OR OLD.voided_at IS NOT NULL
     OR (NEW.accepted_at IS NULL) = (NEW.voided_at IS NULL)
     OR to_jsonb(NEW) - '{accepted_at,voided_at}'::text[] <> to_jsonb(OLD) - '{accepted_at,voided_at}'::text[] THEN
    PERFORM accounts_never('a link does not change, but to be used or made void once');
  END IF;
  IF NEW.accepted_at IS NOT NULL THEN
    PERFORM accounts_must_tell('a link that was used', 'person', NEW.person_id::text, '{person.changed}',
      jsonb_build_object('link', NEW.id));
  ELSE
    PERFORM accounts_must_tell('a link that is void', 'person', NEW.person_id::text,
      '{person.invited,person.deactivated}', jsonb_build_object('voids', NEW.id));
  END IF;
  RETURN NULL;
END $$;

-- What else may become of a delegation, 0004 holds.
CREATE FUNCTION accounts_delegation_tells() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' AND NEW.ended_at IS NOT NULL THEN
    PERFORM accounts_never('a delegation begins without its end');
  ELSIF TG_OP = 'INSERT' THEN
    PERFORM accounts_must_tell('a delegation', 'delegation', NEW.id::text, '{delegation.made}',
      jsonb_build_object('delegator', NEW.delegator_id, 'delegate', NEW.delegate_id, 'named_by', NEW.named_by_id,
        'starts_at', accounts_moment(NEW.starts_at), 'ends_at', accounts_moment(NEW.ends_at)));
  ELSE
    PERFORM accounts_must_tell('the end of a delegation', 'delegation', NEW.id::text, '{delegation.ended}',
      jsonb_build_object('delegator', NEW.delegator_id, 'delegate', NEW.delegate_id,
        'ended_at', accounts_moment(NEW.ended_at), 'ended_by', NEW.ended_by_id));
  END IF;
  RETURN NULL;
END $$;
"""

SIGN_IN = """
CREATE FUNCTION accounts_factor_tells() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    PERFORM accounts_must_tell('a second factor that is removed', 'person', OLD.user_id::text, '{person.changed}',
      jsonb_build_object('change', 'second-factor-removed', 'authenticator', OLD.id::text, 'factor', OLD.type));
    RETURN NULL;
  END IF;
  IF TG_OP = 'INSERT' THEN
    PERFORM accounts_must_tell('a second factor', 'person', NEW.user_id::text, '{person.changed}',
      jsonb_build_object('change', 'second-factor-added', 'authenticator', NEW.id::text, 'factor', NEW.type,
        'factor_digest', accounts_factor_digest(NEW.data)));
    RETURN NULL;
  END IF;
  IF (NEW.id, NEW.user_id, NEW.type) IS DISTINCT FROM (OLD.id, OLD.user_id, OLD.type) THEN
    PERFORM accounts_never('a second factor stays its person''s');
  END IF;
  IF coalesce((NEW.data ->> 'spent')::bigint, -1) < coalesce((OLD.data ->> 'spent')::bigint, -1)
     OR coalesce((OLD.data ->> 'used_mask')::bigint, 0) & ~coalesce((NEW.data ->> 'used_mask')::bigint, 0) <> 0 THEN
    PERFORM accounts_never('a code that was used stays used');
  END IF;
  IF accounts_factor_digest(NEW.data) <> accounts_factor_digest(OLD.data) THEN
    PERFORM accounts_must_tell('a second factor', 'person', NEW.user_id::text, '{person.changed}',
      jsonb_build_object('authenticator', NEW.id::text, 'factor', NEW.type,
        'factor_digest', accounts_factor_digest(NEW.data)));
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION accounts_identity_tells() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' THEN
    PERFORM accounts_never('a provider''s user stays the person''s they were linked to');
  ELSIF TG_OP = 'INSERT' THEN
    PERFORM accounts_must_tell('a link to a provider''s user', 'person', NEW.user_id::text, '{person.changed}',
      jsonb_build_object('what', 'identity-linked', 'account', NEW.id::text, 'provider', NEW.provider));
  ELSE
    PERFORM accounts_must_tell('a link to a provider''s user that ends', 'person', OLD.user_id::text,
      '{person.changed}', jsonb_build_object('what', 'identity-unlinked', 'account', OLD.id::text));
  END IF;
  RETURN NULL;
END $$;
"""

#: Table, function, and the columns whose change is looked at.
GUARDED = (
    ("accounts_user", "accounts_user_tells", ("id", "email", "name", "is_active", "password", "sessions_epoch")),
    ("accounts_team", "accounts_team_tells", ("id", "slug", "name")),
    ("accounts_membership", "accounts_membership_tells", ("id", "user_id", "team_id")),
    ("accounts_rolegrant", "accounts_rolegrant_tells", ("id", "user_id", "role", "expires_at")),
    ("accounts_teamhours", "accounts_teamhours_tells", ()),
    ("accounts_rightschange", "accounts_rightschange_tells", ()),
    ("accounts_invitation", "accounts_invitation_tells", ()),
    ("accounts_delegation", "accounts_delegation_tells", ()),
    ("mfa_authenticator", "accounts_factor_tells", ("id", "user_id", "type", "data")),
    ("socialaccount_socialaccount", "accounts_identity_tells", ("id", "user_id", "provider", "uid")),
)
SIGNATURES = (
    "accounts_moment(timestamptz)",
    "accounts_must_tell(text, text, text, text[], jsonb)",
    "accounts_never(text)",
    *(f"{function}()" for _, function, _ in GUARDED),
)


def triggers() -> str:
    """Each table's trigger: asked once for each row written, as the last thing before the commit."""
    made = []
    for table, function, columns in GUARDED:
        new, old = (", ".join(f"{row}.{column}" for column in columns) for row in ("NEW", "OLD"))
        changed = f"({new}) IS DISTINCT FROM ({old})" if columns else "NEW IS DISTINCT FROM OLD"
        for name, events, when in (
            (function, "INSERT OR DELETE", ""),
            (f"{function}_changes", "UPDATE", f" WHEN ({changed})"),
        ):
            made.append(
                f"CREATE CONSTRAINT TRIGGER {name} AFTER {events} ON {table} DEFERRABLE INITIALLY DEFERRED"
                f" FOR EACH ROW{when} EXECUTE FUNCTION {function}();"
            )
    return "\n".join(made)


def paths() -> str:
    """What a guard reads is found in this schema and nowhere before it."""
    fixed = "\n".join(
        f"EXECUTE format('ALTER FUNCTION {signature} SET search_path = pg_catalog, %I, pg_temp', current_schema());"
        for signature in SIGNATURES
    )
    return f"DO $do$ BEGIN\n{fixed}\nEND $do$;"


class Migration(migrations.Migration):
    dependencies = (
        ("accounts", "0006_factor_digest"),
        ("audit", "0004_transactions"),
        ("mfa", "0003_authenticator_type_uniq"),
        ("socialaccount", "0006_alter_socialaccount_extra_data"),
    )

    operations = (
        migrations.RunSQL(
            "\n".join((MEANS, USERS, TEAMS, RIGHTS, SIGN_IN, triggers(), paths())),
            f"DROP FUNCTION {', '.join(SIGNATURES)} CASCADE;",
        ),
    )
