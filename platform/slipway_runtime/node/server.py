"""The four verbs as HTTP on a Unix socket that only its owner may open."""

from __future__ import annotations

import json
import logging
import os
import re
import socketserver
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from slipway_contracts.workload import to_json, workload_from_json
from slipway_runtime.node.agent import Agent
from slipway_runtime.node.board import BeingStopped
from slipway_runtime.node.ray_head import SOCKET_PATH_BYTES

logger = logging.getLogger(__name__)

NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
LARGEST_BODY_BYTES = 4 << 20


class Refused(Exception):
    """The request makes no sense; the text says why."""


class Server(socketserver.ThreadingUnixStreamServer):
    """Answers at once, also while Ray still starts."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, path: Path, agent: Agent) -> None:
        if len(os.fsencode(path)) > SOCKET_PATH_BYTES:
            raise OSError(
                f"{path} is longer than the {SOCKET_PATH_BYTES} bytes a Unix socket's path may"
                " have; choose a shorter SLIPWAY_HOME"
            )
        self.agent = agent
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.unlink(missing_ok=True)
        kept = os.umask(0o177)
        try:
            super().__init__(str(path), Handler)
        finally:
            os.umask(kept)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    #: Seconds an idle kept connection may hold its thread.
    timeout = 60
    server: Server

    def do_GET(self) -> None:
        self._carry_out("get")

    def do_PUT(self) -> None:
        self._carry_out("put")

    def do_DELETE(self) -> None:
        self._carry_out("delete")

    def _carry_out(self, verb: str) -> None:
        try:
            body = self._body()
            parts = [unquote(part) for part in urlsplit(self.path).path.split("/")[1:]]
            self._route(verb, parts, body)
        except Refused as error:
            self._answer(HTTPStatus.BAD_REQUEST, {"error": str(error)})
        except BeingStopped as error:
            self._answer(HTTPStatus.CONFLICT, {"error": str(error)})
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        except Exception as error:
            logger.exception("request failed: %s %s", verb, self.path)
            text = f"{type(error).__name__}: {error}"
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": text})

    def _route(self, verb: str, parts: list[str], body: bytes) -> None:
        agent = self.server.agent
        match verb, parts:
            case "get", ["readiness"]:
                ready, reason = agent.readiness()
                self._answer(HTTPStatus.OK, {"ready": ready, "reason": reason})
            case "get", ["workloads"]:
                self._answer(HTTPStatus.OK, {"names": agent.names()})
            case "get", ["workloads", name]:
                self._send(HTTPStatus.OK, to_json(agent.observe(_checked(name))).encode())
            case "get", ["workloads", name, "logs"]:
                offset = parse_qs(urlsplit(self.path).query).get("offset", ["0"])[0]
                if not offset.isdigit():
                    raise Refused(f"offset must be a number of bytes, not {offset!r}")
                text, following = agent.log(_checked(name), offset=int(offset))
                kind = "text/plain; charset=utf-8"
                self._send(HTTPStatus.OK, text, kind=kind, next_offset=following)
            case "put", ["workloads", name]:
                try:
                    workload = workload_from_json(body)
                except (ValueError, TypeError, KeyError) as error:
                    raise Refused(f"the body is no workload: {error}") from error
                if workload.name != _checked(name):
                    raise Refused(f"the path says {name!r}, the body {workload.name!r}")
                agent.apply(workload)
                self._answer(HTTPStatus.ACCEPTED, {})
            case "delete", ["workloads", name]:
                agent.delete(_checked(name))
                self._answer(HTTPStatus.ACCEPTED, {})
            case _:
                self._answer(HTTPStatus.NOT_FOUND, {"error": f"no {verb} at {self.path}"})

    def _body(self) -> bytes:
        length = int(self.headers.get("Content-Length") or 0)
        if length > LARGEST_BODY_BYTES:
            self.close_connection = True
            raise Refused(f"a body of {length} bytes; at most {LARGEST_BODY_BYTES} are taken")
        return self.rfile.read(length)

    def _answer(self, status: HTTPStatus, value: dict[str, Any]) -> None:
        self._send(status, json.dumps(value, ensure_ascii=False).encode())

    def _send(
        self,
        status: HTTPStatus,
        body: bytes,
        *,
        kind: str = "application/json",
        next_offset: int | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if next_offset is not None:
            self.send_header("X-Next-Offset", str(next_offset))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        logger.debug(format, *args)


def _checked(name: str) -> str:
    # A name becomes a file name and an actor's name.
    if not NAME.fullmatch(name):
        raise Refused(f"{name!r} is no workload's name: a-z, 0-9 and dashes, at most 63")
    return name
