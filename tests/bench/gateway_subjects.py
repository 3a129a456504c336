"""What the gateway's benchmark compares: nginx, the gateway, LiteLLM and Portkey, as processes."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
TICKS = os.sysconf("SC_CLK_TCK")
NGINX = """user {user}; daemon off; worker_processes 1;
pid {folder}/nginx.pid; error_log stderr error;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream engine {{ server unix:{path}; keepalive 512; }}
  server {{
    listen 127.0.0.1:{port}; keepalive_requests 100000000;
    location / {{
      proxy_pass http://engine; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""
LITELLM = """model_list:
  - model_name: m
    litellm_params: {{model: openai/m, api_base: "http://127.0.0.1:{upstream}/v1", api_key: x}}
litellm_settings: {{telemetry: false}}
general_settings: {{master_key: sk-slip-one}}
"""


@dataclass
class Subject:
    """A server that is measured: its process and those it began."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    #: Head lines that it wants from a client.
    extra: tuple[str, ...] = ()
    started_in: float = 0.0

    def cpu_seconds(self) -> float:
        return sum(_cpu(pid) for pid in family(self.process.pid))

    def memory_mb(self) -> float:
        pids = family(self.process.pid)
        texts = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids]
        return sum(int(text.split("Pss:")[1].split()[0]) for text in texts) / 1000

    def settle(self) -> None:
        """Wait until all its processes have started, which is when they rest."""
        before = -1.0
        while (now := self.cpu_seconds()) - before > 0.05:
            before = now
            time.sleep(1)

    def end(self) -> None:
        for pid in reversed(family(self.process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 15)
        self.process.wait(30)


def family(pid: int) -> list[int]:
    """A process and its descendants."""
    found = [pid]
    for one in found:
        children = Path(f"/proc/{one}/task/{one}/children").read_text()
        found += [int(child) for child in children.split()]
    return found


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def begin(
    name: str,
    command: Sequence[str],
    port: int,
    *,
    core: int | None,
    seconds: float = 30,
    **env: str,
) -> Subject:
    """Start a server, on one core if that is given, and wait until it listens."""
    pinned = ["taskset", "-c", str(core), *command] if core is not None else list(command)
    log = subprocess.DEVNULL if name != "the gateway" else None
    began = time.monotonic()
    process = subprocess.Popen(pinned, env=os.environ | env, stdout=log, stderr=log)
    while time.monotonic() - began < seconds:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if process.poll() is not None:
                raise SystemExit(f"{name} ended with {process.returncode}: {command}") from None
            time.sleep(0.02)
        else:
            return Subject(name, process, port, started_in=time.monotonic() - began)
    raise SystemExit(f"{name} did not come up in {seconds} s")


def nginx(folder: Path, path: str, *, core: int | None) -> Subject:
    binary = os.environ.get("NGINX") or shutil.which("nginx") or "/usr/sbin/nginx"
    if not Path(binary).exists():
        raise SystemExit(
            "nginx is what is compared with: apt-get install nginx, or `apt-get download nginx`, "
            "`dpkg -x nginx_*.deb DIR` and NGINX=DIR/usr/sbin/nginx"
        )
    port = free_port()
    file = folder / "nginx.conf"
    file.write_text(NGINX.format(user=getpass.getuser(), folder=folder, path=path, port=port))
    command = [binary, "-p", str(folder), "-c", str(file), "-e", "stderr"]
    return begin("nginx", command, port, core=core)


def gateway(
    folder: Path, path: str, *, core: int | None, workers: int = 1, keys: int = 1, models: int = 1,
    **more: str,
) -> Subject:  # fmt: skip
    port = free_port()
    paths = os.pathsep.join([str(HERE.parent), str(HERE.parent.parent / "platform")])
    command = [
        *(sys.executable, "-m", "uvicorn", "gateway_process:app", "--port", str(port)),
        *("--http", "gateway_process:Protocol", "--interface", "asgi3", "--loop", "uvloop"),
        *("--ws", "none", "--no-access-log", "--no-proxy-headers", "--log-level", "error"),
        *("--timeout-keep-alive", "75", "--workers", str(workers)),
    ]
    env = {"PYTHONPATH": paths, "ENGINE": f"unix:{path}", "SPOOL": str(folder / f"spool{port}")}
    env |= {"KEYS": str(keys), "MODELS": str(models)} | more
    return begin("the gateway", command, port, core=core, **env)


def litellm(folder: Path, binary: str, upstream: int, *, core: int | None) -> Subject:
    port = free_port()
    file = folder / "litellm.yaml"
    file.write_text(LITELLM.format(upstream=upstream))
    command = [binary, "--config", str(file), "--port", str(port), "--num_workers", "1"]
    return begin("LiteLLM", command, port, core=core, seconds=300)


def portkey(folder: Path, modules: str, upstream: int, *, core: int | None) -> Subject:
    port = free_port()
    script = f"{modules}/@portkey-ai/gateway/build/start-server.js"
    subject = begin(
        "Portkey", ["node", script, f"--port={port}", "--headless"], port, core=core,
        NODE_ENV="production",
    )  # fmt: skip
    subject.extra = (
        "x-portkey-provider: openai",
        f"x-portkey-custom-host: http://127.0.0.1:{upstream}/v1",
    )
    return subject


def versions(litellm_binary: str | None, modules: str | None) -> str:
    told = [f"Python {sys.version.split()[0]}"]
    if litellm_binary:
        python = Path(litellm_binary).parent / "python"
        code = "import importlib.metadata as m; print(m.version('litellm'))"
        told.append(f"LiteLLM {subprocess.check_output([python, '-c', code]).decode().strip()}")
    if modules:
        package = json.loads(Path(f"{modules}/@portkey-ai/gateway/package.json").read_text())
        told.append(f"Portkey {package['version']}")
    return ", ".join(told)
