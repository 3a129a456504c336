"""A lease ends: everything is exported and wiped, and a proof says so that nobody can change."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import servers
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from test_objects import call

from slipway.backends.objects import BadUpload
from slipway.backends.objects.s3 import S3
from slipway.cli.root import root
from slipway.leaving.rules import proof

CANARY = "canary-of-acme"
VENDOR = Ed25519PrivateKey.generate()
PUBLIC = VENDOR.public_key().public_bytes_raw()

#: An installation with a licence, two organisations, a row, an object and a secret.
FILL = f"""
import django; django.setup()
from datetime import datetime, timedelta, UTC
from django.core.management import call_command
call_command("migrate", verbosity=0)
from slipway import backends
from slipway.audit import services as audit
from slipway.datasets.models import Dataset
from slipway.editions.models import Installed
from slipway.editions.rules import licence
from slipway.tenancy.services import open_project, ensure_member
now = datetime.now(UTC)
terms = licence.Terms(id="L1", customer="ACME", edition="private", form="lease", seats=0, gpus=0,
    nodes=0, features=(), starts_at=now, ends_at=now + timedelta(days=9), hardware={{}})
key = bytes.fromhex("{VENDOR.private_bytes_raw().hex()}")
Installed.objects.create(file=licence.sign(terms, key).decode())
for name in ("acme", "other"):
    project = open_project(organisation=name, name="default")
    ensure_member(user_name="ada", password="correct horse", project_id=project.pk, role="owner")
    Dataset.objects.create(project_id=project.pk, name="{CANARY}")
    backends.objects().put(f"datasets/{{project.pk}}/rows", b"{CANARY}" * 1000)
audit.public_key()
"""
#: An upload that nobody goes on with: its key and the store's name for it.
UPLOAD = """
import django; django.setup()
from slipway.registry.services import uploads
from slipway.tenancy.models import Project
made = uploads.begin(project_id=Project.objects.first().pk, filename="m.tar", size_bytes=99)
print(made.key, made.store_id)
"""
#: The command, killed where `BREAK` says.
GO = """
import os, sys
from slipway.cli.root import root
where = os.environ.get("BREAK", "")
import django; django.setup()
from slipway.leaving.services import returning
real = returning.Return._once
def once(self, name, do):
    if where == f"before {name}":
        os._exit(9)
    real(self, name, do)
    if where == f"after {name}":
        os._exit(9)
returning.Return._once = once
if where == "amid wiped":
    returning.call_command = lambda *a, **k: os._exit(9)
if where == "amid files":
    returning.shutil.rmtree = lambda *a, **k: os._exit(9)
