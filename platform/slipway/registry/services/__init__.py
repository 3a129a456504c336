"""What the registry does for others: import, register, resolve, hold, export, delete."""

from __future__ import annotations

from slipway.registry.services.facts import (
    VersionFact,
    adapters_on,
    any_model,
    exists,
    fact_of,
    ready_version,
    resolve,
    version,
    whole_of,
)
from slipway.registry.services.keeping import (
    bin_version,
    delete_version,
    drop_alias,
    hold,
    import_directory,
    import_upload,
    import_uri,
    register_result,
    release,
    restore_version,
    set_alias,
)

__all__ = [
    "VersionFact",
    "adapters_on",
    "any_model",
    "bin_version",
    "delete_version",
    "drop_alias",
    "exists",
    "fact_of",
    "hold",
    "import_directory",
    "import_upload",
    "import_uri",
    "ready_version",
    "register_result",
    "release",
    "resolve",
    "restore_version",
    "set_alias",
    "version",
    "whole_of",
]
