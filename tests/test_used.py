"""What a run uses of its machine is measured, and not more often than is worth it."""

from __future__ import annotations

import time

import pytest

from slipway_runtime.hosts import used


def test_a_busy_second_is_a_core_and_memory_is_what_lies_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, spent = [100.0], [10.0]
    monkeypatch.setattr(used.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(used, "_cpu_seconds", lambda: spent[0])
    meter = used.Meter()
    now[0] += 1
    assert meter.read() == {}
    now[0] += 3
    spent[0] += 6
    found = meter.read()
    assert found["cpu_cores"] == pytest.approx(1.5)
    before = found["memory_bytes"]
    assert before > 1e6
    held = bytearray(64 * 2**20)
    held[::4096] = b"x" * len(held[::4096])
    now[0] += 5
    assert meter.read()["memory_bytes"] - before > 48 * 2**20
    assert len(held) > 0


def test_processor_time_is_that_of_this_process() -> None:
    before, until = used._cpu_seconds(), time.process_time() + 0.05
    while time.process_time() < until:
        pass
    assert used._cpu_seconds() - before >= 0.02
