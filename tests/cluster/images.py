"""Images for a node that reaches no registry: built by buildah, kept in containerd's own store.

The store is in the cache folder, because putting gigabytes of libraries into it takes minutes.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import servers

from cluster import modules

ROOT = Path(__file__).parent.parent.parent
STORE = servers.CACHE / "containerd"
VERSION = "0.1.0"
REGISTRY = "localhost"
PAUSE = "localhost/pause:1"
_OURS = ("operator", "control-plane", "runtime")
#: What the chart of dependencies can install besides, but SeaweedFS, which is nowhere to be had.
_INSTALLED = ("postgres", "valkey", "mlflow")
_PACKAGES = {
    "buildah": "buildah",
    "containerd": "containerd",
    "runc": "runc",
    "debootstrap": "debootstrap",
    "iptables": "iptables",
    "ip": "iproute2",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
}
_CERTIFICATES = "/etc/ssl/certs"
_BASE = """FROM scratch
ADD base.tar /
CMD ["/bin/sh"]
"""


def name(repository: str) -> str:
    """An image as pods name it."""
    return f"{REGISTRY}/{repository}:{VERSION}"


@contextlib.contextmanager
def store() -> Iterator[int]:
    """The store for one cluster alone, for as long as the file of this number is open anywhere.

    Raises:
        servers.CannotHave: another cluster has it.
    """
    servers.CACHE.mkdir(parents=True, exist_ok=True)
    with (servers.CACHE / "containerd.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            told = "a cluster stands on this machine or is being tested; end it: make cluster-down"
            raise servers.CannotHave(told) from None
        yield lock.fileno()


def prepare() -> None:
    """Build what is missing or changed, and put it into containerd's store.

    Raises:
        servers.CannotHave: a program is missing, a build failed, no console was built.
    """
    for program, package in _PACKAGES.items():
        if shutil.which(program) is None:
            servers.install(package)
    if not (ROOT / "frontend/dist/index.html").exists():
        raise servers.CannotHave("the control plane's image needs the console: make console")
    with servers.only_one("images"):
        made = {PAUSE: _program("pause", modules.pause())}
        made[name("kuberay")] = _program("kuberay", modules.kuberay())
        made[name("kueue")] = _program("kueue", modules.kueue())
        made[name("coredns")] = _program("coredns", modules.coredns())
        base = _debian("base", "python3,python3-venv,ca-certificates")
        for target in _OURS:
            made[name(f"slipway/{target}")] = _built(
                ROOT, name(f"slipway/{target}"), "--target", target, "--build-arg", f"BASE={base}"
            )
        debian = _debian("servers", "postgresql,redis-server")
        bases = ["--build-arg", f"BASE={base}", "--build-arg", f"DEBIAN={debian}"]
        for target in _INSTALLED:
            context = Path(__file__).parent / "installed"
            made[name(target)] = _built(context, name(target), "--target", target, *bases)
        _keep(made)


def socket(folder: Path) -> Path:
    return folder / "containerd.sock"


def containerd(folder: Path, networks: Path | None) -> servers.Server:
    """containerd over the store; without networks it only keeps images and runs no pods."""
    cri = f"""
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{networks}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
"""
    configuration = f"""version = 2
