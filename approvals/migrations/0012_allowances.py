"""Bounded standing approvals: allowances, who agreed to them, and their uses, with the database's own word on each."""

from __future__ import annotations

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
import uuid_utils.compat
from django.conf import settings
from django.db import migrations, models

# A standing approval that could be stretched, or a use of it that nobody agreed to, would be a yes that policy did not
# ask for. SQLSTATEs as in 0002.
ROWS = """
CREATE FUNCTION approvals_allowance_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    RAISE EXCEPTION 'allowances are never deleted' USING ERRCODE = 'CS409';
  END IF;
  IF TG_OP = 'INSERT' THEN
    IF NEW.uses_left <> NEW.uses_total OR NEW.active_at IS NOT NULL OR NEW.revoked_at IS NOT NULL
       OR NEW.ends_at > clock_timestamp() + interval '30 days 1 minute'
       OR NEW.epoch > (SELECT coalesce(max(number), 0) FROM agents_stop) THEN
      RAISE EXCEPTION 'an allowance begins unused, not in force, and for 30 days at most' USING ERRCODE = 'CS409';
    END IF;
    RETURN NEW;
  END IF;
  IF OLD.revoked_at IS NOT NULL
     OR NEW.uses_left > OLD.uses_left
     OR (OLD.active_at IS NOT NULL AND NEW.active_at IS DISTINCT FROM OLD.active_at)
     OR to_jsonb(NEW) - '{uses_left,active_at,revoked_at,revoked_by_id,revoke_reason}'::text[]
        <> to_jsonb(OLD) - '{uses_left,active_at,revoked_at,revoked_by_id,revoke_reason}'::text[] THEN
    RAISE EXCEPTION 'an allowance is only used up, or revoked' USING ERRCODE = 'CS409';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER approvals_allowance_guard BEFORE INSERT OR UPDATE OR DELETE ON approvals_allowance
  FOR EACH ROW EXECUTE FUNCTION approvals_allowance_guard();

-- As approvals_decider_may has it for decisions.
CREATE FUNCTION approvals_agreement_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM accounts_user u WHERE u.id = NEW.person_id AND u.is_active) THEN
    RAISE EXCEPTION 'only an active person agrees' USING ERRCODE = 'CS422';
  END IF;
  IF jsonb_typeof(NEW.teams) <> 'array' OR NOT NEW.teams <@ to_jsonb(ARRAY(
       SELECT t.slug::text FROM accounts_membership m JOIN accounts_team t ON t.id = m.team_id
        WHERE m.user_id = NEW.person_id)) THEN
    RAISE EXCEPTION 'an agreement names teams that the person sits in' USING ERRCODE = 'CS422';
  END IF;
  IF EXISTS (SELECT 1 FROM approvals_allowance a JOIN agents_agent g ON g.id = a.agent_id
              WHERE a.id = NEW.allowance_id AND g.owner_id = NEW.person_id) THEN
    RAISE EXCEPTION 'nobody allows anything to an agent of their own' USING ERRCODE = 'CS422';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER approvals_agreement_guard BEFORE INSERT ON approvals_allowanceagreement
  FOR EACH ROW EXECUTE FUNCTION approvals_agreement_guard();
CREATE TRIGGER approvals_allowanceagreement_never_changes BEFORE UPDATE OR DELETE ON approvals_allowanceagreement
  FOR EACH ROW EXECUTE FUNCTION approvals_never_changes();
CREATE TRIGGER approvals_allowanceuse_never_changes BEFORE UPDATE OR DELETE ON approvals_allowanceuse
  FOR EACH ROW EXECUTE FUNCTION approvals_never_changes();
"""

