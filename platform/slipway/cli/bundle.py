"""`slipway bundle`: everything an installation without network needs, in one folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import click
import yaml

from slipway.cli import bundled
from slipway.cli.client import Problem

_CHECKOUT = Path(__file__).parents[3]
_CHARTS = ("slipway-crds", "slipway-deps", "slipway")
#: Repository of each image → its part of the chart's values.
_OURS = {
    "slipway/control-plane": "controlPlane",
    "slipway/operator": "operator",
    "slipway/runtime": "runtime",
}
_LOCKS = ("requirements.lock", "requirements-control-plane.lock", "requirements-operator.lock")
_NEEDED = {
    "helm": "see helm.sh, or your distribution's package",
    "skopeo": "on Debian: apt-get install skopeo",
}
_TELLS = """# A bundle of Slipway {version}

Made {made_at}. `bundle.json` lists every file with its SHA-256; compare the list's own
(`sha256sum bundle.json`) with what the maker of the bundle told you by another way. Then, where
there is no network:

    slipway bundle verify .                              # every file is as it was saved
    slipway bundle push . registry.example.com/team      # the images; writes ../slipway-images.yaml
    helm install deps charts/slipway-deps-{version}.tgz -n slipway \\
      -f ../slipway-deps-images.yaml -f my-deps.yaml     # if images for it were carried
    helm install slipway-crds charts/slipway-crds-{version}.tgz
    helm install slipway charts/slipway-{version}.tgz -n slipway \\
      -f charts/air-gap.yaml -f ../slipway-images.yaml -f my-values.yaml

| Folder | What |
|---|---|
| `charts` | the charts, and the profile for installations without network |
| `images` | an OCI image layout: {images} |
| `locks` | every Python package with version and hashes |
| `wheels` | those packages, if carried, for one machine without Kubernetes |
| `sbom` | lists of what is inside, as CycloneDX |

    pip install --no-index --find-links wheels --require-hashes -r locks/requirements.lock
