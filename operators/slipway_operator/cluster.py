"""The operator's few requests to the API server, in the shapes that the server itself uses."""

from __future__ import annotations

import contextlib
import json
import re
import time
from typing import Any

import kubernetes.client as k8s
import kubernetes.config
import urllib3
from kubernetes.client.exceptions import ApiException
from prometheus_client import Counter

from slipway_contracts.resources import GROUP, LABEL, VERSION

FIELD_MANAGER = "slipway-operator"
TIMEOUT_SECONDS = 15.0
#: Between the tries of one request; who is asked to wait longer leaves it to the queue.
PAUSES = (0.05, 0.25)
LONGEST_PAUSE_SECONDS = 1.0
_PAGE = 500
_NAMES_ONLY = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"
Object = dict[str, Any]
#: Namespace and name.
Name = tuple[str, str]
#: Group, version, plural.
Address = tuple[str, str, str]
REQUESTS = Counter("slipway_operator_requests_total", "Requests to the API server, but watches.")
#: How the API server says that no role allows it; quotas and webhooks refuse in other words.
_OF_ROLES = re.compile(r'User "[^"]*" cannot ')


class Again(Exception):
    """The API server cannot do it now; `seconds` is how long it asks to wait, if it says so."""

    def __init__(self, text: str, seconds: float | None = None) -> None:
        super().__init__(text)
        self.seconds = seconds


class Conflict(Again):
    """The object has changed since it was read."""


class Unknown(Exception):
    """The API server does not know this kind of resource; its operator is not installed."""


class Refused(Exception):
    """The API server will not take this object as it is; trying again would end alike."""


