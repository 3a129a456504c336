"""The custom resource definitions, made from `slipway_contracts` so that the two cannot drift."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any

import yaml

from slipway_contracts import resources
from slipway_contracts.resources import GROUP, RUN, SERVED_MODEL, VERSION, Resource, camel
from slipway_contracts.workload import Kind, State, Workload

#: What every field means and may hold, beyond its type. Limits keep the cost of rules bounded.
_SAYS: dict[str, dict[str, Any]] = {
    "kind": {"description": "What the run does; it decides which entry of the runtime is called."},
    "inputs": {
        "description": "Role (base, adapter, dataset, held_out …) to URI, file:// or s3://.",
        "maxProperties": 64,
        "additionalProperties": {
            "type": "string",
            "maxLength": 2048,
            "pattern": "^(file|s3)://.+$",
        },
    },
    "settings": {
        "description": "What the recipe or engine is told; its schema is slipway_contracts'.",
        "x-kubernetes-preserve-unknown-fields": True,
    },
    "output_uri": {
        "description": "Directory URI of this run alone; all attempts of one run share it.",
        "maxLength": 2048,
        "pattern": "^(file|s3)://.+$",
    },
    "attempt": {"description": "1 for the first try; a fence.", "minimum": 1, "maximum": 100_000},
    "submitted_at": {"description": "Unix seconds of the request; orders the queue."},
    "priority": {
        "description": "Higher first; the operator's values name a priority class for each.",
        "minimum": -32768,
        "maximum": 32767,
    },
    "workers": {
        "description": "Processes that train together; admitted all at once or not at all.",
        "minimum": 1,
        "maximum": 4096,
    },
    "gpus": {"description": "Accelerators of each process or copy.", "minimum": 0, "maximum": 64},
    "replicas": {"description": "Copies that serve.", "minimum": 0, "maximum": 1000},
}
_PLACEMENT: dict[str, Any] = {
    "type": "object",
    "description": "Where it may run; what is left out comes from the operator's values.",
    "properties": {
        "queue": {
            "type": "string",
            "maxLength": 63,
            "description": "Kueue LocalQueue in this namespace; empty goes around Kueue.",
        },
        "gpuResource": {
            "type": "string",
            "maxLength": 253,
            "description": "Name of the accelerator, such as nvidia.com/gpu or a MIG profile.",
        },
        "nodeSelector": {
            "type": "object",
            "maxProperties": 32,
            "additionalProperties": {"type": "string", "maxLength": 63},
        },
        "tolerations": {
            "type": "array",
            "maxItems": 32,
            "items": {
                "type": "object",
                "properties": {
                    "key": {"type": "string"},
                    "operator": {"type": "string", "enum": ["Exists", "Equal"]},
                    "value": {"type": "string"},
                    "effect": {
                        "type": "string",
                        "enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"],
                    },
                    "tolerationSeconds": {"type": "integer", "format": "int64"},
                },
            },
        },
        "cpu": {"x-kubernetes-int-or-string": True, "description": "Of each process or copy."},
        "memory": {"x-kubernetes-int-or-string": True, "description": "Of each process or copy."},
    },
}
_RULES: dict[str, list[dict[str, Any]]] = {
    "Run": [
        {
            "rule": "'dataset' in self.inputs",
            "message": "inputs.dataset is missing: a run reads a published dataset version",
        },
        {
            "rule": "self.kind != 'train' || 'base' in self.inputs",
            "message": "inputs.base is missing: training starts from a base model",
        },
        {
            "rule": "self.kind == 'train' || self.workers == 1",
            "message": "workers must be 1: only training runs as a group",
        },
    ],
    "ServedModel": [
        {
            "rule": "'base' in self.inputs",
            "message": "inputs.base is missing: a served model has a base",
        },
        {
            "rule": "self.inputs == oldSelf.inputs && self.gpus == oldSelf.gpus",
            "message": "only replicas may change: serve another revision under a new name",
        },
    ],
}
#: At the top, where a rule may read the name.
_TOP_RULES: dict[str, list[dict[str, Any]]] = {
    "Run": [
        {
            # Not endsWith(string(…)): the server takes the length of such a string for endless, and
            # refuses the rule for what it might cost.
            "rule": "self.metadata.name.matches('-[1-9][0-9]*$') && int(self.metadata.name"
            ".substring(self.metadata.name.lastIndexOf('-') + 1)) == self.spec.attempt",
            "message": "the name must end in -<attempt>, so that two attempts never share one",
        },
        {
            "rule": "self.spec.kind == oldSelf.spec.kind && self.spec.inputs == oldSelf.spec.inputs"
            " && self.spec.outputUri == oldSelf.spec.outputUri"
            " && self.spec.attempt == oldSelf.spec.attempt"
            " && self.spec.workers == oldSelf.spec.workers"
            " && self.spec.gpus == oldSelf.spec.gpus",
            "message": "a run stays what it was asked to be: make another with a new name",
        },
    ],
    "ServedModel": [],
}
_SHORT = {"Run": "slrun", "ServedModel": "slmodel"}


def definition(resource: Resource) -> dict[str, Any]:
    """The CustomResourceDefinition of one kind."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{resource.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": resource.kind,
                "listKind": f"{resource.kind}List",
                "plural": resource.plural,
                "singular": resource.kind.lower(),
                "shortNames": [_SHORT[resource.kind]],
                "categories": ["slipway"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": _columns(resource),
                    "schema": {"openAPIV3Schema": _schema(resource)},
                }
            ],
        },
    }


