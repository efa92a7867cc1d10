"""Nothing that decides is written without the entry that says so, in the same transaction and with the same facts.

Each guard asks, as the last thing before the commit, for an entry of this transaction, of this subject, whose facts
equal what the row holds. Votes and parameters are compared by their salted commitment. By their names these guards
come after the older ones, whose refusals say more. Plain SQL for the reasons of
0002, and its SQLSTATEs: CS409 for a change that never is, CS422 for one without its entry. The tables' other guards
refuse every DELETE.
"""

from __future__ import annotations

from django.db import migrations

MEANS = """
-- As leaves spell a moment.
CREATE FUNCTION approvals_moment(moment timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;

-- As audit.commitments commits to a digest.
CREATE FUNCTION approvals_committed(digest text, salt bytea) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT encode(sha256(salt || convert_to(to_json(digest)::text, 'UTF8')), 'hex')
$$;

CREATE FUNCTION approvals_must_tell(
  what text, kind text, subject text, types text[], facts jsonb, members jsonb DEFAULT '{}', digest text DEFAULT NULL)
  RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF NOT audit_tells(kind, subject, types, facts, members, digest) THEN
    RAISE EXCEPTION '% has its entry, in the same transaction', what USING ERRCODE = 'CS422';
  END IF;
END $$;

CREATE FUNCTION approvals_person(id uuid, method text, at timestamptz) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object('actor', jsonb_build_object('kind', 'person', 'id', id),
    'auth', jsonb_build_object('method', method, 'at', approvals_moment(at), 'assertion', NULL))
$$;
"""

REQUESTS = """
-- As rules.ruling.people_at_least has it; a test holds the two together.
CREATE FUNCTION approvals_people_at_least(risk text) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE risk WHEN 'low' THEN 0 WHEN 'medium' THEN 0 WHEN 'high' THEN 1 ELSE 2 END
$$;

CREATE FUNCTION approvals_request_filed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM approvals_must_tell('a request', 'request', NEW.id::text, '{request.filed}',
    jsonb_build_object('action', NEW.action, 'status', NEW.status, 'risk', NEW.risk,
      'risk_unknown', NEW.risk_unknown, 'quorum', NEW.quorum, 'people_floor', NEW.people_floor,
      'credential', NEW.credential_id, 'policy', NEW.policy_id, 'expires_at', approvals_moment(NEW.expires_at),
      'escalates_at', approvals_moment(NEW.escalates_at), 'escalation_team', NEW.escalation_team),
    jsonb_build_object('actor', jsonb_build_object('kind', 'agent', 'id', NEW.agent_id)),
    approvals_committed(NEW.parameters_digest, NEW.digest_salt));
  IF NEW.status = 'pending' AND NEW.people_floor < approvals_people_at_least(NEW.risk) THEN
    RAISE EXCEPTION 'this risk takes more people' USING ERRCODE = 'CS422';
  END IF;
  IF NEW.status = 'blocked' THEN
    PERFORM approvals_must_tell('a block', 'request', NEW.id::text, '{request.blocked}',
      jsonb_build_object('action', NEW.action, 'status', NEW.status, 'risk', NEW.risk));
  ELSIF NEW.status = 'approved' THEN
    PERFORM approvals_must_tell('an approval at once', 'request', NEW.id::text, '{request.allowed}',
      jsonb_build_object('action', NEW.action, 'status', NEW.status, 'risk', NEW.risk));
    IF NEW.risk NOT IN ('low', 'medium') OR NEW.risk_unknown THEN
      RAISE EXCEPTION 'this risk is never approved at once' USING ERRCODE = 'CS422';
    END IF;
    IF NEW.policy_id IS DISTINCT FROM (SELECT a.version_id FROM approvals_policyactivation a ORDER BY a.id DESC LIMIT 1)
    THEN
      RAISE EXCEPTION 'only the policy in force approves at once' USING ERRCODE = 'CS422';
    END IF;
    IF NOT EXISTS (
      SELECT FROM agents_credential c
       WHERE c.id = NEW.credential_id AND c.agent_id = NEW.agent_id AND c.revoked_at IS NULL
         AND c.expires_at > now()) THEN
      RAISE EXCEPTION 'only a key of the agent that holds is approved at once' USING ERRCODE = 'CS422';
    END IF;
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER approvals_tells_request_filed AFTER INSERT ON approvals_request
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION approvals_request_filed();

CREATE FUNCTION approvals_request_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM approvals_must_tell('a change of status', 'request', NEW.id::text, ARRAY['request.' || NEW.status],
    jsonb_build_object('action', NEW.action, 'status', NEW.status, 'risk', NEW.standing_risk));
  IF NEW.status = 'expired' AND clock_timestamp() < NEW.expires_at THEN
    RAISE EXCEPTION 'nothing expires before its deadline' USING ERRCODE = 'CS409';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER approvals_tells_request_moved AFTER UPDATE ON approvals_request
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.status IS DISTINCT FROM OLD.status)
  EXECUTE FUNCTION approvals_request_moved();

-- As in 0016, by this transaction's entry, its actor and its parameters, and held to the floors of its risk.
CREATE OR REPLACE FUNCTION approvals_edit_recorded() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM approvals_must_tell('an edit', 'request', NEW.id::text, '{request.amended}',
    jsonb_build_object('quorum', NEW.amended_quorum, 'people_floor', NEW.amended_people_floor,
      'risk', NEW.amended_risk, 'risk_unknown', NEW.amended_risk_unknown),
    jsonb_build_object('actor', jsonb_build_object('kind', 'person', 'id', NEW.amended_by_id)),
    approvals_committed(NEW.amended_digest, NEW.digest_salt));
  IF NEW.amended_people_floor < approvals_people_at_least(NEW.amended_risk) THEN
    RAISE EXCEPTION 'the risk of the edit takes more people' USING ERRCODE = 'CS422';
  END IF;
  IF EXISTS (
    SELECT 1 FROM approvals_decision d
     WHERE d.request_id = NEW.id AND d.voided_at IS NULL AND d.decided_at < NEW.amended_at) THEN
    RAISE EXCEPTION 'votes on what stood before an edit are void' USING ERRCODE = 'CS422';
  END IF;
  RETURN NULL;
END $$;
"""

