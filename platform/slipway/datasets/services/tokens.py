"""Count the tokens of a version by a model's own tokenizer, and what a limit would cut off."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any
from uuid import UUID

import msgspec

from slipway import backends
from slipway.backends.objects import Missing
from slipway.core.errors import Conflict, Detail
from slipway.datasets.models import Version
from slipway.datasets.services import rows
from slipway.datasets.services.checking import summary
from slipway.datasets.services.facts import checked_version_of
from slipway_contracts import formats

#: Rows counted at most; of a larger version every n-th is taken.
MAX_ROWS = 20_000
_BATCH = 512

#: Turns a row's messages into the very text that the model is given, by its chat template.
Render = Callable[[list[dict[str, Any]]], str]


@dataclass(frozen=True, kw_only=True)
class TokenStatistics:
    #: count, sum, min, p5, median, p95, mean, max over the rows counted.
    tokens: dict[str, float]
    #: Of the whole version; exact if all rows were counted.
    total_tokens: int
    rows_counted: int
    sampled: bool
    #: With a limit: rows of those counted that are longer, their share, and the tokens cut off.
    truncated_rows: int
    truncated_share: float
    truncated_tokens: int


def token_statistics(
    *,
    project_id: UUID,
    version_id: UUID,
    tokenizer_uri: str,
    max_len: int | None = None,
    render: Render | None = None,
) -> TokenStatistics:
    """Token lengths of rows by `<tokenizer_uri>/tokenizer.json`.

    Without `render` the contents of the messages are counted without what a chat template adds.
    """
    version = checked_version_of(project_id=project_id, version_id=version_id)
    tokenizer = _tokenizer(tokenizer_uri)
    stride = -(-version.rows // MAX_ROWS)
    texts = _texts(version, stride, render)
    histogram: Counter[int] = Counter()
    while batch := list(islice(texts, _BATCH)):
        encoded = tokenizer.encode_batch_fast(batch, add_special_tokens=render is None)
        histogram.update(len(one.ids) for one in encoded)
    counted = histogram.total()
    whole = sum(length * count for length, count in histogram.items())
    over = {} if max_len is None else {n: c for n, c in histogram.items() if n > max_len}
    truncated = sum(over.values())
    return TokenStatistics(
        tokens=summary(histogram),
        total_tokens=whole if stride == 1 else round(whole / counted * version.rows),
        rows_counted=counted,
        sampled=stride > 1,
        truncated_rows=truncated,
        truncated_share=truncated / counted,
        truncated_tokens=sum((n - (max_len or 0)) * count for n, count in over.items()),
    )


def _texts(version: Version, stride: int, render: Render | None) -> Iterator[str]:
    with rows.lines_from(version) as lines:
        for line in islice(lines, 0, None, stride):
            row = msgspec.json.decode(line)
            messages = formats.conversation(row)
            yield render(messages) if render and messages else "\n".join(formats.texts(row))


@lru_cache(maxsize=8)
def _tokenizer(uri: str) -> Any:
    from tokenizers import Tokenizer

    store = backends.objects()
    try:
        text = store.read(f"{store.key(uri.rstrip('/'))}/tokenizer.json").decode()
    except (Missing, ValueError) as error:
        raise Conflict(
            "This model has no tokenizer.json to count with.",
            Detail(field="tokenizer_uri", rule="a model directory of this store", value=uri),
        ) from error
    tokenizer = Tokenizer.from_str(text)
    # What was saved with the file for training must not shorten what is counted.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
