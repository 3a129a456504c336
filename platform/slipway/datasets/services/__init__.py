"""What others may ask of datasets: facts about versions, holds, and the verbs behind the API."""

from slipway.datasets.services.catalogue import (
    bin_dataset,
    create_dataset,
    create_version,
    delete_dataset,
    delete_version,
    describe_dataset,
    publish,
    restore_dataset,
)
from slipway.datasets.services.facts import (
    InUse,
    NotPublished,
    VersionFact,
    any_dataset,
    fact,
    hold,
    holders,
    published_named,
    published_version,
    release,
)
from slipway.datasets.services.objects import (
    CheckState,
    check_state,
    delete_unpublished,
    from_object,
)
from slipway.datasets.services.rows import rows_at
from slipway.datasets.services.tokens import TokenStatistics, token_statistics

__all__ = [
    "CheckState",
    "InUse",
    "NotPublished",
    "TokenStatistics",
    "VersionFact",
    "any_dataset",
    "bin_dataset",
    "check_state",
    "create_dataset",
    "create_version",
    "delete_dataset",
    "delete_unpublished",
    "delete_version",
    "describe_dataset",
    "fact",
    "from_object",
    "hold",
    "holders",
    "publish",
    "published_named",
    "published_version",
    "release",
    "restore_dataset",
    "rows_at",
    "token_statistics",
]
