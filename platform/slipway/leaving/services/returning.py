"""Give an installation back: everything exported, everything wiped, and a signed proof of both.

The steps are written down in `return.json` as they are done, so that a return that was broken off
goes on where it was. What is there is counted once, before anything is removed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.models import Model

from slipway import backends
from slipway.audit import services as audit
from slipway.core.errors import Conflict
from slipway.editions import services as editions
from slipway.editions.rules import hardware, licence
from slipway.leaving.models import Takeout
from slipway.leaving.rules import proof
from slipway.leaving.services import removing
from slipway.leaving.services.takeouts import Writer
from slipway.tenancy.services import whole as tenancy

#: What of the home stays until the proof is written: it signs it, and says that nobody else runs.
_LAST = frozenset({"run"})
PROOF = "return-proof"
Tell = Callable[[str], None]


class Return:
    """One return into one directory, which is not below the installation's home."""

    def __init__(self, directory: Path, tell: Tell, *, customer: str) -> None:
        """Conflict where `customer` is not the licence's, or the directory would be wiped too."""
        self.directory, self.tell, self.customer = directory.resolve(), tell, customer
        if self.directory.is_relative_to(settings.HOME.resolve()):
            raise Conflict(f"{directory} is below {settings.HOME}, which is wiped; name another.")
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = self.directory / "return.json"
        self.state: dict[str, Any] = json.loads(
            self._file.read_text() if self._file.exists() else "{}"
        )

    def carry_out(self) -> Path:
        """All of it, or what is left of it; returns the proof's path."""
        self._once("facts", self._facts)
        self._once("archives", self._export)
        self._once("found", self._count)
        self._once("wiped", self._wipe)
        self._once("proof", self._prove)
        settings.AUDIT_KEY.unlink(missing_ok=True)
        return self.directory / PROOF

    def _once(self, name: str, do: Callable[[], Any]) -> None:
        if name in self.state:
            return
        self.state[name] = do()
        _write(self._file, json.dumps(self.state, indent=1).encode())

    def _facts(self) -> dict[str, Any]:
        file = editions.installed()
        terms = licence.read(file.encode(), settings.LICENCE_PUBLIC_KEY)
        if self.customer != terms.customer:
            raise Conflict(f"The licence is of {terms.customer!r}; nothing was wiped.")
        return {
            "licence": file,
            "machine": hardware.parts(),
            "begun_at": _now(),
            "public_key": audit.public_key().hex(),
        }

    def _export(self) -> list[dict[str, Any]]:
        return [self._archive(*each) for each in tenancy.everyone()]

    def _archive(self, organisation_id: Any, name: str) -> dict[str, Any]:
        path = self.directory / f"{name}.tar"
        writer = Writer(
            Takeout(organisation_id=organisation_id, made_by="licence return"), told=lambda _: None
        )
        with path.with_suffix(".part").open("wb") as out:
            for piece in writer.chunks():
                out.write(piece)
            out.flush()
            os.fsync(out.fileno())
        path.with_suffix(".part").replace(path)
        self.tell(f"exported {name}: {writer.tar.count:,} bytes")
        return {
            "organisation_id": str(organisation_id),
            "file": path.name,
            "size_bytes": writer.tar.count,
            "sha256": writer.tar.sha256.hexdigest(),
        }

    def _count(self) -> dict[str, Any]:
        objects = [found.size_bytes for found in backends.objects().list("")]
        files = [path.stat().st_size for path in _files()]
        return {
            "rows": {model._meta.label: model._default_manager.count() for model in _tables()},
            "objects": {"count": len(objects), "bytes": sum(objects)},
            "files": {"count": len(files), "bytes": sum(files)},
        }

    def _wipe(self) -> bool:
        self._check_archives()
        self.tell("wiping")
        store, now = backends.objects(), datetime.now(UTC)
        if _is_there():
            _empty()
        for found in list(store.list("")):
            store.delete(found.key)
        store.tidy(before=now)
        for path in sorted(settings.HOME.iterdir()):
            if path.name in _LAST or path == settings.AUDIT_KEY:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        settings.SEAL_KEY.unlink(missing_ok=True)
        return True

    def _check_archives(self) -> None:
        """Nothing is wiped whose copy is not what was written."""
        for each in self.state["archives"]:
            path = self.directory / each["file"]
            with path.open("rb") as stream:
                if hashlib.file_digest(stream, "sha256").hexdigest() != each["sha256"]:
                    raise Conflict(f"{path} is not what was written; nothing was wiped.")

    def _prove(self) -> str:
        fields = {
            **self.state["facts"],
            "archives": self.state["archives"],
            **self.state["found"],
            "ended_at": _now(),
        }
        private = bytes.fromhex(settings.AUDIT_KEY.read_text().strip())
        _write(self.directory / PROOF, proof.sign(fields, private))
        return PROOF


def _tables() -> Iterator[type[Model]]:
    """Tables whose rows somebody made; the others come with the program."""
    for model in apps.get_models():
        if model._meta.app_label not in {"auth", "contenttypes"}:
            yield model


def _is_there() -> bool:
    """Whether the database was not wiped before, with its file."""
    return connection.vendor != "sqlite" or Path(connection.settings_dict["NAME"]).exists()


def _files() -> Iterator[Path]:
    for path in settings.HOME.rglob("*"):
        if path.is_file() and path.relative_to(settings.HOME).parts[0] not in _LAST:
            yield path


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all, and on the disk before anything is done that stands on it."""
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(path)


def _empty() -> None:
    """No row is left, nor what only rows know of: the tracker's runs and uploads never finished."""
    for organisation_id, _ in tenancy.everyone():
        for project_id in tenancy.project_ids(organisation_id=organisation_id):
            backends.tracking().forget(space=str(project_id))
    for label in removing.UPLOADS:
        removing.abort_uploads(label, apps.get_model(label)._default_manager.iterator())
    call_command("flush", interactive=False, verbosity=0)
    left = [model._meta.label for model in _tables() if model._default_manager.exists()]
    if left:
        raise Conflict(f"{', '.join(left)} could not be emptied; see the database's log.")
    if connection.vendor == "sqlite":
        # Rows that were removed are still in the file until it is written anew.
        with connection.cursor() as cursor:
            cursor.execute("VACUUM")
    connection.close()
