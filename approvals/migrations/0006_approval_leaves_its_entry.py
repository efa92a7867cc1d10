"""An approval commits with its entry or not at all, held by the database too, and its votes are of what would run.

The entry is looked for among those that wait for the sealer: it was written in this very transaction, so no sealer can
have taken it yet.
"""

from __future__ import annotations

from django.db import migrations

APPROVED = """
CREATE OR REPLACE FUNCTION approvals_request_approved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.status = 'approved' THEN
    RETURN NULL;
  END IF;
  IF TG_OP = 'INSERT' THEN
    IF NEW.quorum <> '[]'::jsonb OR NEW.people_floor > 0 THEN
      RAISE EXCEPTION 'policy asks for people' USING ERRCODE = 'CS422';
    END IF;
  ELSIF NOT approvals_quorum_holds(NEW) THEN
    RAISE EXCEPTION 'the quorum that policy asked for is not there' USING ERRCODE = 'CS422';
  ELSIF EXISTS (
    SELECT 1 FROM approvals_seat s JOIN approvals_decision d ON d.id = s.decision_id
     WHERE s.request_id = NEW.id AND d.parameters_digest <> coalesce(NEW.amended_digest, NEW.parameters_digest)) THEN
    RAISE EXCEPTION 'a vote is of other parameters' USING ERRCODE = 'CS422';
  END IF;
  IF NOT EXISTS (SELECT 1 FROM approvals_grant g WHERE g.request_id = NEW.id) THEN
    RAISE EXCEPTION 'an approval has its grant' USING ERRCODE = 'CS422';
  END IF;
  IF NOT EXISTS (
    SELECT 1 FROM audit_pending p
     WHERE p.subject_kind = 'request' AND p.subject_id = NEW.id::text
       AND convert_from(p.leaf, 'UTF8')::jsonb ->> 'type'
         = CASE TG_OP WHEN 'INSERT' THEN 'request.allowed' ELSE 'request.approved' END) THEN
    RAISE EXCEPTION 'an approval has its entry' USING ERRCODE = 'CS422';
  END IF;
  IF clock_timestamp() >= NEW.expires_at THEN
    RAISE EXCEPTION 'the deadline has passed' USING ERRCODE = 'CS410';
  END IF;
  RETURN NULL;
END $$;
"""

# Replacing a function drops its settings: what the guard reads is found in this schema and nowhere before it.
PATH = """
DO $do$ BEGIN
EXECUTE format('ALTER FUNCTION approvals_request_approved() SET search_path = pg_catalog, %I, pg_temp', current_schema());
END $do$;
"""


class Migration(migrations.Migration):
    dependencies = (("approvals", "0005_more_guards"), ("audit", "0003_bounds"))

    operations = (migrations.RunSQL(APPROVED + PATH, migrations.RunSQL.noop),)
