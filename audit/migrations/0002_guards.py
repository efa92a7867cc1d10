"""What Django's models can't say about the tables of evidence: drawing order, append-only triggers, auditors' views.

No privilege is set here (`audit.roles` does, after every migration). The triggers are a second belt and plain SQL
on purpose: django-pgtrigger's can be switched off by a variable that any role may SET. TRUNCATE has no trigger (it
would break Django's flush); that only the owner may TRUNCATE is held by privileges.
"""

from __future__ import annotations

from django.db import migrations

DRAWING = (
    # One position at a time: with a cache a session could draw early and insert late, out of the subject's order.
    "ALTER TABLE audit_pending ALTER COLUMN position SET GENERATED ALWAYS SET CACHE 1",
    "ALTER TABLE audit_pending ADD CONSTRAINT audit_pending_leaf_size CHECK (octet_length(leaf) <= 65536)",
    # Each entry updates its subject's head in place: room on the page keeps those updates out of the index.
    "ALTER TABLE audit_head SET (fillfactor = 70)",
    # Rows live here for a quarter of a second; waiting for a fifth of the table to be dead would be waiting for good.
    "ALTER TABLE audit_pending SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,"
    " autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 50000)",
)

APPEND_ONLY = {
    "audit_leaf": "UPDATE OR DELETE",
    "audit_node": "UPDATE OR DELETE",
    "audit_checkpoint": "UPDATE OR DELETE",
    "audit_quarantine": "UPDATE OR DELETE",
    "audit_pending": "UPDATE",
    "audit_detail": "UPDATE",
}

REFUSE = """
CREATE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit: % may not be changed (% refused)', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END $$
"""

# The sealer reads from a floor that only moves past what is older than this, so a longer transaction could commit
# an entry behind it. Deferred: it is asked as the last thing before the commit.
IN_TIME = """
CREATE FUNCTION audit_pending_in_time() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF clock_timestamp() - NEW.recorded_at > interval '30 seconds' THEN
        RAISE EXCEPTION 'audit: an entry was recorded over 30 seconds before its transaction committed'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$
"""

VIEWS = {
    # What an auditor with a database login reads: everything that is sealed, nothing that may be personal.
    "audit_log_entries": "SELECT index, entry_id, type, at, actor_kind, actor_id, subject_kind, subject_id, ordinal,"
    " leaf, leaf_hash FROM audit_leaf",
    "audit_log_nodes": "SELECT level, position, hash FROM audit_node",
    "audit_log_checkpoints": "SELECT size, root, note, signed_at FROM audit_checkpoint",
    "audit_log_quarantine": "SELECT id, entry_id, subject_kind, subject_id, ordinal, leaf_hash, recorded_at, cause,"
    " quarantined_at FROM audit_quarantine",
    "audit_log_state": "SELECT origin, verifier_key, size, published_size, alive_at, forks FROM audit_sealerstate",
}


def statements() -> list[tuple[str, str]]:
    """Every (forward, reverse) pair, in order."""
    pairs = [(sql, "SELECT 1") for sql in DRAWING]
    pairs.append((REFUSE, "DROP FUNCTION audit_refuse_change()"))
    for table, operations in APPEND_ONLY.items():
        name = f"{table}_append_only"
        # For each statement, not each row: refused even where no row matches.
        pairs.append(
            (
                f"CREATE TRIGGER {name} BEFORE {operations} ON {table}"
                " FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change()",
                f"DROP TRIGGER {name} ON {table}",
            )
        )
    pairs.append((IN_TIME, "DROP FUNCTION audit_pending_in_time()"))
    pairs.append(
        (
            "CREATE CONSTRAINT TRIGGER audit_pending_in_time AFTER INSERT ON audit_pending"
            " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit_pending_in_time()",
            "DROP TRIGGER audit_pending_in_time ON audit_pending",
        )
    )
    pairs += [(f"CREATE VIEW {name} AS {query}", f"DROP VIEW {name}") for name, query in VIEWS.items()]
    return pairs


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]

    operations = [migrations.RunSQL(forward, reverse) for forward, reverse in statements()]
