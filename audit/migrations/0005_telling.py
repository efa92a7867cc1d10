"""What a guard asks of this transaction's entries, quick for ten thousand of them; and that they commit to disk.

A batch ends thousands of requests in one transaction, and each is looked up by its subject. Actor, proof and digests
are compared where a guard names them, the parameters by their commitment.
"""

from __future__ import annotations

from django.db import migrations

# SECURITY DEFINER as in 0004. Without a sequential scan, whatever the statistics say: the table is empty most of the
# time, and full in a burst.
TELLS = """
DROP INDEX audit_pending_xact;
CREATE INDEX audit_pending_told ON audit_pending (xact, left(subject_id, 64));

DROP FUNCTION audit_tells(text, text, text[], jsonb);
CREATE FUNCTION audit_tells(
  kind text, subject text, types text[], facts jsonb, members jsonb DEFAULT '{}', digest text DEFAULT NULL)
  RETURNS boolean LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
BEGIN
  RETURN EXISTS (
    SELECT FROM audit_pending p, LATERAL (SELECT convert_from(p.leaf, 'UTF8')::jsonb AS leaf OFFSET 0) told
     WHERE p.xact = pg_current_xact_id_if_assigned() AND p.recorded_at >= now()
       AND left(p.subject_id, 64) = left($2, 64) AND p.subject_kind = $1 AND p.subject_id = $2
       AND told.leaf -> 'subject' = jsonb_build_object('kind', $1, 'id', $2)
       AND told.leaf ->> 'type' = ANY ($3)
       AND NOT EXISTS (
         SELECT FROM jsonb_each($4) fact WHERE told.leaf -> 'facts' -> fact.key IS DISTINCT FROM fact.value)
       AND NOT EXISTS (
         SELECT FROM jsonb_each($5) member WHERE told.leaf -> member.key IS DISTINCT FROM member.value)
       AND ($6 IS NULL OR told.leaf #>> '{commitments,parameters_digest}' = $6));
END $$;
DO $do$ BEGIN
EXECUTE format('ALTER FUNCTION audit_tells SET search_path = pg_catalog, %I, pg_temp', current_schema());
END $do$;
ALTER FUNCTION audit_tells SET enable_seqscan = off;
"""

# `config.settings` asks for it when it connects; a pooler, a role's default or a stray SET could take it away unseen.
# The setting counts at the commit, so it is looked at there. `off` loses what was acknowledged, and `local` does where
# a standby takes over; `on`, `remote_apply` and `remote_write` keep it.
DURABLE = """
CREATE FUNCTION audit_commits_durably() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF current_setting('synchronous_commit') NOT IN ('on', 'remote_apply', 'remote_write') THEN
    RAISE EXCEPTION 'audit: evidence is not written with synchronous_commit = %', current_setting('synchronous_commit')
      USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER audit_pending_durable AFTER INSERT ON audit_pending
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit_commits_durably();
CREATE CONSTRAINT TRIGGER audit_checkpoint_durable AFTER INSERT ON audit_checkpoint
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit_commits_durably();
"""

UNDO = """
DROP FUNCTION audit_commits_durably CASCADE;
DROP INDEX audit_pending_told;
CREATE INDEX audit_pending_xact ON audit_pending (xact);
"""


class Migration(migrations.Migration):
    dependencies = (("audit", "0004_transactions"),)

    operations = (migrations.RunSQL(TELLS + DURABLE, UNDO),)
