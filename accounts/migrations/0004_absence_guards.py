"""What the database itself holds of delegations: rows that stay, one at a time for each delegator, none backdated.

Plain SQL; SQLSTATEs as in approvals 0002: CS409 for a change that never is, CS422 for a row that may not be.
"""

from __future__ import annotations

from django.db import migrations

DELEGATIONS = """
CREATE FUNCTION accounts_delegation_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    RAISE EXCEPTION 'delegations are never deleted' USING ERRCODE = 'CS409';
  END IF;
  IF TG_OP = 'UPDATE' THEN
    IF OLD.ended_at IS NOT NULL
       OR to_jsonb(NEW) - '{ended_at,ended_by_id}'::text[] <> to_jsonb(OLD) - '{ended_at,ended_by_id}'::text[] THEN
      RAISE EXCEPTION 'a delegation does not change, but to be ended once' USING ERRCODE = 'CS409';
    END IF;
    RETURN NEW;
  END IF;
  -- One after another, so that two who are named at the same moment see each other; the verb takes it too.
  PERFORM pg_advisory_xact_lock(hashtextextended('accounts.delegations', 0));
  IF NEW.starts_at < clock_timestamp() - interval '1 minute' THEN
    RAISE EXCEPTION 'a delegation is not backdated' USING ERRCODE = 'CS422';
  END IF;
  IF EXISTS (
    SELECT FROM accounts_delegation d
     WHERE d.delegator_id = NEW.delegator_id AND d.starts_at < NEW.ends_at
       AND least(d.ends_at, d.ended_at) > greatest(NEW.starts_at, d.starts_at)) THEN
    RAISE EXCEPTION 'one person has one delegate at a time' USING ERRCODE = 'CS422';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER accounts_delegation_guard BEFORE INSERT OR UPDATE OR DELETE ON accounts_delegation
  FOR EACH ROW EXECUTE FUNCTION accounts_delegation_guard();
DO $do$ BEGIN
EXECUTE format('ALTER FUNCTION accounts_delegation_guard() SET search_path = pg_catalog, %I, pg_temp', current_schema());
END $do$;
"""


class Migration(migrations.Migration):
    dependencies = (("accounts", "0003_absence"),)

    operations = (migrations.RunSQL(DELEGATIONS, "DROP FUNCTION accounts_delegation_guard CASCADE;"),)
