"""Files and uploads as the `openai` package meets them, and as a hostile client would."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from door_world import Door, error_of, rows_of, until


@pytest.fixture(scope="module")
def client(door: Door) -> openai.OpenAI:
    return door.client(_strict_response_validation=True)


def put(client: openai.OpenAI, data: bytes = b"{}\n", purpose: str = "batch", **more: Any) -> Any:
    return client.files.create(file=("some rows.jsonl", data), purpose=purpose, **more)  # type: ignore[arg-type]


# Files


def test_a_file_is_kept_shown_given_back_and_deleted(client: openai.OpenAI) -> None:
    data = b'{"a": 1}\n' * 1000
    file = put(client, data, expires_after={"anchor": "created_at", "seconds": 3600})
    assert file.id.startswith("file-")
    assert (file.object, file.bytes, file.filename) == ("file", 9000, "some rows.jsonl")
    assert (file.purpose, file.status) == ("batch", "processed")
    assert file.expires_at == file.created_at + 3600
    assert file.sha256 == hashlib.sha256(data).hexdigest()
    assert client.files.retrieve(file.id) == file
    content = client.files.content(file.id)
    assert content.content == data
    assert content.response.headers["content-length"] == "9000"
    assert content.response.headers["x-request-id"].startswith("req_")
    gone = client.files.delete(file.id)
    assert (gone.id, gone.object, gone.deleted) == (file.id, "file", True)
    for again in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError) as caught:
            again(file.id)
        assert (caught.value.param, caught.value.type) == ("file_id", "invalid_request_error")


def test_the_same_bytes_again_are_seen(client: openai.OpenAI) -> None:
    first, second = put(client, b"same\n"), put(client, b"same\n")
    assert first.id != second.id
    assert (first.same_as, second.same_as) == (None, first.id)
    client.files.delete(first.id)
    assert client.files.retrieve(second.id).same_as is None  # type: ignore[attr-defined]


def test_pages_go_through_all_files_both_ways(door: Door) -> None:
    client = door.client("rival-owner", _strict_response_validation=True)
    made = [put(client, b"%d\n" % n, "user_data").id for n in range(7)]
    put(client, b"x\n", "batch")
    assert [f.id for f in client.files.list(purpose="user_data", limit=3)] == made[::-1]
    assert [f.id for f in client.files.list(purpose="user_data", limit=2, order="asc")] == made
    page = client.files.list(limit=3, purpose="user_data")
    raw = page.to_dict()
    assert raw["has_more"] is True
    assert (raw["first_id"], raw["last_id"]) == (made[-1], made[-3])
    empty = door.call("GET", "files?purpose=vision", "rival-owner").json()
    assert empty == {
        "object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False,
    }  # fmt: skip
    for query in ("limit=0", "limit=x", "order=up", "after=file-none", f"after={made[0]}x"):
        refused = door.call("GET", f"files?{query}", "rival-owner")
        assert refused.status_code == 400
        assert error_of(refused)["param"] == query.split("=")[0]


def test_a_fine_tune_file_is_checked_line_by_line(client: openai.OpenAI) -> None:
    good = put(client, rows_of(12), "fine-tune")
    assert good.status == "uploaded"
    assert client.files.wait_for_processing(good.id, poll_interval=0.1).status == "processed"
    rows = rows_of(12).splitlines(keepends=True)
    rows[6] = b'{"messages": [{"role": "user", "content": 7}]}\n'
    bad = put(client, b"".join(rows), "fine-tune")
    bad = client.files.wait_for_processing(bad.id, poll_interval=0.1)
    assert bad.status == "error"
    assert "line 7" in str(bad.status_details)
    client.files.delete(bad.id)


def test_another_tenants_file_is_not_there(door: Door, client: openai.OpenAI) -> None:
    file = put(client)
    other = door.client("rival-owner")
    for verb in (other.files.retrieve, other.files.content, other.files.delete):
        with pytest.raises(openai.NotFoundError):
            verb(file.id)
    assert file.id not in [f.id for f in other.files.list()]
    refused = door.call("GET", f"files?after={file.id}", "rival-owner")
    assert refused.status_code == 400


def test_a_reader_reads_and_changes_nothing(door: Door, client: openai.OpenAI) -> None:
    file = put(client)
    reader = door.client("acme-reader")
    assert reader.files.retrieve(file.id).id == file.id
    with pytest.raises(openai.PermissionDeniedError):
        reader.files.delete(file.id)
    with pytest.raises(openai.PermissionDeniedError):
        put(reader)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"purpose": "nonsense"}, "purpose"),
        ({}, "purpose"),
        ({"purpose": "batch", "color": "red"}, "color"),
        ({"purpose": "batch", "expires_after[seconds]": "3600"}, "expires_after.anchor"),
        ({"purpose": "batch", "expires_after[anchor]": "created_at",
          "expires_after[seconds]": "9"}, "expires_after.seconds"),
        ({"purpose": "batch", "expires_after[anchor]": "created_at",
          "expires_after[seconds]": "many"}, "expires_after.seconds"),
        ({"purpose": "batch\0"}, "file"),
    ],
)  # fmt: skip
def test_wrong_fields_are_named(door: Door, fields: dict[str, str], param: str) -> None:
    refused = door.call("POST", "files", data=fields, files={"file": ("f", b"x")})
    assert refused.status_code == 400
    assert error_of(refused)["param"] == param


def test_bodies_that_are_no_upload(door: Door) -> None:
    for options in (
        {"json": {"purpose": "batch"}},
        {"content": b"x" * 1000, "headers": {"content-type": "multipart/form-data"}},
        {"content": b"--b\r\nxx", "headers": {"content-type": "multipart/form-data; boundary=b"}},
        {"content": b"--b\r\nxx", "headers": {"content-type": "multipart/form-data;boundary="}},
        {"content": b"x", "headers": {"content-type": b"multipart/form-data; boundary=\xff"}},
        {"content": b"", "headers": {"content-type": "multipart/form-data; boundary=b"}},
        {"content": b"x", "headers": {"content-type": "multipart/form-data;charset=x;boundary=b"}},
        {"data": {f"f{n}": "x" for n in range(2000)}, "files": {"file": ("f", b"x")}},
        {"data": {"purpose": "x" * 20_000_000}, "files": {"file": ("f", b"x")}},
        {"files": {"file": ("f", b"")}, "data": {"purpose": "batch"}},
        {"files": {"other": ("f", b"x")}, "data": {"purpose": "batch"}},
        {"files": [("file", ("f", b"x")), ("file", ("g", b"y"))], "data": {"purpose": "batch"}},
    ):
        refused = door.call("POST", "files", **options)
        assert refused.status_code == 400, (options, refused.text)
        assert "not understood" not in error_of(refused)["message"]


@pytest.mark.parametrize(
    "headers",
    [{}, {"content-type": "application/json"}, {"content-type": "multipart/mixed; boundary=b"},
     {"content-type": "text/plain; charset=klingon"}, {"content-type": "multipart"},
     {"content-type": "application/x-www-form-urlencoded"}],
)  # fmt: skip
def test_an_upload_that_is_no_form_is_told_what_is_expected(
    door: Door, headers: dict[str, str]
) -> None:
    for content in (b'{"purpose": "batch"}', b"purpose=batch&" * 1_000_000):
        refused = door.call("POST", "files", content=content, headers=headers)
        error = error_of(refused)
        assert (refused.status_code, error["code"]) == (400, "invalid_content_type"), error
        assert "multipart/form-data" in error["message"]


@pytest.mark.parametrize("path", ["files", "evals", "responses", "moderations", "completions"])
def test_a_compressed_body_is_refused(door: Door, path: str) -> None:
    data = gzip.compress(b'{"model": "m", "input": "x", "prompt": "x"}')
    for encoding in ("gzip", "br, gzip"):
        headers = {"content-encoding": encoding, "content-type": "application/json"}
        refused = door.call("POST", path, content=data, headers=headers)
        error = error_of(refused)
        assert (refused.status_code, error["param"]) == (415, "Content-Encoding"), error
        assert repr(encoding) in error["message"]
    plain = {"content-encoding": "identity"}
    assert door.call("POST", path, content=b"{}", headers=plain).status_code == 400


def test_a_name_that_leads_elsewhere_is_only_a_name(door: Door) -> None:
    got = door.call("POST", "files", data={"purpose": "batch"},
                    files={"file": ("../../etc/passwd", b"x")})  # fmt: skip
    assert got.json()["filename"] == "passwd"


@pytest.mark.parametrize(
    ("given", "kept"), [("rows\\", "rows"), ("C:\\data\\rows.jsonl", "rows.jsonl"), ("..", "..")]
)
def test_a_file_with_any_name_is_kept(door: Door, given: str, kept: str) -> None:
    head = f'content-disposition: form-data; name="file"; filename="{given}"'
    body = (
        f'--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        f"--b\r\n{head}\r\n\r\nx\r\n--b--\r\n"
    )
    headers = {"content-type": "multipart/form-data; boundary=b"}
    got = door.call("POST", "files", content=body.encode(), headers=headers)
    assert (got.status_code, got.json().get("filename")) == (200, kept), got.text


def test_a_backslash_before_u0000_is_a_text(door: Door) -> None:
    body = rb'{"filename": "a\\u0000", "purpose": "batch", "bytes": 1, "mime_type": "x"}'
    assert door.call("POST", "uploads", content=body).status_code == 200


def test_nobody_sends_a_body_without_a_key(door: Door) -> None:
    for headers in ({}, {"authorization": "Bearer sk-wrong"}):
        refused = door.http.post(f"{door.url}/files", content=b"x" * 100_000, headers=headers)
        assert refused.status_code == 401
        assert error_of(refused)["code"] == "invalid_api_key"


def test_a_body_too_large_is_refused_before_and_while_it_comes(door: Door) -> None:
    with socket.create_connection(("127.0.0.1", door.port), timeout=30) as link:
        head = (
            f"POST /v1/files HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {door.keys['acme-owner']}"
        )
        link.sendall(f"{head}\r\ncontent-length: 600000000\r\n\r\n".encode())
        assert link.recv(1000).startswith(b"HTTP/1.1 413 ")

    def endless() -> Iterator[bytes]:
        for _ in range(12):
            yield b" " * 1024 * 1024

    refused = door.call("POST", "uploads", content=endless())
    assert (refused.status_code, error_of(refused)["code"]) == (413, "request_too_large")


def test_a_large_file_never_fills_the_memory(door: Door, client: openai.OpenAI) -> None:
    pid = door.processes[0].pid

    def resident() -> int:
        status = Path(f"/proc/{pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024

    put(client, b"warm" * 100_000)
    before = resident()
    size = 48 * 1024 * 1024
    file = put(client, b"x" * size)
    assert file.bytes == size
    with client.files.with_streaming_response.content(file.id) as got:
        assert sum(len(piece) for piece in got.iter_bytes()) == size
    assert resident() - before < size / 3


# Manners


def test_unknown_paths_methods_and_models_in_the_one_shape(door: Door) -> None:
    for method, path, status, code in (
        ("GET", "nothing", 404, "unknown_url"),
        ("GET", "files/file-1/nothing", 404, "unknown_url"),
        ("POST", "fine_tuning/none", 404, "unknown_url"),
        ("PUT", "files", 405, "method_not_allowed"),
        ("PATCH", "uploads", 405, "method_not_allowed"),
        ("OPTIONS", "files", 405, "method_not_allowed"),
    ):
        refused = door.call(method, path)
        assert (refused.status_code, error_of(refused)["code"]) == (status, code), path
    assert "GET" in door.call("PUT", "files").headers["allow"]


@pytest.mark.parametrize(
    "content",
    [
        b"{", b"[]", b"7", b'"x"', b"\xff\xfe{}", b'{"filename": "\\ud800"}',
        b'{"filename": "a\\u0000"}', b"[" * 1_000_000, b'{"a":' * 1_000_000, b"",
        b'{"filename": 1, "purpose": "batch", "bytes": 1, "mime_type": "x"}',
        b'{"filename": "f", "purpose": "batch", "bytes": "1", "mime_type": "x"}',
        b'{"filename": "f", "purpose": "batch", "bytes": true, "mime_type": "x"}',
        b'{"filename": "f", "purpose": "batch", "bytes": 1e400, "mime_type": "x"}',
        b'{"filename": "f", "purpose": "batch", "bytes": 99999999999999999999, "mime_type": "x"}',
        b'{"filename": "f", "purpose": "batch", "bytes": 1, "mime_type": "x", "zzz": 1}',
        b'{"filename": "f", "purpose": ["b"], "bytes": 1, "mime_type": "x"}',
    ],
)  # fmt: skip
def test_a_body_that_is_none_is_refused_by_name(door: Door, content: bytes) -> None:
    refused = door.call("POST", "uploads", content=content)
    assert refused.status_code == 400, refused.text
    error_of(refused)


# Twins


def test_a_retried_post_makes_one_file(door: Door, client: openai.OpenAI) -> None:
    def post(**headers: str) -> str:
        form = {"data": {"purpose": "batch"}, "files": {"file": ("t", b"twin\n")}}
        got = door.call("POST", "files", headers=headers, **form)
        assert got.status_code == 200, got.text
        return str(got.json()["id"])

    first = post()
    assert post(**{"x-stainless-retry-count": "1"}) == first
    assert post() != first
    assert post(**{"idempotency-key": "k1"}) != first
    assert post(**{"idempotency-key": "k1"}) == post(**{"idempotency-key": "k1"})


def test_an_idempotency_key_is_for_one_request(door: Door) -> None:
    def create(size: int, who: str = "acme-owner") -> Any:
        new = {"filename": "f", "purpose": "batch", "bytes": size, "mime_type": "x"}
        return door.call("POST", "uploads", who, json=new, headers={"idempotency-key": "k2"})

    first = create(5)
    assert create(5).json() == first.json()
    other = create(6)
    assert other.status_code == 409
    assert other.headers["x-should-retry"] == "false"
    error_of(other)
    assert create(5, "rival-owner").json()["id"] != first.json()["id"]
    keyed = {"idempotency-key": "k2"}
    for content in (b"{", b"[]", b'{"bytes": "x"}', b'{"purpose": "?"}'):
        wrong = door.call("POST", "uploads", content=content, headers=keyed)
        assert (wrong.status_code, error_of(wrong)["code"]) == (409, "conflict"), content
        fresh = door.call("POST", "uploads", content=content, headers={"idempotency-key": "k9"})
        assert fresh.status_code == 400
    assert create(5).json() == first.json()
    long = door.call("POST", "uploads", json={}, headers={"idempotency-key": "k" * 300})
    assert long.status_code == 400


def test_twins_at_the_same_moment_are_one(door: Door) -> None:
    new = {"filename": "f", "purpose": "batch", "bytes": 5, "mime_type": "x"}
    found: list[str] = []

    def create() -> None:
        got = door.call("POST", "uploads", json=new, headers={"idempotency-key": "k3"})
        found.append(got.json()["id"])

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


# Uploads


def new_upload(client: openai.OpenAI, size: int, **more: Any) -> Any:
    return client.uploads.create(
        bytes=size, filename="big.jsonl", mime_type="text/jsonl", purpose="batch", **more
    )


def test_parts_in_any_order_become_the_file_in_the_order_named(
    door: Door, client: openai.OpenAI
) -> None:
    data = [b"a" * 1000, b"b" * 2000, b"c" * 10]
    whole = b"".join(data)
    upload = new_upload(client, len(whole))
    assert (upload.status, upload.object) == ("pending", "upload")
    assert upload.expires_at == upload.created_at + 3600
    parts = [client.uploads.parts.create(upload.id, data=data[n]).id for n in (2, 0, 1)]
    seen = door.call("GET", f"uploads/{upload.id}").json()
    assert [part["id"] for part in seen["parts"]] == parts
    order = [parts[1], parts[2], parts[0]]
    with pytest.raises(openai.BadRequestError) as caught:
        client.uploads.complete(upload.id, part_ids=order, md5="0" * 32)
    assert caught.value.code == "md5_mismatch"
    with pytest.raises(openai.BadRequestError) as caught:
        client.uploads.complete(upload.id, part_ids=order[:2])
    assert caught.value.code == "upload_size_mismatch"
    md5 = hashlib.md5(whole).hexdigest()
    done = client.uploads.complete(upload.id, part_ids=order, md5=md5)
    assert done.status == "completed"
    assert done.file is not None
    assert client.files.content(done.file.id).content == whole
    assert client.uploads.complete(upload.id, part_ids=order, md5=md5).file == done.file
    with pytest.raises(openai.BadRequestError):
        client.uploads.parts.create(upload.id, data=b"late")
    with pytest.raises(openai.BadRequestError):
        client.uploads.cancel(upload.id)


def test_the_clients_own_chunked_upload(client: openai.OpenAI) -> None:
    data = b"0123456789" * 1000
    done = client.uploads.upload_file_chunked(
        file=io.BytesIO(data).getvalue(), filename="c.jsonl", bytes=len(data),
        mime_type="text/jsonl", purpose="batch", part_size=3000,
    )  # fmt: skip
    assert done.file is not None
    assert client.files.content(done.file.id).content == data


def test_a_cancelled_upload_takes_nothing_more(door: Door, client: openai.OpenAI) -> None:
    upload = new_upload(client, 5)
    part = client.uploads.parts.create(upload.id, data=b"12345")
    assert client.uploads.cancel(upload.id).status == "cancelled"
    assert client.uploads.cancel(upload.id).status == "cancelled"
    with pytest.raises(openai.BadRequestError):
        client.uploads.complete(upload.id, part_ids=[part.id])
    with pytest.raises(openai.NotFoundError):
        door.client("rival-owner").uploads.cancel(upload.id)
    strange = door.call("POST", f"uploads/{upload.id}/parts", "rival-owner",
                        files={"data": ("d", b"x")})  # fmt: skip
    assert strange.status_code == 404


def test_two_completions_at_once_make_one_file(door: Door, client: openai.OpenAI) -> None:
    upload = new_upload(client, 5)
    part = client.uploads.parts.create(upload.id, data=b"12345")
    found: list[Any] = []

    def complete() -> None:
        body = {"part_ids": [part.id]}
        found.append(door.call("POST", f"uploads/{upload.id}/complete", json=body))

    threads = [threading.Thread(target=complete) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    good = {f.json()["file"]["id"] for f in found if f.status_code == 200}
    assert len(good) == 1
    assert all(f.status_code in {200, 400} for f in found)
    assert json.dumps(found[0].json())


def test_a_name_that_is_no_name_of_a_dataset(client: openai.OpenAI) -> None:
    file = client.files.create(file=("..数据 集?.jsonl", rows_of(10)), purpose="fine-tune")
    assert until("the check", lambda: client.files.retrieve(file.id).status == "processed")


# Bodies


@pytest.mark.parametrize("depth", [101, 600, 950, 100_000])
@pytest.mark.parametrize(
    "path", ["evals", "fine_tuning/jobs", "conversations", "fine_tuning/alpha/graders/run"]
)
def test_a_body_may_not_nest_too_deep(door: Door, path: str, depth: int) -> None:
    for inner in (b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth):
        answer = door.call("POST", path, content=b'{"name":"]","metadata":%b}' % inner)
        assert answer.status_code == 400
        assert "deeper than 100 levels" in error_of(answer)["message"]