root = "{STORE}"
state = "{folder / "state"}"
disabled_plugins = [{'"io.containerd.grpc.v1.cri"' if networks is None else ""}]
[grpc]
  address = "{socket(folder)}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder / "opt"}"
{cri if networks else ""}"""
    (folder / "containerd.toml").write_text(configuration)
    command = ["containerd", "--config", folder / "containerd.toml"]

    def answers() -> bool:
        return _ctr(folder, "version", check=False).returncode == 0

    return servers.started(command, folder, 0, answers, str)


def _keep(made: dict[str, str]) -> None:
    """Into the store with every image whose content is not there yet; out with old containers."""
    STORE.mkdir(parents=True, exist_ok=True)
    marks = STORE / "images.json"
    known = json.loads(marks.read_text()) if marks.exists() else {}
    with _own_containerd() as folder:
        for container in _ctr(folder, "containers", "list", "-q").stdout.split():
            _ctr(folder, "containers", "delete", container, check=False)
        missing = {image: digest for image, digest in made.items() if known.get(image) != digest}
        if missing:
            layout = folder / "layout"
            # Layers that images share are written once.
            for image in missing:
                _run("buildah", "push", "--disable-compression", image, f"oci:{layout}:{image}")
            archive = subprocess.Popen(
                ["tar", "-C", layout, "-cf", "-", "."], stdout=subprocess.PIPE
            )
            _ctr(folder, "images", "import", "-", stdin=archive.stdout)
            if archive.wait():
                raise servers.CannotHave("tar of the images failed")
            marks.write_text(json.dumps(known | missing))


@contextlib.contextmanager
def _own_containerd() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="slipway-images-", dir=servers.CACHE))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    server = containerd(folder, None)
    try:
        yield folder
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _ctr(
    folder: Path, *words: str, check: bool = True, stdin: Any = None
) -> subprocess.CompletedProcess[str]:
    command = ["ctr", "--address", str(socket(folder)), "--namespace", "k8s.io", *words]
    done = subprocess.run(command, capture_output=True, text=True, stdin=stdin)
    if check and done.returncode:
        raise servers.CannotHave(f"{' '.join(command)}: {done.stderr[-2000:]}")
    return done


def _debian(called: str, packages: str) -> str:
    """Debian with these packages, as an image."""
    image, archive = f"localhost/{called}:1", servers.CACHE / f"debian-{called}.tar"
    if not archive.exists():
        with tempfile.TemporaryDirectory() as root:
            _run("debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", root)
            new = archive.with_suffix(".new")
            left = [f"--exclude=./{path}" for path in ("var/cache/apt/archives/*.deb", "dev/*")]
            _run("tar", "-C", root, *left, "-cf", new, ".")
            new.replace(archive)
    with tempfile.TemporaryDirectory() as context:
        os.link(archive, Path(context, "base.tar"))
        Path(context, "Dockerfile").write_text(_BASE)
        _built(Path(context), image)
    return image


def _program(repository: str, program: Path) -> str:
    """An image of one static program, as `/manager`; its digest."""
    image = PAUSE if repository == "pause" else name(repository)
    with tempfile.TemporaryDirectory() as context:
        shutil.copy(program, Path(context, "manager"))
        lines = ["FROM scratch", "COPY manager /manager", "USER 65532:65532"]
        lines += ['ENTRYPOINT ["/manager"]']
        Path(context, "Dockerfile").write_text("\n".join(lines))
        return _built(Path(context), image)


def _built(context: Path, image: str, *options: str) -> str:
    """Build an image; the digest of its content."""
    _run(
        "buildah", "build", "--layers", "--isolation", "chroot", "--network", "host",
        "--volume", f"{_CERTIFICATES}:{_CERTIFICATES}:ro",
        "--volume", f"{_pip()}:/etc/pip.conf:ro",
        *options, "--tag", image, context,
    )  # fmt: skip
    return _run("buildah", "inspect", "--type", "image", "--format", "{{.FromImageID}}", image)


def _pip() -> Path:
    """How pip reaches packages from here, for the time of a build; no part of an image."""
    lines = ["[global]", f"cert = {_CERTIFICATES}/ca-certificates.crt", "timeout = 180"]
    if index := os.environ.get("PIP_INDEX_URL"):
        lines.append(f"index-url = {index}")
    file = servers.CACHE / "pip.conf"
    file.write_text("\n".join(lines))
    return file


def _run(*words: object) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, errors="replace")
    if done.returncode:
        told = f"{done.stdout[-1500:]}\n{done.stderr[-1500:]}"
        raise servers.CannotHave(f"{' '.join(map(str, words))} failed:\n{told}")
    return str(done.stdout.strip())
