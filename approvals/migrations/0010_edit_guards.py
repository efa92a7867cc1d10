"""The database's own promises about edits and questions: an edit counts as what was asked, is whole and leaves its entry;
a question is asked while a request is pending, answered once, and stays.

Plain SQL for 0002's reasons, and its SQLSTATEs: CS409 for a change that never is, CS422 for what cannot count.
"""

from __future__ import annotations

from django.db import migrations

REQUESTS = """
-- As in 0002, with the edit: made and made again while pending, never taken back, and nothing once it ended.
CREATE OR REPLACE FUNCTION approvals_request_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    RAISE EXCEPTION 'requests are never deleted' USING ERRCODE = 'CS409';
  END IF;
  IF TG_OP = 'INSERT' THEN
    IF NOT approvals_may_move(NULL, NEW.status) THEN
      RAISE EXCEPTION 'a request cannot begin as %', NEW.status USING ERRCODE = 'CS409';
    END IF;
    IF NEW.amended_digest IS NOT NULL THEN
      RAISE EXCEPTION 'a request does not begin with an edit' USING ERRCODE = 'CS409';
    END IF;
    RETURN NEW;
  END IF;
  IF NEW.status <> OLD.status AND NOT approvals_may_move(OLD.status, NEW.status) THEN
    RAISE EXCEPTION 'a request that is % cannot become %', OLD.status, NEW.status USING ERRCODE = 'CS409';
  END IF;
  IF (NEW.id, NEW.agent_id, NEW.credential_id, NEW.action, NEW.resource, NEW.parameters_text, NEW.parameters_digest,
      NEW.summary, NEW.rationale, NEW.context_text, NEW.digest_salt, NEW.created_at, NEW.expires_at, NEW.policy_id,
      NEW.ruling, NEW.asked, NEW.risk, NEW.risk_unknown, NEW.teams, NEW.quorum, NEW.people_floor, NEW.valid_seconds)
     IS DISTINCT FROM
     (OLD.id, OLD.agent_id, OLD.credential_id, OLD.action, OLD.resource, OLD.parameters_text, OLD.parameters_digest,
      OLD.summary, OLD.rationale, OLD.context_text, OLD.digest_salt, OLD.created_at, OLD.expires_at, OLD.policy_id,
      OLD.ruling, OLD.asked, OLD.risk, OLD.risk_unknown, OLD.teams, OLD.quorum, OLD.people_floor, OLD.valid_seconds)
  THEN
    RAISE EXCEPTION 'what was filed does not change' USING ERRCODE = 'CS409';
  END IF;
  IF OLD.status <> 'pending'
     AND (NEW.decided_at, NEW.reason, NEW.retry, NEW.stop, NEW.valid_until, NEW.amended_text, NEW.amended_digest,
          NEW.amended_ruling, NEW.amended_quorum, NEW.amended_people_floor, NEW.amended_risk, NEW.amended_risk_unknown,
          NEW.amended_teams, NEW.amended_by_id, NEW.amended_at)
     IS DISTINCT FROM
     (OLD.decided_at, OLD.reason, OLD.retry, OLD.stop, OLD.valid_until, OLD.amended_text, OLD.amended_digest,
      OLD.amended_ruling, OLD.amended_quorum, OLD.amended_people_floor, OLD.amended_risk, OLD.amended_risk_unknown,
      OLD.amended_teams, OLD.amended_by_id, OLD.amended_at)
  THEN
    RAISE EXCEPTION 'how a request ended does not change' USING ERRCODE = 'CS409';
  END IF;
  IF OLD.amended_digest IS NOT NULL AND NEW.amended_digest IS NULL THEN
    RAISE EXCEPTION 'an edit is not taken back, but edited again' USING ERRCODE = 'CS409';
  END IF;
  IF NEW.version < OLD.version THEN
    RAISE EXCEPTION 'a version only grows' USING ERRCODE = 'CS409';
  END IF;
  RETURN NEW;
END $$;

-- Looked for among the entries that wait for the sealer, as in 0006.
CREATE FUNCTION approvals_edit_recorded() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (
    SELECT 1 FROM audit_pending p
     WHERE p.subject_kind = 'request' AND p.subject_id = NEW.id::text
       AND convert_from(p.leaf, 'UTF8')::jsonb ->> 'type' = 'request.amended') THEN
    RAISE EXCEPTION 'an edit has its entry' USING ERRCODE = 'CS422';
  END IF;
  IF EXISTS (
    SELECT 1 FROM approvals_decision d
     WHERE d.request_id = NEW.id AND d.voided_at IS NULL AND d.decided_at < NEW.amended_at) THEN
    RAISE EXCEPTION 'votes on what stood before an edit are void' USING ERRCODE = 'CS422';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER approvals_edit_recorded AFTER UPDATE ON approvals_request
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN (NEW.amended_at IS DISTINCT FROM OLD.amended_at OR NEW.amended_text IS DISTINCT FROM OLD.amended_text
        OR NEW.amended_digest IS DISTINCT FROM OLD.amended_digest OR NEW.amended_quorum IS DISTINCT FROM OLD.amended_quorum
        OR NEW.amended_teams IS DISTINCT FROM OLD.amended_teams
        OR NEW.amended_people_floor IS DISTINCT FROM OLD.amended_people_floor)
  EXECUTE FUNCTION approvals_edit_recorded();
"""

