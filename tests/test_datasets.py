"""Datasets by their API: upload, check, publish, rows; and everything that can be wrong."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import random
import stat
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
import urllib3
from django.test import Client
from django.utils import timezone

from slipway import backends
from slipway.backends.objects.folder import Folder
from slipway.core import addresses, reconcile
from slipway.core.errors import Conflict, Invalid
from slipway.core.lifecycle import LostRace
from slipway.datasets import reconcile as carrying
from slipway.datasets import services
from slipway.datasets.models import Export, Hold, LeakCheck, Version
from slipway.datasets.services import checking, fetch, leaks, split

pytestmark = pytest.mark.django_db


def chat(question: str, answer: str, **extras: Any) -> dict[str, Any]:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": turns} | extras


def jsonl(*rows: Any) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    folder = Folder(f"file://{tmp_path}/objects")
    monkeypatch.setattr(backends, "objects", lambda: folder)
    return folder


@pytest.fixture
def allowed(tmp_path: Path, settings: Any) -> Path:
    folder = tmp_path / "allowed"
    folder.mkdir()
    settings.IMPORT_PATHS = [folder]
    return folder


def work(rounds: int = 20) -> None:
    """Let the worker look at everything until nothing is due."""
    for _ in range(rounds):
        LeakCheck.objects.filter(phase="queued").update(look_at=timezone.now())
        due = [reconcile.run_due(m, step, now=timezone.now()) for m, step in carrying.WATCHED]
        if not any(due):
            return


def post(api: Any, address: str, /, **body: Any) -> Any:
    return api.post(address, body, format="json")


def ok(response: Any, status: int = 200) -> Any:
    assert response.status_code == status, response.content
    return response.json() if status != 204 else None


def refused(response: Any, status: int) -> Any:
    assert response.status_code == status, response.content
    return response.json()["error"]


def put(url: str, data: bytes) -> None:
    """PUT a part the way a browser would, at this platform or at a real S3 server."""
    parts = urlsplit(url)
    if parts.path.startswith("/storage/"):
        sent = Client().put(
            f"{parts.path}?{parts.query}", data, content_type="application/octet-stream"
        )
        assert sent.status_code == 200, sent.content
        return
    assert urllib3.PoolManager().request("PUT", url, body=data).status == 200


def get(url: str) -> bytes:
    parts = urlsplit(url)
    if parts.path.startswith("/storage/"):
        answer = Client().get(f"{parts.path}?{parts.query}")
        assert answer.status_code == 200
        return b"".join(answer.streaming_content)
    return urllib3.PoolManager().request("GET", url).data


def new_version(api: Any, name: str = "charts", **fields: Any) -> dict[str, Any]:
    found = ok(api.get(f"/api/v1/datasets?name={name}"))["data"]
    dataset = found[0] if found else ok(post(api, "/api/v1/datasets", name=name), 201)
    return ok(post(api, f"/api/v1/datasets/{dataset['id']}/versions", **fields), 201)


def upload(api: Any, data: bytes, name: str = "charts", **fields: Any) -> dict[str, Any]:
    """A version with these bytes, as it is once the worker has looked at it."""
    here = f"/api/v1/dataset-versions/{new_version(api, name, **fields)['id']}"
    plan = ok(post(api, f"{here}/upload", size_bytes=len(data)))
    for part in plan["parts"]:
        put(part["url"], data[part["start"] : part["start"] + part["size_bytes"]])
    ok(api.post(f"{here}/upload/finish"))
    work()
    return ok(api.get(here))


def faults_of(api: Any, version: dict[str, Any]) -> list[dict[str, Any]]:
    return ok(api.get(f"/api/v1/dataset-versions/{version['id']}/faults?limit=1000"))["data"]


def rows_of(api: Any, version: dict[str, Any]) -> list[Any]:
    page = ok(api.get(f"/api/v1/dataset-versions/{version['id']}/rows?limit=500"))
    return [entry["row"] for entry in page["data"]]


# The story


def test_rows_are_uploaded_checked_published_and_read(api: Any) -> None:
    rows = [chat(f"问题{i}", f"回答{i}", group="线" if i % 2 else "柱") for i in range(100)]
    version = upload(api, jsonl(*rows))
    assert (version["phase"], version["rows"], version["format"]) == ("valid", 100, "openai")
    here = f"/api/v1/dataset-versions/{version['id']}"
    published = ok(api.post(f"{here}/publish"))
    assert published["phase"] == "published"
    assert published["sha256"] == hashlib.sha256(jsonl(*rows)).hexdigest()
    assert ok(api.post(f"{here}/publish"))["published_at"] == published["published_at"]
    assert rows_of(api, version) == rows
    fact = services.published_version(
        project_id=Version.objects.get().project_id, version_id=UUID(version["id"])
    )
    assert Path(urlsplit(fact.uri).path).read_bytes() == jsonl(*rows)
    assert (fact.label, fact.rows, fact.kind, fact.published) == ("charts@1", 100, "chat", True)
    statistics = ok(api.get(f"{here}/statistics"))
    assert statistics["groups"] == {"柱": 50, "线": 50}
    assert statistics["characters"] == {
        "count": 100, "sum": 780, "min": 6, "p5": 6, "median": 8, "p95": 8, "mean": 7.8, "max": 8,
    }  # fmt: skip
    events = ok(api.get(f"{here}/events"))["data"]
    assert [e["target"] for e in events] == ["published", "valid", "checking", "draft"]


def test_a_hundred_rows_with_seven_faults_give_seven_findings(api: Any) -> None:
    rows: list[Any] = [chat(f"q{i}", f"a{i}") for i in range(100)]
    raw = [json.dumps(row).encode() for row in rows]
    raw[4] = b'{"messages": [}'
    raw[17] = json.dumps(chat("q", "")).encode()
    raw[23] = json.dumps({"messages": rows[23]["messages"][::-1]}).encode()
    raw[42] = raw[42].replace(b'"user"', b'"human"')
    raw[60] = '{"messages": "é"}'.encode("latin-1")
    raw[61] = json.dumps({"mesages": rows[61]["messages"]}).encode()
    raw[99] = raw[99].replace(b"q99", b"q99", 1)[:-1]
    version = upload(api, b"\n".join(raw))
    assert (version["phase"], version["fault_count"], version["dropped_rows"]) == ("invalid", 7, 6)
    found = [(f["line"], f["rule"], f["path"]) for f in faults_of(api, version)]
    assert found == [
        (5, "json", "$"),
        (18, "content", "$.messages[1].content"),
        (24, "answer", "$.messages[1]"),
        (43, "role", "$.messages[0].role"),
        (61, "utf8", "$"),
        (62, "messages", "$.messages"),
        (100, "json", "$"),
    ]
    here = f"/api/v1/dataset-versions/{version['id']}"
    assert "94 rows" in version["reason"]
    only = ok(api.get(f"{here}/faults?rule=json&limit=1"))
    assert [f["line"] for f in only["data"]] == [5]
    assert [f["line"] for f in ok(api.get(f"{here}/faults?rule=json&cursor=1"))["data"]] == [100]
    assert "cannot" not in refused(post(api, f"{here}/publish"), 409)["message"]
    corrected = get(ok(api.get(f"{here}/corrected"))["url"])
    kept = [rows[i] for i in range(100) if i not in {4, 17, 23, 60, 61, 99}]
    assert [json.loads(line) for line in corrected.splitlines()] == kept
    following = ok(post(api, f"{here}/corrected"), 201)
    work()
    following = ok(api.get(f"/api/v1/dataset-versions/{following['id']}"))
    assert (following["phase"], following["number"], following["rows"]) == ("valid", 2, 94)
    refused(api.get(f"/api/v1/dataset-versions/{following['id']}/corrected"), 409)


def test_an_upload_is_resumed_where_it_was(api: Any, store: Folder) -> None:
    data = jsonl(*(chat(f"q{i}" * 1000, "a") for i in range(12_000)))
    assert len(data) > 2 * 16 * 1024**2
    here = f"/api/v1/dataset-versions/{new_version(api)['id']}"
    refused(api.get(f"{here}/upload"), 409)
    refused(post(api, f"{here}/upload/finish"), 409)
    plan = ok(post(api, f"{here}/upload", size_bytes=len(data), filename="big.jsonl"))
    parts = plan["parts"]
    assert [p["size_bytes"] for p in parts][:2] == [16 * 1024**2] * 2
    assert sum(p["size_bytes"] for p in parts) == len(data)

    def send(part: dict[str, Any], url: str) -> None:
        put(url, data[part["start"] : part["start"] + part["size_bytes"]])

    send(parts[1], parts[1]["url"])
    error = refused(post(api, f"{here}/upload/finish"), 409)
    assert [d["field"] for d in error["details"]] == [
        f"parts[{p['number']}]" for p in parts if p["number"] != 2
    ]
    # The client crashed and asks what is still missing; asking to start again is the same.
    for again in (
        ok(api.get(f"{here}/upload")),
        ok(post(api, f"{here}/upload", size_bytes=len(data))),
    ):
        assert [p["number"] for p in again["parts"] if p["received"]] == [2]
        assert again["received_bytes"] == 16 * 1024**2
        assert not again["parts"][1]["url"]
    for part in again["parts"]:
        if not part["received"]:
            send(part, part["url"])
    ok(post(api, f"{here}/upload/finish"))
    assert ok(post(api, f"{here}/upload/finish"))["phase"] == "checking"
    work()
    version = ok(api.get(here))
    assert (version["phase"], version["rows"]) == ("valid", 12_000)
    refused(post(api, f"{here}/upload", size_bytes=5), 409)


def test_a_finish_that_died_half_way_is_finished_by_the_next(api: Any, store: Folder) -> None:
    data = jsonl(chat("q", "a"))
    here = f"/api/v1/dataset-versions/{new_version(api)['id']}"
    plan = ok(post(api, f"{here}/upload", size_bytes=len(data)))
    put(plan["parts"][0]["url"], data)
    version = Version.objects.get()
    store.finish_upload(version.source_key, version.upload_id, [1])
    ok(post(api, f"{here}/upload/finish"))
    work()
    assert ok(api.get(here))["phase"] == "valid"


def test_a_finish_that_met_an_abort_finishes_nothing(
    api: Any,
    store: Folder,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> None:
    data = jsonl(chat("q", "a"))
    here = f"/api/v1/dataset-versions/{new_version(api)['id']}"
    put(ok(post(api, f"{here}/upload", size_bytes=len(data)))["parts"][0]["url"], data)
    join = store.finish_upload

    def joined_then_aborted(*args: Any) -> None:
        join(*args)
        with django_capture_on_commit_callbacks(execute=True):
            ok(api.delete(f"{here}/upload"), 204)

    monkeypatch.setattr(type(store), "finish_upload", lambda _, *args: joined_then_aborted(*args))
    refused(post(api, f"{here}/upload/finish"), 409)
    version = Version.objects.get()
    assert (version.phase, version.source_key, version.upload_id) == ("draft", "", "")
    assert list(store.list("datasets/")) == []


@pytest.mark.parametrize("given_up", [True, False])
def test_what_an_upload_left_does_not_stand_in_for_the_next(
    api: Any, store: Folder, given_up: bool, django_capture_on_commit_callbacks: Any
) -> None:
    data = jsonl(chat("q", "a"))
    here = f"/api/v1/dataset-versions/{new_version(api)['id']}"
    put(ok(post(api, f"{here}/upload", size_bytes=len(data)))["parts"][0]["url"], data)
    version = Version.objects.get()
    store.finish_upload(version.source_key, version.upload_id, [1])  # and the finish dies
    with django_capture_on_commit_callbacks(execute=True):
        if given_up:
            ok(api.delete(f"{here}/upload"), 204)
        else:
            ok(post(api, f"{here}/upload", size_bytes=len(data) + 1))
    assert list(store.list("datasets/")) == []
    store.put(version.source_key, data)  # as if the worker had died before it removed the object
    ok(post(api, f"{here}/upload", size_bytes=len(data)))
    refused(post(api, f"{here}/upload/finish"), 409)


def test_parts_of_a_wrong_size_do_not_count(api: Any) -> None:
    here = f"/api/v1/dataset-versions/{new_version(api)['id']}"
    plan = ok(post(api, f"{here}/upload", size_bytes=100))
    put(plan["parts"][0]["url"], b"x" * 99)
    refused(post(api, f"{here}/upload/finish"), 409)
    ok(api.delete(f"{here}/upload"), 204)
    assert Version.objects.get().upload_id == ""
    for size in (0, 21 * 1024**3):
        refused(post(api, f"{here}/upload", size_bytes=size), 422)


# Bad files: each gets a clear fault and loses nothing


def zipped(*entries: tuple[Any, bytes], **options: Any) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return packed.getvalue()


def link(name: str, target: str) -> tuple[zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info, target.encode()


GOOD = jsonl(chat("q", "a"))
WHOLE = zipped(("a.jsonl", os.urandom(500).hex().encode()))
DAMAGED = WHOLE[:50] + bytes(20) + WHOLE[70:]
DEEP = b'{"messages": ' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}\n"
BAD_FILES: dict[str, tuple[bytes, str, str]] = {
    "GB18030": ('{"messages": "销售额"}\n'.encode("gb18030") + GOOD, "utf8", "GB18030"),
    "UTF-16": ("问题".encode("utf-16"), "utf8", "iconv"),
    "binary": (b"\x00\x01\x02" * 100, "utf8", "text file"),
    "blank": (b"\n\n  \n", "no_rows", "add rows"),
    "only a mark": (b"\xef\xbb\xbf", "empty_file", "upload"),
    "a 50 MB line": (b'{"a":"' + b"x" * 50_000_000 + b'"}\n' + GOOD, "row_bytes", "shorten"),
    "a 50 MB line without end": (GOOD + b"[" * 50_000_000, "row_bytes", "shorten"),
    "deep": (DEEP + GOOD, "depth", "flatten"),
    "deeper than any shape": (
        GOOD[:-2] + b', "x": %b}\n' % (b"[" * 101 + b"]" * 101) + GOOD,
        "depth",
        "100 levels",
    ),
    "deep in an unknown key": (
        GOOD[:-2] + b', "x": ' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}\n",
        "depth",
        "flatten",
    ),
    "deep array": (b"[\n" + b"[" * 1_000_000, "depth", "flatten"),
    "half a surrogate": (GOOD.replace(b'"q"', b'"\\ud800"'), "surrogate", "escape"),
    "control character": (GOOD.replace(b'"q"', b'"\x01"'), "json", "escape"),
    "trailing comma": (GOOD.replace(b"]}", b"],}"), "json", "comma"),
    "single quotes": (GOOD.replace(b'"', b"'"), "json", "double quotes"),
    "unknown objects": (jsonl({"q": 1, "a": 2}), "format", "dataset-formats"),
    "array cut off": (json.dumps([chat("q", "a")] * 3, indent=1)[:-1].encode(), "json", "cut off"),
    "array broken": (b"[\n" + GOOD + b",\n{]", "json", "mend"),
    "csv cells": (b"prompt,response\na,b,c\nd,e\n", "csv", "2 cells"),
    "csv quotes": (b'prompt,response\na,"b\nc,d\n', "csv", "quote"),
    "truncated zip": (zipped(("a.jsonl", GOOD * 100))[:-30], "archive", "pack it again"),
    "damaged zip": (DAMAGED, "archive", "pack it again"),
    "truncated gzip": (gzip.compress(GOOD * 1000)[:-20], "archive", "pack it again"),
    "not gzip": (b"\x1f\x8bnot", "archive", "pack it again"),
    "zip bomb": (zipped(("a.jsonl", b" " * 200_000_000)), "archive", "200 : 1"),
    "gzip bomb": (gzip.compress(b" " * 200_000_000), "archive", "200 : 1"),
    "zip in zip": (zipped(("a.zip", zipped(("a.jsonl", GOOD)))), "archive", "inside"),
    "zip in zip, disguised": (zipped(("a.jsonl", zipped(("a", GOOD)))), "archive", "inside"),
    "gzip in gzip": (gzip.compress(gzip.compress(GOOD)), "archive", "inside"),
    "up and away": (zipped(("../../evil.jsonl", GOOD)), "archive", "without .."),
    "absolute": (zipped(("/etc/evil.jsonl", GOOD)), "archive", "relative"),
    "backslashes": (zipped(("..\\evil.jsonl", GOOD)), "archive", "relative"),
    "link": (zipped(link("a.jsonl", "/etc/passwd")), "archive", "not a link"),
    "programs": (zipped(("a.py", b"print()")), "archive", "leave it out"),
    "nothing in it": (zipped(), "archive", "at least one"),
    "too many": (zipped(*((f"{i}.jsonl", GOOD) for i in range(1001))), "archive", "at most 1000"),
    "two kinds": (
        zipped(("a.jsonl", GOOD), ("b.txt", b"some words\n")),
        "mixed",
        "versions of their own",
    ),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_told_what_is_wrong_with_it(api: Any, name: str, store: Folder) -> None:
    data, rule, fix = BAD_FILES[name]
    version = upload(api, data)
    assert version["phase"] == "invalid"
    found = faults_of(api, version)
    assert rule in {f["rule"] for f in found}
    fault = next(f for f in found if f["rule"] == rule)
    assert fix in fault["fix"]
    assert len(fault["value"]) <= 200
    assert fault["error"] is True
    # What was good is kept, and nothing was written beside the store.
    if data.endswith(GOOD) and rule != "archive":
        assert rows_of(api, version)[-1] == chat("q", "a")
    assert {p.name for p in store.root.iterdir()} <= {"datasets", ".incoming"}
    assert not list(store.root.glob(".incoming/*"))


def test_marks_and_line_ends_are_taken_off_with_a_warning(api: Any) -> None:
    rows = [chat("q", "a"), chat("r", "b")]
    version = upload(api, b"\xef\xbb\xbf" + jsonl(*rows).replace(b"\n", b"\r\n") + b"\r\n")
    assert (version["phase"], version["fault_count"], version["warning_count"]) == ("valid", 0, 2)
    assert [(f["rule"], f["error"]) for f in faults_of(api, version)] == [
        ("bom", False), ("crlf", False),
    ]  # fmt: skip
    assert version["sha256"] == hashlib.sha256(jsonl(*rows)).hexdigest()
    assert rows_of(api, version) == rows


FORMATS: dict[str, bytes] = {
    "openai": GOOD,
    "without a last line feed": GOOD.strip(),
    "an array": json.dumps([chat("q", "a")], indent=2).encode(),
    "qianfan": jsonl([{"prompt": "q", "response": [["a"]]}]),
    "alpaca": jsonl({"instruction": "q", "input": "", "output": "a"}),
    "alpaca array": json.dumps([{"instruction": "q", "output": "a"}]).encode(),
    "sharegpt": jsonl(
        {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}
    ),
    "csv": b"prompt,response\nq,a\n",
    "gzip": gzip.compress(GOOD),
    "gzip in pieces": gzip.compress(GOOD[:10]) + gzip.compress(GOOD[10:]),
    "zip": zipped(
        ("rows/a.jsonl", GOOD), ("__MACOSX/rows/._a.jsonl", b"junk"), ("rows/.DS_Store", b"")
    ),
    "zip of csv": zipped(("a.csv", b"question,answer\nq,a\n")),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_and_packing_gives_the_same_rows(api: Any, name: str) -> None:
    version = upload(api, FORMATS[name])
    assert (version["phase"], version["reason"]) == ("valid", "1 rows, no faults")
    assert rows_of(api, version) == [chat("q", "a")]


def test_a_zip_of_several_files_is_one_version_and_faults_name_the_file(api: Any) -> None:
    more = b"prompt,response\nr,b\n"
    bad = GOOD + b"{}\n"
    version = upload(api, zipped(("2.csv", more), ("1.jsonl", GOOD), ("3.jsonl", bad)))
    assert [row["messages"][0]["content"] for row in rows_of(api, version)] == ["q", "r", "q"]
    assert version["format"] == "csv,openai"
    assert [(f["file"], f["line"]) for f in faults_of(api, version)] == [("3.jsonl", 2)]


def test_plain_text_is_a_kind_of_its_own(api: Any) -> None:
    version = upload(api, '一段文字\n"第二\\n段"\n\n'.encode())
    assert (version["kind"], rows_of(api, version)) == (
        "text",
        [{"text": "一段文字"}, {"text": "第二\n段"}],
    )


def test_more_faults_than_are_kept_are_still_counted(api: Any) -> None:
    version = upload(api, GOOD + b"{}\n" * 12_000)
    assert (version["fault_count"], version["rows"]) == (12_000, 1)
    assert version["faults_by_rule"] == {"messages": 12_000}
    last = ok(api.get(f"/api/v1/dataset-versions/{version['id']}/faults?cursor=9999&limit=10"))
    assert ([f["line"] for f in last["data"]], last["next_cursor"]) == ([10_001], None)


def test_keys_that_no_rule_names_are_kept_and_still_fast(api: Any) -> None:
    rows = [chat(f"q{i}", "a", id=i, source={"url": "x"}) for i in range(1000)]
    rows[500]["messages"][0]["name"] = "li"
    version = upload(api, jsonl(*rows))
    assert rows_of(api, version) == rows[:500]


# Rows


def test_a_page_of_rows_is_found_anywhere(api: Any) -> None:
    rows = [chat(f"q{i}", "a" * (i % 37 + 1), group=f"g{i % 3}") for i in range(3000)]
    version = upload(api, jsonl(*rows))
    here = f"/api/v1/dataset-versions/{version['id']}/rows"
    for offset in (0, 1, 255, 256, 257, 511, 512, 2999):
        page = ok(api.get(f"{here}?cursor={offset}&limit=3"))
        assert [entry["row"] for entry in page["data"]] == rows[offset : offset + 3]
        assert [entry["number"] for entry in page["data"]] == list(range(3000))[offset : offset + 3]
        assert page["next_cursor"] == (None if offset == 2999 else str(offset + 3))
    for offset in (3000, 3300, 10**9):
        page = ok(api.get(f"{here}?cursor={offset}"))
        assert (page["data"], page["next_cursor"]) == ([], None)
    numbers = [0, 1, 255, 257, 900, 2999]
    project_id = Version.objects.get(pk=version["id"]).dataset.project_id
    found = services.rows_at(project_id=project_id, version_id=UUID(version["id"]), numbers=numbers)
    assert found == [(number, rows[number]) for number in numbers]
    page = ok(api.get(f"{here}?group=g1&limit=2&cursor=5"))
    assert [entry["number"] for entry in page["data"]] == [7, 10]
    for bad in ("limit=0", "limit=501", "limit=x", "cursor=-1", "limit=1e3"):
        refused(api.get(f"{here}?{bad}"), 422)


def test_statistics_count_what_is_there(api: Any) -> None:
    rows = [chat("ab", "c" * i) for i in range(1, 101)] + [chat("ab", "c")] * 5
    version = upload(api, jsonl(*rows))
    found = ok(api.get(f"/api/v1/dataset-versions/{version['id']}/statistics"))
    assert found["duplicate_rows"] == 5
    assert (found["characters"]["min"], found["characters"]["max"]) == (3, 102)
    assert found["characters"]["median"] == 50
    assert found["messages"] == {
        "count": 105, "sum": 210, "min": 2, "p5": 2, "median": 2, "p95": 2, "mean": 2.0, "max": 2,
    }  # fmt: skip


def test_tokens_are_counted_by_the_models_own_tokenizer(api: Any, store: Folder) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"[U]": 0}, unk_token="[U]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.enable_truncation(4)
    store.put("models/m/tokenizer.json", tokenizer.to_str().encode())
    version = upload(api, jsonl(*(chat("w " * i, "x") for i in range(1, 101))))
    asked = {
        "project_id": Version.objects.get().project_id,
        "version_id": UUID(version["id"]),
        "tokenizer_uri": store.uri("models/m"),
    }
    found = services.token_statistics(**asked, max_len=91)
    assert (found.tokens["min"], found.tokens["max"], found.rows_counted) == (2, 101, 100)
    assert (found.total_tokens, found.sampled) == (sum(range(2, 102)), False)
    assert (found.truncated_rows, found.truncated_tokens) == (10, sum(range(1, 11)))
    rendered = services.token_statistics(**asked, render=lambda messages: "a b c")
    assert (rendered.tokens["max"], rendered.truncated_rows) == (3, 0)
    with pytest.raises(Conflict, match=r"tokenizer\.json"):
        services.token_statistics(**asked | {"tokenizer_uri": store.uri("models/none")})


# Import from a path or a URL


def fill(api: Any, **source: Any) -> dict[str, Any]:
    here = f"/api/v1/dataset-versions/{new_version(api)['id']}"
    ok(post(api, f"{here}/import", **source))
    work()
    return ok(api.get(here))


def test_rows_come_from_an_allowed_path(api: Any, allowed: Path) -> None:
    (allowed / "rows.jsonl").write_bytes(GOOD)
    assert fill(api, path=str(allowed / "rows.jsonl"))["phase"] == "valid"
    missing = fill(api, path=str(allowed / "none.jsonl"))
    assert (missing["phase"], "No such file" in missing["reason"]) == ("failed", True)
    assert "directory" in fill(api, path=str(allowed))["reason"]


def test_no_other_path_is_read(api: Any, allowed: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.jsonl"
    secret.write_bytes(GOOD)
    (allowed / "link.jsonl").symlink_to(secret)
    version = new_version(api)
    url = f"/api/v1/dataset-versions/{version['id']}/import"
    for path in (
        "/etc/passwd", str(secret), f"{allowed}/../secret.jsonl", "rows.jsonl", f"{allowed}-2/x",
        str(allowed / "link.jsonl"), f"{allowed}/a\0b",
    ):  # fmt: skip
        error = refused(post(api, url, path=path), 422)
        assert error["details"][0]["field"] == "path"
    refused(post(api, url), 422)
    refused(post(api, url, path=str(allowed), url="http://x/"), 422)
    # A link that is put there after the request was taken is seen when it is opened.
    (allowed / "later.jsonl").write_bytes(GOOD)
    ok(post(api, url, path=str(allowed / "later.jsonl")))
    (allowed / "later.jsonl").unlink()
    (allowed / "later.jsonl").symlink_to(secret)
    work()
    assert ok(api.get(url.removesuffix("/import")))["phase"] == "failed"


def test_a_path_that_no_file_can_have_is_refused(allowed: Path) -> None:
    (allowed / "round").symlink_to(allowed / "round")
    for name in ("x" * 300, "\ud800", "\udcff", "a\0b", "x/" * 3000, "round"):
        with pytest.raises(Invalid, match="may not be imported") as found:
            fetch.check_path(f"{allowed}/{name}")
        (detail,) = found.value.details
        assert detail.field == "path"
        assert b"\0" not in detail.value.encode()


def test_a_pipe_does_not_hold_the_worker_up(api: Any, allowed: Path) -> None:
    os.mkfifo(allowed / "pipe")
    version = fill(api, path=str(allowed / "pipe"))
    assert (version["phase"], "not a file" in version["reason"]) == ("failed", True)


@pytest.fixture
def web() -> Iterator[SimpleNamespace]:
    """A small web server on this machine, and what was asked of it."""
    import threading
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    seen: list[str] = []
    answers: dict[str, tuple[int, dict[str, str], bytes]] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(f"{self.headers['host']}{self.path}")
            status, headers, body = answers.get(self.path, (404, {}, b""))
            self.send_response(status)
            for name, value in ({"content-length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield SimpleNamespace(port=server.server_port, seen=seen, answers=answers)
    server.shutdown()
    thread.join()
    server.server_close()


def test_rows_come_from_an_allowed_host(api: Any, web: Any, settings: Any) -> None:
    settings.IMPORT_HOSTS = ["localhost", "127.0.0.1", "::1"]
    base = f"http://localhost:{web.port}"
    web.answers["/rows?x=1"] = (200, {}, GOOD)
    web.answers["/moved"] = (302, {"location": "/rows?x=1"}, b"")
    web.answers["/round"] = (302, {"location": "/round"}, b"")
    web.answers["/away"] = (302, {"location": "http://elsewhere.example/x"}, b"")
    web.answers["/file"] = (302, {"location": "file:///etc/passwd"}, b"")
    web.answers["/bad"] = (302, {"location": "http://[bad"}, b"")
    web.answers["/dots"] = (302, {"location": f"http://localhost..:{web.port}/"}, b"")
    web.answers["/long"] = (200, {"content-length": "many"}, GOOD)
    web.answers["/cut"] = (200, {"content-length": "1000"}, b"short")
    assert fill(api, url=f"{base}/rows?x=1")["phase"] == "valid"
    assert web.seen == [f"localhost:{web.port}/rows?x=1"]
    assert fill(api, url=f"{base}/moved")["phase"] == "valid"
    for path, reason in {
        "/none": "answered 404",
        "/round": "redirects",
        "/away": "may not be imported from",
        "/file": "plain http",
        "/bad": "no address",
        "/dots": "name of a host",
        "/long": "no number",
        "/cut": "broke off",
    }.items():
        version = fill(api, url=base + path)
        assert (version["phase"], reason in version["reason"]) == ("failed", True), version


def test_no_other_host_is_asked(api: Any, web: Any, settings: Any) -> None:
    settings.IMPORT_HOSTS = ["data.example", "localhost", "0177.1", "0x7f.1"]
    url = f"/api/v1/dataset-versions/{new_version(api)['id']}/import"
    for address in (
        "ftp://data.example/x", "file:///etc/passwd", "http://other.example/", "http://data.example.evil/",
        "http://user:pw@data.example/", "http://data.example@evil/", "gopher://localhost", "http://",
        "http://169.254.169.254/latest", "http://data.example:x/",
        f"http://127.0.0.1:{web.port}/", f"http://[::ffff:127.0.0.1]:{web.port}/",
    ):  # fmt: skip
        refused(post(api, url, url=address), 422)
    # A listed name that leads to a private address is not enough: the address must be listed too.
    for host in ("localhost", "0177.1", "0x7f.1"):
        version = fill(api, url=f"http://{host}:{web.port}/x")
        assert version["phase"] == "failed"
        assert "not public" in version["reason"], version["reason"]
    assert web.seen == []


@pytest.mark.parametrize("url", ["http://[::1", "http://a℀b/x", "http://[bad]/", "http://a/\ud800"])
def test_an_address_that_is_none_is_refused(url: str, settings: Any) -> None:
    settings.IMPORT_HOSTS = ["a"]
    with pytest.raises(Invalid) as found:
        fetch.check_url(url)
    assert found.value.details[0].field == "url"
    assert found.value.details[0].value.encode()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "172.16.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "ff02::1",
        "fe80::1%eth0",
        "64:ff9b:1::7f00:1",
        "fec0::1",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "3fff::1",
        "5f00::1",
        "2001::1",
        "192.0.0.192",
        "192.88.99.1",
        "168.63.129.16",
    ],
)
def test_addresses_that_are_not_public_are_known(address: str) -> None:
    assert not addresses.is_public(address)
    assert addresses.is_public("8.8.8.8")
    assert addresses.is_public("2606:4700::1111")
    assert addresses.is_public("64:ff9b::808:808")


# A worker may die at any time


def test_a_worker_that_dies_in_a_check_leaves_nothing_to_see(
    api: Any, store: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [chat(f"q{i}", "a" * 1000) for i in range(5000)]
    here = f"/api/v1/dataset-versions/{new_version(api)['id']}"
    data = jsonl(*rows)
    plan = ok(post(api, f"{here}/upload", size_bytes=len(data)))
    put(plan["parts"][0]["url"], data)
    ok(post(api, f"{here}/upload/finish"))

    class Killed(BaseException):
        pass

    def die(done: int, rows: int) -> None:
        if rows > 2000:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(carrying, "_leased", lambda record, note: die)
        with pytest.raises(Killed):
            work()
    version = ok(api.get(here))
    assert (version["phase"], version["rows"]) == ("checking", 0)
    refused(api.get(f"{here}/rows"), 409)
    refused(api.get(f"{here}/faults"), 409)
    # The lease is still held; once it is over, another worker does it all again.
    work()
    assert ok(api.get(here))["phase"] == "checking"
    Version.objects.update(look_at=timezone.now())
    work()
    version = ok(api.get(here))
    assert (version["phase"], version["rows"]) == ("valid", 5000)


def test_a_check_that_lost_its_lease_takes_its_traces_away(
    api: Any, store: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = f"/api/v1/dataset-versions/{new_version(api)['id']}"
    plan = ok(post(api, f"{here}/upload", size_bytes=len(GOOD)))
    put(plan["parts"][0]["url"], GOOD)
    ok(post(api, f"{here}/upload/finish"))
    slow = Version.objects.get()
    work()
    keys = [found.key for found in store.list("datasets/")]
    with pytest.raises(LostRace):
        carrying.look_at_version(slow, timezone.now())
    assert [found.key for found in store.list("datasets/")] == keys
    assert ok(api.get(here))["phase"] == "valid"


def test_progress_is_told_and_the_lease_kept(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrying, "_NOTE_SECONDS", 0.0)
    told: list[tuple[int, int]] = []
    leases: list[Any] = []
    real = carrying.annotate

    def listen(record: Any, **fields: Any) -> None:
        real(record, **fields)
        stored = Version.objects.get()
        told.append((stored.bytes_done, stored.rows_done))
        leases.append(stored.look_at)

    monkeypatch.setattr(carrying, "annotate", listen)
    version = upload(api, jsonl(*(chat(f"q{i}", "a" * 1000) for i in range(5000))))
    assert version["phase"] == "valid"
    assert len(told) > 5
    assert told == sorted(told)
    assert leases == sorted(leases)
    assert leases[-1] > timezone.now() + timedelta(seconds=60)


def test_a_version_deleted_in_the_midst_of_its_check_stays_deleted(
    api: Any, store: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrying, "_NOTE_SECONDS", 0.0)
    real = carrying.annotate

    def delete_first(record: Any, **fields: Any) -> None:
        Version.objects.all().delete()
        real(record, **fields)

    here = f"/api/v1/dataset-versions/{new_version(api)['id']}"
    data = jsonl(*(chat(f"q{i}", "a" * 1000) for i in range(5000)))
    plan = ok(post(api, f"{here}/upload", size_bytes=len(data)))
    put(plan["parts"][0]["url"], data)
    ok(post(api, f"{here}/upload/finish"))
    monkeypatch.setattr(carrying, "annotate", delete_first)
    work()
    refused(api.get(here), 404)


def test_a_full_store_is_waited_for(
    api: Any, store: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from slipway.backends.objects import StorageFull

    def full(*_: Any) -> Any:
        raise StorageFull("no room left")

    with monkeypatch.context() as patch:
        patch.setattr(store, "create", full)
        version = upload(api, GOOD)
    assert (version["phase"], "waiting for room" in version["reason"]) == ("checking", True)
    Version.objects.update(look_at=timezone.now())
    work()
    assert ok(api.get(f"/api/v1/dataset-versions/{version['id']}"))["phase"] == "valid"


def test_the_sweep_removes_only_what_nobody_owns(api: Any, store: Folder) -> None:
    version = upload(api, GOOD)
    ok(post(api, f"/api/v1/dataset-versions/{version['id']}/export", format="csv"), 201)
    work()
    kept = [found.key for found in store.list("")]
    folder = kept[0].rsplit("/", 1)[0]
    store.put("datasets/p/0c5c2f4e-0000-4000-8000-000000000000/rows.jsonl", b"orphan")
    store.put("datasets/p/odd/rows.jsonl", b"orphan")
    store.put(f"{folder}/attempt/rows.jsonl", b"orphan")
    draft = new_version(api, "other")
    here = f"/api/v1/dataset-versions/{draft['id']}"
    ok(post(api, f"{here}/upload", size_bytes=5))
    carrying.sweep(timezone.now())
    assert len(list(store.list(""))) == len(kept) + 3
    old = Version.objects.filter(pk=draft["id"])
    old.update(created_at=timezone.now() - timedelta(days=8))
    put(ok(api.get(f"{here}/upload"))["parts"][0]["url"], b"fresh")
    carrying.sweep(timezone.now())
    assert ok(api.get(here))["phase"] == "draft", "its parts still come in"
    carrying.sweep(timezone.now() + timedelta(days=8))
    assert [found.key for found in store.list("")] == kept
    assert ok(api.get(here))["phase"] == "failed"
    assert not list(store.root.glob(".incoming/*"))


# Split and leaks


def test_a_list_of_datasets_tells_the_newest_version_of_each(api: Any) -> None:
    ok(post(api, "/api/v1/datasets", name="bare"), 201)
    upload(api, jsonl(chat("a", "b"), chat("c", "d")))
    bad = upload(api, b"{}\n")
    told = {each["name"]: each["latest"] for each in ok(api.get("/api/v1/datasets"))["data"]}
    assert told["bare"] is None
    wanted = ("id", "number", "phase", "reason", "rows")
    assert told["charts"] == {name: bad[name] for name in wanted}
    assert (told["charts"]["number"], told["charts"]["phase"]) == (2, "invalid")
    one = ok(api.get(f"/api/v1/datasets/{bad['dataset_id']}"))
    assert one["latest"] == told["charts"]


@pytest.mark.parametrize(
    ("line", "column", "fix"),
    [
        ('{"text": }', 10, "write a value there"),
        ('{"text": "a" "b": 1}', 14, "put a comma between"),
        ('{"text" "a"}', 9, "put a colon"),
        ('{"text": "C:\\data"}', 13, "write a backslash"),
    ],
)
def test_what_is_no_json_is_told_by_its_column_and_what_to_write(
    api: Any, line: str, column: int, fix: str
) -> None:
    version = upload(api, jsonl({"text": "good"}) + line.encode() + b"\n")
    found = ok(api.get(f"/api/v1/dataset-versions/{version['id']}/faults"))["data"]
    (fault,) = [each for each in found if each["rule"] == "json"]
    assert fault["value"].startswith(f"column {column}: ")
    assert fault["fix"].startswith(fix)
    assert "Expecting" not in fault["value"]


def test_a_split_is_seeded_and_loses_no_row(api: Any) -> None:
    rows = [
        chat(f"问题 {i} {random.Random(i).random()}", "a", group="ab"[i % 4 == 0])
        for i in range(100)
    ]
    parent = upload(api, jsonl(*rows))
    here = f"/api/v1/dataset-versions/{parent['id']}/split"

    def run(**asked: Any) -> tuple[list[Any], list[Any]]:
        made = ok(post(api, here, **asked), 201)
        assert made["train"]["phase"] == "importing"
        work()
        return rows_of(api, made["train"]), rows_of(api, made["held_out"])

    train, held = run(count=20, seed=1)
    assert (len(train), len(held)) == (80, 20)
    assert [row for row in rows if row in train] == train
    assert [row for row in rows if row not in train] == held
    assert run(count=20, seed=1) == (train, held)
    assert run(ratio=0.2, seed=2)[1] != held
    _, by_group = run(ratio=0.2, seed=1, by_group=True)
    assert sorted(row["group"] for row in by_group) == ["a"] * 15 + ["b"] * 5
    for asked in ({}, {"count": 5, "ratio": 0.5}, {"ratio": 1.0}, {"ratio": -1}):
        refused(post(api, here, **asked), 422)
    for count in (0, 100, 101):
        refused(post(api, here, count=count), 409)


def test_the_draw_is_the_same_everywhere() -> None:
    held = split.held_out_rows(10, 3, seed=42)
    assert held.nonzero()[0].tolist() == split.held_out_rows(10, 3, seed=42).nonzero()[0].tolist()
    counts = sum(split.held_out_rows(1000, 100, seed=seed).astype(int) for seed in range(200))
    assert counts.min() >= 5
    assert counts.max() <= 40


def test_a_split_says_which_rows_leak(api: Any) -> None:
    rng = random.Random(3)
    letters = "abcdefghijklmnopqrstuvwxyz销售额华北地区年月日折线图"
    rows = [chat("".join(rng.choices(letters, k=80)), f"a{i}") for i in range(60)]
    question = rows[0]["messages"][0]["content"]
    # Every second row has a twin: the same question in other dress, another answer.
    rows += [chat(row["messages"][0]["content"].upper() + " !？", "other") for row in rows[::2]]
    rows.append(chat(question[:75] + "-----", "nearly"))
    parent = upload(api, jsonl(*rows))
    made = ok(post(api, f"/api/v1/dataset-versions/{parent['id']}/split", count=30, seed=5), 201)
    work()
    check = ok(api.get(f"/api/v1/dataset-leaks/{made['leaks']['id']}"))
    assert check["phase"] == "done"
    held, train = rows_of(api, made["held_out"]), rows_of(api, made["train"])

    def alike(a: Any, b: Any) -> float:
        one, two = (set(leaks.grams_of(leaks.text_of(row, "prompt")).tolist()) for row in (a, b))
        return len(one & two) / len(one | two)

    expected = [
        (i, j) for i, a in enumerate(held) for j, b in enumerate(train) if alike(a, b) >= 0.8
    ]
    assert len(expected) > 5
    assert [(p["row"], p["other_row"]) for p in check["pairs"]] == expected
    assert check["pair_count"] == len(expected)
    assert check["leaking_rows"] == len({i for i, _ in expected})
    assert str(check["leaking_rows"]) in check["reason"]


def test_any_two_versions_are_compared_both_ways(api: Any) -> None:
    small = upload(
        api, jsonl(chat("华北地区2019年3月的销售额，用折线图表示。", "a"), chat("b" * 20, "x"))
    )
    big = upload(
        api,
        jsonl(
            *(chat(f"other {i} question {i * 7919}", "a") for i in range(50)),
            chat("华北地区2019年3月的销售额,用折线图表示", "z"),
        ),
        "other",
    )
    for one, two, pair in ((small, big, (0, 50)), (big, small, (50, 0))):
        here = f"/api/v1/dataset-versions/{one['id']}/leaks"
        made = ok(post(api, here, other=two["id"], threshold=0.9), 201)
        work()
        found = ok(api.get(here))["data"][0]
        assert found["id"] == made["id"]
        assert [(p["row"], p["other_row"], p["similarity"]) for p in found["pairs"]] == [
            (*pair, 1.0)
        ]
        assert "华北" in found["pairs"][0]["text"]
    here = f"/api/v1/dataset-versions/{small['id']}/leaks"
    row_scope = ok(post(api, here, other=big["id"], threshold=0.99, scope="row"), 201)
    work()
    assert ok(api.get(f"/api/v1/dataset-leaks/{row_scope['id']}"))["pair_count"] == 0
    refused(post(api, here, other=small["id"]), 422)
    refused(post(api, here, other=big["id"], threshold=0.1), 422)
    bad = upload(api, b"{}\n", "bad")
    check = ok(post(api, here, other=bad["id"]), 201)
    work()
    assert ok(api.get(f"/api/v1/dataset-leaks/{check['id']}"))["phase"] == "failed"


def test_the_leak_search_finds_every_pair_that_brute_force_finds(
    monkeypatch: pytest.MonkeyPatch, api: Any
) -> None:
    monkeypatch.setattr(leaks, "_BATCH_GRAMS", 300)
    rng = random.Random(11)

    def text() -> str:
        # Templated rows share much, so that similarities lie all over the scale.
        when = f"{rng.choice(['2019', '2020'])}年{rng.randint(1, 12)}月"
        what = rng.choice(["销售额", "利润", "库存"])
        chart = rng.choice(["折线图", "柱状图"])
        return f"{rng.choice('甲乙丙丁')}地区{when}{what}，用{chart}表示"

    one = upload(api, jsonl(*(chat(text(), "a") for _ in range(80))))
    two = upload(api, jsonl(*(chat(text(), "a") for _ in range(120))), "other")
    sets = [
        [
            set(leaks.grams_of(leaks.text_of(row, "prompt")).tolist())
            for row in rows_of(api, version)
        ]
        for version in (one, two)
    ]
    for threshold in (0.3, 0.5, 0.8, 1.0):
        expected = sum(len(a & b) / len(a | b) >= threshold for a in sets[0] for b in sets[1])
        here = f"/api/v1/dataset-versions/{one['id']}/leaks"
        made = ok(post(api, here, other=two["id"], threshold=threshold), 201)
        work()
        assert LeakCheck.objects.get(pk=made["id"]).pair_count == expected, threshold
        assert expected > 0


# Export


@pytest.mark.parametrize("target", ["openai", "qianfan", "alpaca", "sharegpt", "csv"])
def test_an_export_imported_again_has_the_same_rows(api: Any, target: str) -> None:
    rows = [
        chat(f"多行\n问题 {i}", '"a", b\t', group="g", weight=0.5, id=str(i)) for i in range(50)
    ]
    rows[3]["messages"].insert(0, {"role": "system", "content": "s"})
    version = upload(api, jsonl(*rows))
    here = f"/api/v1/dataset-versions/{version['id']}/export"
    made = ok(post(api, here, format=target), 201)
    work()
    done = ok(api.get(f"/api/v1/dataset-exports/{made['id']}"))
    assert (done["phase"], done["rows"]) == ("done", 50)
    assert ok(post(api, here, format=target), 201)["id"] == made["id"]
    assert [entry["id"] for entry in ok(api.get(here))["data"]] == [made["id"]]
    data = get(done["download"]["url"])
    assert len(data) == done["size_bytes"]
    again = upload(api, data, "again")
    assert (again["phase"], again["format"]) == ("valid", target)
    assert rows_of(api, again) == rows


def test_an_export_that_would_lose_something_is_refused_by_row(api: Any) -> None:
    rows = [chat("q", "a"), chat("q", "a")]
    rows[1]["messages"] *= 2
    version = upload(api, jsonl(*rows))
    here = f"/api/v1/dataset-versions/{version['id']}/export"
    made = ok(post(api, here, format="csv"), 201)
    work()
    done = ok(api.get(f"/api/v1/dataset-exports/{made['id']}"))
    assert (done["phase"], done["download"]) == ("failed", None)
    assert [(f["line"], f["rule"], f["path"]) for f in done["faults"]] == [
        (2, "cannot_carry", "$.messages")
    ]
    assert Export.objects.get().key == ""
    refused(post(api, here, format="xml"), 422)


# Names, holds, tenants


def test_a_name_is_taken_once_in_a_project(api: Any, api_for: Any, stranger: Any) -> None:
    ok(post(api, "/api/v1/datasets", name="图表 1"), 201)
    error = refused(post(api, "/api/v1/datasets", name="图表 1"), 409)
    assert error["details"][0]["fix"]
    ok(post(api_for(stranger), "/api/v1/datasets", name="图表 1"), 201)
    for name in ("", " a", "a/b", "../x", "x" * 64, "a\nb"):
        refused(post(api, "/api/v1/datasets", name=name), 422) if name.strip() == name else None
    dataset = ok(api.get("/api/v1/datasets"))["data"][0]
    assert ok(api.get(f"/api/v1/datasets/{dataset['id']}"))["name"] == "图表 1"
    refused(post(api, f"/api/v1/datasets/{dataset['id']}/versions", format="xml"), 422)


def test_what_is_in_use_is_not_deleted_and_says_by_whom(api: Any, store: Folder) -> None:
    version = upload(api, GOOD)
    here = f"/api/v1/dataset-versions/{version['id']}"
    for _ in range(2):
        services.hold(version_id=UUID(version["id"]), holder="training job charts-1")
    assert Hold.objects.count() == 1
    for path in (here, f"/api/v1/datasets/{version['dataset_id']}"):
        error = refused(api.delete(path), 409)
        assert "training job charts-1" in error["message"]
    assert ok(api.get(here))["used_by"] == ["training job charts-1"]
    services.release(holder="training job charts-1")
    ok(api.delete(here), 204)
    refused(api.get(here), 404)


def test_a_deleted_dataset_leaves_no_bytes(
    api: Any, store: Folder, django_capture_on_commit_callbacks: Any
) -> None:
    version = upload(api, GOOD)
    draft = new_version(api)
    ok(post(api, f"/api/v1/dataset-versions/{draft['id']}/upload", size_bytes=5))
    with django_capture_on_commit_callbacks(execute=True):
        ok(api.delete(f"/api/v1/datasets/{version['dataset_id']}"), 204)
    assert list(store.list("")) == []
    assert not list(store.root.glob(".incoming/*"))


def test_only_a_published_version_is_given_to_others(api: Any, owner: Any, stranger: Any) -> None:
    version = upload(api, GOOD)
    asked = {"project_id": owner.project_id, "version_id": UUID(version["id"])}
    with pytest.raises(services.NotPublished) as error:
        services.published_version(**asked)
    assert "publish" in error.value.details[0].fix
    ok(post(api, f"/api/v1/dataset-versions/{version['id']}/publish"))
    assert services.published_version(**asked).rows == 1
    named = {"project_id": owner.project_id, "name": "charts"}
    assert services.published_named(**named) == services.published_version(**asked)
    for wrong in ({"name": "none"}, {"number": 2}, {"project_id": stranger.project_id}):
        with pytest.raises(services.facts.NotFound):
            services.published_named(**named | wrong)
    with pytest.raises(services.facts.NotFound):
        services.published_version(**asked | {"project_id": stranger.project_id})


def test_another_tenant_sees_nothing(api: Any, api_for: Any, stranger: Any, owner: Any) -> None:
    version = upload(api, GOOD)
    here = f"/api/v1/dataset-versions/{version['id']}"
    export = ok(post(api, f"{here}/export", format="csv"), 201)
    other = upload(api, GOOD, "other")
    check = ok(post(api, f"{here}/leaks", other=other["id"]), 201)
    theirs = api_for(stranger)
    mine = upload(theirs, GOOD, "theirs")
    for path in (
        f"/api/v1/datasets/{version['dataset_id']}",
        f"/api/v1/datasets/{version['dataset_id']}/versions",
        here,
        *(
            f"{here}/{name}"
            for name in (
                "upload",
                "events",
                "faults",
                "rows",
                "statistics",
                "corrected",
                "leaks",
                "export",
            )
        ),
        f"/api/v1/dataset-exports/{export['id']}",
        f"/api/v1/dataset-leaks/{check['id']}",
    ):
        refused(theirs.get(path), 404)
    for name, body in {
        "upload": {"size_bytes": 5}, "upload/finish": {}, "import": {"url": "http://x.example/"},
        "publish": {}, "corrected": {}, "split": {"count": 1}, "leaks": {"other": mine["id"]},
        "export": {"format": "csv"},
    }.items():  # fmt: skip
        assert post(theirs, f"{here}/{name}", **body).status_code in {404, 422}
    refused(post(theirs, f"/api/v1/dataset-versions/{mine['id']}/leaks", other=version["id"]), 404)
    refused(theirs.delete(here), 404)
    refused(theirs.delete(f"/api/v1/datasets/{version['dataset_id']}"), 404)
    assert [d["name"] for d in ok(theirs.get("/api/v1/datasets"))["data"]] == ["theirs"]
    reader = api_for(owner, role="reader")
    ok(reader.get(here))
    refused(post(reader, f"{here}/publish"), 403)
    refused(reader.delete(here), 403)


def test_formats_limits_and_rules_come_from_one_place(api: Any) -> None:
    found = ok(api.get("/api/v1/dataset-formats"))
    assert [f["name"] for f in found["formats"]] == [
        "openai", "qianfan", "alpaca", "sharegpt", "text", "csv",
        "preference", "chosen_rejected", "qianfan_dpo", "prompts",
    ]  # fmt: skip
    assert found["limits"]["max_row_bytes"] == checking.LIMITS.max_row_bytes
    assert set(found["rules"]) >= {"order", "answer", "utf8"}


# Large files and real servers


def test_memory_stays_small_whatever_the_file(tmp_path: Path) -> None:
    """Short rows are the worst case: each costs a hash. The interpreter counts in."""
    import subprocess
    import sys

    program = """
