"""The database's own promises: legal transitions, approvals with their quorum and in time, rows that never change.

Plain SQL and not django-pgtrigger: its triggers can be switched off by a setting that any role may SET. SQLSTATEs:
CS409 an illegal move, CS410 an approval at or after its deadline, CS422 an approval without its quorum.
"""

from __future__ import annotations

from django.db import migrations

# The rows of approvals.states.TRANSITIONS; a test holds the two together.
MOVES = """
CREATE FUNCTION approvals_may_move(source text, target text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN source IS NULL THEN target IN ('pending', 'approved', 'blocked')
              ELSE source = 'pending' AND target IN ('approved', 'rejected', 'expired', 'blocked', 'withdrawn') END
$$;
"""

REQUESTS = """
CREATE FUNCTION approvals_request_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    RAISE EXCEPTION 'requests are never deleted' USING ERRCODE = 'CS409';
  END IF;
  IF TG_OP = 'INSERT' THEN
    IF NOT approvals_may_move(NULL, NEW.status) THEN
      RAISE EXCEPTION 'a request cannot begin as %', NEW.status USING ERRCODE = 'CS409';
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
     AND (NEW.decided_at, NEW.reason, NEW.retry, NEW.stop, NEW.valid_until, NEW.amended_text, NEW.amended_digest)
     IS DISTINCT FROM
     (OLD.decided_at, OLD.reason, OLD.retry, OLD.stop, OLD.valid_until, OLD.amended_text, OLD.amended_digest)
  THEN
    RAISE EXCEPTION 'how a request ended does not change' USING ERRCODE = 'CS409';
  END IF;
  IF NEW.version < OLD.version THEN
    RAISE EXCEPTION 'a version only grows' USING ERRCODE = 'CS409';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER approvals_request_guard BEFORE INSERT OR UPDATE OR DELETE ON approvals_request
  FOR EACH ROW EXECUTE FUNCTION approvals_request_guard();

-- Whether the seats of a request fill one alternative of its quorum, each by another person, none of them the owner.
CREATE FUNCTION approvals_quorum_holds(request approvals_request) RETURNS boolean LANGUAGE sql STABLE AS $$
  WITH filled AS (
    SELECT s.team, d.person_id
      FROM approvals_seat s
      JOIN approvals_decision d ON d.id = s.decision_id
      JOIN agents_agent a ON a.id = request.agent_id
     WHERE s.request_id = request.id AND d.request_id = request.id
       AND d.verdict = 'approve' AND d.voided_at IS NULL AND d.person_id <> a.owner_id
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

CREATE FUNCTION approvals_request_approved() RETURNS trigger LANGUAGE plpgsql AS $$
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
  END IF;
  IF NOT EXISTS (SELECT 1 FROM approvals_grant g WHERE g.request_id = NEW.id) THEN
    RAISE EXCEPTION 'an approval has its grant' USING ERRCODE = 'CS422';
  END IF;
  IF clock_timestamp() >= NEW.expires_at THEN
    RAISE EXCEPTION 'the deadline has passed' USING ERRCODE = 'CS410';
  END IF;
  RETURN NULL;
END $$;
-- Deferred: the last thing before the commit.
CREATE CONSTRAINT TRIGGER approvals_request_approved AFTER INSERT OR UPDATE ON approvals_request
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.status = 'approved')
  EXECUTE FUNCTION approvals_request_approved();
"""

GRANTS = """
CREATE FUNCTION approvals_grant_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    RAISE EXCEPTION 'grants are never deleted' USING ERRCODE = 'CS409';
  END IF;
  IF (NEW.id, NEW.request_id, NEW.audience, NEW.issued_at, NEW.valid_until)
     IS DISTINCT FROM (OLD.id, OLD.request_id, OLD.audience, OLD.issued_at, OLD.valid_until) THEN
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
CREATE TRIGGER approvals_grant_guard BEFORE UPDATE OR DELETE ON approvals_grant
  FOR EACH ROW EXECUTE FUNCTION approvals_grant_guard();

CREATE FUNCTION approvals_grant_has_approval() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM approvals_request r WHERE r.id = NEW.request_id AND r.status = 'approved') THEN
    RAISE EXCEPTION 'a grant belongs to an approved request' USING ERRCODE = 'CS422';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER approvals_grant_has_approval AFTER INSERT ON approvals_grant
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION approvals_grant_has_approval();
"""

DECISIONS = """
CREATE FUNCTION approvals_decision_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    RAISE EXCEPTION 'decisions are never deleted' USING ERRCODE = 'CS409';
  END IF;
  IF TG_OP = 'INSERT' THEN
    IF NOT EXISTS (SELECT 1 FROM approvals_request r WHERE r.id = NEW.request_id AND r.status = 'pending') THEN
      RAISE EXCEPTION 'only a pending request is decided' USING ERRCODE = 'CS409';
    END IF;
    RETURN NEW;
  END IF;
  IF OLD.voided_at IS NOT NULL
     OR to_jsonb(NEW) - '{voided_at,void_reason}'::text[] <> to_jsonb(OLD) - '{voided_at,void_reason}'::text[] THEN
    RAISE EXCEPTION 'a decision does not change, but to be voided once' USING ERRCODE = 'CS409';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER approvals_decision_guard BEFORE INSERT OR UPDATE OR DELETE ON approvals_decision
  FOR EACH ROW EXECUTE FUNCTION approvals_decision_guard();
"""

UNCHANGING = ("policyversion", "policyactivation", "seat", "outcome", "activity")

RECORDS = """
CREATE FUNCTION approvals_never_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% rows never change', TG_TABLE_NAME USING ERRCODE = 'CS409';
END $$;
""" + "".join(
    f"CREATE TRIGGER approvals_{table}_never_changes BEFORE UPDATE OR DELETE ON approvals_{table}"
    " FOR EACH ROW EXECUTE FUNCTION approvals_never_changes();\n"
    for table in UNCHANGING
)

UNDO = """
DROP FUNCTION approvals_request_guard, approvals_request_approved, approvals_grant_guard,
  approvals_grant_has_approval, approvals_decision_guard, approvals_never_changes CASCADE;
DROP FUNCTION approvals_quorum_holds CASCADE;
DROP FUNCTION approvals_may_move CASCADE;
"""


class Migration(migrations.Migration):
    dependencies = (("approvals", "0001_initial"),)

    operations = (migrations.RunSQL(MOVES + REQUESTS + GRANTS + DECISIONS + RECORDS, UNDO),)
