"""Ties a made object to the custom resource it was made for."""

from __future__ import annotations

import hashlib
import json
from typing import Any

#: Hash of the manifest as rendered: tells whether an object there is still what is asked for.
RENDERED = "slipway.dev/rendered"
#: Generation of the resource it was rendered from. Only a later one is a reason to apply again: a
#: new version of the operator must not disturb what runs.
GENERATION = "slipway.dev/generation"


def owned(manifest: dict[str, Any], resource: dict[str, Any]) -> dict[str, Any]:
    """The manifest with its namespace, owner reference and hash; the owner's end is its end."""
    text = json.dumps(manifest, sort_keys=True).encode()
    owner = resource["metadata"]
    metadata = manifest["metadata"] | {
        "namespace": owner["namespace"],
        "annotations": manifest["metadata"].get("annotations", {})
        | {
            RENDERED: hashlib.sha256(text).hexdigest()[:16],
            GENERATION: str(owner["generation"]),
        },
        "ownerReferences": [
            {
                "apiVersion": resource["apiVersion"],
                "kind": resource["kind"],
                "name": owner["name"],
                "uid": owner["uid"],
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }
    return manifest | {"metadata": metadata}
