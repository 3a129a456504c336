"""Traces: one span a request, sent to a collector that really listens."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from gateway_world import SECRET, World, wait_until, world
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from slipway.gateway import spans

PARENT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_trace_that_comes_in_is_gone_on_with() -> None:
    trace = spans.begin(PARENT)
    assert (trace.trace_id, trace.parent_id, trace.sampled) == (
        b"4bf92f3577b34da6a3ce929d0e0e4736", b"00f067aa0ba902b7", True,
    )  # fmt: skip
    assert trace.header() == b"00-4bf92f3577b34da6a3ce929d0e0e4736-%b-01" % trace.span_id
    assert not spans.begin(PARENT[:-1] + b"0").sampled
    # A later version may say more than we understand.
    assert spans.begin(b"01" + PARENT[2:] + b"-more").trace_id == trace.trace_id


@pytest.mark.parametrize(
    "given",
    [b"", b"x", b"ff" + PARENT[2:], PARENT + b"-more", PARENT.upper(),
     b"00-" + b"0" * 32 + b"-00f067aa0ba902b7-01",
     b"00-4bf92f3577b34da6a3ce929d0e0e4736-" + b"0" * 16 + b"-01"],
)  # fmt: skip
def test_one_that_is_no_good_begins_anew(given: bytes) -> None:
    trace = spans.begin(given)
    assert trace.parent_id == b""
    assert trace.trace_id != b"4bf92f3577b34da6a3ce929d0e0e4736"
    assert len(trace.trace_id) == 32


class Collector:
    """Takes OTLP over HTTP."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told = ExportTraceServiceRequest()
                told.ParseFromString(self.rfile.read(int(self.headers["content-length"])))
                for resource in told.resource_spans:
                    for scope in resource.scope_spans:
                        collector.spans += scope.spans
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture(scope="module")
def traced() -> Iterator[tuple[World, Collector]]:
    collector = Collector()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        with world(spans=spans.configured()) as made:
            yield made, collector
    collector.close()


def test_nothing_is_sent_unless_a_collector_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in spans._ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    assert spans.configured() is None


def test_a_request_is_a_span_under_the_clients(traced: tuple[World, Collector]) -> None:
    gw, collector = traced
    body = {"model": "m", "messages": [{"role": "user", "content": "a secret of mine"}]}
    head = {"authorization": f"Bearer {SECRET}", "traceparent": PARENT.decode()}
    answer = gw.http.post(f"{gw.url}/chat/completions", json=body, headers=head)
    wait_until(lambda: collector.spans)
    (span,) = collector.spans
    assert span.trace_id.hex().encode() == PARENT[3:35]
    assert span.parent_span_id.hex().encode() == PARENT[36:52]
    assert span.name == "chat m"
    told = {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}
    assert told["gen_ai.operation.name"] == "chat"
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == (7, 5)
    assert told["slipway.request_id"] == answer.headers["x-request-id"]
    assert told["http.response.status_code"] == 200
    assert span.end_time_unix_nano > span.start_time_unix_nano
    assert "secret" not in str(span)
    sent = gw.engine.exchanges[-1].head
    assert b"traceparent: 00-%b-%b-01" % (PARENT[3:35], span.span_id.hex().encode()) in sent


def test_what_is_not_sampled_is_not_sent_but_goes_on(traced: tuple[World, Collector]) -> None:
    gw, collector = traced
    collector.spans.clear()
    body = {"model": "m", "messages": []}
    head = {"authorization": f"Bearer {SECRET}"}
    quiet = PARENT[:-1].decode() + "0"
    gw.http.post(f"{gw.url}/chat/completions", json=body, headers=head | {"traceparent": quiet})
    assert gw.engine.exchanges[-1].head.count(b"-00\r\n") == 1
    gw.http.post(f"{gw.url}/chat/completions", json=body, headers=head)
    wait_until(lambda: collector.spans)
    assert len(collector.spans) == 1
    assert collector.spans[0].parent_span_id == b""
