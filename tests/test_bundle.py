"""A bundle: saved from one registry, verified, pushed to another, installed from by the chart."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest
import servers
import test_charts
import yaml
from cluster import modules

from slipway.cli import bundled

TAG = "0.1.0"
#: In a path of its own: what the chart calls it is the end of that.
KUBERAY = "mirror/kuberay/operator"


def slipway(*words: object) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("slipway")
    with tempfile.TemporaryDirectory() as programs:
        Path(programs, "helm").symlink_to(modules.helm())
        return subprocess.run(
            [str(program), "bundle", *map(str, words)],
            capture_output=True, text=True,
            env=os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"},
        )  # fmt: skip


def layout(folder: Path, name: str, text: str) -> str:
    """An OCI layout with one image of one file; the digest of its manifest."""

    def blob(data: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        (folder / "blobs/sha256").mkdir(parents=True, exist_ok=True)
        (folder / "blobs/sha256" / digest).write_bytes(data)
        return {"digest": f"sha256:{digest}", "size": len(data)}

    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        entry = tarfile.TarInfo("told")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text.encode()))
    layer = tar.getvalue()
    rootfs = {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]}
    config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}
    media = "application/vnd.oci.image"
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{media}.manifest.v1+json",
        "config": {"mediaType": f"{media}.config.v1+json", **blob(json.dumps(config).encode())},
        "layers": [
            {"mediaType": f"{media}.layer.v1.tar+gzip", **blob(gzip.compress(layer, mtime=0))}
        ],
    }
    told = blob(json.dumps(manifest).encode())
    annotations = {"org.opencontainers.image.ref.name": name}
    index = {"mediaType": manifest["mediaType"], **told, "annotations": annotations}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [index]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return str(told["digest"])


@pytest.fixture(scope="module", autouse=True)
def skopeo() -> None:
    if shutil.which("skopeo") is None:
        servers.install("skopeo")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A bundle saved from a registry, and each image's digest."""
    folder = tmp_path_factory.mktemp("bundle")
    source = servers.registry().fresh()
    digests = {}
    for name in ("slipway/control-plane", "slipway/operator", "slipway/runtime", KUBERAY):
        made = folder / "made" / name
        made.mkdir(parents=True)
        digests[name] = layout(made, "x", f"this is {name}")
        command = ["skopeo", "copy", "--preserve-digests", "--dest-tls-verify=false"]
        to = f"docker://{source}/{name}:{TAG}"
        subprocess.run([*command, f"oci:{made}:x", to], check=True, capture_output=True)
    bundle = folder / "of slipway"
    done = slipway(
        "save", bundle, "--images", f"docker://{source}", "--also",
        f"docker://{source}/{KUBERAY}:{TAG}", "--no-wheels", "--plain-http",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == bundled.sha256(bundle / bundled.LIST)
    return bundle, digests


def test_it_holds_what_was_asked_for(saved: tuple[Path, dict[str, str]]) -> None:
    bundle, digests = saved
    listed = bundled.read_list(bundle)
    assert {image.digest for image in listed.images} == set(digests.values())
    assert {path.name for path in (bundle / "charts").iterdir()} == {
        f"slipway-{TAG}.tgz", f"slipway-crds-{TAG}.tgz", f"slipway-deps-{TAG}.tgz", "air-gap.yaml",
    }  # fmt: skip
    locks = Path(__file__).parent.parent
    for name in (
        "requirements.lock", "requirements-control-plane.lock", "requirements-operator.lock",
    ):  # fmt: skip
        assert (bundle / "locks" / name).read_bytes() == (locks / name).read_bytes()
        packages = json.loads((bundle / "sbom" / f"{Path(name).stem}.cdx.json").read_text())
        wanted = {
            line.split("==")[0] for line in (locks / name).read_text().splitlines() if "==" in line
        }
        assert packages["bomFormat"] == "CycloneDX"
        named = {each["name"].lower() for each in packages["components"]}
        assert named == {name.partition("[")[0].lower() for name in wanted}
    console = json.loads((bundle / "sbom/console.cdx.json").read_text())
    assert {"react", "antd", "echarts"} <= {each["name"] for each in console["components"]}
    # A folder beside it, where it was made, is gone.
    assert {path.name for path in bundle.parent.iterdir()} == {"made", "of slipway"}


def test_it_says_what_was_changed_removed_or_added(
    saved: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(saved[0], bundle)
    whole = slipway("verify", bundle)
    assert (whole.returncode, whole.stderr) == (0, "")
    assert "4 images" in whole.stdout
    lock = bundle / "locks/requirements.lock"
    text = lock.read_bytes()
    lock.write_bytes(text[:100] + bytes([text[100] ^ 1]) + text[101:])
    (bundle / "charts/air-gap.yaml").unlink()
    (bundle / "charts/evil.tgz").write_text("x")
    blob = max((bundle / "images/blobs/sha256").iterdir())
    blob.write_bytes(blob.read_bytes() + b"x")
    refused = slipway("verify", bundle)
    assert refused.returncode == 1
    for words in (
        "locks/requirements.lock was changed", "charts/air-gap.yaml is missing",
        "charts/evil.tgz is not listed", f"images/blobs/sha256/{blob.name} has",
    ):  # fmt: skip
        assert words in refused.stderr
    # And nothing of it reaches a registry.
    target = servers.registry().fresh()
    assert slipway("push", bundle, target, "--plain-http").returncode == 1
    looked = ["skopeo", "inspect", "--tls-verify=false"]
    at = f"docker://{target}/slipway/operator:{TAG}"
    assert subprocess.run([*looked, at], capture_output=True).returncode != 0
    (bundle / bundled.LIST).write_text('{"files": 7}')
    assert "cannot be read" in slipway("verify", bundle).stderr
    (bundle / bundled.LIST).unlink()
    assert "no bundle, or only a part of one" in slipway("verify", bundle).stderr


def test_pushed_its_images_keep_their_digests_and_the_chart_names_them(
    saved: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    bundle, digests = saved
    target = servers.registry().fresh()
    values = tmp_path / "images.yaml"
    done = slipway("push", bundle, target, "--values", values, "--plain-http")
    assert done.returncode == 0, done.stderr
    images = bundled.read_list(bundle).images
    assert len(images) == 4
    for image in images:
        looked = ["skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}"]
        at = subprocess.run(
            [*looked, f"docker://{target}/{image.name}"], check=True, capture_output=True, text=True
        )
        assert at.stdout.strip() == image.digest
    own = {key: value for key, value in test_charts.NEEDED.items() if key != "image"}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(own | {"caBundle": "ca"}))
    chart = bundle / f"charts/slipway-{TAG}.tgz"
    out = subprocess.run(
        [str(modules.helm()), "template", "x", str(chart), "-f", bundle / "charts/air-gap.yaml",
         "-f", values, "-f", tmp_path / "own.yaml", "--kube-version", "1.34.0"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert out.returncode == 0, out.stderr
    for name in ("slipway/control-plane", "slipway/operator", "slipway/runtime"):
        assert f"{target}/{name}@{digests[name]}" in out.stdout
    # And the chart of dependencies names what was carried for it; by digest, or it refuses.
    others = values.with_name("slipway-deps-images.yaml")
    assert str(others) in done.stdout
    modes = {"kuberay": {"mode": "install"}, "kueue": {"mode": "off"}}
    modes |= {part: {"mode": "off"} for part in ("postgres", "valkey", "objects", "mlflow")}
    for kueue, refused in (("off", ""), ("install", "kueue.image.digest")):
        (tmp_path / "deps.yaml").write_text(yaml.safe_dump(modes | {"kueue": {"mode": kueue}}))
        out = subprocess.run(
            [str(modules.helm()), "template", "x", str(bundle / f"charts/slipway-deps-{TAG}.tgz"),
             "-f", others, "-f", tmp_path / "deps.yaml", "--kube-version", "1.34.0"],
            capture_output=True, text=True,
        )  # fmt: skip
        assert bool(out.returncode) == bool(refused), out.stderr
        assert refused in out.stderr
        carried = re.search(r'image: "(\S+)"', out.stdout)
        if not refused:
            assert carried is not None
            assert carried[1].startswith(f"{target}/")
            assert carried[1].endswith(f"/{KUBERAY}@{digests[KUBERAY]}")


def test_refusals_name_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine").write_text("x")
    full = slipway("save", tmp_path / "full", "--images", "docker://localhost:1/x")
    assert "is not empty; name a new folder" in full.stderr
    untagged = slipway("save", tmp_path / "a", "--images", "docker://localhost:1/x",
                       "--also", "docker://localhost:1/y")  # fmt: skip
    assert "docker://host/name:tag" in untagged.stderr
    away = slipway("save", tmp_path / "b", "--images", "docker://localhost:1/x")
    assert away.returncode == 1
    assert "skopeo copy docker://localhost:1/x/slipway/control-plane:0.1.0" in away.stderr
    # Nothing half-made is left.
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
