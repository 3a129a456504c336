"""Files, uploads, models, batches, and what comes twice."""

from __future__ import annotations

import json
import uuid
from typing import Any

import openai
from world import CHAT, ENCODER, HELLO, lines, pages, scenario, until


@scenario("a file is uploaded, listed, read back and deleted")
def _(w: Any) -> None:
    made = w.openai.files.create(file=("notes.txt", b"one\ntwo\n"), purpose="user_data")
    assert (made.bytes, made.filename, made.purpose) == (8, "notes.txt", "user_data")
    assert w.openai.files.wait_for_processing(made.id).status == "processed"
    assert w.openai.files.content(made.id).read() == b"one\ntwo\n"
    assert made.id in [each.id for each in pages(w.openai.files.list(limit=2))]
    assert made.id in [each.id for each in w.openai.files.list(purpose="user_data")]
    assert w.openai.files.delete(made.id).deleted
    w.refused(openai.NotFoundError, lambda: w.openai.files.retrieve(made.id), 404)


@scenario("a file to tune with is checked line by line")
def _(w: Any) -> None:
    good, bad = w.put(w.rows(3)), w.put(w.rows(1) + b'{"messages": 7}\n')
    assert w.openai.files.wait_for_processing(good, poll_interval=0.2).status == "processed"
    found = w.openai.files.wait_for_processing(bad, poll_interval=0.2)
    assert found.status == "error"
    assert "2" in found.status_details


@scenario("a file that expires says when")
def _(w: Any) -> None:
    made = w.openai.files.create(
        file=("x.txt", b"x"), purpose="assistants",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )  # fmt: skip
    assert made.expires_at == made.created_at + 3600


@scenario("a file comes in parts, in any order")
def _(w: Any) -> None:
    upload = w.openai.uploads.create(
        bytes=10, filename="p.txt", mime_type="text/plain", purpose="assistants"
    )
    second = w.openai.uploads.parts.create(upload.id, data=b"world")
    first = w.openai.uploads.parts.create(upload.id, data=b"hello")
    done = w.openai.uploads.complete(upload.id, part_ids=[first.id, second.id])
    assert done.status == "completed"
    assert w.openai.files.content(done.file.id).read() == b"helloworld"


@scenario("a chunked upload of the client's own making, and one cancelled")
def _(w: Any) -> None:
    data = b"abc" * 100_000
    done = w.openai.uploads.upload_file_chunked(
        file=data, filename="c.bin", bytes=len(data), mime_type="text/plain",
        purpose="assistants", part_size=100_000,
    )  # fmt: skip
    assert done.file.bytes == len(data)
    upload = w.openai.uploads.create(bytes=5, filename="p", mime_type="text/plain", purpose="evals")
    assert w.openai.uploads.cancel(upload.id).status == "cancelled"
    w.refused(
        openai.BadRequestError, lambda: w.openai.uploads.complete(upload.id, part_ids=[]), 400
    )


@scenario("models are listed, looked at, and a base is not deleted")
def _(w: Any) -> None:
    assert {CHAT, ENCODER} <= {each.id for each in w.openai.models.list()}
    assert w.openai.models.retrieve(CHAT).object == "model"
    w.refused(
        openai.NotFoundError, lambda: w.openai.models.retrieve("no/such:model"), 404,
        code="model_not_found", param="model",
    )  # fmt: skip
    w.refused(openai.PermissionDeniedError, lambda: w.openai.models.delete(CHAT), 403)


def _batch(w: Any, rows: Any, endpoint: str = "/v1/chat/completions") -> Any:
    made = w.openai.batches.create(
        input_file_id=w.put(lines(rows), "batch"), endpoint=endpoint, completion_window="24h",
        metadata={"mark": w.mark},
    )  # fmt: skip
    ends = {"completed", "failed", "cancelled", "expired"}

    def ended() -> Any:
        found = w.openai.batches.retrieve(made.id)
        return found if found.status in ends else None

    return until("the batch", ended)


def _line(name: str, url: str, body: Any) -> dict[str, Any]:
    return {"custom_id": name, "method": "POST", "url": url, "body": body}


