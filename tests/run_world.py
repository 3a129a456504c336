"""What training and evaluation stand on in their tests: versions by the shelf, a runtime by hand.

The facts that cross the borders are made here; functions of other domains are replaced by ones
of the same signature. The object store is the real folder store.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from django.utils import timezone

from slipway import backends
from slipway.core.errors import NotFound
from slipway.core.reconcile import run_due
from slipway.registry import services as registry
from slipway_contracts.progress import Note, NoteKind, chunk_name, to_lines
from slipway_contracts.workload import (
    Failure,
    Observation,
    Report,
    State,
    artifact_name,
    failure_name,
    report_name,
    to_json,
)

T0 = 1_800_000_000.0


@dataclass
class Shelf:
    """Model and dataset versions, who holds them, and results that were registered."""

    models: dict[uuid.UUID, Any] = field(default_factory=dict)
    datasets: dict[uuid.UUID, Any] = field(default_factory=dict)
    held: set[tuple[uuid.UUID, str]] = field(default_factory=set)
    results: dict[str, Any] = field(default_factory=dict)
    #: Raised by the next registration instead of taking the result.
    refusal: Exception | None = None

    def ready_version(self, *, project_id: uuid.UUID, version_id: uuid.UUID) -> Any:
        return self._get(self.models, project_id, version_id, "model version")

    def whole_of(self, fact: Any) -> Any:
        return self.models[fact.base_version_id or fact.id]

    def published_version(self, *, project_id: uuid.UUID, version_id: uuid.UUID) -> Any:
        return self._get(self.datasets, project_id, version_id, "dataset version")

    def rows_at(self, *, project_id: uuid.UUID, version_id: uuid.UUID, numbers: Any) -> Any:
        dataset = self.published_version(project_id=project_id, version_id=version_id)
        objects = backends.objects()
        lines = objects.read(objects.key(dataset.uri)).splitlines()
        return [(number, json.loads(lines[number])) for number in numbers]

    def _get(self, where: dict[uuid.UUID, Any], project_id: Any, key: Any, what: str) -> Any:
        found = where.get(key)
        if found is None or found.project_id != project_id:
            raise NotFound(f"There is no {what} {key} in this project.")
        return found

    def hold(self, *, version_id: uuid.UUID, holder: str, **_more: Any) -> None:
        self.held.add((version_id, holder))

    def release(self, *, holder: str, version_id: uuid.UUID | None = None) -> None:
        gone = {(v, h) for v, h in self.held if h == holder and version_id in {v, None}}
        self.held -= gone

    def holders(self, *, prefix: str) -> list[str]:
        return sorted({holder for _, holder in self.held if holder.startswith(prefix)})

    def exists(self, version_id: uuid.UUID) -> bool:
        return version_id in self.models

    def add_model(self, project_id: uuid.UUID, name: str = "chart-base", **more: Any) -> Any:
        """A tiny model: only what the control plane reads of it is there."""
        version_id = uuid.uuid4()
        prefix = f"projects/{project_id}/models/{version_id}"
        put(f"{prefix}/tokenizer.json", TOKENIZER)
        fact = {
            "id": version_id,
            "project_id": project_id,
            "model_id": uuid.uuid4(),
            "model_name": name,
            "number": 1,
            "kind": "full",
            "phase": "ready",
            "uri": backends.objects().uri(prefix),
            "base_uri": "",
            "base_version_id": None,
            "parent": "",
            "architecture": "LlamaForCausalLM",
            "dtype": "BF16",
            "licence": "",
            "parameters": 3_880_000,
            "size_bytes": 8_000_000,
            "context_length": 512,
            "vocabulary_size": 300,
            "hidden_size": 256,
            "layers": 4,
            "template_sha256": "",
            "sha256": "b" * 64,
            "capabilities": ("completions", "chat"),
            "created_at": timezone.now(),
        }
        self.models[version_id] = registry.VersionFact(**fact | more)
        return self.models[version_id]

    def register_result(self, *, made_by: str, model_name: str, **given: Any) -> Any:
        if self.refusal is not None:
            raise self.refusal
        if made_by not in self.results:
            project_id = given["project_id"]
            version = self.add_model(project_id, model_name, kind=given["kind"])
            self.results[made_by] = SimpleNamespace(version=version, **given)
        return self.results[made_by].version

    def add_dataset(self, project_id: uuid.UUID, rows: list[Any] | None = None) -> Any:
        version_id = uuid.uuid4()
        rows = rows if rows is not None else [chat("how many", "four") for _ in range(40)]
        key = f"projects/{project_id}/datasets/{version_id}.jsonl"
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        backends.objects().put(key, lines.encode())
        self.datasets[version_id] = SimpleNamespace(
            id=version_id,
            project_id=project_id,
            label="chats@1",
            kind="chat",
            uri=backends.objects().uri(key),
            rows=len(rows),
            sha256="d" * 64,
        )
        return self.datasets[version_id]


def chat(question: str, answer: str) -> dict[str, Any]:
    return {
        "messages": [
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ]
    }


#: Every character is a token.
TOKENIZER = {
    "version": "1.0",
    "added_tokens": [],
    "normalizer": None,
    "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "."}, "behavior": "Isolated",
                      "invert": False},
    "post_processor": None,
    "decoder": None,
    "model": {"type": "WordLevel", "vocab": {"<unk>": 0}, "unk_token": "<unk>"},
}  # fmt: skip


def put(key: str, document: Any) -> None:
    backends.objects().put(key, json.dumps(document).encode())


class Runtime:
    """Plays the runtime's part for one run: chunks, checkpoints, report, failure, states."""

    def __init__(self, compute: Any, run: Any) -> None:
        self.compute, self.run = compute, run
        self.seq = 0

    @property
    def prefix(self) -> str:
        return backends.objects().key(self.run.output_uri)

    def sees(self, state: State, reason: str = "", **more: Any) -> None:
        self.run.refresh_from_db()
        self.compute.seen[self.run.workload_name] = Observation(state=state, reason=reason, **more)

    def tells(self, *notes: Note) -> None:
        self.run.refresh_from_db()
        key = f"{self.prefix}/{chunk_name(attempt=self.run.attempt, seq=self.seq)}"
        backends.objects().put(key, to_lines(notes))
        self.seq += 1

    def steps(self, first: int, last: int, *, total: int = 10, seconds: float = 1.0) -> None:
        self.tells(
            *(
                Note(kind=NoteKind.METRICS, at=T0 + step * seconds, step=step, total_steps=total,
                     epoch=step / total, values={"loss": 1.0 / step})
                for step in range(first, last + 1)
            )
        )  # fmt: skip

    def checkpoint(self, step: int) -> None:
        uri = f"{self.run.output_uri}/checkpoints/{step:08d}"
        backends.objects().put(f"{self.prefix}/checkpoints/{step:08d}/state", b"weights")
        self.tells(Note(kind=NoteKind.CHECKPOINT, at=T0 + step, step=step, uri=uri,
                        values={"held_out_loss": 0.5}))  # fmt: skip

    def reports(self, *, metrics: dict[str, float] | None = None, **details: Any) -> None:
        self.run.refresh_from_db()
        attempt = self.run.attempt
        report = Report(
            artifact_uri=f"{self.run.output_uri}/{artifact_name(attempt)}",
            attempt=attempt,
            metrics=metrics or {"train_loss": 0.1, "tokens": 8000, "seconds": 4.0},
            files={"adapter_model.safetensors": "a" * 64},
            details=details,
        )
        backends.objects().put(f"{self.prefix}/{report_name(attempt)}", to_json(report).encode())

    def fails(self, reason: str, *, retryable: bool) -> None:
        self.run.refresh_from_db()
        failure = Failure(reason=reason, retryable=retryable, attempt=self.run.attempt)
        key = f"{self.prefix}/{failure_name(self.run.attempt)}"
        backends.objects().put(key, to_json(failure).encode())
        self.sees(State.FAILED, reason)

    def dies(self) -> None:
        """The node is gone, and with it everything it knew."""
        self.run.refresh_from_db()
        self.compute.applied.pop(self.run.workload_name, None)
        self.compute.seen.pop(self.run.workload_name, None)


def look(*watched: tuple[Any, Any], times: int = 1) -> None:
    """Let the worker look at everything now, however long it meant to wait."""
    for _ in range(times):
        for model, step in watched:
            # Longer than any backoff ago, so that no test waits for the clock.
            model.objects.filter(look_at__isnull=False).update(look_at=timezone.now())
            run_due(model, step, now=timezone.now())
