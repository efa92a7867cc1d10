"""Which transaction wrote an entry, so that a guard can ask whether the change it looks at is told in it.

Nothing reads the column but `audit_tells`; Django's model does not know it.
"""

from __future__ import annotations

from django.db import migrations

COLUMN = """
ALTER TABLE audit_pending ADD COLUMN xact xid8;
CREATE INDEX audit_pending_xact ON audit_pending (xact);

-- Whatever was passed: only the database knows.
CREATE FUNCTION audit_pending_xact() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  NEW.xact := pg_current_xact_id();
  RETURN NEW;
END $$;
CREATE TRIGGER audit_pending_xact BEFORE INSERT ON audit_pending
  FOR EACH ROW EXECUTE FUNCTION audit_pending_xact();
"""

# A restored dump holds numbers of another cluster, which this one gives out again: hence the time besides.
# Facts are compared member by member: containment would take '[["a"]]' for '[]'.
# SECURITY DEFINER: guards ask for whoever writes a row, and not every role may read what waits.
TELLS = """
CREATE FUNCTION audit_tells(kind text, subject text, types text[], facts jsonb)
  RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER AS $$
  SELECT EXISTS (
    SELECT FROM audit_pending p, LATERAL (SELECT convert_from(p.leaf, 'UTF8')::jsonb AS leaf) told
     WHERE p.xact = pg_current_xact_id_if_assigned() AND p.recorded_at >= now()
       AND p.subject_kind = $1 AND p.subject_id = $2
       AND told.leaf -> 'subject' = jsonb_build_object('kind', $1, 'id', $2)
       AND told.leaf ->> 'type' = ANY ($3)
       AND NOT EXISTS (
         SELECT FROM jsonb_each($4) fact WHERE told.leaf -> 'facts' -> fact.key IS DISTINCT FROM fact.value))
$$;
DO $do$ BEGIN
EXECUTE format('ALTER FUNCTION audit_tells SET search_path = pg_catalog, %I, pg_temp', current_schema());
END $do$;
"""

UNDO = """
DROP FUNCTION audit_tells;
DROP TRIGGER audit_pending_xact ON audit_pending;
DROP FUNCTION audit_pending_xact;
ALTER TABLE audit_pending DROP COLUMN xact;
"""


class Migration(migrations.Migration):
    dependencies = (("audit", "0003_bounds"),)

    operations = (migrations.RunSQL(COLUMN + TELLS, UNDO),)