VOTES = """
CREATE FUNCTION approvals_decision_tells() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  salt bytea;
BEGIN
  IF TG_OP = 'INSERT' THEN
    SELECT r.digest_salt INTO salt FROM approvals_request r WHERE r.id = NEW.request_id;
    PERFORM approvals_must_tell('a decision', 'request', NEW.request_id::text, '{decision.recorded}',
      jsonb_build_object('decision', NEW.id, 'verdict', NEW.verdict, 'reason_code', NEW.reason_code,
        'teams', NEW.teams, 'delegated_from', NEW.delegated_from, 'amends', NEW.edited_from <> '',
        'opened_at', approvals_moment(NEW.opened_at)),
      approvals_person(NEW.person_id, NEW.auth_method, NEW.auth_at),
      approvals_committed(NEW.parameters_digest, salt));
    IF NEW.voided_at IS NOT NULL THEN
      RAISE EXCEPTION 'a decision does not begin void' USING ERRCODE = 'CS422';
    END IF;
  ELSE
    PERFORM approvals_must_tell('a void decision', 'request', NEW.request_id::text, '{decision.void}',
      jsonb_build_object('decision', NEW.id, 'person', NEW.person_id, 'reason', NEW.void_reason));
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER approvals_tells_decision AFTER INSERT OR UPDATE ON approvals_decision
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION approvals_decision_tells();

CREATE FUNCTION approvals_seat_tells() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM approvals_must_tell('a seat', 'request', NEW.request_id::text, '{request.approved}',
    jsonb_build_object('seats', (
      SELECT jsonb_agg(jsonb_build_object('team', s.team, 'person', d.person_id) ORDER BY s.id)
        FROM approvals_seat s JOIN approvals_decision d ON d.id = s.decision_id WHERE s.request_id = NEW.request_id)));
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER approvals_tells_seat AFTER INSERT ON approvals_seat
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION approvals_seat_tells();
"""

