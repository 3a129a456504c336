"""Looks at what happened, and sends what waits."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef

from slipway.core.models import Tracked
from slipway.core.reconcile import Step
from slipway.notices import services
from slipway.notices.models import Delivery, Target

#: Deliveries are kept for so long, for who wonders what was sent.
KEPT = timedelta(days=30)

WATCHED: list[tuple[type[Tracked], Step]] = [(Delivery, services.send)]


def sweep(now: datetime) -> None:
    services.look(now=now)
    Delivery.objects.filter(created_at__lt=now - KEPT, look_at=None).delete()
    # Who was told without having asked for it is found anew when there is something to tell.
    told = Delivery.objects.filter(target=OuterRef("pk"))
    unasked = Target.objects.filter(created_at__lt=now - KEPT).exclude(alert_id=None)
    unasked.exclude(Exists(told)).delete()
