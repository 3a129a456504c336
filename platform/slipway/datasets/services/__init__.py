"""What others may ask of datasets: facts about versions, holds, and the verbs behind the API."""

from slipway.datasets.services.catalogue import (
    create_dataset,
    create_version,
    delete_dataset,
    delete_version,
    describe_dataset,
    publish,
)
from slipway.datasets.services.facts import (
    InUse,
    NotPublished,
    VersionFact,
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
from slipway.datasets.services.tokens import TokenStatistics, token_statistics

__all__ = [
    "CheckState",
    "InUse",
    "NotPublished",
    "TokenStatistics",
    "VersionFact",
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
    "token_statistics",
]
