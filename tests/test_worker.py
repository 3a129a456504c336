"""The broker in a folder: messages appear whole, are taken once, and a kill leaves no poison."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from celery.signals import worker_init
from kombu import Connection

from slipway.worker import app as _app  # noqa: F401 - it connects to the signal
from slipway.worker import folder_broker


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def _connection(folder: Path) -> Connection:
    options = {"data_folder_in": str(folder), "data_folder_out": str(folder)}
    return Connection("folder://localhost/", transport_options=options)


def test_each_message_is_taken_by_exactly_one_reader(folder: Path) -> None:
    with _connection(folder) as connection:
        queue = connection.SimpleQueue("celery")
        for number in range(60):
            queue.put({"number": number})
        queue.close()

    def drain(_: int) -> list[int]:
        taken = []
        with _connection(folder) as connection:
            queue = connection.SimpleQueue("celery")
            while True:
                try:
                    message = queue.get(block=False)
                except queue.Empty:
                    break
                taken.append(message.payload["number"])
                message.ack()
            queue.close()
        return taken

    with ThreadPoolExecutor(4) as pool:
        found = [number for part in pool.map(drain, range(4)) for number in part]
    assert sorted(found) == list(range(60))
    assert list(folder.iterdir()) == []


def test_what_a_kill_left_behind_is_swept_and_harms_nobody(folder: Path) -> None:
    (folder / "1_x.celery.msg.new").write_bytes(b'{"half')
    (folder / "0_y.celery.msg.taken").write_bytes(b"")
    with _connection(folder) as connection:
        queue = connection.SimpleQueue("celery")
        with pytest.raises(queue.Empty):
            queue.get(block=False)
        queue.put({"number": 1})
        folder_broker.sweep(folder)
        assert queue.get(block=False).payload == {"number": 1}
        queue.close()


def test_long_steps_leave_threads_for_the_short_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    from slipway.worker import tasks

    looked: list[str] = []
    monkeypatch.setattr(tasks, "_look", looked.append)
    assert set(tasks.watched()) >= set(tasks.LONG), "every name there is a table with a life"
    with tasks._bytes_slots, tasks._bytes_slots:
        tasks.look("datasets.version")
        tasks.look("training.trainingjob")
    assert looked == ["training.trainingjob"]
    tasks.look("datasets.version")
    assert looked == ["training.trainingjob", "datasets.version"]


def test_every_domain_with_a_life_is_watched_by_its_own_loop() -> None:
    from slipway.worker import tasks

    watched = tasks.watched()
    for label in ("datasets.version", "registry.modelversion", "training.trainingjob",
                  "evaluation.evaluationrun", "deployments.deployment"):  # fmt: skip
        assert label in watched
        model, step = watched[label]
        assert model._meta.label_lower == label
        assert callable(step)


def test_a_worker_makes_the_place_of_its_schedule(folder: Path, settings: Any) -> None:
    settings.RUN_DIR = folder / "not" / "there"
    settings.BROKER_URL = "redis://nowhere"
    worker_init.send(sender=None)
    assert settings.RUN_DIR.is_dir()


def test_the_worker_has_threads_that_no_long_step_can_hold() -> None:
    from slipway.cli import supervise
    from slipway.worker import tasks

    held = sum({id(slots): slots._initial_value for slots in tasks.LONG.values()}.values())
    chart = Path(__file__).parents[1] / "helm" / "slipway" / "templates" / "deployments.yaml"
    for told in (" ".join(supervise.COMMANDS["worker"]), chart.read_text()):
        (threads,) = re.findall(r"--concurrency=(\d+)", told)
        assert int(threads) > held
