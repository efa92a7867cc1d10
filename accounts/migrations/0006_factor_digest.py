"""What entries say of a second factor's secret: a digest of all that is stored but what its use and its name change.

In the database, so that those who record it, guard it and replay it mean the same bytes. Nobody can guess a secret by
it: an app's secret and recovery codes are stored sealed, and a passkey holds a public key of its own.
"""

from __future__ import annotations

from django.db import migrations

DIGEST = """
CREATE FUNCTION accounts_factor_digest(data jsonb) RETURNS text LANGUAGE sql IMMUTABLE
  SET search_path = pg_catalog, pg_temp
  RETURN encode(sha256(convert_to((data - '{spent,used_mask,viewed_at,name}'::text[])::text, 'UTF8')), 'hex');
"""


class Migration(migrations.Migration):
    dependencies = (("accounts", "0005_addresses_alike"), ("mfa", "0003_authenticator_type_uniq"))

    operations = (migrations.RunSQL(DIGEST, "DROP FUNCTION accounts_factor_digest;"),)
