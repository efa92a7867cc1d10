"""No agent, executor, key or stop comes, changes or goes without the entry that says so.

As accounts 0007, whose means these guards use.
"""

from __future__ import annotations

from django.db import migrations

GUARDS = """
CREATE FUNCTION agents_agent_tells() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    PERFORM accounts_never('agents are never deleted');
  ELSIF TG_OP = 'INSERT' THEN
    PERFORM accounts_must_tell('an agent', 'agent', NEW.id::text, '{agent.registered}',
      jsonb_build_object('slug', NEW.slug, 'owner', NEW.owner_id, 'level', NEW.level, 'state', NEW.state));
  ELSIF to_jsonb(NEW) - 'state' <> to_jsonb(OLD) - 'state' THEN
    PERFORM accounts_never('an agent keeps its name, purpose, owner and level');
  ELSE
    PERFORM accounts_must_tell('whether an agent may ask', 'agent', NEW.id::text,
      CASE NEW.state WHEN 'active' THEN '{agent.resumed}' ELSE '{agent.suspended}' END::text[],
      jsonb_build_object('state', NEW.state));
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION agents_executor_tells() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN
    PERFORM accounts_never('an executor does not change, nor go');
  ELSE
    PERFORM accounts_must_tell('an executor', 'executor', NEW.id::text, '{agent.registered}',
      jsonb_build_object('slug', NEW.slug));
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION agents_credential_tells() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    PERFORM accounts_never('keys are never deleted');
    RETURN NULL;
  END IF;
  IF TG_OP = 'INSERT' THEN
    IF NEW.revoked_at IS NOT NULL THEN
      PERFORM accounts_never('a key begins unrevoked');
    END IF;
    PERFORM accounts_must_tell('a key', 'credential', NEW.id::text, '{credential.issued}',
      jsonb_build_object('key', NEW.public_id, 'scopes', to_jsonb(NEW.scopes),
        'expires_at', accounts_moment(NEW.expires_at), 'secret_digest', encode(sha256(NEW.secret_sha256), 'hex'),
        'holder', CASE WHEN NEW.agent_id IS NOT NULL THEN jsonb_build_object('kind', 'agent', 'id', NEW.agent_id)
          WHEN NEW.executor_id IS NOT NULL THEN jsonb_build_object('kind', 'executor', 'id', NEW.executor_id)
          ELSE jsonb_build_object('kind', 'person', 'id', NEW.auditor_id) END));
    RETURN NULL;
  END IF;
  IF OLD.revoked_at IS NOT NULL
     OR to_jsonb(NEW) - '{revoked_at,last_used_at}'::text[] <> to_jsonb(OLD) - '{revoked_at,last_used_at}'::text[] THEN
    PERFORM accounts_never('a key does not change, but to be revoked once');
  END IF;
  PERFORM accounts_must_tell('a key that is revoked', 'credential', NEW.id::text, '{credential.revoked}',
    jsonb_build_object('key', NEW.public_id, 'revoked_at', accounts_moment(NEW.revoked_at)));
  RETURN NULL;
END $$;

-- What else may become of a stop, 0002 holds.
CREATE FUNCTION agents_stop_tells() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    PERFORM accounts_must_tell('a stop', 'stop', NEW.number::text, '{stop.begun}',
      jsonb_build_object('number', NEW.number, 'by', NEW.started_by_id));
  ELSE
    PERFORM accounts_must_tell('the end of a stop', 'stop', NEW.number::text, '{stop.lifted}',
      jsonb_build_object('number', NEW.number, 'by', NEW.lifted_by_id, 'lifted_at', accounts_moment(NEW.lifted_at)));
  END IF;
  RETURN NULL;
END $$;
"""

#: Table, function, and what makes a change of a row one that is looked at.
GUARDED = (
    ("agents_agent", "agents_agent_tells", "NEW IS DISTINCT FROM OLD"),
    ("agents_executor", "agents_executor_tells", "NEW IS DISTINCT FROM OLD"),
    (
        "agents_credential",
        "agents_credential_tells",
        "(NEW.id, NEW.public_id, NEW.secret_sha256, NEW.scopes, NEW.agent_id, NEW.executor_id, NEW.auditor_id,"
        " NEW.expires_at, NEW.revoked_at, NEW.created_at) IS DISTINCT FROM"
        " (OLD.id, OLD.public_id, OLD.secret_sha256, OLD.scopes, OLD.agent_id, OLD.executor_id, OLD.auditor_id,"
        " OLD.expires_at, OLD.revoked_at, OLD.created_at)",
    ),
    ("agents_stop", "agents_stop_tells", "NEW IS DISTINCT FROM OLD"),
)

TRIGGERS = "\n".join(
    f"CREATE CONSTRAINT TRIGGER {function} AFTER INSERT OR DELETE ON {table} DEFERRABLE INITIALLY DEFERRED"
    f" FOR EACH ROW EXECUTE FUNCTION {function}();\n"
    f"CREATE CONSTRAINT TRIGGER {function}_changes AFTER UPDATE ON {table} DEFERRABLE INITIALLY DEFERRED"
    f" FOR EACH ROW WHEN ({changed}) EXECUTE FUNCTION {function}();"
    for table, function, changed in GUARDED
)
PATHS = "\n".join(
    f"EXECUTE format('ALTER FUNCTION {function}() SET search_path = pg_catalog, %I, pg_temp', current_schema());"
    for _, function, _ in GUARDED
)
UNDO = f"DROP FUNCTION {', '.join(function for _, function, _ in GUARDED)} CASCADE;"


class Migration(migrations.Migration):
    dependencies = (("agents", "0002_stops"), ("accounts", "0007_rows_tell"))

    operations = (migrations.RunSQL(f"{GUARDS}\n{TRIGGERS}\nDO $do$ BEGIN\n{PATHS}\nEND $do$;", UNDO),)
