"""What the database itself holds of escalation and delegation: set at filing, noted once, and which seats a vote may
carry through them.

Plain SQL for 0002's reasons, and its SQLSTATEs: CS409 for a change that never is, CS422 for a vote that cannot count.
"""

from __future__ import annotations

from django.db import migrations

TIMES = """
-- Beside approvals_request_guard, for the columns of timing alone.
CREATE FUNCTION approvals_request_times() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NEW.escalated_at IS NOT NULL THEN
      RAISE EXCEPTION 'a request is escalated after it was filed' USING ERRCODE = 'CS409';
    END IF;
    RETURN NEW;
  END IF;
  IF (NEW.escalates_at, NEW.escalation_team, NEW.undecidable)
     IS DISTINCT FROM (OLD.escalates_at, OLD.escalation_team, OLD.undecidable) THEN
    RAISE EXCEPTION 'what was filed does not change' USING ERRCODE = 'CS409';
  END IF;
  IF NEW.escalated_at IS DISTINCT FROM OLD.escalated_at
     AND (OLD.escalated_at IS NOT NULL OR NEW.status <> 'pending' OR NEW.escalates_at IS NULL
          OR NEW.escalated_at > clock_timestamp() OR NEW.escalated_at < NEW.escalates_at) THEN
    RAISE EXCEPTION 'a pending request is escalated once, and not before its time' USING ERRCODE = 'CS409';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER approvals_request_guard_times BEFORE INSERT OR UPDATE ON approvals_request
  FOR EACH ROW EXECUTE FUNCTION approvals_request_times();
"""

VOTES = """
-- The teams whose seats a vote carries now: those its person sat in then and sits in now; and, while a delegation that
-- was recorded with it runs, those its delegator sat in then and sits in now, who is active, is not the owner and has
-- not voted. now() and not clock_timestamp(): what ended while this was being recorded had not ended when it was asked.
CREATE FUNCTION approvals_carried(request approvals_request, vote approvals_decision) RETURNS SETOF text
LANGUAGE sql STABLE AS $$
  SELECT t.slug::text FROM accounts_membership m JOIN accounts_team t ON t.id = m.team_id
   WHERE m.user_id = vote.person_id AND vote.teams ? t.slug
  UNION
  SELECT t.slug::text
    FROM jsonb_to_recordset(vote.delegated_from) AS source(delegation uuid, person uuid, teams jsonb)
    JOIN accounts_delegation g ON g.id = source.delegation AND g.delegator_id = source.person
         AND g.delegate_id = vote.person_id
         AND g.starts_at <= vote.decided_at AND least(g.ends_at, g.ended_at) > now()
    JOIN accounts_user u ON u.id = source.person AND u.is_active
    JOIN agents_agent a ON a.id = request.agent_id AND a.owner_id <> source.person
    JOIN accounts_membership m ON m.user_id = source.person
    JOIN accounts_team t ON t.id = m.team_id AND source.teams ? t.slug
   WHERE NOT EXISTS (SELECT FROM approvals_decision own WHERE own.request_id = request.id
                        AND own.person_id = source.person AND own.voided_at IS NULL)
$$;

-- Whether a vote may fill a seat of that team: it carries the team, or, given after the request was escalated, the team
-- that it was escalated to.
CREATE FUNCTION approvals_vote_carries(request approvals_request, vote approvals_decision, team text) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT EXISTS (
    SELECT FROM approvals_carried(request, vote) AS carried(slug)
     WHERE carried.slug = team
        OR (request.escalated_at <= vote.decided_at AND carried.slug = request.escalation_team))
$$;

-- As in 0010, but for which teams a vote carries.
CREATE OR REPLACE FUNCTION approvals_quorum_holds(request approvals_request) RETURNS boolean LANGUAGE sql STABLE AS $$
  WITH filled AS (
    SELECT s.team, d.person_id
      FROM approvals_seat s
      JOIN approvals_decision d ON d.id = s.decision_id
      JOIN agents_agent a ON a.id = request.agent_id
      JOIN accounts_user u ON u.id = d.person_id AND u.is_active
     WHERE s.request_id = request.id AND d.request_id = request.id
       AND d.verdict = 'approve' AND d.voided_at IS NULL AND d.person_id <> a.owner_id
       AND approvals_vote_carries(request, d, s.team)
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

DECIDERS = """
-- As in 0010, and who holds somebody's seats, or sits in the team that the request was escalated to, may decide too.
CREATE OR REPLACE FUNCTION approvals_decider_may() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  sits_in text[];
  request approvals_request;
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
  SELECT r.* INTO request FROM approvals_request r WHERE r.id = NEW.request_id;
  SELECT a.owner_id = NEW.person_id INTO is_owner FROM agents_agent a WHERE a.id = request.agent_id;
  IF NEW.verdict = 'approve' AND is_owner THEN
    RAISE EXCEPTION 'nobody approves for an agent of their own' USING ERRCODE = 'CS422';
  END IF;
  IF NOT is_owner AND NOT sits_in && coalesce(request.amended_teams, request.teams)::text[]
     AND NOT EXISTS (
       SELECT FROM unnest(coalesce(request.amended_teams, request.teams)::text[]) AS asked(team)
        WHERE approvals_vote_carries(request, NEW, asked.team))
  THEN
    RAISE EXCEPTION 'the person sits in no team that decides this' USING ERRCODE = 'CS422';
  END IF;
  RETURN NEW;
END $$;
"""

GUARDS = (
    "approvals_request_times()", "approvals_carried(approvals_request, approvals_decision)",
    "approvals_vote_carries(approvals_request, approvals_decision, text)", "approvals_quorum_holds(approvals_request)",
    "approvals_decider_may()",
)  # fmt: skip

# Replacing a function drops its settings: what a guard reads is found in this schema and nowhere before it (0005).
PATHS = (
    "DO $do$ BEGIN\n"
    + "".join(
        f"EXECUTE format('ALTER FUNCTION {guard} SET search_path = pg_catalog, %I, pg_temp', current_schema());\n"
        for guard in GUARDS
    )
    + "END $do$;\n"
)


# What 0002, 0005 and 0010 made stays as strict as this.
UNDO = "DROP FUNCTION approvals_request_times CASCADE;"


class Migration(migrations.Migration):
    dependencies = (
        ("approvals", "0013_timing"),
        ("accounts", "0004_absence_guards"),
    )

    operations = (migrations.RunSQL(TIMES + VOTES + DECIDERS + PATHS, UNDO),)
