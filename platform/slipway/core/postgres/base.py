"""A database backend whose closed connections are kept for a while and given to who opens next.

In the web process each request has a thread, and so a connection, of its own: without this it
connects anew each time, which takes longer than most of what it asks. Nothing is kept until
`shelf.most` says so, as the web process does when it begins; others connect as Django does.
"""

from __future__ import annotations

import select
import threading
import time
from typing import Any

import psycopg
from django.db.backends.postgresql import base
from psycopg.pq import ExecStatus, TransactionStatus

from slipway.core import tenants

#: Connections of one web process that stay open between requests; a burst opens more.
KEPT = 8
#: Seconds one is kept unused: below what firewalls forget connections after.
KEPT_FOR = 60.0
_FRESH = f"SELECT set_config('{tenants.VARIABLE}', '', false)".encode()


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
            if _is_fresh(found):
                return found
            found.close()

    def put(self, connection: psycopg.Connection[Any]) -> None:
        """Keep it, or close it: where there are enough, or it is broken or in a transaction."""
        fit = self.most > 0 and _freshen(connection)
        with self._lock:
            old = self._aged()
            keep = fit and len(self._kept) < self.most
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


def _freshen(connection: psycopg.Connection[Any]) -> bool:
    """Have it leave its organisation, without waiting: the answer is there when it is taken next.

    False for one that is broken or in a transaction.
    """
    if connection.info.transaction_status != TransactionStatus.IDLE:
        return False
    try:
        connection.autocommit = True
        connection.pgconn.send_query(_FRESH)
        connection.pgconn.flush()
    except psycopg.Error:
        return False
    return True


def _is_fresh(connection: psycopg.Connection[Any]) -> bool:
    """Whether it did, and the server has said nothing since, such as that it ends."""
    try:
        answer = connection.pgconn.get_result()
        done = answer is not None and answer.status == ExecStatus.TUPLES_OK
        while answer is not None:
            answer = connection.pgconn.get_result()
        unasked = select.poll()
        unasked.register(connection.pgconn.socket, select.POLLIN)
        return done and not unasked.poll(0)
    except psycopg.Error:
        return False


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
