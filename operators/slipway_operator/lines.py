"""Who waits in which of Kueue's queues, in Kueue's order."""

from __future__ import annotations

import bisect
from collections import defaultdict

from slipway_operator.cluster import Name, Object
from slipway_operator.status.seen import condition, holds

#: Kueue's order: priority, then time, then name.
Turn = tuple[int, str, str]


class Lines:
    """One line for each queue of a namespace; a place costs a search by halves."""

    def __init__(self) -> None:
        self._waiting: dict[Name, tuple[Name, Turn]] = {}
        self._lines: defaultdict[Name, list[Turn]] = defaultdict(list)

    def join(self, name: Name, queued: Object) -> None:
        """Put a Workload of Kueue where it stands now; nowhere if it does not wait."""
        self.leave(name)
        if holds(queued, "QuotaReserved") or holds(queued, "Finished"):
            return
        line, turn = (name[0], queued["spec"].get("queueName", "")), _turn(queued)
        self._waiting[name] = (line, turn)
        bisect.insort(self._lines[line], turn)

    def leave(self, name: Name) -> None:
        """Take it out of its line, if it stands in one."""
        if name not in self._waiting:
            return
        line, turn = self._waiting.pop(name)
        del self._lines[line][bisect.bisect_left(self._lines[line], turn)]
        if not self._lines[line]:
            del self._lines[line]

    def place(self, name: Name) -> int:
        """1-based place among those that wait in the same queue; 0 when it does not wait."""
        if name not in self._waiting:
            return 0
        line, turn = self._waiting[name]
        return bisect.bisect_left(self._lines[line], turn) + 1


def _turn(queued: Object) -> Turn:
    """Who was evicted counts from then."""
    evicted = condition(queued, "Evicted")
    since = queued["metadata"]["creationTimestamp"]
    if evicted is not None and evicted["status"] == "True":
        since = evicted.get("lastTransitionTime", since)
    return (-queued["spec"].get("priority", 0), since, queued["metadata"]["name"])
