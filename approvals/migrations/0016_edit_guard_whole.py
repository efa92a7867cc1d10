"""An edit says in its entry what it asks, and nothing of it changes without an entry that says so.

As in 0010, but every column of the edit is watched and the entry's facts are what the row holds: with only some of them
watched, whoever speaks as the application could lower the quorum of an edit that waits for the sealer.
"""

from __future__ import annotations

from django.db import migrations

GUARD = """
CREATE OR REPLACE FUNCTION approvals_edit_recorded() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (
    SELECT 1 FROM audit_pending p, LATERAL (SELECT convert_from(p.leaf, 'UTF8')::jsonb AS leaf) told
     WHERE p.subject_kind = 'request' AND p.subject_id = NEW.id::text
       AND told.leaf ->> 'type' = 'request.amended'
       AND told.leaf #>> '{actor,id}' = NEW.amended_by_id::text
       AND told.leaf #> '{facts,quorum}' = NEW.amended_quorum
       AND (told.leaf #>> '{facts,people_floor}')::int = NEW.amended_people_floor
       AND told.leaf #>> '{facts,risk}' = NEW.amended_risk
       AND (told.leaf #>> '{facts,risk_unknown}')::boolean = NEW.amended_risk_unknown) THEN
    RAISE EXCEPTION 'an edit has its entry, which says what it asks' USING ERRCODE = 'CS422';
  END IF;
  IF EXISTS (
    SELECT 1 FROM approvals_decision d
     WHERE d.request_id = NEW.id AND d.voided_at IS NULL AND d.decided_at < NEW.amended_at) THEN
    RAISE EXCEPTION 'votes on what stood before an edit are void' USING ERRCODE = 'CS422';
  END IF;
  RETURN NULL;
END $$;
DO $do$ BEGIN
EXECUTE format('ALTER FUNCTION approvals_edit_recorded() SET search_path = pg_catalog, %I, pg_temp', current_schema());
END $do$;
DROP TRIGGER approvals_edit_recorded ON approvals_request;
CREATE CONSTRAINT TRIGGER approvals_edit_recorded AFTER UPDATE ON approvals_request
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN ((NEW.amended_text, NEW.amended_digest, NEW.amended_ruling, NEW.amended_quorum, NEW.amended_people_floor,
         NEW.amended_risk, NEW.amended_risk_unknown, NEW.amended_teams, NEW.amended_by_id, NEW.amended_at)
        IS DISTINCT FROM
        (OLD.amended_text, OLD.amended_digest, OLD.amended_ruling, OLD.amended_quorum, OLD.amended_people_floor,
         OLD.amended_risk, OLD.amended_risk_unknown, OLD.amended_teams, OLD.amended_by_id, OLD.amended_at))
  EXECUTE FUNCTION approvals_edit_recorded();
"""


class Migration(migrations.Migration):
    dependencies = (("approvals", "0015_notices_of_agents"), ("audit", "0003_bounds"))

    # What 0010 made stays as strict as this.
    operations = (migrations.RunSQL(GUARD, migrations.RunSQL.noop),)
