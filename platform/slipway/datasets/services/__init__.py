"""What others may ask of datasets: facts about versions, holds, and the verbs behind the API."""

from slipway.datasets.services.catalogue import (
    create_dataset,
    create_version,
    delete_dataset,
    delete_version,
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
from slipway.datasets.services.tokens import TokenStatistics, token_statistics

__all__ = [
    "InUse",
    "NotPublished",
    "TokenStatistics",
    "VersionFact",
    "create_dataset",
    "create_version",
    "delete_dataset",
    "delete_version",
    "fact",
    "hold",
    "holders",
    "publish",
    "published_named",
    "published_version",
    "release",
    "token_statistics",
]
