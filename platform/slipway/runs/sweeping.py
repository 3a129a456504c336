"""Removes workloads that nobody owns: a late dispatch, an old attempt, a deleted run."""

from __future__ import annotations

from slipway import backends
from slipway.runs.record import Run


def sweep(model: type[Run]) -> list[str]:
    """Remove workloads of this kind that no row wants any more; return their names.

    Names are read before rows, and a row is committed before its workload is sent, so a live
    attempt is never taken for an orphan.
    """
    compute = backends.compute()
    removed = []
    for name in compute.names():
        prefix, _, rest = name.partition("-")
        handle, _, attempt = rest.partition("-")
        if prefix != model.PREFIX or not attempt.isdecimal():
            continue
        run = model.objects.filter(handle=handle).first()
        if run is None or run.LIFECYCLE.at_rest(run.phase) or run.attempt > int(attempt):
            compute.delete(name)
            removed.append(name)
    return removed
