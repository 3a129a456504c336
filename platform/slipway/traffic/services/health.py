"""Whether external models are well: seen by what they answer, and by asking where nobody did.

A look at one goes: a good answer since the last look says that it is well, and several requests
that all failed that it is not; else it is asked for its list of models. Who is found unwell twice,
or by its answers, is not asked again until a later look finds it well; those come ever more seldom.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

import urllib3
from django.db import close_old_connections

from slipway.core import addresses, seal, together
from slipway.core.errors import Invalid
from slipway.core.outward import place_of, resolve, tls
from slipway.metering import services as metering
from slipway.traffic.models import External
from slipway.traffic.services.externals import purpose_of

#: Between two looks at one that is well; at one that is not, first and at most.
EVERY = timedelta(seconds=15)
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(seconds=300)
#: So many looks in a row must find it unwell.
LOOKS = 2
#: So many requests must have failed, and none gone well, to tell without asking.
REQUESTS = 3
#: Older answers say nothing of today.
_RECENT = timedelta(seconds=60)
#: Nobody else looks at it while we do; longer than asking takes.
_CLAIM = timedelta(seconds=30)
_AT_ONCE = 8
_TIMEOUT = urllib3.Timeout(connect=5, read=10)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """`trouble` in words, empty for none; `grave` where requests would fail as well."""

    trouble: str = ""
    grave: bool = False


def tend(*, now: datetime) -> int:
    """Look at every external model that is due; returns how many were."""
    due = [
        row
        for row in External.objects.filter(next_check_at__lte=now).order_by("next_check_at", "pk")
        if External.objects.filter(pk=row.pk, next_check_at=row.next_check_at).update(
            next_check_at=now + _CLAIM
        )
    ]

    def one(row: External) -> None:
        try:
            look(row, now=now)
        finally:
            close_old_connections()

    if len(due) == 1:
        look(due[0], now=now)
    elif due:
        with ThreadPoolExecutor(min(_AT_ONCE, len(due)), "externals") as pool:
            list(pool.map(one, due))
    return len(due)


def look(
    row: External, *, now: datetime, probe: Callable[[External], Finding] | None = None
) -> External:
    """Find out how it is and store that; blocks for some seconds where it must be asked."""
    since = max(row.checked_at or row.created_at, now - _RECENT)
    good, bad = metering.answers_of(deployment_id=row.pk, since=since)
    if good:
        return _store(row, Finding(), now=now, failures=0)
    if bad >= REQUESTS and not row.down:
        told = f"all of its last {bad} requests failed; the last look is at {now:%H:%M:%S} UTC"
        return _store(row, Finding(trouble=told, grave=True), now=now,
                      failures=max(LOOKS, row.failures + 1))  # fmt: skip
    found = (probe or ask)(row)
    # Well again on the word of its list alone: who fails once more soon is out for longer.
    failures = row.failures + 1 if found.grave else row.failures // 2
    return _store(row, found, now=now, failures=failures)


def check(row: External, *, now: datetime) -> External:
    """Ask it at once, whatever it answered lately, and store what came of it."""
    found = ask(row)
    together.begin()
    failures = max(LOOKS, row.failures) if found.grave else 0
    return _store(row, found, now=now, failures=failures)


def _store(row: External, found: Finding, *, now: datetime, failures: int) -> External:
    row.trouble, row.checked_at, row.failures = found.trouble[:500], now, failures
    row.down = found.grave and failures >= LOOKS
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures - 1, 10)) if found.grave else EVERY
    row.next_check_at = now + pause
    # Changed meanwhile, it is another one, and is looked at anew.
    External.objects.filter(pk=row.pk, changed_at=row.changed_at).update(
        trouble=row.trouble, checked_at=now, failures=failures, down=row.down,
        next_check_at=row.next_check_at,
    )  # fmt: skip
    return row


def ask(row: External) -> Finding:
    """Ask the server for its models; blocks for some seconds."""
    try:
        place = place_of(row.url)
        address = resolve(place)[0]
        secret = seal.unseal(row.credential, purpose=purpose_of(row.pk)) if row.credential else ""
    except (Invalid, addresses.NotAllowed, seal.CannotOpen) as error:
        return Finding(trouble=str(error), grave=True)
    headers = {"host": place.netloc, "accept-encoding": "identity"}
    if secret:
        headers["authorization"] = f"Bearer {secret}"
    pool: urllib3.HTTPConnectionPool
    if place.scheme == "https":
        pool = urllib3.HTTPSConnectionPool(
            address, place.port, timeout=_TIMEOUT, server_hostname=place.host,
            assert_hostname=place.host, ssl_context=tls(),
        )  # fmt: skip
    else:
        pool = urllib3.HTTPConnectionPool(address, place.port, timeout=_TIMEOUT)
    try:
        with pool:
            answer = pool.request("GET", f"{place.path}/models", headers=headers, redirect=False,
                                  retries=False, preload_content=False)  # fmt: skip
            answer.close()
    except urllib3.exceptions.HTTPError as error:
        return Finding(trouble=f"{place.host} does not answer: {error}", grave=True)
    if answer.status in {401, 403}:
        # 403: some keys may ask models and not list them.
        return Finding(
            trouble=f"{place.host} refuses the credential (status {answer.status})",
            grave=answer.status == 401,
        )
    # Some servers do not list their models; that they answer at all is what is asked.
    if answer.status >= 500 or 300 <= answer.status < 400:
        return Finding(
            trouble=f"{place.host} answers GET {place.path}/models with status {answer.status}",
            grave=answer.status >= 500,
        )
    return Finding()
