"""Just enough of an API server to force faults: objects in memory, answers that go wrong on order.

It knows namespaced objects of any kind, server-side apply (as a merge), deletion with finalizers,
lists in pages with labels, watches, pod logs. What it checks by itself is little; schemas and
admission are the real server's.
"""

from __future__ import annotations

import copy
import json
import queue
import re
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Object = dict[str, Any]
_PATH = re.compile(
    r"^/(?:api/v1|apis/(?P<group>[^/]+)/(?P<version>[^/]+))/namespaces/(?P<namespace>[^/]+)"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>[^/]+))?$"
)


class ApiServer:
    """A server on a free port; `faults` is asked before every request and may answer itself."""

    def __init__(self, kinds: set[str]) -> None:
        self.kinds = kinds
        self.objects: dict[tuple[str, str], Object] = {}
        self.logs: dict[str, str] = {}
        #: Every request: method, path with query.
        self.requests: list[tuple[str, str]] = []
        #: Given method and path, an answer (status, body, headers), "drop", or None to go on.
        self.fault: Callable[[str, str], Any] = lambda method, path: None
        self._lock = threading.RLock()
        self._version = 0
        self._past: list[tuple[int, str, Object]] = []
        self._watchers: list[tuple[str, queue.Queue[Object | None]]] = []
        outer = self

        class Handler(_Handler):
            server_world = outer

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        # A caller that is killed is part of the story, not an error of the server.
        self._http.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.drop_watches()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def drop_watches(self) -> None:
        """End every watch, as a load balancer does."""
        with self._lock:
            for _, line in self._watchers:
                line.put(None)
            self._watchers.clear()

    def tell_watchers(self, event: Object) -> None:
        """Say something to every watch, as a server does that has lost the thread."""
        with self._lock:
            for _, line in self._watchers:
                line.put(event)
                line.put(None)
            self._watchers.clear()

    def get(self, plural: str, name: str) -> Object | None:
        with self._lock:
            return copy.deepcopy(self.objects.get((plural, name)))

    def put(self, plural: str, name: str, changes: Object) -> Object:
        """Merge into an object, making it if it is not there."""
        with self._lock:
            old = self.objects.get((plural, name))
            new = _merge(copy.deepcopy(old) or {}, changes)
            if old is not None and _same(old, new):
                return old
            self._version += 1
            meta = new.setdefault("metadata", {})
            meta |= {"name": name, "resourceVersion": str(self._version)}
            meta.setdefault("namespace", "slipway")
            meta.setdefault("uid", f"uid-{self._version}")
            meta.setdefault("creationTimestamp", _now())
            if old is None or old.get("spec") != new.get("spec"):
                meta["generation"] = meta.get("generation", 0) + 1
            self.objects[plural, name] = new
            self._tell(plural, "MODIFIED" if old else "ADDED", new)
            self._perhaps_remove(plural, name)
            return new

    def delete(self, plural: str, name: str) -> None:
        with self._lock:
            found = self.objects[plural, name]
            if "deletionTimestamp" not in found["metadata"]:
                self.put(plural, name, {"metadata": {"deletionTimestamp": _now()}})
            self._perhaps_remove(plural, name)

    def _perhaps_remove(self, plural: str, name: str) -> None:
        found = self.objects.get((plural, name))
        if found is None or "deletionTimestamp" not in found["metadata"]:
            return
        if not found["metadata"].get("finalizers"):
            del self.objects[plural, name]
            self._version += 1
            self._tell(plural, "DELETED", found)
            self._collect(found["metadata"]["uid"])

    def _collect(self, uid: str) -> None:
        """What the garbage collector does to those whose owner is gone."""
        for (plural, name), item in list(self.objects.items()):
            owners = item["metadata"].get("ownerReferences") or []
            if any(owner["uid"] == uid for owner in owners):
                self.delete(plural, name)

    def _tell(self, plural: str, event: str, item: Object) -> None:
        told = {"type": event, "object": copy.deepcopy(item)}
        self._past.append((self._version, plural, told))
        for watched, line in self._watchers:
            if watched == plural:
                line.put(told)

    def watch(self, plural: str, since: int) -> queue.Queue[Object | None]:
        with self._lock:
            line: queue.Queue[Object | None] = queue.Queue()
            for version, kind, event in self._past:
                if kind == plural and version > since:
                    line.put(event)
            self._watchers.append((plural, line))
            return line

    def listed(self, plural: str, selector: str) -> list[Object]:
        wanted = [part.partition("=")[::2] for part in selector.split(",") if part]
        with self._lock:
            return [
                copy.deepcopy(item)
                for (kind, _), item in sorted(self.objects.items())
                if kind == plural and _has(item["metadata"].get("labels") or {}, wanted)
            ]

    @property
    def version(self) -> str:
        return str(self._version)