"""


@click.group()
def bundle() -> None:
    """Carry Slipway to where there is no network."""


@bundle.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--images", "source", required=True, metavar="PREFIX",
              help="Where the three images are, as skopeo names it: "
                   "docker://registry.example.com/team, containers-storage:localhost.")  # fmt: skip
@click.option(
    "--tag", default=lambda: metadata.version("slipway"), help="Their tag [this version]."
)
@click.option("--also", "others", multiple=True, metavar="IMAGE",
              help="Another image to carry, such as KubeRay's; may be repeated.")  # fmt: skip
@click.option("--wheels/--no-wheels", default=True, show_default=True,
              help="Carry Python packages for one machine too (about 3 GB).")  # fmt: skip
@click.option("--plain-http", is_flag=True, help="The registry speaks HTTP.")
def save(
    folder: Path, source: str, tag: str, others: Sequence[str], *, wheels: bool, plain_http: bool
) -> None:
    """Gather charts, images, packages, locks and lists of contents in FOLDER.

    Runs in a checkout, on a machine with network. Sign in to a registry by `skopeo login` before.
    """
    _require("helm", "skopeo")
    if not (_CHECKOUT / "helm").is_dir():
        raise Problem(
            "charts and locks are in the sources: run this in a checkout, as .venv/bin/slipway."
        )
    if folder.exists() and any(folder.iterdir()):
        raise Problem(f"{folder} is not empty; name a new folder.")
    names = {f"{name}:{tag}": f"{source.rstrip('/')}/{name}:{tag}" for name in _OURS}
    names |= {_name_of(other): other for other in others}
    folder.absolute().parent.mkdir(parents=True, exist_ok=True)
    # In a folder beside it until it is whole.
    half = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.absolute().parent))
    try:
        _gather(half, names, wheels=wheels, plain_http=plain_http)
        half.chmod(0o755)
        half.replace(folder)
    finally:
        shutil.rmtree(half, ignore_errors=True)
    click.echo(f"saved {folder}; the SHA-256 of its list, to tell whoever receives it:")
    click.echo(bundled.sha256(folder / bundled.LIST))


def _gather(folder: Path, names: dict[str, str], *, wheels: bool, plain_http: bool) -> None:
    version = metadata.version("slipway")
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    images = []
    for name, source in names.items():
        click.echo(f"image {name}", err=True)
        http = ["--src-tls-verify=false"] if plain_http else []
        _run("skopeo", "copy", *http, source, f"oci:{folder / bundled.IMAGES}:{name}")
        images.append(bundled.Image(name, bundled.digest_of(folder, name), source))
    click.echo("charts, locks, lists of contents", err=True)
    for chart in _CHARTS:
        _run("helm", "package", _CHECKOUT / "helm" / chart, "--destination", folder / "charts")
    shutil.copy(_CHECKOUT / "helm/slipway/profiles/air-gap.yaml", folder / "charts")
    _list_contents(folder)
    if wheels:
        click.echo("wheels", err=True)
        download = (sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes")
        _run(*download, "--only-binary=:all:", "-r", folder / "locks/requirements.lock",
             "--dest", folder / "wheels")  # fmt: skip
    carried = ", ".join(f"`{image.name}`" for image in images)
    text = _TELLS.format(version=version, made_at=made_at, images=carried)
    (folder / "README.md").write_text(text)
    bundled.write_list(folder, version=version, made_at=made_at, images=images)


def _list_contents(folder: Path) -> None:
    """Locks, and what they hold as CycloneDX documents."""
    (folder / "locks").mkdir()
    (folder / "sbom").mkdir()
    with tempfile.TemporaryDirectory() as place:
        # Of its own: it needs libraries that the platform does not.
        uv, python = Path(sys.executable).with_name("uv"), Path(place, "bin/python")
        _run(uv, "venv", "--quiet", "--allow-existing", place)
        _run(uv, "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r",
             _CHECKOUT / "requirements-sbom.lock")  # fmt: skip
        for lock in _LOCKS:
            shutil.copy(_CHECKOUT / lock, folder / "locks")
            _run(python, "-m", "cyclonedx_py", "requirements", _CHECKOUT / lock, "--output-file",
                 folder / "sbom" / f"{Path(lock).stem}.cdx.json")  # fmt: skip
    npm = ("npm", "sbom", "--sbom-format", "cyclonedx", "--package-lock-only", "--omit", "dev")
    told = _run(_CHECKOUT / "frontend/with-node", *npm)
    (folder / "sbom/console.cdx.json").write_text(told[told.index("{") :])


@bundle.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def verify(folder: Path) -> None:
    """Compare every file of the bundle in FOLDER with its list."""
    click.echo(_verified(folder))
    click.echo(f"SHA-256 of its list: {bundled.sha256(folder / bundled.LIST)}")


def _verified(folder: Path) -> str:
    listed = bundled.read_list(folder)
    found = list(bundled.faults(folder, listed))
    if found:
        more = f"\n  and {len(found) - 20} more" if len(found) > 20 else ""
        lines = "\n  ".join(found[:20])
        raise Problem(f"{folder} is not what was saved; take it anew:\n  {lines}{more}")
    return (
        f"whole: Slipway {listed.version}, {len(listed.files)} files, {len(listed.images)} images"
    )


@bundle.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("registry")
@click.option("--values", type=click.Path(dir_okay=False, path_type=Path), default=None,
              help="Where values are written [FOLDER/../slipway-images.yaml].")  # fmt: skip
@click.option("--plain-http", is_flag=True, help="The registry speaks HTTP.")
def push(folder: Path, registry: str, values: Path | None, *, plain_http: bool) -> None:
    """Verify the bundle in FOLDER and copy its images to REGISTRY.

    REGISTRY is a host and a path in it, such as registry.example.com/team.

    Writes values that name each image by digest, and others for the chart of dependencies if the
    bundle carries such. Sign in by `skopeo login` before.
    """
    _require("skopeo")
    click.echo(_verified(folder))
    if "://" in registry:
        raise Problem(f"name the registry without a scheme: {registry.partition('://')[2]}")
    registry = registry.rstrip("/")
    http = ["--dest-tls-verify=false"] if plain_http else []
    digests = {}
    for image in bundled.read_list(folder).images:
        to = f"{registry}/{image.name}"
        _run("skopeo", "copy", "--preserve-digests", *http,
             f"oci:{folder / bundled.IMAGES}:{image.name}", f"docker://{to}")  # fmt: skip
        click.echo(f"{to}@{image.digest}")
        digests[image.name.rpartition(":")[0]] = image.digest
    parts = {_OURS[name]: {"digest": digest} for name, digest in digests.items() if name in _OURS}
    told = {"image": {"registry": registry, **parts}}
    values = values or folder.absolute().parent / "slipway-images.yaml"
    values.write_text(yaml.safe_dump(told, sort_keys=False))
    click.echo(f"values for `helm install`: {values}")
    if others := _depended_on(folder, digests):
        file = values.with_name("slipway-deps-images.yaml")
        where = {"registry": registry, "requireDigests": True}
        file.write_text(yaml.safe_dump({"image": where, **others}, sort_keys=False))
        click.echo(f"values for the chart of dependencies: {file}")


def _depended_on(folder: Path, digests: dict[str, str]) -> dict[str, Any]:
    """What the chart of dependencies is told of the images that were carried for it."""
    told = {}
    for repository, part in bundled.depended_on(folder).items():
        for name, digest in digests.items():
            if name == repository or name.endswith(f"/{repository}"):
                told[part] = {"image": {"repository": name, "digest": digest}}
    return told


def _name_of(image: str) -> str:
    """The name an image keeps in a bundle: what follows its registry.

    Raises:
        Problem: it has no tag to be named by.
    """
    path = image.partition("://")[2] or image.partition(":")[2]
    first, _, rest = path.partition("/")
    name = (rest if "." in first or ":" in first or first == "localhost" else path).partition("@")[
        0
    ]
    if not name or ":" not in name:
        raise Problem(f"--also {image}: name it with transport and tag, as docker://host/name:tag.")
    return name


def _require(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            raise Problem(f"`{program}` is needed and not installed; {_NEEDED[program]}.")


def _run(*words: object) -> str:
    command = [str(word) for word in words]
    done = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
    if done.returncode:
        told = (done.stderr or done.stdout).strip()[-2000:]
        raise Problem(f"`{' '.join(command)}` failed:\n{told}")
    return done.stdout