SEATS = """
-- As in 0005, weighed against the edit's quorum and floor where there is an edit, and by votes on exactly what would run.
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
       AND d.parameters_digest = coalesce(request.amended_digest, request.parameters_digest)
  )
  SELECT (SELECT count(DISTINCT person_id) FROM filled)
         >= greatest(coalesce(request.amended_people_floor, request.people_floor), 1)
     AND (SELECT count(*) FROM filled) = (SELECT count(DISTINCT person_id) FROM filled)
     AND EXISTS (
       SELECT 1 FROM jsonb_array_elements(coalesce(request.amended_quorum, request.quorum)) alternative
        WHERE jsonb_array_length(alternative) > 0
          AND NOT EXISTS (
            SELECT 1 FROM jsonb_array_elements(alternative) seats
             WHERE (SELECT count(*) FROM filled WHERE team = seats ->> 'team') < (seats ->> 'count')::int))
$$;
"""

DECISIONS = """
-- As in 0005, by the teams that the edit asks where there is one.
CREATE OR REPLACE FUNCTION approvals_decider_may() RETURNS trigger LANGUAGE plpgsql AS $$
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
  SELECT coalesce(r.amended_teams, r.teams)::text[], a.owner_id = NEW.person_id INTO asked, is_owner
    FROM approvals_request r JOIN agents_agent a ON a.id = r.agent_id WHERE r.id = NEW.request_id;
  IF NEW.verdict = 'approve' AND is_owner THEN
    RAISE EXCEPTION 'nobody approves for an agent of their own' USING ERRCODE = 'CS422';
  END IF;
  IF NOT is_owner AND NOT sits_in && asked THEN
    RAISE EXCEPTION 'the person sits in no team that decides this' USING ERRCODE = 'CS422';
  END IF;
  RETURN NEW;
END $$;
"""

QUESTIONS = """
CREATE FUNCTION approvals_question_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    RAISE EXCEPTION 'questions are never deleted' USING ERRCODE = 'CS409';
  END IF;
  IF NOT EXISTS (SELECT 1 FROM approvals_request r WHERE r.id = NEW.request_id AND r.status = 'pending') THEN
    RAISE EXCEPTION 'only a pending request is asked about, or answers' USING ERRCODE = 'CS409';
  END IF;
  IF TG_OP = 'INSERT' THEN
    IF NEW.answered_at IS NOT NULL THEN
      RAISE EXCEPTION 'a question does not begin with its answer' USING ERRCODE = 'CS409';
    END IF;
    RETURN NEW;
  END IF;
  IF OLD.answered_at IS NOT NULL
     OR to_jsonb(NEW) - '{answer_text,answered_at}'::text[] <> to_jsonb(OLD) - '{answer_text,answered_at}'::text[] THEN
    RAISE EXCEPTION 'a question does not change, but to be answered once' USING ERRCODE = 'CS409';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER approvals_question_guard BEFORE INSERT OR UPDATE OR DELETE ON approvals_question
  FOR EACH ROW EXECUTE FUNCTION approvals_question_guard();
"""

GUARDS = (
    "approvals_request_guard()", "approvals_edit_recorded()", "approvals_quorum_holds(approvals_request)",
    "approvals_decider_may()", "approvals_question_guard()",
)  # fmt: skip

# Replacing a function drops its settings: what a guard reads is found in this schema and nowhere before it.
PATHS = (
    "DO $do$ BEGIN\n"
    + "".join(
        f"EXECUTE format('ALTER FUNCTION {guard} SET search_path = pg_catalog, %I, pg_temp', current_schema());\n"
        for guard in GUARDS
    )
    + "END $do$;\n"
)

# What 0002 and 0005 replaced stays as strict as this: a guard is taken away with 0002 alone.
UNDO = """
DROP FUNCTION approvals_edit_recorded, approvals_question_guard CASCADE;
"""


class Migration(migrations.Migration):
    dependencies = (("approvals", "0009_amendments_and_questions"), ("audit", "0003_bounds"))

    operations = (migrations.RunSQL(REQUESTS + SEATS + DECISIONS + QUESTIONS + PATHS, UNDO),)
