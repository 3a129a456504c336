"""What a recipe sees of the world: one context, the same in every host."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from slipway_contracts.progress import Note, NoteKind
from slipway_contracts.workload import Report, Workload, artifact_name, report_name, to_json
from slipway_runtime import files, places, progress
from slipway_runtime.hosts.used import Meter

STEP_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A stored checkpoint whose hashes were verified; its directory is for reading only."""

    directory: Path
    step: int


class Context(Protocol):
    """Everything between a recipe and the platform.

    Every rank may call everything; only rank 0 writes, the others' calls do nothing.
    """

    workload: Workload
    #: Empty directory for temporary files, removed when the run ends.
    scratch: Path
    rank: int
    world_size: int

    def stage(self, text: str) -> None:
        """Say what begins now, in words for the user."""

    def metrics(
        self, *, step: int, total_steps: int, epoch: float, values: dict[str, float]
    ) -> None:
        """Values at the end of optimizer step `step` (1-based)."""

    def log(self, text: str) -> None:
        """One line for the run's log."""

    def warn(self, text: str) -> None:
        """Something the user should know, though the run goes on."""

    def input_dir(self, role: str) -> Path:
        """Local path of the input (directory or file); BadInput when it is not there."""

    def save_checkpoint(self, directory: Path, *, step: int, values: dict[str, float]) -> str:
        """Store the directory whole, with hashes, then note it; returns its URI."""

    def latest_checkpoint(self) -> Checkpoint | None:
        """The newest checkpoint of this run that is whole; None if there is none."""

    def finish(
        self, directory: Path, *, metrics: dict[str, float], details: dict[str, Any]
    ) -> None:
        """Store the result under the run's output, then the report. Call it last."""


class RunContext:
    """The context of a real run: notes and bytes go to the run's output URI."""

    def __init__(
        self,
        workload: Workload,
        *,
        scratch: Path,
        writer: progress.Writer | None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.workload = workload
        self.scratch = scratch
        self.rank = rank
        self._meter = Meter()
        self.world_size = world_size
        #: Whether the recipe has stored its result.
        self.finished = False
        self._writer = writer if rank == 0 else None
        self._step_told_at = 0.0

    def stage(self, text: str) -> None:
        self._text(NoteKind.STAGE, text)

    def log(self, text: str) -> None:
        self._text(NoteKind.LOG, text)

    def warn(self, text: str) -> None:
        self._text(NoteKind.WARNING, text)

    def metrics(
        self, *, step: int, total_steps: int, epoch: float, values: dict[str, float]
    ) -> None:
        if self._writer:
            self._writer.go_on()
            note = Note(
                kind=NoteKind.METRICS,
                at=time.time(),
                step=step,
                total_steps=total_steps,
                epoch=epoch,
                values=values | self._meter.read(),
            )
            self._writer.add(note)
            self._tell_step(step, total_steps, now=note.at)

    def input_dir(self, role: str) -> Path:
        from slipway_runtime.run import BadInput

        uri = self.workload.inputs.get(role)
        if not uri:
            given = ", ".join(sorted(self.workload.inputs)) or "none"
            raise BadInput(f"this run needs the input {role!r}; given: {given}")
        try:
            return files.local_path(uri)
        except (files.Missing, files.Damaged) as error:
            raise BadInput(f"the input {role!r} cannot be read: {error}") from error

    def save_checkpoint(self, directory: Path, *, step: int, values: dict[str, float]) -> str:
        # The attempt is in the name: an attempt believed dead cannot spoil its successor's.
        name = f"{step:08d}-{self.workload.attempt:03d}"
        uri = files.join(self._checkpoints_uri(), name)
        if self._writer:
            self._writer.go_on()
            files.store_dir(directory, uri)
            note = Note(kind=NoteKind.CHECKPOINT, at=time.time(), step=step, values=values, uri=uri)
            self._writer.add(note)
        return uri

    def latest_checkpoint(self) -> Checkpoint | None:
        root = self._checkpoints_uri()
        whole = [n for n in files.names(root) if n.endswith(f"/{files.MANIFEST}")]
        for name in sorted((n.split("/")[0] for n in whole), reverse=True):
            try:
                directory = files.local_dir(files.join(root, name), verify=True)
            except (files.Damaged, files.Missing) as error:
                self.warn(f"checkpoint left out, going back to the one before: {error}")
            else:
                return Checkpoint(directory=directory, step=int(name.split("-")[0]))
        return None

    def finish(
        self, directory: Path, *, metrics: dict[str, float], details: dict[str, Any]
    ) -> None:
        if not self._writer:
            return
        self._writer.go_on()
        uri = files.join(self.workload.output_uri, artifact_name(self.workload.attempt))
        hashes = files.store_dir(directory, uri)
        self._writer.flush()
        report = Report(
            artifact_uri=uri,
            metrics=metrics,
            files=hashes,
            attempt=self.workload.attempt,
            details=details,
        )
        name = report_name(self.workload.attempt)
        files.put(files.join(self.workload.output_uri, name), to_json(report).encode())
        self.finished = True

    def _text(self, kind: NoteKind, text: str) -> None:
        print(text, flush=True)  # noqa: T201 - what a run prints is its log
        if self._writer:
            self._writer.go_on()
            self._writer.text(kind, text)

    def _tell_step(self, step: int, total_steps: int, *, now: float) -> None:
        """Leave a mark for those who wait behind this run; a full disk is no reason to stop."""
        if now - self._step_told_at >= STEP_PAUSE_SECONDS:
            self._step_told_at = now
            with suppress(OSError):
                places.step_file(self.workload.name).write_text(f"{step} {total_steps}")

    def _checkpoints_uri(self) -> str:
        return files.join(self.workload.output_uri, "checkpoints")
