"""One OpenTelemetry span for each request, in the words of the GenAI conventions; no prompt text.

Off unless an OTLP endpoint is named in the environment, by OpenTelemetry's own variables. A trace
that comes in goes on to our own engines either way.
"""

from __future__ import annotations

import os
import re
import secrets
import threading
from collections import deque
from typing import Any

import msgspec

from slipway_contracts.usage import UsageLine

#: W3C Trace Context, level 1: version, trace, parent, flags.
_TRACEPARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_OPERATIONS = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "text_completion",
    "/v1/embeddings": "embeddings",
}
_MOST_WAITING = 10_000
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


class Trace(msgspec.Struct, frozen=True):
    """Where a request stands in a trace; ids as they are on the wire."""

    trace_id: bytes
    #: Of the span before ours; empty where the trace begins here.
    parent_id: bytes
    span_id: bytes
    sampled: bool

    def header(self) -> bytes:
        """What an engine is told."""
        return b"00-%b-%b-%b" % (self.trace_id, self.span_id, b"01" if self.sampled else b"00")


def begin(traceparent: bytes) -> Trace:
    """Our place in the trace of a header; in one of our own where there is no good one."""
    found = _TRACEPARENT.fullmatch(traceparent)
    span_id = secrets.token_hex(8).encode()
    if found is not None:
        version, trace_id, parent_id, flags, more = found.groups()
        # A version we do not know may say more; the first one may not.
        good = version != b"ff" and trace_id.strip(b"0") and parent_id.strip(b"0")
        if good and (more is None or version != b"00"):
            return Trace(trace_id, parent_id, span_id, bool(int(flags, 16) & 1))
    return Trace(secrets.token_hex(16).encode(), b"", span_id, sampled=True)


class Spans:
    """Remembers ended requests, a microsecond each; a thread makes spans of them, which takes a
    hundred, and hands them to the exporter. Beyond so many that wait, the oldest are dropped."""

    def __init__(self, processor: Any, resource: Any, *, every_seconds: float = 0.2) -> None:
        self._processor, self._resource = processor, resource
        self._ended: deque[tuple[Trace, UsageLine, str]] = deque(maxlen=_MOST_WAITING)
        self._every = every_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    def settled(self, trace: Trace, line: UsageLine, *, asked: str) -> None:
        """A request for the model `asked` has ended."""
        if trace.sampled:
            self._ended.append((trace, line, asked))

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            self._hand_on()

    def _hand_on(self) -> None:
        while self._ended:
            trace, line, asked = self._ended.popleft()
            self._make(trace, line, asked)

    def _make(self, trace: Trace, line: UsageLine, asked: str) -> None:
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

        def place(span_id: bytes, *, remote: bool) -> SpanContext:
            return SpanContext(
                int(trace.trace_id, 16), int(span_id, 16), remote, TraceFlags(TraceFlags.SAMPLED)
            )

        operation = _OPERATIONS.get(line.endpoint, "other")
        begun = int(line.at * 1e9)
        attributes: dict[str, Any] = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": "slipway",
            "gen_ai.request.model": asked,
            "gen_ai.response.model": line.model,
            "gen_ai.request.stream": line.stream,
            "gen_ai.usage.input_tokens": line.prompt_tokens,
            "gen_ai.usage.output_tokens": line.completion_tokens,
            "http.response.status_code": line.status,
            "slipway.request_id": line.request_id,
            "slipway.project_id": line.project_id,
            "slipway.key_id": line.key_id,
            "slipway.deployment_id": line.deployment_id,
            "slipway.version_id": line.version_id,
        }
        if line.first_byte_ms is not None:
            attributes["gen_ai.response.time_to_first_chunk"] = line.first_byte_ms / 1000
        failed = line.status >= 400
        if failed:
            attributes["error.type"] = str(line.status)
        span = ReadableSpan(
            name=f"{operation} {asked}",
            context=place(trace.span_id, remote=False),
            parent=place(trace.parent_id, remote=True) if trace.parent_id else None,
            resource=self._resource,
            attributes=attributes,
            kind=SpanKind.SERVER,
            status=Status(StatusCode.ERROR if failed else StatusCode.UNSET),
            start_time=begun,
            end_time=begun + int(line.latency_ms * 1e6),
        )
        self._processor.on_end(span)

    def stop(self) -> None:
        """Send what is left; blocks for some seconds at most."""
        self._stop.set()
        self._thread.join()
        self._hand_on()
        self._processor.shutdown()


def configured() -> Spans | None:
    """As the environment says; None where it names no endpoint."""
    if not any(os.environ.get(name) for name in _ENDPOINTS):
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    name = os.environ.get("OTEL_SERVICE_NAME", "slipway-gateway")
    return Spans(BatchSpanProcessor(OTLPSpanExporter()), Resource.create({"service.name": name}))