GRANTS = """
CREATE FUNCTION approvals_grant_tells() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  asked record;
BEGIN
  SELECT r.action, approvals_committed(coalesce(r.amended_digest, r.parameters_digest), r.digest_salt) AS digest
    INTO asked FROM approvals_request r WHERE r.id = NEW.request_id;
  IF TG_OP = 'INSERT' THEN
    IF NEW.redeemed_at IS NOT NULL OR NEW.voided_at IS NOT NULL THEN
      RAISE EXCEPTION 'a grant begins unspent' USING ERRCODE = 'CS409';
    END IF;
    PERFORM approvals_must_tell('a grant', 'request', NEW.request_id::text, '{grant.issued}',
      jsonb_build_object('grant', NEW.id, 'risk', NEW.level, 'valid_until', approvals_moment(NEW.valid_until),
        'executor', substring(NEW.audience FROM '/executors/([^/]*)$')),
      '{}', asked.digest);
    RETURN NULL;
  END IF;
  IF NEW.redeemed_at IS DISTINCT FROM OLD.redeemed_at THEN
    PERFORM approvals_must_tell('a redemption', 'request', NEW.request_id::text, '{grant.redeemed}',
      jsonb_build_object('grant', NEW.id, 'credential', NEW.redeemed_by_id, 'action', asked.action),
      '{}', asked.digest);
    IF NEW.redeemed_at NOT BETWEEN now() AND clock_timestamp() THEN
      RAISE EXCEPTION 'a grant is redeemed now' USING ERRCODE = 'CS409';
    END IF;
  END IF;
  IF NEW.voided_at IS DISTINCT FROM OLD.voided_at THEN
    PERFORM approvals_must_tell('a void grant', 'request', NEW.request_id::text, '{grant.voided}',
      jsonb_build_object('grant', NEW.id));
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER approvals_tells_grant AFTER INSERT OR UPDATE ON approvals_grant
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION approvals_grant_tells();
"""

ALLOWANCES = """
CREATE FUNCTION approvals_allowance_tells() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    PERFORM approvals_must_tell('an allowance', 'allowance', NEW.id::text, '{allowance.proposed}',
      jsonb_build_object('agent', NEW.agent_id, 'action', NEW.action, 'uses', NEW.uses_total,
        'ends_at', approvals_moment(NEW.ends_at), 'risk', NEW.risk, 'request', NEW.basis_id));
    RETURN NULL;
  END IF;
  IF NEW.active_at IS DISTINCT FROM OLD.active_at THEN
    PERFORM approvals_must_tell('an allowance in force', 'allowance', NEW.id::text, '{allowance.granted}', '{}');
  END IF;
  -- Each use has its own entry.
  IF NEW.uses_left <> OLD.uses_left
     AND NEW.uses_total - NEW.uses_left IS DISTINCT FROM
         (SELECT max(u.number)::int FROM approvals_allowanceuse u WHERE u.allowance_id = NEW.id) THEN
    RAISE EXCEPTION 'an allowance counts its uses' USING ERRCODE = 'CS422';
  END IF;
  IF (NEW.revoked_at, NEW.revoked_by_id, NEW.revoke_reason)
     IS DISTINCT FROM (OLD.revoked_at, OLD.revoked_by_id, OLD.revoke_reason) THEN
    IF NEW.revoked_at IS NULL THEN
      RAISE EXCEPTION 'only a revoked allowance says why' USING ERRCODE = 'CS409';
    END IF;
    PERFORM approvals_must_tell('the end of an allowance', 'allowance', NEW.id::text, '{allowance.revoked}',
      jsonb_build_object('agent', NEW.agent_id, 'uses_left', NEW.uses_left));
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER approvals_tells_allowance AFTER INSERT OR UPDATE ON approvals_allowance
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION approvals_allowance_tells();

CREATE FUNCTION approvals_agreement_tells() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM approvals_must_tell('an agreement', 'allowance', NEW.allowance_id::text, '{allowance.agreed}',
    jsonb_build_object('teams', NEW.teams), approvals_person(NEW.person_id, NEW.auth_method, NEW.auth_at));
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER approvals_tells_agreement AFTER INSERT ON approvals_allowanceagreement
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION approvals_agreement_tells();

CREATE FUNCTION approvals_use_tells() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM approvals_must_tell('a use of an allowance', 'request', NEW.request_id::text, '{request.approved}',
    jsonb_build_object('allowance', NEW.allowance_id, 'use', NEW.number, 'seats', NEW.seats));
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER approvals_tells_use AFTER INSERT ON approvals_allowanceuse
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION approvals_use_tells();
"""

