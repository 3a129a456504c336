"""Places at a deployment: so many at a time, a queue, people before batches. Without a socket."""

from __future__ import annotations

import random

from slipway.gateway.errors import Refusal
from slipway.gateway.facts import Route
from slipway.gateway.lanes import Lanes, Place


class Scene:
    def __init__(self, at_once: int, queue: int) -> None:
        self.lanes = Lanes()
        self.route = Route(
            project_id="p", name="m", deployment_id="d", version_id="v", endpoints=(),
            state="live", at_once=at_once, queue=queue,
        )  # fmt: skip
        self.called: list[str] = []

    def enter(self, name: str, *, background: bool = False) -> Place | Refusal:
        return self.lanes.enter(
            self.route, background=background, ready=lambda: self.called.append(name)
        )

    def leave(self, place: Place | Refusal) -> None:
        assert isinstance(place, Place)
        self.lanes.leave(place)


def is_at_work(place: Place | Refusal) -> bool:
    return isinstance(place, Place) and place.called


def test_so_many_at_a_time_and_then_a_refusal_with_retry_after() -> None:
    scene = Scene(2, 0)
    one, two = scene.enter("1"), scene.enter("2")
    assert (is_at_work(one), is_at_work(two)) == (True, True)
    three = scene.enter("3")
    assert isinstance(three, Refusal)
    assert (three.status, three.code, three.retry_after) == (503, "overloaded", 1)
    scene.leave(one)
    assert is_at_work(scene.enter("4"))


def test_who_waits_comes_in_order() -> None:
    scene = Scene(1, 2)
    one, two, three = (scene.enter(name) for name in "123")
    assert isinstance(scene.enter("4"), Refusal)
    assert not is_at_work(two)
    assert scene.lanes.waiting("d") == 2
    scene.leave(one)
    assert (scene.called, is_at_work(two)) == (["2"], True)
    scene.leave(two)
    assert (scene.called, is_at_work(three)) == (["2", "3"], True)
    scene.leave(three)
    assert scene.lanes.in_flight("d") == 0


def test_who_gives_up_waiting_lets_the_next_one_pass() -> None:
    scene = Scene(1, 3)
    one, two, three = (scene.enter(name) for name in "123")
    scene.leave(two)
    scene.leave(one)
    assert (scene.called, is_at_work(three)) == (["3"], True)


def test_people_come_before_batches_that_waited_longer() -> None:
    scene = Scene(1, 4)
    one = scene.enter("1")
    batches = [scene.enter(f"b{n}", background=True) for n in range(3)]
    two, three = scene.enter("2"), scene.enter("3")
    scene.leave(one)
    scene.leave(two)
    scene.leave(three)
    assert scene.called == ["2", "3", "b0"]
    scene.leave(batches[0])
    assert scene.called[-1] == "b1"


def test_batches_never_take_more_than_half_the_places() -> None:
    scene = Scene(4, 8)
    batches = [scene.enter(f"b{n}", background=True) for n in range(4)]
    assert [is_at_work(one) for one in batches] == [True, True, False, False]
    # Two places stay for people, at once.
    people = [scene.enter(str(n)) for n in range(2)]
    assert all(is_at_work(one) for one in people)
    scene.leave(people[0])
    assert scene.called == [], "its place stays free for the next person"
    scene.leave(batches[0])
    assert scene.called == ["b2"]


def test_a_queue_full_of_batches_keeps_nobody_out() -> None:
    scene = Scene(1, 2)
    scene.enter("1")
    assert isinstance(scene.enter("b1", background=True), Place)
    assert isinstance(scene.enter("b2", background=True), Place)
    assert isinstance(scene.enter("b3", background=True), Refusal)
    assert isinstance(scene.enter("2"), Place)
    assert isinstance(scene.enter("3"), Place)
    assert isinstance(scene.enter("4"), Refusal)


def test_no_place_is_ever_lost_or_given_twice() -> None:
    chance = random.Random(7)
    scene = Scene(3, 5)
    here: list[Place] = []
    for _ in range(20_000):
        if here and chance.random() < 0.5:
            scene.leave(here.pop(chance.randrange(len(here))))
        else:
            place = scene.enter("x", background=chance.random() < 0.5)
            if isinstance(place, Place):
                here.append(place)
        at_work = [one for one in here if one.called]
        assert scene.lanes.in_flight("d") == len(at_work) <= 3
        assert sum(one.background for one in at_work) <= 2
        people_wait = any(not one.called and not one.background for one in here)
        assert not people_wait or len(at_work) == 3, "somebody waits beside an empty place"
    while here:
        scene.leave(here.pop())
    assert scene.lanes.idle
