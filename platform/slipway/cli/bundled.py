"""A bundle's folder: its list of files with their hashes, and whether it is whole."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from slipway.cli.client import Problem

#: What is in it, with sizes and hashes; written last, so that half a bundle has none.
LIST = "bundle.json"
#: One OCI image layout (image-spec 1.0) for all images: layers that they share are in it once.
IMAGES = "images"
_BLOCK = 1024**2


@dataclass(frozen=True)
class Image:
    """An image in the layout, under `name`; `digest` is that of its manifest."""

    name: str
    digest: str
    source: str


@dataclass(frozen=True)
class Listed:
    """What a bundle says of itself."""

    version: str
    made_at: str
    images: list[Image]
    #: Path → [bytes, SHA-256 in hex].
    files: dict[str, tuple[int, str]] = field(repr=False)


def write_list(folder: Path, *, version: str, made_at: str, images: list[Image]) -> Listed:
    """Hash everything below the folder and write the list."""
    files = {name: (path.stat().st_size, sha256(path)) for name, path in _files(folder)}
    listed = Listed(version, made_at, images, files)
    half = folder / f"{LIST}.new"
    half.write_text(json.dumps(asdict(listed), indent=1) + "\n")
    half.replace(folder / LIST)
    return listed


def read_list(folder: Path) -> Listed:
    """The list of a bundle.

    Raises:
        Problem: there is none, or it cannot be read.
    """
    path = folder / LIST
    try:
        told: dict[str, Any] = json.loads(path.read_text())
        images = [Image(**each) for each in told["images"]]
        files = {name: (int(size), str(hash_)) for name, (size, hash_) in told["files"].items()}
        return Listed(str(told["version"]), str(told["made_at"]), images, files)
    except FileNotFoundError as error:
        raise Problem(
            f"{path} is missing: {folder} is no bundle, or only a part of one."
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Problem(f"{path} cannot be read ({error}); take the bundle anew.") from error


def faults(folder: Path, listed: Listed) -> Iterator[str]:
    """What is missing, changed or added, in words; nothing for a bundle that is whole."""
    here = dict(_files(folder))
    for name, (size, hash_) in sorted(listed.files.items()):
        path = here.pop(name, None)
        if path is None:
            yield f"{name} is missing"
        elif path.stat().st_size != size:
            yield f"{name} has {path.stat().st_size} bytes, {size} are listed"
        elif sha256(path) != hash_:
            yield f"{name} was changed: its SHA-256 is not the one listed"
    for name in sorted(here):
        yield f"{name} is not listed: somebody put it there"
    known = {each["digest"] for each in _index(folder)} if listed.images else set()
    for image in listed.images:
        if image.digest not in known:
            yield f"{IMAGES}/index.json has no {image.name} with {image.digest}"


def digest_of(folder: Path, name: str) -> str:
    """The digest of the manifest that the layout has under a name.

    Raises:
        Problem: there is none.
    """
    for each in _index(folder):
        if each.get("annotations", {}).get("org.opencontainers.image.ref.name") == name:
            return str(each["digest"])
    raise Problem(f"{folder / IMAGES}/index.json has no image named {name}.")


def sha256(path: Path) -> str:
    """A file's SHA-256 in hex, read block by block."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _index(folder: Path) -> list[dict[str, Any]]:
    try:
        manifests: list[dict[str, Any]] = json.loads((folder / IMAGES / "index.json").read_text())[
            "manifests"
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return manifests


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for where, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(where, name)
            relative = path.relative_to(folder).as_posix()
            if relative not in (LIST, f"{LIST}.new"):
                yield relative, path


def depended_on(folder: Path) -> dict[str, str]:
    """Repository of each image that the chart of dependencies can install, to its part there."""
    [chart] = (folder / "charts").glob("slipway-deps-*.tgz")
    with tarfile.open(chart) as archive:
        # None of a chart's files is anything but a file.
        values = yaml.safe_load(archive.extractfile("slipway-deps/values.yaml") or b"")
    return {
        values[part]["image"]["repository"]: part
        for part, of in values.items()
        if isinstance(of, dict) and "mode" in of and "image" in of
    }
