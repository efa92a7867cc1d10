from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = (("approvals", "0002_guards"),)

    operations = (
        # what ended lately, in everybody's queue
        migrations.AddIndex("request", models.Index(fields=["decided_at"], name="requests_by_end")),
    )
