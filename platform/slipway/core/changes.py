"""What has changed since the last look: rows with a life, by their own columns and by their events.

A row that moves has `look_at` set, so those are few, whatever rests beside them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.apps import apps
from django.utils import timezone

from slipway.core.models import Event, Tracked

#: An event may be committed this long after it was made, and must not be missed.
OVERLAP = timedelta(seconds=10)
#: Rows of a kind that are looked at; beyond it, events alone tell.
MOST = 2_000


@dataclass(frozen=True, slots=True)
class Change:
    """Something of a project is not as it was; what, is for the reader to fetch."""

    project_id: UUID
    #: `<app>.<model>` in small letters.
    kind: str
    id: str


def tracked_models() -> dict[str, type[Tracked]]:
    """Every table of rows that have a life and belong to a project, by its label."""
    return {
        model._meta.label: model
        for model in apps.get_models()
        if issubclass(model, Tracked) and hasattr(model, "project_id")
    }


class Watch:
    """Remembers what it saw; each look tells what is new since. For one thread."""

    def __init__(self) -> None:
        self._models = tracked_models()
        self._moving: dict[tuple[str, UUID], tuple[UUID, int]] = {}
        self._told: dict[UUID, datetime] = {}
        self._since = timezone.now()
        self.look()

    def look(self) -> set[Change]:
        """What changed since the look before; nothing the first time."""
        return set(self._moved()) | set(self._happened())

    def _moved(self) -> Iterator[Change]:
        now: dict[tuple[str, UUID], tuple[UUID, int]] = {}
        for label, model in self._models.items():
            columns = [each.attname for each in model._meta.concrete_fields]
            names = ["pk", "project_id", *(name for name in columns if name != "look_at")]
            rows = model._base_manager.filter(look_at__isnull=False).order_by("pk")
            for key, project_id, *rest in rows.values_list(*names)[:MOST]:
                now[label, key] = (project_id, hash(str(rest)))
        for (label, key), seen in (self._moving | now).items():
            if now.get((label, key)) != self._moving.get((label, key)):
                yield Change(seen[0], label.lower(), str(key))
        self._moving = now

    def _happened(self) -> Iterator[Change]:
        began = timezone.now()
        found = Event.objects.filter(created_at__gt=self._since - OVERLAP)
        fresh: dict[str, set[UUID]] = defaultdict(set)
        for key, subject, at in found.values_list("pk", "subject", "created_at"):
            if key not in self._told:
                self._told[key] = at
                label, _, row = subject.rpartition(":")
                fresh[label].add(UUID(row))
        self._told = {k: at for k, at in self._told.items() if at > began - 2 * OVERLAP}
        self._since = began
        for label, keys in fresh.items():
            model: Any = self._models.get(label)
            if model is not None:
                owners = model._base_manager.filter(pk__in=keys).values_list("pk", "project_id")
                for key, project_id in owners:
                    yield Change(project_id, label.lower(), str(key))
