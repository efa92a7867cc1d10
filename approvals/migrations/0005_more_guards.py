"""More of the database's own promises: a void grant stays void, keys stay, and who decides may.

Plain SQL for 0002's reasons, and its SQLSTATEs: CS409 for a change that never is, CS422 for a vote that cannot count.
"""

from __future__ import annotations

from django.db import migrations

GRANTS = """
CREATE OR REPLACE FUNCTION approvals_grant_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    RAISE EXCEPTION 'grants are never deleted' USING ERRCODE = 'CS409';
  END IF;
  IF TG_OP = 'INSERT' THEN
    -- A number from the future would outlive the forks to come, each of which voids what was issued before.
    IF NEW.fork > (SELECT forks FROM audit_sealerstate WHERE id = 1) THEN
      RAISE EXCEPTION 'a grant belongs to the log as it is' USING ERRCODE = 'CS409';
    END IF;
    RETURN NEW;
  END IF;
  -- Every column but these three, whichever are added: a later fork would bring back a grant that the fork voided.
  IF to_jsonb(NEW) - '{redeemed_at,redeemed_by_id,voided_at}'::text[]
     <> to_jsonb(OLD) - '{redeemed_at,redeemed_by_id,voided_at}'::text[] THEN
    RAISE EXCEPTION 'a grant does not change' USING ERRCODE = 'CS409';
  END IF;
  IF OLD.redeemed_at IS NOT NULL
     AND (NEW.redeemed_at, NEW.redeemed_by_id) IS DISTINCT FROM (OLD.redeemed_at, OLD.redeemed_by_id) THEN
    RAISE EXCEPTION 'a grant is redeemed once' USING ERRCODE = 'CS409';
  END IF;
  IF OLD.voided_at IS NOT NULL AND NEW.voided_at IS DISTINCT FROM OLD.voided_at THEN
    RAISE EXCEPTION 'a voided grant stays void' USING ERRCODE = 'CS409';
  END IF;
  IF OLD.redeemed_at IS NULL AND NEW.redeemed_at IS NOT NULL
     AND (OLD.voided_at IS NOT NULL OR clock_timestamp() >= OLD.valid_until) THEN
    RAISE EXCEPTION 'the grant no longer holds' USING ERRCODE = 'CS409';
  END IF;
  RETURN NEW;
END $$;
DROP TRIGGER approvals_grant_guard ON approvals_grant;
CREATE TRIGGER approvals_grant_guard BEFORE INSERT OR UPDATE OR DELETE ON approvals_grant
  FOR EACH ROW EXECUTE FUNCTION approvals_grant_guard();
"""

KEYS = """
CREATE FUNCTION approvals_signingkey_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    RAISE EXCEPTION 'keys are never deleted' USING ERRCODE = 'CS409';
  END IF;
  IF OLD.retired_at IS NOT NULL OR to_jsonb(NEW) - 'retired_at' <> to_jsonb(OLD) - 'retired_at' THEN
    RAISE EXCEPTION 'a key does not change, but to be retired once' USING ERRCODE = 'CS409';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER approvals_signingkey_guard BEFORE UPDATE OR DELETE ON approvals_signingkey
  FOR EACH ROW EXECUTE FUNCTION approvals_signingkey_guard();
"""

