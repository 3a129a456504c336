"""Ends what has outlived its time: files, uploads, remembered requests, objects of no row."""

from __future__ import annotations

from datetime import datetime, timedelta

from slipway import backends
from slipway.door.models import File, Part
from slipway.door.services import asked, completions, files, models, responses, uploads
from slipway.traffic import services as traffic

#: Objects of no row are left alone for this long: a row may be about to point at them.
_ORPHAN_AGE = timedelta(days=1)


def sweep(now: datetime) -> None:
    files.expire(now)
    uploads.expire(now)
    asked.forget(now)
    models.forget_weights(now)
    responses.forget(now)
    completions.forget(now)
    traffic.forget_prompts(now)
    store = backends.objects()
    for found in store.list("files/"):
        if found.modified_at > now - _ORPHAN_AGE:
            continue
        owned = File.objects.filter(key=found.key) or Part.objects.filter(key=found.key)
        if not owned.exists():
            store.delete(found.key)
