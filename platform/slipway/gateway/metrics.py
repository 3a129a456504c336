"""`GET /metrics`: the gateway's counts as Prometheus reads them."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.exposition import choose_encoder

from slipway.gateway.spool import Spool
from slipway.gateway.watch import Histogram, Watch

_BY = ["project", "model"]


class Seen(Protocol):
    """What is told beside the counts; a gateway's core is one."""

    @property
    def watch(self) -> Watch: ...

    def running(self) -> int:
        """Requests in flight."""

    def picture_age(self) -> float:
        """Seconds since keys and routes were last read."""

    def keys_and_routes(self) -> tuple[int, int]: ...

    @property
    def spool(self) -> Spool: ...


def may_read(headers: Mapping[bytes, bytes], address: str, token: str) -> bool:
    """With a token, who has it; without one, programs on this machine that came here directly."""
    if token:
        given = headers.get(b"authorization", b"")
        return hmac.compare_digest(given, b"Bearer " + token.encode())
    # Behind a proxy on this machine everybody would come from it.
    if b"x-forwarded-for" in headers or b"forwarded" in headers:
        return False
    try:
        return not address or ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def page(seen: Seen, accept: str) -> tuple[bytes, str]:
    """The metrics and their content type, by what `accept` asks for."""
    encode, kind = choose_encoder(accept)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(seen))
    return encode(registry), kind


class _Collector:
    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    def collect(self) -> Iterator[Any]:
        watch = self._seen.watch
        # Copied first: the loop that counts does not wait for who reads.
        every = list(watch.series.items())
        requests = CounterMetricFamily(
            "slipway_gateway_requests", "Requests that were let in, by how they ended.",
            labels=[*_BY, "endpoint", "status"],
        )  # fmt: skip
        tokens = CounterMetricFamily(
            "slipway_gateway_tokens", "Tokens of prompts and answers.", labels=[*_BY, "kind"]
        )
        guessed = CounterMetricFamily(
            "slipway_gateway_estimated_requests",
            "Requests whose engine did not say what they used.", labels=_BY,
        )  # fmt: skip
        latency = HistogramMetricFamily(
            "slipway_gateway_request_seconds", "From the request to its last byte.", labels=_BY
        )
        first = HistogramMetricFamily(
            "slipway_gateway_first_byte_seconds",
            "From the request to the first byte of its answer: the time to the first token.",
            labels=_BY,
        )
        for key, series in every:
            labels = list(key)
            for (endpoint, status), count in list(series.statuses.items()):
                requests.add_metric([*labels, endpoint, str(status)], count)
            tokens.add_metric([*labels, "prompt"], series.prompt_tokens)
            tokens.add_metric([*labels, "completion"], series.completion_tokens)
            guessed.add_metric(labels, series.estimated)
            latency.add_metric(labels, _buckets(series.latency), series.latency.sum / 1000)
            first.add_metric(labels, _buckets(series.first_byte), series.first_byte.sum / 1000)
        yield from (requests, tokens, guessed, latency, first)
        refused = CounterMetricFamily(
            "slipway_gateway_refused", "Requests that were not let in, by code.", labels=["code"]
        )
        for code, count in list(watch.refused.items()):
            refused.add_metric([code], count)
        yield refused
        yield CounterMetricFamily(
            "slipway_gateway_hedged", "Second replicas that were asked.", value=watch.hedged
        )
        yield CounterMetricFamily(
            "slipway_gateway_hedges_won", "Second replicas that answered first.",
            value=watch.hedges_won,
        )  # fmt: skip
        yield CounterMetricFamily(
            "slipway_gateway_fallbacks", "Requests that a fallback answered.",
            value=watch.fell_back,
        )  # fmt: skip
        yield from self._gauges()

    def _gauges(self) -> Iterator[Any]:
        keys, routes = self._seen.keys_and_routes()
        files = [path.stat().st_size for path in self._seen.spool.directory.glob("*.jsonl")]
        for name, text, value in (
            ("in_flight", "Requests being answered.", self._seen.running()),
            ("picture_age_seconds", "Since keys and routes were read.", self._seen.picture_age()),
            ("keys", "Keys in force.", keys),
            ("routes", "Names that can be called, of all projects.", routes),
            ("spool_files", "Files of usage that the ledger has not taken in.", len(files)),
            ("spool_bytes", "Their size.", sum(files)),
        ):
            yield GaugeMetricFamily(f"slipway_gateway_{name}", text, value=value)


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """As Prometheus has them: seconds, each bucket with all below it."""
    below, found = 0, []
    for bound, count in zip((*histogram.bounds, None), list(histogram.counts), strict=True):
        below += count
        found.append(("+Inf" if bound is None else str(bound / 1000), float(below)))
    return found
