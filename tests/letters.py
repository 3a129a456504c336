"""A real mail server for tests, and what it took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from typing import Any

from aiosmtpd.controller import Controller
from servers import free_port


class Letters:
    """`got` is what was taken: to whom, and the letter."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.port = free_port()

    async def handle_DATA(  # noqa: N802 - as the server calls it
        self, server: Any, session: Any, envelope: Any
    ) -> str:
        self.got.append((envelope.rcpt_tos, message_from_bytes(envelope.content)))
        return "250 taken"


@contextmanager
def post_office() -> Iterator[Letters]:
    """A mail server on this machine, at `port`, without TLS."""
    letters = Letters()
    controller = Controller(letters, hostname="127.0.0.1", port=letters.port)
    controller.start()
    try:
        yield letters
    finally:
        controller.stop()


def away_from_the_turn_of_the_hour() -> None:
    """Wait for the next hour in the last minute of one: what is counted by the hour begins anew."""
    left = 3600 - time.time() % 3600
    if left < 60:
        time.sleep(left)