HOLDS = """
-- Whether a request is a use of an allowance that holds now, and those who agreed to it fill the quorum asked for it.
CREATE FUNCTION approvals_allowance_holds(request approvals_request) RETURNS boolean LANGUAGE sql VOLATILE AS $$
  WITH used AS (
    SELECT a.id, u.seats
      FROM approvals_allowanceuse u JOIN approvals_allowance a ON a.id = u.allowance_id
     WHERE u.request_id = request.id AND a.agent_id = request.agent_id AND a.action = request.action
       AND a.active_at IS NOT NULL AND a.revoked_at IS NULL AND clock_timestamp() < a.ends_at
       AND a.epoch = request.epoch AND u.number BETWEEN 1 AND a.uses_total AND a.uses_left <= a.uses_total - u.number
  ), filled AS (
    SELECT seat ->> 'team' AS team, g.person_id
      FROM used CROSS JOIN LATERAL jsonb_array_elements(used.seats) seat
      JOIN approvals_allowanceagreement g ON g.allowance_id = used.id AND g.person_id = (seat ->> 'person')::uuid
      JOIN agents_agent a ON a.id = request.agent_id
      JOIN accounts_user u ON u.id = g.person_id AND u.is_active
      JOIN accounts_membership m ON m.user_id = u.id
      JOIN accounts_team t ON t.id = m.team_id AND t.slug = seat ->> 'team'
     WHERE g.person_id <> a.owner_id AND g.teams ? (seat ->> 'team')
  )
  SELECT request.risk <> 'critical' AND NOT request.risk_unknown AND request.amended_text IS NULL
     AND (SELECT count(DISTINCT person_id) FROM filled) >= greatest(request.people_floor, 1)
     AND (SELECT count(*) FROM filled) = (SELECT count(DISTINCT person_id) FROM filled)
     AND EXISTS (
       SELECT 1 FROM jsonb_array_elements(request.quorum) alternative
        WHERE jsonb_array_length(alternative) > 0
          AND NOT EXISTS (
            SELECT 1 FROM jsonb_array_elements(alternative) seats
             WHERE (SELECT count(*) FROM filled WHERE team = seats ->> 'team') < (seats ->> 'count')::int))
$$;

-- As in 0006, and an allowance stands in for the seats.
CREATE OR REPLACE FUNCTION approvals_request_approved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.status = 'approved' THEN
    RETURN NULL;
  END IF;
  IF TG_OP = 'INSERT' THEN
    IF NEW.quorum <> '[]'::jsonb OR NEW.people_floor > 0 THEN
      RAISE EXCEPTION 'policy asks for people' USING ERRCODE = 'CS422';
    END IF;
  ELSIF NOT approvals_quorum_holds(NEW) AND NOT approvals_allowance_holds(NEW) THEN
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

GUARDS = (
    "approvals_allowance_guard()", "approvals_agreement_guard()", "approvals_allowance_holds(approvals_request)",
    "approvals_request_approved()",
)  # fmt: skip

# As in 0005: what a guard reads is found in this schema and nowhere before it.
PATHS = (
    "DO $do$ BEGIN\n"
    + "".join(
        f"EXECUTE format('ALTER FUNCTION {guard} SET search_path = pg_catalog, %I, pg_temp', current_schema());\n"
        for guard in GUARDS
    )
    + "END $do$;\n"
)

UNDO = "DROP FUNCTION approvals_allowance_guard, approvals_agreement_guard, approvals_allowance_holds CASCADE;"


class Migration(migrations.Migration):
    dependencies = [
        ("agents", "0002_stops"),
        ("approvals", "0011_stopping"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Allowance",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("action", models.CharField(max_length=100)),
                ("condition", models.TextField()),
                ("uses_total", models.PositiveIntegerField()),
                ("uses_left", models.PositiveIntegerField()),
                ("ends_at", models.DateTimeField()),
                ("ruling", models.JSONField()),
                ("risk", models.CharField(max_length=8)),
                (
                    "teams",
                    django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=50), size=None),
                ),
                ("epoch", models.PositiveIntegerField()),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("active_at", models.DateTimeField(null=True)),
                ("revoked_at", models.DateTimeField(null=True)),
                ("revoke_reason", models.CharField(blank=True, max_length=500)),
                (
                    "agent",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="allowances", to="agents.agent"
                    ),
                ),
                (
                    "basis",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="approvals.request"
                    ),
                ),
                (
                    "revoked_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="AllowanceAgreement",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("rationale", models.TextField()),
                ("teams", models.JSONField()),
                ("auth_method", models.CharField(max_length=40)),
                ("auth_at", models.DateTimeField()),
                ("at", models.DateTimeField()),
                (
                    "allowance",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="agreements", to="approvals.allowance"
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="AllowanceUse",
            fields=[
                (
                    "request",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="allowance_use",
                        serialize=False,
                        to="approvals.request",
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                ("seats", models.JSONField()),
                ("at", models.DateTimeField()),
                (
                    "allowance",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="uses", to="approvals.allowance"
                    ),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name="allowance",
            index=models.Index(
                condition=models.Q(("revoked_at__isnull", True), ("uses_left__gt", 0)),
                fields=["agent", "action"],
                name="allowances_to_use",
            ),
        ),
        migrations.AddIndex(
            model_name="allowance",
            index=models.Index(fields=["agent", "-id"], name="allowances_of_an_agent"),
        ),
        migrations.AddConstraint(
            model_name="allowance",
            constraint=models.CheckConstraint(
                condition=models.Q(("uses_left__lte", models.F("uses_total")), ("uses_total__range", (1, 1000))),
                name="an_allowance_is_counted",
            ),
        ),
        migrations.AddConstraint(
            model_name="allowance",
            constraint=models.CheckConstraint(
                condition=models.Q(("ends_at__gt", models.F("created_at"))), name="an_allowance_ends"
            ),
        ),
        migrations.AddConstraint(
            model_name="allowance",
            constraint=models.CheckConstraint(
                condition=models.Q(("risk", "critical"), _negated=True), name="nothing_critical_is_allowed_ahead"
            ),
        ),
        migrations.AddConstraint(
            model_name="allowanceagreement",
            constraint=models.UniqueConstraint(fields=("allowance", "person"), name="one_agreement_per_person"),
        ),
        migrations.AddConstraint(
            model_name="allowanceuse",
            constraint=models.UniqueConstraint(fields=("allowance", "number"), name="each_use_counts_once"),
        ),
        migrations.RunSQL(ROWS + HOLDS + PATHS, UNDO),
    ]