class Cluster:
    """Objects of any kind by group, version and plural, in any namespace we may look at."""

    def __init__(self, configuration: k8s.Configuration | None = None) -> None:
        configuration = configuration or own_configuration()
        configuration.retries = False
        self._client = k8s.ApiClient(configuration)

    def get(self, kind: Address, namespace: str, name: str) -> Object | None:
        try:
            return self._call("GET", _path(kind, namespace, name))
        except _Missing:
            return None

    def apply(self, kind: Address, manifest: Object) -> Object:
        """Server-side apply; what others have set beside our fields stays.

        Raises:
            Conflict: it names an object by its uid that is no more.
        """
        meta = manifest["metadata"]
        try:
            return self._apply(_path(kind, meta["namespace"], meta["name"]), manifest)
        except _Missing as error:
            raise Again(f"{meta['namespace']}/{meta['name']} cannot be applied: {error}") from error

    def apply_status(self, resource: Object, plural: str, status: Object) -> Object | None:
        """Write a resource's status, if it is as we have read it; one that is gone needs none.

        Raises:
            Conflict: it has changed since.
        """
        meta = resource["metadata"]
        body = {
            "apiVersion": resource["apiVersion"],
            "kind": resource["kind"],
            # With the uid, a namesake made meanwhile is not mistaken for it.
            "metadata": {key: meta[key] for key in ("name", "namespace", "uid", "resourceVersion")},
            "status": status,
        }
        path = _path((GROUP, VERSION, plural), meta["namespace"], meta["name"])
        try:
            return self._apply(f"{path}/status", body)
        except _Missing:
            return None

    def delete(self, kind: Address, namespace: str, name: str) -> None:
        """Delete it after all that it owns; it is seen as leaving until those are gone."""
        with contextlib.suppress(_Missing):
            self._call(
                "DELETE", _path(kind, namespace, name), [("propagationPolicy", "Foreground")]
            )

    def names(
        self, kind: Address, namespace: str | None, selector: str
    ) -> tuple[dict[Name, int], int]:
        """Namespace, name and version of all objects of a kind; and the version of the list.

        Versions are numbers that grow, as Kubernetes promises since 1.35 and has always done.
        """
        found: dict[Name, int] = {}
        query = [("limit", str(_PAGE)), ("labelSelector", selector)]
        more: list[tuple[str, str]] = []
        while True:
            page = self._call("GET", _path(kind, namespace), query + more, accept=_NAMES_ONLY)
            for each in page["items"]:
                meta = each["metadata"]
                found[meta["namespace"], meta["name"]] = int(meta["resourceVersion"])
            following = page["metadata"].get("continue")
            if not following:
                return found, int(page["metadata"]["resourceVersion"])
            more = [("continue", following)]

    def pods(self, namespace: str, workload: str) -> list[Object]:
        query = [("labelSelector", f"{LABEL}={workload}")]
        return self._call("GET", _path(("", "v1", "pods"), namespace), query)["items"]

    def _apply(self, path: str, body: Object) -> Object:
        query = [("fieldManager", FIELD_MANAGER), ("force", "true")]
        return self._call("PATCH", path, query, body=body)

    def _call(self, method: str, path: str, query: Any = (), **more: Any) -> Any:
        """Ask, and ask again twice: every request of ours may be repeated."""
        for pause in (*PAUSES, None):
            try:
                return self._once(method, path, list(query), **more)
            except Conflict:
                raise
            except Again as error:
                if pause is None or (error.seconds or 0) > LONGEST_PAUSE_SECONDS:
                    raise
                time.sleep(max(pause, error.seconds or 0))
        raise AssertionError("the last try returns or raises")

    def _once(
        self,
        method: str,
        path: str,
        query: list[tuple[str, str]],
        *,
        body: Object | None = None,
        accept: str = "application/json",
    ) -> Any:
        REQUESTS.inc()
        headers = {"Accept": accept}
        if body is not None:
            headers["Content-Type"] = "application/apply-patch+yaml"
        # The client's own verbs know no lists of names, and drop what a patch has made (201).
        asked = self._client.param_serialize(
            method, path, query_params=query, header_params=headers, body=body,
            auth_settings=["BearerToken"],
        )  # fmt: skip
        try:
            answer = self._client.call_api(*asked, _request_timeout=TIMEOUT_SECONDS)
            text = (answer.read() or b"").decode()
        except ApiException as error:
            raise Again(f"the API server does not answer: {error}") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Again(f"the API server does not answer: {error}") from error
        if not 200 <= answer.status < 300:
            raise _translated(answer.status, answer.reason, answer.headers, text)
        return json.loads(text)


def _path(kind: Address, namespace: str | None, name: str = "") -> str:
    group, version, plural = kind
    path = f"/apis/{group}/{version}" if group else f"/api/{version}"
    path += f"/namespaces/{namespace}/{plural}" if namespace else f"/{plural}"
    return f"{path}/{name}" if name else path


class _Missing(Exception):
    """The object is not there; the API server knows its kind."""


def _translated(code: int, reason: str | None, headers: Any, text: str) -> Exception:
    try:
        status = json.loads(text)
    except ValueError:
        status = {}
    message = status.get("message") or reason or "no reason given"
    if code == 404:
        known = status.get("reason") == "NotFound"
        return _Missing(message) if known else Unknown(message)
    if code == 403 and _OF_ROLES.search(message):
        # Not an answer about the object, and perhaps a passing one: an API server that has just
        # started knows no roles yet.
        return Again(f"the operator's role does not allow it: {message}")
    if code in {400, 403, 422}:
        return Refused(message)
    if code == 409:
        return Conflict(message, 0.0)
    wait = (headers or {}).get("Retry-After")
    seconds = float(wait) if wait and wait.isdecimal() else None
    return Again(f"the API server answers {code}: {message}", seconds)


def own_configuration() -> k8s.Configuration:
    """The pod's own service account, or the kubeconfig outside of a cluster."""
    found = k8s.Configuration()
    try:
        kubernetes.config.load_incluster_config(client_configuration=found)
    except kubernetes.config.ConfigException:
        kubernetes.config.load_kube_config(client_configuration=found)
    return found