def definitions() -> list[dict[str, Any]]:
    return [definition(resource) for resource in resources.RESOURCES]


def _schema(resource: Resource) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            # A label holds 63 characters, and Ray's own names append to ours.
            "metadata": {
                "type": "object",
                "properties": {"name": {"type": "string", "maxLength": 47}},
            },
            "spec": _spec(resource),
            "status": _status(resource),
        },
    }  # fmt: skip
    if rules := _TOP_RULES[resource.kind]:
        schema["x-kubernetes-validations"] = rules
    return schema


def _spec(resource: Resource) -> dict[str, Any]:
    hints = typing.get_type_hints(Workload)
    defaults = {field.name: field for field in dataclasses.fields(Workload)}
    properties, required = {}, []
    for name in resource.fields:
        said = _SAYS[name]
        schema = _type(hints[name]) | said
        if name == "kind":
            schema["enum"] = [str(kind) for kind in resource.workloads]
        default = defaults[name].default
        if name in {"kind", "inputs", "output_uri", "attempt"}:
            required.append(camel(name))
        elif default is not dataclasses.MISSING:
            schema["default"] = default
        properties[camel(name)] = schema
    return {
        "type": "object",
        "required": required,
        "properties": properties | {"placement": _PLACEMENT},
        "x-kubernetes-validations": _RULES[resource.kind],
    }


def _type(hint: Any) -> dict[str, Any]:
    """The structural schema of one Python type; a type that is not known is a mistake here."""
    if isinstance(hint, type) and issubclass(hint, Kind | str):
        return {"type": "string"}
    if isinstance(hint, types.GenericAlias) and hint.__origin__ is dict:
        return {"type": "object"}
    return {int: {"type": "integer", "format": "int64"}, float: {"type": "number"}}[hint]


def _status(resource: Resource) -> dict[str, Any]:
    states = [str(state) for state in State if state is not State.ABSENT]
    properties: dict[str, Any] = {
        "observedGeneration": {"type": "integer", "format": "int64"},
        "state": {"type": "string", "enum": states},
        "reason": {"type": "string", "description": "What a user can act on."},
        "conditions": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
            "items": {
                "type": "object",
                "required": ["type", "status", "reason", "message", "lastTransitionTime"],
                "properties": {
                    "type": {"type": "string", "maxLength": 316},
                    "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
                    "reason": {"type": "string", "maxLength": 1024},
                    "message": {"type": "string", "maxLength": 32768},
                    "lastTransitionTime": {"type": "string", "format": "date-time"},
                    "observedGeneration": {"type": "integer", "format": "int64"},
                },
            },
        },
    }
    if resource is SERVED_MODEL:
        properties["endpoints"] = {"type": "array", "items": {"type": "string"}}
        properties["ready"] = {"type": "integer", "format": "int32"}
    if resource is RUN:
        properties["position"] = {"type": "integer", "format": "int32"}
    return {"type": "object", "properties": properties}


def _columns(resource: Resource) -> list[dict[str, Any]]:
    own: dict[str, list[dict[str, Any]]] = {
        "Run": [
            {"name": "Kind", "type": "string", "jsonPath": ".spec.kind"},
            {"name": "GPUs", "type": "integer", "jsonPath": ".spec.gpus"},
            {"name": "Workers", "type": "integer", "jsonPath": ".spec.workers", "priority": 1},
            {"name": "Place", "type": "integer", "jsonPath": ".status.position", "priority": 1},
        ],
        "ServedModel": [
            {"name": "Ready", "type": "integer", "jsonPath": ".status.ready"},
            {"name": "Wanted", "type": "integer", "jsonPath": ".spec.replicas"},
        ],
    }
    return [
        {"name": "State", "type": "string", "jsonPath": ".status.state"},
        *own[resource.kind],
        {"name": "Reason", "type": "string", "jsonPath": ".status.reason"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]


def peering(*, wide: bool) -> dict[str, Any]:
    """What the operator's copies agree by who works; its content is kopf's own business."""
    kind = "ClusterKopfPeering" if wide else "KopfPeering"
    content = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.lower()}s.kopf.dev"},
        "spec": {
            "group": "kopf.dev",
            "scope": "Cluster" if wide else "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": f"{kind.lower()}s",
                "singular": kind.lower(),
            },
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {
                        "openAPIV3Schema": {"type": "object", "properties": {"status": content}}
                    },
                }
            ],
        },
    }


class _Plain(yaml.SafeDumper):
    """Without anchors: every reader should see each part where it stands."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def text(*documents: dict[str, Any]) -> str:
    """Documents as files hold them."""
    return yaml.dump_all(documents, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=100)
