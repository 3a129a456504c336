"""Bytes behind URIs: whole or not at all, and never believed without their hashes."""

from __future__ import annotations

import errno
import hashlib
import os

import pytest

from slipway_runtime import files


@pytest.fixture
def uri(tmp_path):
    return f"file://{tmp_path}/objects/run"


@pytest.fixture
def source(tmp_path):
    directory = tmp_path / "source"
    (directory / "deep").mkdir(parents=True)
    (directory / "a.bin").write_bytes(os.urandom(3_000_000))
    (directory / "deep" / "b.txt").write_text("折线图")
    return directory


def test_what_was_put_is_read_and_listed_and_no_part_files_stay(uri, tmp_path):
    files.put(f"{uri}/x/1.json", b"one")
    files.put(f"{uri}/x/1.json", b"two")
    assert files.read(f"{uri}/x/1.json") == b"two"
    assert files.names(uri) == ["x/1.json"]
    assert files.names(f"file://{tmp_path}/objects") == ["run/x/1.json"]
    assert sorted(p.name for p in (tmp_path / "objects").rglob("*")) == ["1.json", "run", "x"]


def test_a_write_into_the_store_waits_where_the_store_does_not_look(tmp_path, monkeypatch):
    monkeypatch.setenv("SLIPWAY_OBJECTS_URL", f"file://{tmp_path}/store")
    places = []
    real = files._copy

    def copy(stream, target):
        places.append(target)
        return real(stream, target)

    monkeypatch.setattr(files, "_copy", copy)
    files.put(f"file://{tmp_path}/store/progress/1.jsonl", b"{}")
    assert [place.parent for place in places] == [tmp_path / "store" / ".incoming"]
    assert files.names(f"file://{tmp_path}/store") == ["progress/1.jsonl"]


def test_a_missing_object_says_which(uri):
    with pytest.raises(files.Missing, match="nothing-here"):
        files.read(f"{uri}/nothing-here")
    with pytest.raises(files.Missing):
        files.local_dir(f"{uri}/nothing-here")
    assert files.names(f"{uri}/nothing-here") == []
    assert not files.exists(uri)


@pytest.mark.parametrize("wrong", ["/plain/path", "http://x/y", "file://relative", "s3://", ""])
def test_an_address_of_another_kind_is_refused_with_a_hint(wrong):
    with pytest.raises(ValueError, match="file:///path or s3://"):
        files.read(wrong)


def test_a_stored_directory_has_hashes_and_verifies(uri, source):
    hashes = files.store_dir(source, uri)
    assert hashes == {
        "a.bin": hashlib.sha256((source / "a.bin").read_bytes()).hexdigest(),
        "deep/b.txt": hashlib.sha256((source / "deep" / "b.txt").read_bytes()).hexdigest(),
    }
    assert files.exists(uri)
    stored = files.local_dir(uri, verify=True)
    assert (stored / "deep" / "b.txt").read_text() == "折线图"


def test_storing_again_leaves_nothing_of_before(uri, source):
    files.store_dir(source, uri)
    (source / "a.bin").unlink()
    files.store_dir(source, uri)
    assert files.names(uri) == ["deep/b.txt", files.MANIFEST]


@pytest.mark.parametrize("damage", ["flip", "remove", "no manifest", "bad manifest"])
def test_damage_is_found_and_named(uri, source, damage):
    files.store_dir(source, uri)
    stored = files.local_dir(uri)
    match damage:
        case "flip":
            data = bytearray((stored / "a.bin").read_bytes())
            data[1_234_567] ^= 1
            (stored / "a.bin").write_bytes(data)
        case "remove":
            (stored / "a.bin").unlink()
        case "no manifest":
            (stored / files.MANIFEST).unlink()
        case "bad manifest":
            (stored / files.MANIFEST).write_text("{")
    with pytest.raises(
        files.Damaged, match="a.bin" if damage in {"flip", "remove"} else "manifest"
    ):
        files.local_dir(uri, verify=True)


@pytest.mark.parametrize("writes_that_fit", [0, 1, 2])
def test_a_full_disk_is_said_and_nothing_half_visible_stays(
    uri, source, monkeypatch, writes_that_fit
):
    left = iter([True] * writes_that_fit)
    real = files._copy

    def copy(stream, target):
        if not next(left, False):
            target.write_bytes(b"the first half")
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(stream, target)

    monkeypatch.setattr(files, "_copy", copy)
    with pytest.raises(files.StorageFull, match="no space left"):
        files.store_dir(source, uri)
    assert not files.exists(uri)
    assert [p for p in files.local_dir(uri).rglob("*") if p.is_file()] == []


def test_a_directory_or_a_file_is_found_by_its_uri(uri, source):
    files.store_dir(source, uri)
    assert files.local_path(uri).is_dir()
    assert files.local_path(f"{uri}/deep/b.txt").is_file()