POLICIES = """
CREATE FUNCTION approvals_policyversion_tells() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM approvals_must_tell('a policy version', 'policy', NEW.id::text, '{policy.bootstrapped,policy.proposed}',
    jsonb_build_object('number', NEW.number),
    jsonb_build_object('digests', jsonb_build_object('policy', NEW.digest)));
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER approvals_tells_policyversion AFTER INSERT ON approvals_policyversion
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION approvals_policyversion_tells();

CREATE FUNCTION approvals_policyactivation_tells() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM approvals_must_tell('a policy put in force', 'policy', NEW.version_id::text,
    '{policy.bootstrapped,policy.activated}', '{}');
  IF NEW.activated_at NOT BETWEEN now() AND clock_timestamp() THEN
    RAISE EXCEPTION 'a policy is put in force now' USING ERRCODE = 'CS409';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER approvals_tells_policyactivation AFTER INSERT ON approvals_policyactivation
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION approvals_policyactivation_tells();
"""

KEYS = """
CREATE FUNCTION approvals_signingkey_tells() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' THEN
    PERFORM approvals_must_tell('a key''s end', 'key', NEW.kid, '{configuration.changed}',
      jsonb_build_object('kid', NEW.kid, 'use', 'grants', 'retired', true));
  ELSE
    PERFORM approvals_must_tell('a key', 'key', NEW.kid, '{key.created}',
      jsonb_build_object('kid', NEW.kid, 'x', NEW.x, 'use', 'grants'));
  END IF;
  IF coalesce(NEW.retired_at, NEW.published_at) NOT BETWEEN now() AND clock_timestamp() THEN
    RAISE EXCEPTION 'a key is published and retired now' USING ERRCODE = 'CS409';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER approvals_tells_signingkey AFTER INSERT OR UPDATE ON approvals_signingkey
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION approvals_signingkey_tells();
"""

NEW = (
    "approvals_moment(timestamptz)", "approvals_committed(text, bytea)",
    "approvals_must_tell(text, text, text, text[], jsonb, jsonb, text)", "approvals_person(uuid, text, timestamptz)",
    "approvals_people_at_least(text)", "approvals_request_filed()", "approvals_request_moved()",
    "approvals_decision_tells()", "approvals_seat_tells()", "approvals_grant_tells()", "approvals_allowance_tells()",
    "approvals_agreement_tells()", "approvals_use_tells()", "approvals_policyversion_tells()",
    "approvals_policyactivation_tells()", "approvals_signingkey_tells()",
)  # fmt: skip

# As in 0005: what a guard reads is found in this schema and nowhere before it.
PATHS = (
    "DO $do$ BEGIN\n"
    + "".join(
        f"EXECUTE format('ALTER FUNCTION {guard} SET search_path = pg_catalog, %I, pg_temp', current_schema());\n"
        for guard in (*NEW, "approvals_edit_recorded()")
    )
    + "END $do$;\n"
)


class Migration(migrations.Migration):
    dependencies = (
        ("approvals", "0019_likeness"),
        ("agents", "0002_stops"),
        ("audit", "0005_telling"),
    )

    # What 0016 made stays as strict as this.
    operations = (
        migrations.RunSQL(
            "\n".join((MEANS, REQUESTS, VOTES, GRANTS, ALLOWANCES, POLICIES, KEYS, PATHS)),
            f"DROP FUNCTION {', '.join(NEW)} CASCADE;",
        ),
    )
