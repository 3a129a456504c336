"""The object stores: one set of manners for a folder and for a real S3 server."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import io
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import servers
import urllib3
from django.test import AsyncClient, Client

from slipway import backends
from slipway.backends.objects import BadKey, BadUpload, Missing, Objects, StorageFull
from slipway.backends.objects.folder import Folder
from slipway.backends.objects.s3 import S3

PART = 5 * 1024 * 1024  # S3 takes no smaller part but the last


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    store = Folder(f"file://{tmp_path}/a%20b/objects")
    monkeypatch.setattr(backends, "objects", lambda: store)
    return store


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest) -> Objects:
    if request.param == "folder":
        return request.getfixturevalue("folder")
    return S3(servers.minio().fresh())


def call(method: str, url: str, body: bytes | None = None, **headers: str) -> Any:
    """An HTTP request to a signed address: (status, headers, body)."""
    parts = urlsplit(url)
    if parts.path.startswith("/storage/"):
        answer = Client().generic(
            method,
            f"{parts.path}?{parts.query}",
            body or b"",
            content_type="application/octet-stream",
            headers=headers,
        )
        content = b"".join(answer.streaming_content) if answer.streaming else answer.content
        return answer.status_code, answer.headers, content
    answer = urllib3.PoolManager().request(method, url, body=body, headers=headers)
    return answer.status, answer.headers, answer.data


# Manners of both


def test_an_object_is_read_as_it_was_written(store: Objects) -> None:
    store.put("a/b/一 二.txt", b"first")
    store.put("a/b/一 二.txt", io.BytesIO(b"0123456789"))
    assert store.read("a/b/一 二.txt") == b"0123456789"
    with store.open("a/b/一 二.txt", start=3) as stream:
        assert stream.read() == b"3456789"
    with store.open("a/b/一 二.txt", start=3, length=4) as stream:
        assert (stream.read(1), stream.read(), stream.read()) == (b"3", b"456", b"")
    with store.open("a/b/一 二.txt", start=10) as stream:
        assert stream.read() == b""
    with store.open("a/b/一 二.txt", start=2, length=0) as stream:
        assert stream.read() == b""
    found = store.stat("a/b/一 二.txt")
    assert (found.key, found.size_bytes) == ("a/b/一 二.txt", 10)
    assert abs(found.modified_at.timestamp() - time.time()) < 60
    uri = store.uri("a/b/一 二.txt")
    assert store.key(uri) == "a/b/一 二.txt"
    assert uri.startswith(("file:///", "s3://"))
    store.put("empty", b"")
    assert (store.read("empty"), store.stat("empty").size_bytes) == (b"", 0)


def test_what_is_not_there_is_missing(store: Objects) -> None:
    store.put("a/b", b"x")
    for key in ("nothing", "a", "a/b/c"):
        for verb in (store.read, store.stat, store.open):
            with pytest.raises(Missing):
                verb(key)
        store.delete(key)
    with pytest.raises(Missing):
        store.copy("nothing", "copy")
    with pytest.raises(ValueError):
        store.key("ftp://elsewhere/a")


@pytest.mark.parametrize(
    "key",
    ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/./b", "a/", "a\0b", "a\nb", "a\\b",
     ".incoming/x", "x" * 256, "/".join(["y" * 200] * 6), "a/\udc80"],
)  # fmt: skip
def test_a_key_that_could_lead_outside_is_refused(store: Objects, key: str) -> None:
    for verb in (store.read, store.stat, store.open, store.delete, store.start_upload, store.uri):
        with pytest.raises(BadKey):
            verb(key)
    with pytest.raises(BadKey):
        store.put(key, b"x")
    with pytest.raises(BadKey):
        store.sign_get(key, seconds=60)


def test_an_object_appears_whole_or_not_at_all(store: Objects) -> None:
    with store.create("big") as out:
        out.write(b"x" * 3_000_000)
        with pytest.raises(Missing):
            store.stat("big")
        out.write(b"y" * 3_000_000)
    assert store.stat("big").size_bytes == 6_000_000

    def killed_half_way() -> None:
        with store.create("half") as out:
            out.write(b"x" * 3_000_000)
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        killed_half_way()
    assert [found.key for found in store.list("")] == ["big"]


def test_a_list_is_in_the_order_of_keys(store: Objects) -> None:
    keys = ["a", "a-b", "b.c", "b/1", "b/2/x", "b/2/y", "b0", "c/d/e", "é", "中/文"]
    for key in reversed(keys):
        store.put(key, key.encode())
    assert [s.key for s in store.list("")] == keys
    assert [s.size_bytes for s in store.list("b/2/")] == [5, 5]
    assert [s.key for s in store.list("b")] == ["b.c", "b/1", "b/2/x", "b/2/y", "b0"]
    assert [s.key for s in store.list("b/")] == ["b/1", "b/2/x", "b/2/y"]
    for at, key in enumerate(keys):
        assert [s.key for s in store.list("", after=key)] == keys[at + 1 :]
    assert [s.key for s in store.list("b/", after="b/1")] == ["b/2/x", "b/2/y"]
    assert list(store.list("nothing/")) == []


def test_objects_are_copied_and_deleted(store: Objects) -> None:
    for key in ("d/1", "d/2/3", "dd", "e"):
        store.put(key, key.encode())
    store.copy("d/1", "f/g")
    store.put("d/1", b"changed")
    assert store.read("f/g") == b"d/1"
    store.delete_prefix("d/")
    store.delete_prefix("nothing/")
    assert [s.key for s in store.list("")] == ["dd", "e", "f/g"]
    store.delete("e")
    store.delete("e")
    assert [s.key for s in store.list("")] == ["dd", "f/g"]


def test_a_signed_address_gives_the_object_and_ranges_of_it(store: Objects) -> None:
    data = os.urandom(1_000_000)
    store.put("x/数据.bin", data)
    url = store.sign_get("x/数据.bin", seconds=60, filename="报告 1.jsonl")
    status, headers, body = call("GET", url)
    assert (status, body) == (200, data)
    assert "attachment" in headers["content-disposition"]
    assert "%E6%8A%A5%E5%91%8A%201.jsonl" in headers["content-disposition"]
    for asked, expected in {
        "bytes=0-9": data[:10],
        "bytes=999990-": data[-10:],
        "bytes=-10": data[-10:],
        "bytes=999990-2000000": data[-10:],
    }.items():
        status, headers, body = call("GET", url, range=asked)
        assert (status, body) == (206, expected), asked
        assert headers["content-range"].endswith("/1000000")
        assert int(headers["content-length"]) == len(expected)
    assert call("GET", url, range="bytes=1000000-")[0] == 416
    changed = url.replace("signature=", "signature=0").replace("Signature=", "Signature=0")
    assert call("GET", changed)[0] == 403
    assert call("GET", url.replace("/x/", "/y/"))[0] == 403
    assert call("PUT", url, b"evil")[0] == 403
    assert store.read("x/数据.bin") == data


def test_a_signed_address_expires(store: Objects) -> None:
    store.put("x", b"x")
    url = store.sign_get("x", seconds=1)
    assert call("GET", url)[0] == 200
    time.sleep(2.1)
    assert call("GET", url)[0] == 403


def test_parts_are_uploaded_in_any_order_and_resumed(store: Objects) -> None:
    data = os.urandom(2 * PART + 1234)
    upload = store.start_upload("up/loaded")
    pieces = {1: data[:PART], 2: data[PART : 2 * PART], 3: data[2 * PART :]}
    assert store.parts("up/loaded", upload) == []
    for number in (3, 1):
        url = store.sign_part("up/loaded", upload, number, seconds=60)
        assert call("PUT", url, pieces[number])[0] == 200
    received = store.parts("up/loaded", upload)
    assert [(p.number, p.size_bytes) for p in received] == [(1, PART), (3, 1234)]
    with pytest.raises(BadUpload):
        store.finish_upload("up/loaded", upload, [1, 2, 3])
    with pytest.raises(BadUpload):
        store.finish_upload("up/loaded", upload, [])
    # A part sent again replaces the first try.
    url = store.sign_part("up/loaded", upload, 2, seconds=60)
    assert call("PUT", url, b"w" * PART)[0] == 200
    assert call("PUT", url, pieces[2])[0] == 200
    assert list(store.list("up/")) == []
    store.finish_upload("up/loaded", upload, [1, 2, 3])
    assert hashlib.sha256(store.read("up/loaded")).digest() == hashlib.sha256(data).digest()
    with pytest.raises(BadUpload):
        store.finish_upload("up/loaded", upload, [1, 2, 3])
    assert call("PUT", url, pieces[2])[0] in {400, 404}


def test_a_part_says_when_it_came(store: Objects) -> None:
    upload = store.start_upload("k")
    call("PUT", store.sign_part("k", upload, 1, seconds=60), b"x")
    (part,) = store.parts("k", upload)
    assert abs(part.received_at.timestamp() - time.time()) < 60


def test_an_aborted_upload_leaves_nothing(store: Objects) -> None:
    upload = store.start_upload("gone")
    url = store.sign_part("gone", upload, 1, seconds=60)
    assert call("PUT", url, b"x" * 100)[0] == 200
    store.abort_upload("gone", upload)
    store.abort_upload("gone", upload)
    with pytest.raises(BadUpload):
        store.parts("gone", upload)
    assert call("PUT", url, b"x")[0] in {400, 404}
    assert list(store.list("")) == []
    for number in (0, 10_001):
        with pytest.raises(BadUpload):
            store.sign_part("gone", upload, number, seconds=60)


# Manners of the folder alone


def test_a_copy_is_new_however_old_its_source_is(folder: Folder) -> None:
    folder.put("old", b"x")
    os.utime(folder.path("old"), (1, 1))
    folder.copy("old", "new")
    assert abs(folder.stat("new").modified_at.timestamp() - time.time()) < 60
    assert folder.path("new").samefile(folder.path("old"))


def test_parts_that_vanish_while_they_are_joined_are_told(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = folder.start_upload("k")
    for number in (1, 2):
        folder.put_part("k", upload, number, io.BytesIO(b"x"), size_bytes=1)
    create = folder.create

    def late(key: str) -> Any:
        folder.abort_upload("k", upload)
        return create(key)

    monkeypatch.setattr(folder, "create", late)
    with pytest.raises(BadUpload, match="ended meanwhile"):
        folder.finish_upload("k", upload, [1, 2])
    assert list(folder.list("")) == []


def test_a_part_that_is_cut_off_is_never_seen(folder: Folder) -> None:
    upload = folder.start_upload("cut")
    for received in (0, 1, 99):
        with pytest.raises(BadUpload):
            folder.put_part("cut", upload, 1, io.BytesIO(b"x" * received), size_bytes=100)
    with pytest.raises(BadUpload):
        folder.put_part("cut", upload, 1, io.BytesIO(b"x" * 101), size_bytes=100)
    assert folder.parts("cut", upload) == []
    assert not list(folder.root.glob("**/*.tmp"))
    with pytest.raises(BadUpload):
        folder.put_part("other", upload, 1, io.BytesIO(b"x"), size_bytes=1)
    with pytest.raises(BadUpload):
        folder.put_part("cut", "../" + upload, 1, io.BytesIO(b"x"), size_bytes=1)


def test_a_head_tells_size_without_the_bytes(folder: Folder) -> None:
    folder.put("x", b"12345")
    status, headers, body = call("HEAD", folder.sign_get("x", seconds=60))
    assert (status, headers["content-length"], body) == (200, "5", b"")


def test_no_other_method_and_no_unsigned_request_gets_in(folder: Folder) -> None:
    folder.put("x", b"12345")
    assert Client().get("/storage/x").status_code == 403
    assert Client().put("/storage/x", b"evil").status_code == 403
    assert Client().delete("/storage/x").status_code == 405
    assert Client().get("/storage/../secret-key").status_code in {403, 404}
    url = folder.sign_get("x", seconds=60)
    assert call("GET", url.replace("method=GET", "method=PUT"))[0] == 403
    assert call("GET", f"{url}&expires=99999999999")[0] == 403


def test_a_full_disk_says_so_and_leaves_nothing(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = folder.start_upload("full")

    def no_room(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_room)
        with pytest.raises(StorageFull):
            folder.put("full", b"x")
        url = folder.sign_part("full", upload, 1, seconds=60)
        status, _, body = call("PUT", url, b"x" * 10)
        assert (status, b"no room" in body) == (507, True)
    assert list(folder.list("")) == []
    assert folder.parts("full", upload) == []
    assert not list(folder.root.glob("**/*.tmp"))


def test_a_really_full_disk_says_so(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], capture_output=True
    )
    if mounted.returncode:
        # Only root may mount; /dev/full still makes the very same system call fail.
        with pytest.raises(OSError, match="No space"), Path("/dev/full").open("wb", 0) as full:
            full.write(b"x")
        return
    try:
        store = Folder(f"file://{small}/objects")
        store.put("fits", b"x" * 1000)
        with pytest.raises(StorageFull):
            store.put("big", b"x" * 2_000_000)
        assert [s.key for s in store.list("")] == ["fits"]
        store.put("again", b"x" * 1000)
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_killed_writer_leaves_no_half_object(folder: Folder) -> None:
    program = (
        "import os, sys; import django; django.setup();"
        "from slipway.backends.objects.folder import Folder;"
        f"store = Folder('file://{folder.root}');"
        "held = store.create('x'); out = held.__enter__();"
        "out.write(b'x' * 1000); out.flush();"
        "os.kill(os.getpid(), 9)"
    )
    paths = os.pathsep.join(filter(None, sys.path))
    subprocess.run([sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": paths})
    assert list(folder.list("")) == []
    with pytest.raises(Missing):
        folder.read("x")
    left = list(folder.root.glob(".incoming/*.tmp"))
    assert len(left) == 1, "the writer must have begun, or this test says nothing"
    upload = folder.start_upload("y")
    folder.tidy(before=datetime.now(UTC) - timedelta(minutes=1))
    assert left[0].exists()
    os.utime(left[0], (0, 0))
    folder.tidy(before=datetime.now(UTC) - timedelta(minutes=1))
    assert not left[0].exists()
    assert folder.parts("y", upload) == []


@pytest.mark.django_db(transaction=True)
def test_large_bodies_stream_under_asgi(folder: Folder) -> None:
    folder.put("big", b"x" * 10_000_000)
    parts = urlsplit(folder.sign_get("big", seconds=60))

    async def fetch() -> tuple[int, list[int]]:
        answer = await AsyncClient().get(f"{parts.path}?{parts.query}")
        return answer.status_code, [len(chunk) async for chunk in answer.streaming_content]

    status, sizes = asyncio.run(fetch())
    assert (status, sum(sizes)) == (200, 10_000_000)
    assert len(sizes) > 10, "it must come in pieces, not whole"


def test_many_writers_of_one_key_leave_one_whole_object(folder: Folder) -> None:
    bodies = [bytes([65 + i]) * 500_000 for i in range(8)]
    threads = [threading.Thread(target=folder.put, args=("same", body)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert folder.read("same") in bodies
