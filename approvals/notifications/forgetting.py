"""Deletes notices and deliveries whose story is over. What failed stays as an entry in the log of evidence."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Exists, OuterRef

from approvals.listing import ago
from approvals.models import Delivery, Notice
from approvals.transactions import verb

KEPT = timedelta(days=30)
_AT_ONCE = 5_000


@verb
def forget_old() -> int:
    """Delete up to 5,000 deliveries that ended 30 days ago, and notices of then that no delivery holds; how many."""
    old = Delivery.objects.filter(ended_at__lt=ago(KEPT)).order_by("ended_at").values("pk")[:_AT_ONCE]
    ended = [row["pk"] for row in old]
    through = Delivery.notices.through.objects
    through.filter(delivery__in=ended).delete()
    Delivery.objects.filter(pk__in=ended).delete()
    held = Exists(Delivery.notices.through.objects.filter(notice=OuterRef("pk")))
    loose = Notice.objects.filter(~held, addressed_at__lt=ago(KEPT)).order_by("pk").values("pk")[:_AT_ONCE]
    Notice.objects.filter(pk__in=[row["pk"] for row in loose]).delete()
    return len(ended)
