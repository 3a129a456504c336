"""A database backend whose closed connections are kept for a while and given to who opens next.

In the web process each request has a thread, and so a connection, of its own: without this it
connects anew each time, which takes longer than most of what it asks. Nothing is kept until
`shelf.most` says so, as the web process does when it begins; others connect as Django does.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import psycopg
from django.db.backends.postgresql import base
from psycopg.pq import TransactionStatus

from slipway.core import tenants

#: Connections of one web process that stay open between requests; a burst opens more.
KEPT = 8
#: Seconds one is kept unused: below what firewalls forget connections after.
KEPT_FOR = 60.0
_FRESH = f"SELECT set_config('{tenants.VARIABLE}', '', false)"


class Shelf:
    """Connections nobody uses now, the newest on top; they all lead to one database."""

    def __init__(self) -> None:
        self.most = 0
        self._lock = threading.Lock()
        self._kept: list[tuple[float, psycopg.Connection[Any]]] = []

    def take(self) -> psycopg.Connection[Any] | None:
        """One that answers and has entered no organisation, whatever it was left with."""
        while True:
            with self._lock:
                old = self._aged()
                found = self._kept.pop()[1] if self._kept else None
            for each in old:
                each.close()
            if found is None:
                return None
            try:
                found.autocommit = True
                found.execute(_FRESH)
            except psycopg.Error:
                found.close()
            else:
                return found

    def put(self, connection: psycopg.Connection[Any]) -> None:
        """Keep it, or close it: where there are enough, or it is broken or in a transaction."""
        idle = connection.info.transaction_status == TransactionStatus.IDLE
        with self._lock:
            old = self._aged()
            keep = idle and len(self._kept) < self.most
            if keep:
                self._kept.append((time.monotonic(), connection))
        for each in old if keep else [*old, connection]:
            each.close()

    def _aged(self) -> list[psycopg.Connection[Any]]:
        """Those that lay too long, taken off; they are at the bottom."""
        since = time.monotonic() - KEPT_FOR
        old = [each for at, each in self._kept if at < since]
        del self._kept[: len(old)]
        return old


shelf = Shelf()


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's own, which takes from the shelf first and lays back what it closes."""

    @property
    def is_laid_back(self) -> bool:
        """Whether it leaves its organisation by being closed, sooner than by being told to."""
        return shelf.most > 0 and not self.in_atomic_block

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        return (shelf.most and shelf.take()) or super().get_new_connection(conn_params)

    def _close(self) -> None:
        if self.connection is not None:
            with self.wrap_database_errors:
                shelf.put(self.connection)
