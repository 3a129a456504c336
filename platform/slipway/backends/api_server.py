"""Our one way to a Kubernetes API server: requests with a time limit, faults in words.

A failure is not retried here, for whoever asks looks again anyway.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kubernetes.client as k8s
import kubernetes.config
import urllib3
from django.conf import settings
from kubernetes.client.exceptions import ApiException

from slipway.backends.compute import ComputeUnavailable

FIELD_MANAGER = "slipway-control-plane"
#: What says who a write is by, and that it goes before what others wrote into the same fields.
APPLY: dict[str, Any] = {
    "field_manager": FIELD_MANAGER,
    "force": True,
    "field_validation": "Strict",
    "_content_type": "application/apply-patch+yaml",
}
TIMEOUT_SECONDS = 10.0
PAGE = 500
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class Gone(Exception):
    """The object is not there; the API server knows its kind."""


class _Expired(Exception):
    """The place in a list is too old (410)."""


class ApiServer:
    """The API server as one service account sees it, and the namespace that is ours."""

    def __init__(
        self, configuration: k8s.Configuration | None = None, namespace: str | None = None
    ) -> None:
        configuration = configuration or _configuration()
        configuration.retries = False
        client = k8s.ApiClient(configuration)
        self.objects = k8s.CustomObjectsApi(client)
        self.core = k8s.CoreV1Api(client)
        self.roles = k8s.RbacAuthorizationV1Api(client)
        self.namespace = namespace or settings.KUBERNETES_NAMESPACE or _own_namespace()

    def call(self, verb: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """What a verb of the client answers.

        Raises:
            Gone: the object is not there.
            ComputeUnavailable: it cannot be had now; the text says why, and what helps.
            ValueError: the API server refuses what was sent, in its words.
        """
        try:
            return verb(*arguments, _request_timeout=TIMEOUT_SECONDS, **named)
        except ApiException as error:
            raise _translated(error) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ComputeUnavailable(f"the API server does not answer: {error}") from error

    def items(self, verb: Callable[..., Any], **named: Any) -> list[dict[str, Any]]:
        """All objects of a list of custom resources, read page by page."""
        found: list[dict[str, Any]] = []
        following: str | None = None
        while True:
            try:
                page = self.call(verb, limit=PAGE, _continue=following, **named)
            except _Expired:
                # The list changed too much since its first page; it is read anew.
                found, following = [], None
                continue
            found += page["items"]
            following = page["metadata"].get("continue")
            if not following:
                return found


def lines(stream: Any) -> Iterator[str]:
    """Lines of a log as it comes."""
    rest = b""
    for chunk in stream.stream(65536):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace")
    if rest:
        yield rest.decode(errors="replace")


def _translated(error: ApiException) -> Exception:
    status = _status(error)
    message = status.get("message") or error.reason or "no reason given"
    match error.status:
        case 404 if status.get("reason") == "NotFound":
            return Gone(message)
        case 404:
            return ComputeUnavailable(
                "the cluster does not know this kind of object; install the chart slipway-crds,"
                " and Kueue where the platform keeps its queues"
            )
        case 410:
            return _Expired(message)
        case 400 | 422:
            return ValueError(message)
        case 401 | 403:
            return ComputeUnavailable(
                f"the control plane's service account may not do this: {message};"
                " the chart's role slipway-control-plane grants it"
            )
        case 429:
            return ComputeUnavailable("the API server is busy and asks to wait")
        case _:
            return ComputeUnavailable(f"the API server answers {error.status}: {message}")


def _status(error: ApiException) -> dict[str, Any]:
    try:
        found = json.loads(error.body or "")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _configuration() -> k8s.Configuration:
    """The pod's own service account, or the kubeconfig outside of a cluster."""
    found = k8s.Configuration()
    try:
        kubernetes.config.load_incluster_config(client_configuration=found)
    except kubernetes.config.ConfigException:
        kubernetes.config.load_kube_config(client_configuration=found)
    return found


def _own_namespace() -> str:
    return _NAMESPACE_FILE.read_text().strip() if _NAMESPACE_FILE.exists() else "default"