import re, sys
import django; django.setup()
from slipway.datasets.services import checking
row = b'{"messages":[{"role":"user","content":"%d"},{"role":"assistant","content":"b"}]}\\n'
path = sys.argv[2]
with open(path, "wb") as f:
    f.writelines(row % i for i in range(int(sys.argv[1])))
with open(path + ".out", "wb") as out, open(path + ".faults", "wb") as faults:
    found = checking.check_file(lambda: open(path, "rb"), given="", canonical=out, faults=faults)
# Not ru_maxrss: that begins with the memory of the process that started this one.
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) // 1024
print(found.rows, found.size_bytes, peak)
"""
    rows = 1_500_000
    done = subprocess.run(
        [sys.executable, "-c", program, str(rows), str(tmp_path / "rows.jsonl")],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.returncode == 0, done.stderr
    found, size, peak = map(int, done.stdout.split())
    assert (found, size > 120_000_000) == (rows, True)
    assert peak < 150


def test_the_core_of_it_on_a_real_s3_server(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import servers

    from slipway.backends.objects.s3 import S3

    bucket = S3(servers.minio().fresh())
    monkeypatch.setattr(backends, "objects", lambda: bucket)
    rows = [chat(f"问题 {i} " + "x" * 2000, f"a{i}", group="g") for i in range(10_000)]
    version = upload(api, jsonl(*rows))
    assert (version["phase"], version["rows"]) == ("valid", 10_000)
    here = f"/api/v1/dataset-versions/{version['id']}"
    page = ok(api.get(f"{here}/rows?cursor=9998"))
    assert [entry["row"] for entry in page["data"]] == rows[9998:]
    assert ok(post(api, f"{here}/publish"))["phase"] == "published"
    bad = upload(api, zipped(("a.jsonl", jsonl(rows[0]) + b"{}\n")))
    assert [f["line"] for f in faults_of(api, bad)] == [2]
    corrected = ok(api.get(f"/api/v1/dataset-versions/{bad['id']}/corrected"))
    assert get(corrected["url"]) == jsonl(rows[0])
    made = ok(post(api, f"{here}/export", format="sharegpt"), 201)
    work()
    download = ok(api.get(f"/api/v1/dataset-exports/{made['id']}"))["download"]
    assert get(download["url"]).count(b"\n") == 10_000
    parts = ok(post(api, f"{here}/split", count=100, seed=1), 201)
    work()
    assert ok(api.get(f"/api/v1/dataset-versions/{parts['held_out']['id']}"))["rows"] == 100
    ok(api.delete(f"/api/v1/dataset-versions/{bad['id']}"), 204)