SEATS = """
-- As in 0002, and each seat is of a team that its person sat in at the vote and sits in now, still active.
CREATE OR REPLACE FUNCTION approvals_quorum_holds(request approvals_request) RETURNS boolean LANGUAGE sql STABLE AS $$
  WITH filled AS (
    SELECT s.team, d.person_id
      FROM approvals_seat s
      JOIN approvals_decision d ON d.id = s.decision_id
      JOIN agents_agent a ON a.id = request.agent_id
      JOIN accounts_user u ON u.id = d.person_id AND u.is_active
      JOIN accounts_membership m ON m.user_id = u.id
      JOIN accounts_team t ON t.id = m.team_id AND t.slug = s.team
     WHERE s.request_id = request.id AND d.request_id = request.id
       AND d.verdict = 'approve' AND d.voided_at IS NULL AND d.person_id <> a.owner_id AND d.teams ? s.team
  )
  SELECT (SELECT count(DISTINCT person_id) FROM filled) >= greatest(request.people_floor, 1)
     AND (SELECT count(*) FROM filled) = (SELECT count(DISTINCT person_id) FROM filled)
     AND EXISTS (
       SELECT 1 FROM jsonb_array_elements(request.quorum) alternative
        WHERE jsonb_array_length(alternative) > 0
          AND NOT EXISTS (
            SELECT 1 FROM jsonb_array_elements(alternative) seats
             WHERE (SELECT count(*) FROM filled WHERE team = seats ->> 'team') < (seats ->> 'count')::int))
$$;
"""

DECISIONS = """
-- As access.why_not_approve and why_not_reject have it, and the teams written down are teams the person sits in.
CREATE FUNCTION approvals_decider_may() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  sits_in text[];
  asked text[];
  is_owner boolean;
BEGIN
  IF NOT EXISTS (SELECT 1 FROM accounts_user u WHERE u.id = NEW.person_id AND u.is_active) THEN
    RAISE EXCEPTION 'only an active person decides' USING ERRCODE = 'CS422';
  END IF;
  sits_in := ARRAY(SELECT t.slug::text FROM accounts_membership m JOIN accounts_team t ON t.id = m.team_id
                    WHERE m.user_id = NEW.person_id);
  IF jsonb_typeof(NEW.teams) <> 'array' OR NOT NEW.teams <@ to_jsonb(sits_in) THEN
    RAISE EXCEPTION 'a decision names teams that the person sits in' USING ERRCODE = 'CS422';
  END IF;
  SELECT r.teams::text[], a.owner_id = NEW.person_id INTO asked, is_owner
    FROM approvals_request r JOIN agents_agent a ON a.id = r.agent_id WHERE r.id = NEW.request_id;
  IF NEW.verdict = 'approve' AND is_owner THEN
    RAISE EXCEPTION 'nobody approves for an agent of their own' USING ERRCODE = 'CS422';
  END IF;
  IF NOT is_owner AND NOT sits_in && asked THEN
    RAISE EXCEPTION 'the person sits in no team that decides this' USING ERRCODE = 'CS422';
  END IF;
  RETURN NEW;
END $$;
-- By its name it comes after approvals_decision_guard, which says first whether there is anything to decide.
CREATE TRIGGER approvals_decision_guard_decider BEFORE INSERT ON approvals_decision
  FOR EACH ROW EXECUTE FUNCTION approvals_decider_may();
"""

GUARDS = (
    "approvals_request_guard()", "approvals_quorum_holds(approvals_request)", "approvals_request_approved()",
    "approvals_grant_guard()", "approvals_grant_has_approval()", "approvals_decision_guard()",
    "approvals_signingkey_guard()", "approvals_decider_may()",
)  # fmt: skip

# What a guard reads is found in this schema and nowhere before it: a temporary table of the same name, or a session's
# own search_path, would otherwise answer in its place.
PATHS = (
    "DO $do$ BEGIN\n"
    + "".join(
        f"EXECUTE format('ALTER FUNCTION {guard} SET search_path = pg_catalog, %I, pg_temp', current_schema());\n"
        for guard in GUARDS
    )
    + "END $do$;\n"
)

# What 0002 replaced stays as strict as this: a guard is taken away with 0002 alone.
UNDO = """
DROP FUNCTION approvals_signingkey_guard, approvals_decider_may CASCADE;
"""


class Migration(migrations.Migration):
    dependencies = (
        ("approvals", "0004_denials_of_a_thing"),
        ("accounts", "0001_initial"),
        ("agents", "0001_initial"),
        ("audit", "0001_initial"),
    )

    operations = (migrations.RunSQL(GRANTS + KEYS + SEATS + DECISIONS + PATHS, UNDO),)