class _Handler(BaseHTTPRequestHandler):
    server_world: ApiServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        pass

    def _serve(self) -> None:
        world = self.server_world
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        world.requests.append((self.command, self.path))
        fault = world.fault(self.command, self.path)
        if fault == "drop":
            self.close_connection = True
            return
        if fault is not None:
            self._answer(*fault)
            return
        parts = urlsplit(self.path)
        if (known := _discovery(parts.path, world.kinds)) is not None:
            self._answer(200, known)
            return
        if parts.path in _WIDE:
            self._answer(
                403, status(403, "Forbidden", "a Role reaches no further than its namespace")
            )
            return
        found = _PATH.match(parts.path)
        if not found or found["plural"] not in world.kinds:
            self._answer(404, "404 page not found", {"Content-Type": "text/plain"})
            return
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        plural, name = found["plural"], found["name"]
        if name is None and query.get("watch"):
            self._watch(plural, int(query.get("resourceVersion") or 0))
        elif name is None:
            self._list(plural, query)
        elif found["sub"] == "log":
            self._answer(200, world.logs.get(name, ""), {"Content-Type": "text/plain"})
        else:
            self._one(plural, name, found["sub"], body)

    do_GET = do_PATCH = do_DELETE = do_POST = do_PUT = _serve  # noqa: N815 - http.server's names

    def _one(self, plural: str, name: str, sub: str | None, body: Any) -> None:
        world = self.server_world
        there = world.get(plural, name)
        if self.command == "PATCH" and self.headers["Content-Type"].endswith("apply-patch+yaml"):
            assert "fieldManager=" in self.path
            if there is None and "uid" in body["metadata"]:
                self._answer(409, status(409, "Conflict", "uid mismatch: there is no such object"))
                return
            read = body["metadata"].get("resourceVersion")
            if there and read and read != there["metadata"]["resourceVersion"]:
                self._answer(409, status(409, "Conflict", "the object has been modified"))
                return
            changes = body if sub == "status" else {k: v for k, v in body.items() if k != "status"}
            self._answer(200 if there else 201, world.put(plural, name, changes))
        elif there is None:
            self._answer(404, status(404, "NotFound", f'{plural} "{name}" not found'))
        elif self.command == "DELETE":
            world.delete(plural, name)
            self._answer(200, {"kind": "Status", "status": "Success"})
        elif self.command == "PATCH":
            self._answer(200, world.put(plural, name, body))
        else:
            self._answer(200, there)

    def _list(self, plural: str, query: dict[str, str]) -> None:
        items = self.server_world.listed(plural, query.get("labelSelector", ""))
        first = int(query.get("continue", 0))
        end = first + int(query.get("limit", 10**6))
        meta = {"resourceVersion": self.server_world.version}
        if end < len(items):
            meta["continue"] = str(end)
        kind = "PodList" if plural == "pods" else "List"
        self._answer(
            200, {"kind": kind, "apiVersion": "v1", "metadata": meta, "items": items[first:end]}
        )

    def _watch(self, plural: str, since: int) -> None:
        line = self.server_world.watch(plural, since)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            while (event := line.get()) is not None:
                self.wfile.write(json.dumps(event).encode() + b"\n")
                self.wfile.flush()
        except OSError:
            pass

    def _answer(self, code: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(code)
        for key, value in ({"Content-Type": "application/json"} | (headers or {})).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


_OF_THE_CLUSTER = {"namespaces", "customresourcedefinitions"}
_WIDE = ("/api/v1/namespaces", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
#: Group, version, kind of what the server may be told to know.
_GROUPS = {
    "namespaces": ("", "v1", "Namespace"),
    "customresourcedefinitions": ("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
    "runs": ("slipway.dev", "v1", "Run"),
    "servedmodels": ("slipway.dev", "v1", "ServedModel"),
    "rayjobs": ("ray.io", "v1", "RayJob"),
    "rayservices": ("ray.io", "v1", "RayService"),
    "workloads": ("kueue.x-k8s.io", "v1beta1", "Workload"),
    "kopfpeerings": ("kopf.dev", "v1", "KopfPeering"),
    "pods": ("", "v1", "Pod"),
}


def _discovery(path: str, kinds: set[str]) -> Object | None:
    """Which groups, versions and kinds there are."""
    known = {plural: _GROUPS[plural] for plural in kinds | _OF_THE_CLUSTER}
    groups = sorted({(group, version) for group, version, _ in known.values() if group})
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        found = []
        for group, version in groups:
            each = {"groupVersion": f"{group}/{version}", "version": version}
            found.append({"name": group, "versions": [each], "preferredVersion": each})
        return {"kind": "APIGroupList", "groups": found}
    for group, version in [("", "v1"), *groups]:
        if path == (f"/apis/{group}/{version}" if group else "/api/v1"):
            verbs = ["create", "delete", "get", "list", "patch", "watch"]
            resources = [
                {"name": plural, "singularName": kind.lower(), "kind": kind,
                 "namespaced": plural not in _OF_THE_CLUSTER,
                 "verbs": verbs}
                for plural, (own, _, kind) in sorted(known.items()) if own == group
            ]  # fmt: skip
            return {"kind": "APIResourceList", "groupVersion": f"{group}/{version}".lstrip("/"),
                    "resources": resources}  # fmt: skip
    return None


def status(code: int, reason: str, message: str = "") -> Object:
    """A Status as API servers answer with."""
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
            "reason": reason, "message": message}  # fmt: skip


def _has(labels: Object, wanted: list[tuple[str, str]]) -> bool:
    return all(key in labels and value in ("", labels[key]) for key, value in wanted)


def _merge(old: Object, new: Object) -> Object:
    for key, value in new.items():
        if value is None:
            old.pop(key, None)
        elif isinstance(value, dict) and isinstance(old.get(key), dict):
            old[key] = _merge(old[key], value)
        else:
            old[key] = copy.deepcopy(value)
    return old


def _same(old: Object, new: Object) -> bool:
    return old == new


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
