"""Where experiments are written down. A broken tracker is a warning, never a failed job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


class TrackingUnavailable(Exception):
    """The tracker did not take it; what was to be written can be written again later."""


@dataclass(frozen=True, kw_only=True)
class Point:
    name: str
    value: float
    step: int
    at: datetime


class Tracking(Protocol):
    def start_run(self, *, experiment: str, name: str, key: str, params: Mapping[str, str]) -> str:
        """Open the run tagged with our own `key`, or find it if it is there; returns its id."""

    def log(self, run: str, points: Sequence[Point]) -> None:
        """Write points in one batch; writing the same points again changes nothing."""

    def end_run(self, run: str, *, status: str) -> None:
        """Close the run: `FINISHED`, `FAILED` or `KILLED`."""

    def register(
        self, *, model: str, source_uri: str, key: str, run: str = "", tags: Mapping[str, str]
    ) -> str:
        """A version of `model` in the tracker's registry, once per `key`; returns its number."""

    def unregister(self, *, model: str, version: str) -> None:
        """Take a version out of the tracker's registry; no error if it is gone."""

    def forget(self, *, space: str) -> None:
        """Remove the experiment `space`, its runs, and registered models named `space.…`."""
