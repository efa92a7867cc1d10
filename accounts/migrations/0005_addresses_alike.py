"""No two people have addresses that look alike: equal after NFKC and lower case. And a link that waits for a second
administrator remembers which of the provider's users it is for.

Where rows clash, the migration says whose they are and changes nothing: only people can tell which of them is right.
"""

from __future__ import annotations

from typing import Any

import django.db.models.functions
from django.db import migrations, models

CLASHES = """
SELECT array_agg(id::text ORDER BY id) FROM accounts_user
 GROUP BY lower(normalize(email, NFKC)) HAVING count(*) > 1
"""


def refuse_clashes(apps: Any, schema_editor: Any) -> None:
    """Stop where two people have addresses that look alike."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(CLASHES)
        clashes = [", ".join(row[0]) for row in cursor.fetchall()]
    if clashes:
        raise RuntimeError(
            "Nothing was migrated: these people have addresses that look alike, so give all but one another address"
            f" and migrate again. Their ids: {'; '.join(clashes)}"
        )


class Migration(migrations.Migration):
    dependencies = (("accounts", "0004_absence_guards"),)

    operations = (
        migrations.RunPython(refuse_clashes, migrations.RunPython.noop),
        migrations.AddField(
            model_name="user",
            name="address_alike",
            field=models.GeneratedField(
                db_persist=True,
                expression=django.db.models.functions.Lower(
                    models.Func(models.F("email"), template="normalize(%(expressions)s, NFKC)")
                ),
                output_field=models.TextField(),
            ),
        ),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.UniqueConstraint(fields=("address_alike",), name="no_two_addresses_alike"),
        ),
        migrations.AddField(model_name="rightschange", name="identity", field=models.JSONField(null=True)),
        migrations.AlterField(
            model_name="rightschange",
            name="kind",
            field=models.CharField(
                choices=[
                    ("give-role", "Give"),
                    ("take-role", "Take"),
                    ("deactivate", "Deactivate"),
                    ("reactivate", "Reactivate"),
                    ("reset-sign-in", "Reset"),
                    ("link-sign-in", "Link"),
                ],
                max_length=15,
            ),
        ),
        migrations.AlterField(
            model_name="rightschange",
            name="outcome",
            field=models.CharField(
                choices=[
                    ("confirmed", "Confirmed"),
                    ("cancelled", "Cancelled"),
                    ("lapsed", "Lapsed"),
                    ("bootstrap", "Bootstrap"),
                ],
                max_length=10,
                null=True,
            ),
        ),
    )