@scenario("a batch of chats is answered, its failed line apart")
def _(w: Any) -> None:
    url = "/v1/chat/completions"
    chat = {"model": CHAT, "messages": HELLO, "max_tokens": 4}
    rows = [_line(f"r{n}", url, chat) for n in range(3)]
    rows.append(_line("bad", url, chat | {"temperature": 9}))
    done = _batch(w, rows)
    assert done.status == "completed"
    assert (done.request_counts.completed, done.request_counts.failed) == (3, 1)
    answers = [
        json.loads(each) for each in w.openai.files.content(done.output_file_id).iter_lines()
    ]
    assert {each["custom_id"] for each in answers} == {"r0", "r1", "r2"}
    assert all(each["response"]["body"]["usage"]["completion_tokens"] <= 4 for each in answers)
    (failed,) = w.openai.files.content(done.error_file_id).iter_lines()
    assert json.loads(failed)["response"]["status_code"] == 400
    assert done.id in [each.id for each in pages(w.openai.batches.list(limit=1))]


@scenario("a batch of embeddings")
def _(w: Any) -> None:
    url = "/v1/embeddings"
    rows = [_line("e", url, {"model": ENCODER, "input": ["a", "b"]})]
    done = _batch(w, rows, url)
    (answer,) = w.openai.files.content(done.output_file_id).iter_lines()
    assert len(json.loads(answer)["response"]["body"]["data"]) == 2


@scenario("a batch with wrong lines fails and names them")
def _(w: Any) -> None:
    chat = {"model": CHAT, "messages": HELLO}
    rows = [_line("same", "/v1/chat/completions", chat), _line("same", "/v1/embeddings", chat)]
    failed = _batch(w, rows)
    assert failed.status == "failed"
    assert {each.line for each in failed.errors.data} == {2}
    w.refused(openai.BadRequestError, lambda: w.openai.batches.cancel(failed.id), 400)


@scenario("an Idempotency-Key makes a repetition harmless")
def _(w: Any) -> None:
    key = {"idempotency-key": uuid.uuid4().hex}

    def make(name: str) -> Any:
        return w.openai.evals.create(
            name=name, extra_headers=key,
            data_source_config={"type": "custom", "item_schema": {"type": "object"}},
            testing_criteria=[{"type": "string_check", "name": "s", "input": "{{item.a}}",
                               "reference": "a", "operation": "eq"}],
        )  # fmt: skip

    assert make("one").id == make("one").id
    error = w.refused(openai.ConflictError, lambda: make("two"), 409)
    assert error.response.headers["x-should-retry"] == "false"


@scenario("a POST that the client sends again is done once")
def _(w: Any) -> None:
    input_file = w.put(lines([_line("a", "/v1/embeddings", {"model": ENCODER, "input": "a"})]),
                       "batch")  # fmt: skip

    def make(count: int) -> Any:
        return w.openai.batches.create(
            input_file_id=input_file, endpoint="/v1/embeddings", completion_window="24h",
            extra_headers={"x-stainless-retry-count": str(count)},
        )  # fmt: skip

    assert make(0).id == make(1).id


@scenario("every class of error is the client's own")
def _(w: Any) -> None:
    chat = w.openai.chat.completions.create
    bad, gone = openai.BadRequestError, openai.NotFoundError
    hello = [{"role": "user", "content": "hi"}]
    w.refused(bad, lambda: chat(model=CHAT, messages=[]), 400, param="messages")
    w.refused(bad, lambda: chat(model=CHAT, messages=hello, temperature=3), 400,
              param="temperature")  # fmt: skip
    w.refused(bad, lambda: chat(model=CHAT, messages=hello, max_tokens=10**6), 400,
              code="context_length_exceeded")  # fmt: skip
    w.refused(bad, lambda: chat(model=CHAT, messages=hello, extra_body={"colour": 1}), 400,
              param="colour")  # fmt: skip
    w.refused(gone, lambda: chat(model="no-such", messages=hello), 404, code="model_not_found")
    w.refused(gone, lambda: w.openai.files.retrieve("file-none"), 404)
    w.refused(gone, w.openai.vector_stores.list, 404, code="unknown_url")
    w.refused(gone, lambda: w.openai.get("/nothing", cast_to=object), 404, code="unknown_url")
    w.refused(openai.APIStatusError, lambda: w.openai.put("/files", cast_to=object), 405)
    strange = w.openai.with_options(api_key="sk-slip-nobody")
    w.refused(openai.AuthenticationError, strange.models.list, 401, code="invalid_api_key")
    w.refused(openai.AuthenticationError, strange.files.list, 401, code="invalid_api_key")
    w.refused(bad, lambda: w.openai.files.list(after="file-none"), 400, param="after")
    w.refused(bad, lambda: w.openai.files.list(limit=0), 400, param="limit")
    large = [{"role": "user", "content": "x" * 9_000_000}]
    w.refused(openai.APIStatusError, lambda: chat(model=CHAT, messages=large), 413,
              code="request_too_large")  # fmt: skip