root(["licence", "return", sys.argv[1], "--customer", sys.argv[2]])
"""


class Installation:
    def __init__(self, where: Path, **settings: str) -> None:
        self.home, self.out = where / "home", where / "out"
        self.home.mkdir()
        self.env = os.environ | {
            "SLIPWAY_HOME": str(self.home),
            "SLIPWAY_EDITION": "private",
            "SLIPWAY_LICENCE_PUBLIC_KEY": PUBLIC.hex(),
            "DJANGO_SETTINGS_MODULE": "slipway.settings",
            **settings,
        }
        assert self.run(FILL).returncode == 0

    def run(self, script: str, *words: str, stop_at: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", script, *words], env=self.env | {"BREAK": stop_at},
            capture_output=True, text=True,
        )  # fmt: skip

    def go(self, customer: str = "ACME", stop_at: str = "") -> subprocess.CompletedProcess[str]:
        return self.run(GO, str(self.out), customer, stop_at=stop_at)

    def bytes_left(self) -> bytes:
        return b"".join(path.read_bytes() for path in self.home.rglob("*") if path.is_file())


@pytest.fixture
def place(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


def check(file: Path, *words: str) -> tuple[int, str]:
    said = CliRunner().invoke(root, ["licence", "check-return", str(file), PUBLIC.hex(), *words])
    return said.exit_code, said.output + str(said.exception or "")


def test_everything_is_exported_wiped_and_proved(place: Installation, tmp_path: Path) -> None:
    assert CANARY.encode() in place.bytes_left()
    wrong = place.go(customer="EMCA")
    assert (wrong.returncode != 0, "nothing was wiped" in wrong.stderr) == (True, True)
    assert CANARY.encode() in place.bytes_left()
    done = place.go()
    assert done.returncode == 0, done.stderr
    assert CANARY.encode() not in place.bytes_left()
    assert not (place.home / "slipway.sqlite3").exists()
    assert not (place.home / "audit-key").exists()
    for name in ("acme", "other"):
        verified = CliRunner().invoke(
            root, ["organisation", "verify", str(place.out / f"{name}.tar")]
        )
        assert verified.exit_code == 0, verified.output
        assert CANARY.encode() in (place.out / f"{name}.tar").read_bytes()
    file = place.out / "return-proof"
    code, said = check(file)
    assert (code, "ACME" in said, "L1" in said) == (0, True, True), said
    read = proof.read(file.read_bytes(), vendor_key=PUBLIC)
    assert read.fields["rows"]["datasets.Dataset"] == 2
    assert read.fields["rows"]["tenancy.Organisation"] == 2
    assert read.fields["objects"] == {"count": 2, "bytes": 2 * 1000 * len(CANARY)}
    assert len(read.fields["archives"]) == 2
    assert check(file, "--installation-key", read.fields["public_key"])[0] == 0
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex()
    assert check(file, "--installation-key", other)[0] != 0
    written = file.read_bytes()
    assert place.go().returncode == 0
    assert file.read_bytes() == written, "asked again when all is done, it changes nothing"


def test_objects_on_an_s3_server_are_exported_and_wiped(tmp_path: Path) -> None:
    url = servers.minio().fresh()
    place, store = Installation(tmp_path, SLIPWAY_OBJECTS_URL=url), S3(url)
    # Parts of what nobody finished are no objects: no listing shows them.
    key, upload = place.run(UPLOAD).stdout.split()
    sent, *_ = call("PUT", store.sign_part(key, upload, 1, seconds=60), CANARY.encode())
    assert (sent, len(store.parts(key, upload))) == (200, 1)
    assert len(list(store.list(""))) == 2
    assert place.go(stop_at="amid wiped").returncode == 9
    done = place.go()
    assert done.returncode == 0, done.stderr
    assert not list(store.list(""))
    with pytest.raises(BadUpload):
        store.parts(key, upload)
    for name in ("acme", "other"):
        archive = place.out / f"{name}.tar"
        assert CliRunner().invoke(root, ["organisation", "verify", str(archive)]).exit_code == 0
        assert CANARY.encode() * 1000 in archive.read_bytes()
    read = proof.read((place.out / "return-proof").read_bytes(), vendor_key=PUBLIC)
    assert read.fields["objects"] == {"count": 2, "bytes": 2 * 1000 * len(CANARY)}


def test_every_changed_bit_of_a_proof_is_refused(place: Installation) -> None:
    assert place.go().returncode == 0
    whole = (place.out / "return-proof").read_bytes()
    assert proof.read(whole, vendor_key=PUBLIC)
    for at in range(len(whole)):
        for bit in range(8):
            changed = bytearray(whole)
            changed[at] ^= 1 << bit
            with pytest.raises(proof.BadProof):
                proof.read(bytes(changed), vendor_key=PUBLIC)
    for broken in (b"", whole[:-1], whole + b"\n", whole.replace(b"slipway-return", b"slipway-l")):
        with pytest.raises(proof.BadProof):
            proof.read(broken, vendor_key=PUBLIC)
    with pytest.raises(proof.BadProof):
        proof.read(whole, vendor_key=Ed25519PrivateKey.generate().public_key().public_bytes_raw())


@pytest.mark.parametrize(
    "where",
    ["before archives", "after archives", "before wiped", "amid wiped", "amid files",
     "after wiped", "before proof", "after proof"],
)  # fmt: skip
def test_broken_off_anywhere_it_goes_on(place: Installation, where: str) -> None:
    assert place.go(stop_at=where).returncode == 9
    if where in {"before archives", "after archives", "before wiped"}:
        assert CANARY.encode() in place.bytes_left()
    done = place.go()
    assert done.returncode == 0, done.stderr
    assert CANARY.encode() not in place.bytes_left()
    read = proof.read((place.out / "return-proof").read_bytes(), vendor_key=PUBLIC)
    assert read.fields["rows"]["datasets.Dataset"] == 2
    assert read.fields["objects"]["count"] == 2


def test_nothing_is_wiped_whose_copy_was_changed(place: Installation) -> None:
    assert place.go(stop_at="after found").returncode == 9
    with (place.out / "acme.tar").open("r+b") as out:
        out.seek(600)
        out.write(b"x")
    refused = place.go()
    assert refused.returncode != 0
    assert "nothing was wiped" in refused.stderr
    assert CANARY.encode() in place.bytes_left()


def test_it_is_refused_while_the_platform_runs(place: Installation) -> None:
    hold = """
from slipway.cli import home; import time
lock = home.claim()
home.write_running(home.Running(pid=1, port=1, url="", started_at=0))
print("held", flush=True); time.sleep(60)
"""
    holder = subprocess.Popen([sys.executable, "-c", hold], env=place.env, stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline()
        refused = place.go()
        assert refused.returncode != 0
        assert "slipway down" in refused.stderr
        assert not place.out.exists()
    finally:
        holder.kill()
        holder.communicate()


def test_it_is_not_written_into_what_is_wiped(place: Installation) -> None:
    place.out = place.home / "out"
    refused = place.go()
    assert refused.returncode != 0
    assert "which is wiped" in refused.stderr


def test_the_state_says_what_was_done(place: Installation) -> None:
    assert place.go().returncode == 0
    state = json.loads((place.out / "return.json").read_text())
    assert list(state) == ["facts", "archives", "found", "wiped", "proof"]
