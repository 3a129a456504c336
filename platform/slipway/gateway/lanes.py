"""So many requests at a time for each deployment, the others in a queue: people before batches.

Pure: who waits is told by a callback.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import msgspec

from slipway.gateway import errors
from slipway.gateway.errors import Refusal
from slipway.gateway.facts import Route

#: Nobody should wait longer than this, in seconds.
LONGEST_WAIT = 30.0
#: Of the places of a deployment, background work has at most this part, rounded up.
BACKGROUND_SHARE = 0.5
#: Lanes of deployments that nobody asks now are kept until they are so many.
MOST_LANES = 10_000


def _nobody() -> None: ...


class Place(msgspec.Struct, eq=False):
    """A place at a deployment, had or waited for; to be given back by `leave`."""

    deployment_id: str
    #: None once it was given back.
    lane: _Lane | None
    background: bool
    ready: Callable[[], None]
    #: It is this one's turn; before, it only waits.
    called: bool = True


class _Lane:
    """Who is at work at one deployment, and who waits."""

    __slots__ = ("at_once", "background", "busy", "queues")

    def __init__(self) -> None:
        self.at_once = 0
        self.busy = self.background = 0
        #: People first, then background work.
        self.queues: tuple[deque[Place], deque[Place]] = (deque(), deque())

    def waiting(self) -> int:
        return len(self.queues[0]) + len(self.queues[1])

    def room(self, *, background: bool) -> bool:
        """There is a place for one more of this kind."""
        most = max(1, int(self.at_once * BACKGROUND_SHARE + 0.5))
        return self.busy < self.at_once and (not background or self.background < most)


class Lanes:
    """The lanes of one gateway process, by deployment."""

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane] = {}

    def enter(
        self, route: Route, *, background: bool, ready: Callable[[], None]
    ) -> Place | Refusal:
        """A place, `called` at once or when `ready` is called; or no, with when to ask again."""
        lane = self._lanes.get(route.deployment_id)
        if lane is None:
            lane = self._add(route.deployment_id)
        lane.at_once = route.at_once
        # Background work that waits does not keep people out.
        if background:
            ahead, room = lane.waiting(), lane.room(background=True)
        else:
            ahead, room = len(lane.queues[0]), lane.busy < route.at_once
        if room and not ahead:
            lane.busy += 1
            lane.background += background
            return Place(route.deployment_id, lane, background, ready)
        if ahead >= route.queue:
            return full(route)
        place = Place(route.deployment_id, lane, background, ready, called=False)
        lane.queues[background].append(place)
        return place

    def leave(self, place: Place) -> None:
        """Done, or no longer waiting; whose turn it is now is told."""
        lane, place.lane = place.lane, None
        # Who it would have told may hold this place: no circle is left behind.
        place.ready = _nobody
        if lane is None:
            return
        if place.called:
            lane.busy -= 1
            lane.background -= place.background
        else:
            lane.queues[place.background].remove(place)
        people, others = lane.queues
        while (queue := people or others) and lane.room(background=queue is others):
            following = queue.popleft()
            following.called = True
            lane.busy += 1
            lane.background += following.background
            following.ready()

    def move(self, place: Place, route: Route) -> Refusal | None:
        """Give the place back for one at another deployment; then it may have to be waited for
        again. Without room there, it is a place no longer."""
        ready = place.ready
        self.leave(place)
        other = self.enter(route, background=place.background, ready=ready)
        if isinstance(other, Refusal):
            place.lane = None
            return other
        if not other.called:
            queue = other.lane.queues[other.background]  # type: ignore[union-attr]  # just entered
            queue[-1] = place
        place.deployment_id, place.lane = other.deployment_id, other.lane
        place.called, place.ready = other.called, ready
        return None

    def in_flight(self, deployment_id: str) -> int:
        lane = self._lanes.get(deployment_id)
        return lane.busy if lane is not None else 0

    def waiting(self, deployment_id: str) -> int:
        lane = self._lanes.get(deployment_id)
        return lane.waiting() if lane is not None else 0

    @property
    def idle(self) -> bool:
        """Nobody is at work anywhere, and nobody waits."""
        return not any(lane.busy or lane.waiting() for lane in self._lanes.values())

    def _add(self, deployment_id: str) -> _Lane:
        if len(self._lanes) >= MOST_LANES:
            self._lanes = {
                name: lane for name, lane in self._lanes.items() if lane.busy or lane.waiting()
            }
        lane = self._lanes[deployment_id] = _Lane()
        return lane


def full(route: Route) -> Refusal:
    """No place, and none to wait in."""
    waiting = f" and {route.queue} waiting" if route.queue else ""
    return errors.unavailable(
        f"The model `{route.name}` has {route.at_once} requests in flight{waiting}, its limit; "
        "ask again shortly, or give the deployment more replicas or a longer queue.",
        retry_after=1,
        code="overloaded",
    )


def too_long(route: Route) -> Refusal:
    """It waited its time, and its turn did not come."""
    return errors.unavailable(
        f"The model `{route.name}` had no place within {LONGEST_WAIT:g} s; ask again shortly.",
        retry_after=5,
        code="overloaded",
    )
