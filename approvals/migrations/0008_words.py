"""The index of words takes dotted names and addresses apart, so that 1188 finds order/1188."""

from __future__ import annotations

import django.contrib.postgres.indexes
import django.contrib.postgres.search
from django.db import migrations
from django.db.models import F, Func, Value

WORDS = django.contrib.postgres.search.SearchVector(
    *(Func(F(column), Value("./:@_-#=&?"), Value("          "), function="translate")
      for column in ("action", "resource", "summary")),
    config="simple",
)  # fmt: skip


class Migration(migrations.Migration):
    dependencies = (("approvals", "0007_notifications"),)

    operations = (
        migrations.RemoveIndex("request", "requests_by_words"),
        migrations.AddIndex("request", django.contrib.postgres.indexes.GinIndex(WORDS, name="requests_by_words")),
    )
