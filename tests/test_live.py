"""What changed is told as it happens: to its own project alone, and once for all who listen."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from slipway.core import changes, lifecycle
from slipway.datasets.models import Dataset, Version
from slipway.live import api
from slipway.live.hub import MOST_WAITING, Hub, Listener, News
from slipway.live.look import begin


def listener(project: UUID, *modules: str, organisation: UUID | None = None) -> Listener:
    return Listener(project, organisation or uuid4(), frozenset(modules or ("datasets",)))


def news(project: UUID | None, key: str = "1", module: str = "datasets", **more: Any) -> News:
    return News(module=module, kind="datasets.version", id=key, project_id=project, **more)


@pytest.mark.django_db
def test_a_row_that_moves_is_told_with_its_project(owner: Any) -> None:
    dataset = Dataset.objects.create(project_id=owner.project_id, name="rows")
    version = Version.objects.create(
        project_id=owner.project_id, dataset=dataset, number=1, phase="checking"
    )
    watch = changes.Watch()
    told = changes.Change(owner.project_id, "datasets.version", str(version.pk))
    assert watch.look() == set()
    Version.objects.filter(pk=version.pk).update(rows_done=7)
    assert watch.look() == {told}
    Version.objects.filter(pk=version.pk).update(look_at=timezone.now())
    assert watch.look() == set(), "that somebody looked is no change"
    version.refresh_from_db()
    lifecycle.advance(version, "valid", now=timezone.now())
    assert watch.look() == {told}, "what came to rest is told too"
    assert watch.look() == set()


@pytest.mark.django_db
def test_a_life_shorter_than_a_look_is_told(owner: Any) -> None:
    watch = changes.Watch()
    dataset = Dataset.objects.create(project_id=owner.project_id, name="rows")
    version = Version.objects.create(
        project_id=owner.project_id, dataset=dataset, number=1, phase="valid", look_at=None
    )
    lifecycle.born(version, now=timezone.now())
    assert watch.look() == {changes.Change(owner.project_id, "datasets.version", str(version.pk))}


@pytest.mark.django_db(transaction=True)
def test_an_act_through_the_api_is_news_of_its_module(api: Any, owner: Any, stranger: Any) -> None:
    look = begin()
    assert list(look()) == []
    assert api.put("/api/v1/limits", {"requests_per_minute": 5}, format="json").status_code == 200
    assert api.post("/api/v1/projects", {"name": "more"}, format="json").status_code in {201, 403}
    told = list(look())
    assert {(each.module, each.kind) for each in told} >= {("access", "limits")}
    limits = next(each for each in told if each.kind == "limits")
    assert limits.project_id == owner.project_id != stranger.project_id
    shared = [each for each in told if each.kind == "projects"]
    assert all(each.project_id is None and each.organisation_id for each in shared)


def test_nobody_hears_of_another_project_nor_of_what_they_may_not_see() -> None:
    mine, house = uuid4(), uuid4()
    ears = listener(mine, "datasets", "organisation", organisation=house)
    ears.offer(news(uuid4(), "theirs"))
    ears.offer(news(mine, "hidden", module="training"))
    ears.offer(news(None, "elsewhere", module="organisation", organisation_id=uuid4()))
    assert not ears.told.is_set()
    ears.offer(news(mine, "own"))
    ears.offer(news(mine, "own"))
    ears.offer(news(None, "house", module="organisation", organisation_id=house))
    assert [key for _, key in ears.take()[0]] == ["own", "house"]


def test_who_is_far_behind_is_told_to_read_everything_anew() -> None:
    mine = uuid4()
    ears = listener(mine)
    for number in range(MOST_WAITING + 5):
        ears.offer(news(mine, str(number)))
    taken, lost = ears.take()
    assert (len(taken), lost) == (MOST_WAITING, True)
    assert ears.take() == ([], False)


def test_one_look_serves_all_and_stops_when_nobody_listens() -> None:
    mine, looks = uuid4(), 0
    waiting = [[news(mine)]]

    def look() -> list[News]:
        nonlocal looks
        looks += 1
        return waiting.pop() if waiting else []

    async def story() -> None:
        hub = Hub(lambda: look, every_seconds=0.01)
        first = [listener(mine) for _ in range(50)]
        streams = [hub.listen(each, idle_seconds=30) for each in first]
        # Everybody is in before the one piece of news is told, or some would miss it.
        asking = [asyncio.ensure_future(anext(each)) for each in streams]  # type: ignore[arg-type]
        assert await asyncio.wait_for(asyncio.gather(*asking), 30) == [True] * 50
        for each in streams:
            await each.aclose()  # type: ignore[attr-defined]
        assert len(hub) == 0
        task: Any = hub._task
        await asyncio.wait_for(task, 30)
        done = looks
        await asyncio.sleep(0.1)
        assert looks == done

    asyncio.run(story())


def test_a_look_that_fails_is_tried_again() -> None:
    mine, tries = uuid4(), 0

    def look() -> list[News]:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise OSError("away")
        return [news(mine)]

    async def story() -> bool:
        stream = Hub(lambda: look, every_seconds=0.01).listen(listener(mine), idle_seconds=30)
        heard = await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
        return heard

    assert asyncio.run(story())


def test_the_stream_says_kinds_and_ids_and_keeps_the_line_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mine = uuid4()
    waiting = [[news(mine, "7")]]
    monkeypatch.setattr(api, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(
        api, "hub", Hub(lambda: lambda: waiting.pop() if waiting else [], every_seconds=0.01)
    )

    async def story() -> list[bytes]:
        stream = api.stream(listener(mine))
        heard = [await anext(stream) for _ in range(3)]
        await stream.aclose()  # type: ignore[attr-defined]
        return heard

    hello, told, beat = asyncio.run(story())
    assert json.loads(hello.removeprefix(b"data: ")) == {"changes": [], "all": False}
    assert json.loads(told.removeprefix(b"data: "))["changes"] == [
        {"kind": "datasets.version", "id": "7"}
    ]
    assert beat.startswith(b":")
