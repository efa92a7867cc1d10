"""What a row that waits for the sealer may be, whoever inserts it: its place and time are the database's to give.

Each column is bounded so that any row can be read, judged and kept. The bounds are for new rows alone: one that waits
from before is the sealer's to put into quarantine, and must not stop this migration.
"""

from __future__ import annotations

from django.db import migrations

BOUNDS = {
    "hashes": "octet_length(leaf_hash) = 32 AND (previous IS NULL OR octet_length(previous) = 32)",
    "ordinal": "ordinal BETWEEN 1 AND 9007199254740991",
    # As audit.leaves.check_party has it.
    "subject": "subject_kind ~ '^[a-z][a-z0-9_-]{0,39}$' AND char_length(subject_id) BETWEEN 1 AND 200",
}

# OVERRIDING SYSTEM VALUE and COPY take any position, and a position far ahead would carry the sealer's floor past all
# that follows. So it is drawn here again; the one that the identity column drew is lost, and a gap means nothing.
# SECURITY DEFINER: no role but the owner may touch the sequence. The names are given with their schema, and pg_temp
# comes last, so that nobody can put a thing of the same name before them.
PLACE = """
DO $do$ BEGIN
EXECUTE format($make$
CREATE FUNCTION audit_pending_place() RETURNS trigger LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = pg_catalog, %1$I, pg_temp AS $body$
BEGIN
    NEW.position := nextval('%1$I.audit_pending_position_seq'::regclass);
    NEW.recorded_at := clock_timestamp();
    RETURN NEW;
END $body$
$make$, current_schema());
END $do$
"""

TRIGGER = (
    "CREATE TRIGGER audit_pending_place BEFORE INSERT ON audit_pending"
    " FOR EACH ROW EXECUTE FUNCTION audit_pending_place()"
)


def statements() -> list[tuple[str, str]]:
    """Every (forward, reverse) pair, in order."""
    pairs = []
    for name, condition in BOUNDS.items():
        constraint = f"audit_pending_{name}"
        pairs.append(
            (
                f"ALTER TABLE audit_pending ADD CONSTRAINT {constraint} CHECK ({condition}) NOT VALID",
                f"ALTER TABLE audit_pending DROP CONSTRAINT {constraint}",
            )
        )
    pairs.append((PLACE, "DROP FUNCTION audit_pending_place()"))
    pairs.append((TRIGGER, "DROP TRIGGER audit_pending_place ON audit_pending"))
    return pairs


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_guards")]

    operations = [migrations.RunSQL(forward, reverse) for forward, reverse in statements()]
