"""A folder as message broker, for one machine: kombu's transport, made safe against kills.

kombu's own writes a message under its final name, so a reader may take it half-written, and
keeps its routing table in a file that a kill can leave empty. Here a message appears whole, by
rename, and there is no table: every exchange has one queue, of its own name.
"""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, filesystem


class Channel(filesystem.Channel):
    def get_table(self, exchange: str) -> list[Any]:
        return [filesystem.exchange_queue_t(exchange, "", exchange)]

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        """Nothing to remember."""

    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]  # as kombu's own
        folder = Path(self.data_folder_out)
        # Names sort by age; those being written do not end as a queue's messages do.
        name = f"{time.time_ns()}_{uuid.uuid4()}.{queue}.msg"
        fresh = folder / f"{name}.new"
        fresh.write_bytes(json.dumps(payload).encode())
        fresh.replace(folder / name)

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        folder = Path(self.data_folder_in)
        for name in sorted(path.name for path in folder.iterdir()):
            if not name.endswith(f".{queue}.msg"):
                continue
            taken = folder / f"{name}.taken"
            try:
                # Of two readers the rename lets one have it.
                (folder / name).rename(taken)
            except FileNotFoundError:
                continue
            data = taken.read_bytes()
            taken.unlink()
            return json.loads(data)
        raise Empty


class Transport(filesystem.Transport):
    Channel = Channel


def sweep(folder: Path) -> None:
    """Remove what a kill left half-written or half-taken; a lost nudge costs only time."""
    for path in folder.iterdir():
        if path.suffix in {".new", ".taken"}:
            path.unlink(missing_ok=True)


TRANSPORT_ALIASES["folder"] = f"{__name__}:Transport"
