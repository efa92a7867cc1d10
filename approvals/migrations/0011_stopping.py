"""A stop of all agents, or a suspension, holds in the database too: no yes and no redemption commits after it.

Triggers of their own beside those of 0002 and later, so that neither has to repeat the other. CS411: the agent may not
ask any more. A commit that is under way while a stop commits may be seen after it; its grant carries the epoch before,
and never redeems.
"""

from __future__ import annotations

from django.db import migrations, models

EPOCHS = """
-- A number from the future would outlive the stops to come.
CREATE FUNCTION approvals_epoch_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' THEN
    IF NEW.epoch <> OLD.epoch THEN
      RAISE EXCEPTION 'the epoch it was made in does not change' USING ERRCODE = 'CS409';
    END IF;
  ELSIF NEW.epoch > (SELECT coalesce(max(number), 0) FROM agents_stop) THEN
    RAISE EXCEPTION 'it was made in the epoch that is' USING ERRCODE = 'CS409';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER approvals_epoch_guard BEFORE INSERT OR UPDATE ON approvals_request
  FOR EACH ROW EXECUTE FUNCTION approvals_epoch_guard();
CREATE TRIGGER approvals_epoch_guard BEFORE INSERT OR UPDATE ON approvals_grant
  FOR EACH ROW EXECUTE FUNCTION approvals_epoch_guard();
"""

STOPPED = """
-- The agent's row is held to the commit, so that whoever suspends it afterwards finds what was committed here.
CREATE FUNCTION approvals_may_ask(agent uuid, made_in integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM agents_agent WHERE id = agent AND state = 'active' FOR SHARE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'the agent is suspended' USING ERRCODE = 'CS411';
  END IF;
  IF EXISTS (SELECT 1 FROM agents_stop WHERE number > made_in OR lifted_at IS NULL) THEN
    RAISE EXCEPTION 'all agents were stopped' USING ERRCODE = 'CS411';
  END IF;
END $$;

CREATE FUNCTION approvals_approval_not_stopped() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' OR OLD.status <> 'approved' THEN
    PERFORM approvals_may_ask(NEW.agent_id, NEW.epoch);
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER approvals_request_not_stopped AFTER INSERT OR UPDATE ON approvals_request
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.status = 'approved')
  EXECUTE FUNCTION approvals_approval_not_stopped();

CREATE FUNCTION approvals_redemption_not_stopped() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.redeemed_at IS NULL THEN
    PERFORM approvals_may_ask(r.agent_id, NEW.epoch) FROM approvals_request r WHERE r.id = NEW.request_id;
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER approvals_redemption_not_stopped AFTER UPDATE ON approvals_grant
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.redeemed_at IS NOT NULL)
  EXECUTE FUNCTION approvals_redemption_not_stopped();
"""

GUARDS = (
    "approvals_epoch_guard()", "approvals_may_ask(uuid, integer)", "approvals_approval_not_stopped()",
    "approvals_redemption_not_stopped()",
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

UNDO = f"DROP FUNCTION {', '.join(GUARDS)} CASCADE;"


class Migration(migrations.Migration):
    dependencies = (("agents", "0002_stops"), ("approvals", "0010_edit_guards"))

    operations = (
        migrations.AddField(
            model_name="grant",
            name="epoch",
            field=models.PositiveIntegerField(db_default=0),
        ),
        migrations.AddField(
            model_name="request",
            name="epoch",
            field=models.PositiveIntegerField(db_default=0),
        ),
        migrations.AddIndex(
            model_name="grant",
            index=models.Index(
                condition=models.Q(("redeemed_at__isnull", True), ("voided_at__isnull", True)),
                fields=["valid_until", "epoch"],
                name="grants_unspent",
            ),
        ),
        migrations.AddIndex(
            model_name="request",
            index=models.Index(condition=models.Q(("status", "pending")), fields=["epoch"], name="pending_by_epoch"),
        ),
        migrations.RunSQL(EPOCHS + STOPPED + PATHS, UNDO),
    )
