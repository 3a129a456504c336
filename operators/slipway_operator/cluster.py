"""The operator's few requests to the API server, in the shapes that the server itself uses."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

import kubernetes.client as k8s
import kubernetes.config
import urllib3
from kubernetes.client.exceptions import ApiException

from slipway_contracts.resources import GROUP, LABEL, VERSION

FIELD_MANAGER = "slipway-operator"
TIMEOUT_SECONDS = 15.0
#: Between the tries of one request; who is asked to wait longer leaves it to the queue.
PAUSES = (0.05, 0.25)
LONGEST_PAUSE_SECONDS = 1.0
Object = dict[str, Any]
#: How the API server says that no role allows it; quotas and webhooks refuse in other words.
_OF_ROLES = re.compile(r'User "[^"]*" cannot ')


class Again(Exception):
    """The API server cannot do it now; `seconds` is how long it asks to wait, if it says so."""

    def __init__(self, text: str, seconds: float | None = None) -> None:
        super().__init__(text)
        self.seconds = seconds


class Unknown(Exception):
    """The API server does not know this kind of resource; its operator is not installed."""


class Refused(Exception):
    """The API server will not take this object as it is; trying again would end alike."""


class Cluster:
    """Objects of any kind by group, version and plural, in any namespace we may look at."""

    def __init__(self, configuration: k8s.Configuration | None = None) -> None:
        configuration = configuration or own_configuration()
        configuration.retries = False
        client = k8s.ApiClient(configuration)
        self._objects = k8s.CustomObjectsApi(client)
        self._core = k8s.CoreV1Api(client)

    def get(self, kind: tuple[str, str, str], namespace: str, name: str) -> Object | None:
        return self._found(self._objects.get_namespaced_custom_object, kind, namespace, name=name)

    def apply(self, kind: tuple[str, str, str], manifest: Object) -> Object:
        """Server-side apply; what others have set beside our fields stays."""
        meta = manifest["metadata"]
        applied = self._found(
            self._objects.patch_namespaced_custom_object,
            kind,
            meta["namespace"],
            name=meta["name"],
            body=manifest,
            field_manager=FIELD_MANAGER,
            force=True,
            _content_type="application/apply-patch+yaml",
        )
        # The client drops the answer to an apply that has made the object (201).
        found = applied or self.get(kind, meta["namespace"], meta["name"])
        if found is None:
            raise Again(f"{meta['namespace']}/{meta['name']} went away while it was applied")
        return found

    def apply_status(self, resource: Object, plural: str, status: Object) -> None:
        """Write a resource's status; one that is gone needs none."""
        meta = resource["metadata"]
        body = {
            "apiVersion": resource["apiVersion"],
            "kind": resource["kind"],
            # With the uid, a namesake made meanwhile is not mistaken for it.
            "metadata": {key: meta[key] for key in ("name", "namespace", "uid")},
            "status": status,
        }
        self._found(
            self._objects.patch_namespaced_custom_object_status,
            (GROUP, VERSION, plural),
            meta["namespace"],
            name=meta["name"],
            body=body,
            field_manager=FIELD_MANAGER,
            force=True,
            _content_type="application/apply-patch+yaml",
        )

    def delete(self, kind: tuple[str, str, str], namespace: str, name: str) -> None:
        """Delete it after all that it owns; it is seen as leaving until those are gone."""
        self._found(
            self._objects.delete_namespaced_custom_object,
            kind,
            namespace,
            name=name,
            propagation_policy="Foreground",
        )

    def listed(self, kind: tuple[str, str, str], namespace: str) -> list[Object]:
        found = self._found(self._objects.list_namespaced_custom_object, kind, namespace)
        return (found or {"items": []})["items"]

    def pods(self, namespace: str, workload: str) -> list[Object]:
        answer = self._call(
            self._core.list_namespaced_pod,
            namespace,
            label_selector=f"{LABEL}={workload}",
            _preload_content=False,
        )
        return json.loads(answer.data)["items"]

    def _found(
        self, verb: Callable[..., Any], kind: tuple[str, str, str], namespace: str, **more: Any
    ) -> Object | None:
        group, version, plural = kind
        try:
            return self._call(
                verb, group=group, version=version, namespace=namespace, plural=plural, **more
            )
        except _Missing:
            return None

    def _call(self, verb: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Ask, and ask again twice: every request of ours may be repeated."""
        for pause in (*PAUSES, None):
            try:
                return self._once(verb, *arguments, **named)
            except Again as error:
                if pause is None or (error.seconds or 0) > LONGEST_PAUSE_SECONDS:
                    raise
                time.sleep(max(pause, error.seconds or 0))
        raise AssertionError("the last try returns or raises")

    def _once(self, verb: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        try:
            return verb(*arguments, _request_timeout=TIMEOUT_SECONDS, **named)
        except ApiException as error:
            raise _translated(error) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Again(f"the API server does not answer: {error}") from error


class _Missing(Exception):
    """The object is not there; the API server knows its kind."""


def _translated(error: ApiException) -> Exception:
    try:
        status = json.loads(error.body or "")
    except ValueError:
        status = {}
    message = status.get("message") or error.reason or "no reason given"
    if error.status == 404:
        known = status.get("reason") == "NotFound"
        return _Missing(message) if known else Unknown(message)
    if error.status == 403 and _OF_ROLES.search(message):
        # Not an answer about the object, and perhaps a passing one: an API server that has just
        # started knows no roles yet.
        return Again(f"the operator's role does not allow it: {message}")
    if error.status in {400, 403, 422}:
        return Refused(message)
    wait = (error.headers or {}).get("Retry-After")
    seconds = float(wait) if wait and wait.isdecimal() else None
    return Again(f"the API server answers {error.status}: {message}", seconds)


def own_configuration() -> k8s.Configuration:
    """The pod's own service account, or the kubeconfig outside of a cluster."""
    found = k8s.Configuration()
    try:
        kubernetes.config.load_incluster_config(client_configuration=found)
    except kubernetes.config.ConfigException:
        kubernetes.config.load_kube_config(client_configuration=found)
    return found
