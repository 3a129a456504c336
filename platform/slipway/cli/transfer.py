"""Bytes up to and down from signed addresses, part by part, with a progress bar."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable

import httpx
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from slipway.cli.client import Client, Problem
from slipway.cli.output import console

TRIES = 5


def _bars() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        DownloadColumn(),
        console=console,
        transient=True,
    )


def send(
    file: pathlib.Path,
    *,
    part_bytes: int,
    parts: int,
    address: Callable[[int], str],
    received: frozenset[int] = frozenset(),
) -> None:
    """PUT every part of `file` not yet received to its address; `address` is asked part by part."""
    with file.open("rb") as source, _bars() as bars:
        bar = bars.add_task("upload", total=file.stat().st_size)
        for number in range(1, parts + 1):
            data = source.read(part_bytes)
            if number not in received:
                _put(address(number), data)
            bars.update(bar, advance=len(data))


def _put(url: str, data: bytes) -> None:
    for attempt in range(1, TRIES + 1):
        try:
            answer = httpx.put(url, content=data, timeout=300)
        except httpx.TransportError as error:
            if attempt == TRIES:
                raise Problem(f"The upload broke off ({error}); run it again.") from error
        else:
            if answer.status_code < 300:
                return
            if answer.status_code < 500 or attempt == TRIES:
                raise Problem(f"The upload was refused: {answer.text[:300]}")
        time.sleep(attempt)


def fetch(client: Client, url: str, target: pathlib.Path) -> None:
    """Write what is behind `url` to `target`; the file appears only once it is whole."""
    fresh = target.with_name(target.name + ".part")
    with fresh.open("wb") as file, _bars() as bars:
        bar = bars.add_task("download", total=None)
        for piece in client.download(url):
            file.write(piece)
            bars.update(bar, advance=len(piece))
    fresh.rename(target)
