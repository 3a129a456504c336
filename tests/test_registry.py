"""Models come in by an allow-list, are kept with hashes and lineage, and can be taken away."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import tarfile
import time
import uuid
import zipfile
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiny_models
from django.utils import timezone
from safetensors.numpy import load, load_file, save_file

from slipway import backends
from slipway.backends.objects import StorageFull
from slipway.backends.tracking import TrackingUnavailable
from slipway.core import reconcile as loop
from slipway.core.errors import Conflict, Invalid, NotFound
from slipway.core.lifecycle import subject_of
from slipway.core.models import Event
from slipway.registry import reconcile, services
from slipway.registry.models import Hold, Mirror, Model, ModelVersion, Upload
from slipway.registry.services import exports, lora, sources, uploads, weights

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("world")]


def run() -> None:
    """Let the worker look until nothing moves."""
    for _ in range(10):
        for model, step in reconcile.WATCHED:
            model.objects.exclude(look_at=None).update(look_at=timezone.now())
            loop.run_due(model, step, now=timezone.now())


def take(owner: Any, path: Path, name: str = "tiny", base: str = "") -> ModelVersion:
    fact = services.import_directory(
        project_id=owner.project_id, name=name, path=str(path), base=base
    )
    run()
    return ModelVersion.objects.get(pk=fact.id)


def stored(version: ModelVersion) -> list[str]:
    return [each.key for each in backends.objects().list(f"{version.prefix}/")]


@pytest.fixture
def ready(owner: Any, tmp_path: Path) -> ModelVersion:
    version = take(owner, tiny_models.full(tmp_path / "ready"))
    assert version.phase == "ready", version.reason
    return version


# What comes in


def test_a_directory_becomes_a_ready_version_with_what_its_files_say(
    owner: Any, tmp_path: Path
) -> None:
    folder = tiny_models.full(tmp_path / "m")
    (folder / ".gitattributes").write_text("* text")
    (folder / "logo.png").write_bytes(b"\x89PNG")
    version = take(owner, folder)
    assert (version.phase, version.reason) == ("ready", "")
    said = {
        "architecture": "LlamaForCausalLM",
        "dtype": "F32",
        "licence": "apache-2.0",
        "context_length": 128,
        "vocabulary_size": 320,
        "hidden_size": 16,
        "layers": 2,
    }
    assert {name: getattr(version, name) for name in said} == said
    tensors = load_file(folder / "model.safetensors")
    assert version.parameters == sum(tensor.size for tensor in tensors.values())
    assert version.capabilities == ["completions", "chat", "system"]
    assert version.template_sha256 == hashlib.sha256(tiny_models.TEMPLATE.encode()).hexdigest()
    for path, file in version.files.items():
        data = (folder / path).read_bytes()
        assert file == {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        assert backends.objects().read(f"{version.prefix}/{path}") == data
    assert "logo.png" not in version.files
    assert ".gitattributes" in version.notices[0]
    fact = services.resolve(project_id=owner.project_id, reference="tiny")
    assert (fact.id, fact.reference, fact.uri) == (
        version.pk, "tiny@1", backends.objects().uri(version.prefix),
    )  # fmt: skip


def _pickle(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"w": 1}))


def _renamed_pickle(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(pickle.dumps({"w": list(range(1000))}))


def _pickle_as_text(folder: Path) -> None:
    (folder / "NOTICE.txt").write_bytes(pickle.dumps({"w": 1}))


def _torch_zip_as_json(folder: Path) -> None:
    with zipfile.ZipFile(folder / "generation_config.json", "w") as file:
        file.writestr("data.pkl", b"\x80\x02.")


def _code(folder: Path) -> None:
    (folder / "modeling_evil.py").write_text("import os")


def _auto_map(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["nested"] = [{"auto_map": {"AutoModel": "evil.Model"}}]
    (folder / "config.json").write_text(json.dumps(config))


def _auto_map_of_tokenizer(folder: Path) -> None:
    (folder / "tokenizer_config.json").write_text('{"auto_map": {"AutoTokenizer": ["e.T", null]}}')


def _symlink(folder: Path) -> None:
    (folder / "NOTICE.txt").symlink_to("/etc/passwd")


def _linked_folder(folder: Path) -> None:
    (folder / "additional_chat_templates").symlink_to("/etc")


def _fifo(folder: Path) -> None:
    os.mkfifo(folder / "NOTICE.txt")


def _nested(folder: Path) -> None:
    (folder / "onnx").mkdir()
    (folder / "onnx" / "config.json").write_text("{}")


def _no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def _broken_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text('{"version": "1.0", "model": {"type": "Nonsense"}}')


def _other_tokenizer(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    tensors = load_file(folder / "model.safetensors")
    tensors["model.embed_tokens.weight"] = tensors["model.embed_tokens.weight"][:100].copy()
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 100}))


def _failing_template(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("ok\n{{ messages[0].nothing.at_all }}")


def _bad_syntax(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("line\nline\n{% for %}")


def _escaping_template(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{{ ''.__class__.__mro__[1].__subclasses__() }}")


def _forgetful_template(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{{ messages[-1].content }}")


def _swollen_template(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{{ 'x' * 99999999999 }}")


def _deep_json(folder: Path) -> None:
    (folder / "generation_config.json").write_text("[" * 1_000_000 + "]" * 1_000_000)


def _quite_deep_json(folder: Path) -> None:
    (folder / "generation_config.json").write_text("[" * 80 + "]" * 80)


def _not_utf8(folder: Path) -> None:
    (folder / "config.json").write_bytes(b'{"architectures": ["\xff\xfe"]}')


def _no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def _missing_shard(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    index = {"weight_map": {"a": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def _cut_weights(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[:-10])


def _gguf(folder: Path) -> None:
    (folder / "model.gguf").write_bytes(b"GGUF")


def _no_architecture(folder: Path) -> None:
    (folder / "config.json").write_text("{}")


def _unlisted(folder: Path) -> None:
    (folder / "setup.cfg").write_text("[x]")


@pytest.mark.parametrize(
    ("spoil", "file", "rule"),
    [
        (_pickle, "pytorch_model.bin", "may run code"),
        (_renamed_pickle, "model.safetensors", "pickle"),
        (_pickle_as_text, "NOTICE.txt", "pickle"),
        (_torch_zip_as_json, "generation_config.json", "zip archive"),
        (_code, "modeling_evil.py", "code"),
        (_auto_map, "config.json", "auto_map names code"),
        (_auto_map_of_tokenizer, "tokenizer_config.json", "auto_map names code"),
        (_symlink, "NOTICE.txt", "symbolic link"),
        (_linked_folder, "additional_chat_templates", "symbolic link"),
        (_fifo, "NOTICE.txt", "not a plain file"),
        (_nested, "onnx/config.json", "flat folder"),
        (_no_tokenizer, "tokenizer.json", "no tokenizer"),
        (_broken_tokenizer, "tokenizer.json", "cannot be used"),
        (_other_tokenizer, "tokenizer.json", "tokens, but model.embed_tokens.weight only 100"),
        (_failing_template, "chat_template.jinja", "in line 2"),
        (_bad_syntax, "chat_template.jinja", "in line 3"),
        (_escaping_template, "chat_template.jinja", "SecurityError"),
        (_forgetful_template, "chat_template.jinja", "drops a user message"),
        (_swollen_template, "chat_template.jinja", "fails in line 1"),
        (_deep_json, "generation_config.json", "nested deeper"),
        (_quite_deep_json, "generation_config.json", "nested deeper"),
        (_not_utf8, "config.json", "not UTF-8 at byte 20"),
        (_no_weights, "model.safetensors", "no weights"),
        (_missing_shard, "model-00002-of-00002.safetensors", "not there"),
        (_cut_weights, "model.safetensors", "the file at"),
        (_gguf, "model.gguf", "cannot be checked"),
        (_no_architecture, "config.json", "architectures"),
        (_unlisted, "setup.cfg", "not among the files"),
    ],
)
def test_what_may_not_come_in_is_refused_with_file_rule_and_fix_and_leaves_nothing(
    owner: Any, tmp_path: Path, spoil: Any, file: str, rule: str
) -> None:
    folder = tiny_models.full(tmp_path / "m")
    spoil(folder)
    version = take(owner, folder)
    assert version.phase == "refused", version.reason
    fault = version.faults[0]
    assert (fault["field"], rule in fault["rule"]) == (file, True), fault
    assert fault["fix"]
    assert file in version.reason
    assert stored(version) == []
    with pytest.raises(Conflict, match="refused, not ready"):
        services.ready_version(project_id=owner.project_id, version_id=version.pk)


def test_a_template_that_never_ends_is_stopped(
    owner: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_models.full(tmp_path / "m")
    loops = "".join(f"{{% for a{n} in range(99999) %}}" for n in range(4)) + "{% endfor %}" * 4
    (folder / "chat_template.jinja").write_text(loops)
    source = Path(exports.reading.probe.__file__).read_text()
    quick = tmp_path / "quick.py"
    quick.write_text(source.replace("CPU_SECONDS = 20", "CPU_SECONDS = 2"))
    monkeypatch.setattr(exports.reading.probe, "__file__", str(quick))
    version = take(owner, folder)
    assert version.phase == "refused"
    assert "took more than" in version.reason


def test_every_fault_of_names_is_told_at_once(owner: Any, tmp_path: Path) -> None:
    folder = tiny_models.full(tmp_path / "m")
    _pickle(folder)
    _code(folder)
    version = take(owner, folder)
    assert {fault["field"] for fault in version.faults} == {"pytorch_model.bin", "modeling_evil.py"}
    assert "(and 1 more)" in version.reason


def test_a_model_without_chat_template_comes_in_with_a_notice(owner: Any, tmp_path: Path) -> None:
    folder = tiny_models.full(tmp_path / "m")
    (folder / "chat_template.jinja").unlink()
    version = take(owner, folder)
    assert (version.phase, version.capabilities) == ("ready", ["completions"])
    assert "no chat template" in version.notices[0]


def test_a_sentence_encoder_comes_in_as_what_it_is(owner: Any, tmp_path: Path) -> None:
    import engine_models

    folder = engine_models.encoder(tmp_path / "encoder")
    version = take(owner, folder)
    assert (version.phase, version.reason, version.notices) == ("ready", "", [])
    assert version.capabilities == ["embedding"]
    assert version.context_length == 40
    assert f"{version.prefix}/1_Pooling/config.json" in stored(version)

    (folder / "modules.json").unlink()
    refused = take(owner, folder, name="unknown-pooling")
    assert refused.phase == "refused"
    assert refused.faults[0]["field"] == "modules.json"


def test_shards_with_an_index_are_one_model(owner: Any, tmp_path: Path) -> None:
    folder = tiny_models.full(tmp_path / "m")
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    weight_map = {}
    for number, part in enumerate((names[:5], names[5:]), start=1):
        shard = f"model-0000{number}-of-00002.safetensors"
        save_file({name: tensors[name] for name in part}, folder / shard)
        weight_map |= dict.fromkeys(part, shard)
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    version = take(owner, folder)
    assert version.phase == "ready", version.reason
    assert version.parameters == sum(tensor.size for tensor in tensors.values())


@pytest.mark.parametrize("path", ["/etc", "relative", "/proc/self/root/etc", "/no/such\0place"])
def test_a_path_outside_the_allowed_ones_is_refused(owner: Any, path: str) -> None:
    with pytest.raises(Invalid) as refused:
        services.import_directory(project_id=owner.project_id, name="m", path=path)
    assert refused.value.details[0].field == "path"
    assert not Model.objects.exists()


@pytest.mark.parametrize("name", ["x" * 300, "\ud800", "a\0b"])
def test_a_path_that_no_folder_can_have_is_refused(owner: Any, tmp_path: Path, name: str) -> None:
    path = str(tmp_path / name)
    with pytest.raises(Invalid, match="not be imported from this path") as refused:
        services.import_directory(project_id=owner.project_id, name="m", path=path)
    assert refused.value.details[0].value.encode()


def test_a_path_that_leads_outside_by_a_link_is_refused(owner: Any, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    with pytest.raises(Invalid, match="not be imported from this path"):
        services.import_directory(
            project_id=owner.project_id, name="m", path=str(tmp_path / "link")
        )


def test_another_projects_prefix_cannot_be_imported(
    owner: Any, stranger: Any, ready: ModelVersion
) -> None:
    uri = backends.objects().uri(ready.prefix)
    with pytest.raises(Invalid, match="not in this project's part"):
        services.import_uri(project_id=stranger.project_id, name="stolen", uri=uri)
    with pytest.raises(Invalid):
        services.import_uri(project_id=stranger.project_id, name="s", uri="s3://elsewhere/x")
    fact = services.import_uri(project_id=owner.project_id, name="copy", uri=uri)
    run()
    assert services.version(project_id=owner.project_id, version_id=fact.id).sha256 == ready.sha256


# The safetensors header


def _file(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"\1\2", "shorter"),
        ((2**60).to_bytes(8, "little") + b"{}", "claims"),
        ((11 * 1024 * 1024).to_bytes(8, "little") + b"{" * 12_000_000, "claims"),
        (_file(b"[]"), "not a JSON object"),
        (_file(b'{"a": '), "not JSON"),
        (_file(b'{"a":' * 100_000), "not JSON"),
        (_file(b'{"__metadata__":{},"__metadata__":{}}'), "twice"),
        (_file({"a": {"dtype": "F32", "shape": [1]}}), "lacks"),
        (_file({"a": {"dtype": "X9", "shape": [1], "data_offsets": [0, 4]}}), "unknown type"),
        (_file({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}), "impossible shape"),
        (_file({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, b"1234"), "need 8"),
        (_file({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}), "end at byte"),
        (_file({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, b"12345678"), "gap"),
        (
            _file(
                {n: {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]} for n in "ab"}, b"1234"
            ),
            "overlaps",
        ),
        (_file({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}, b"12"), "the file at"),
        (
            _file({str(n): {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}
                   for n in range(50_001)}),
            "50001 tensors",
        ),
    ],
)  # fmt: skip
def test_a_header_that_lies_is_found_out(data: bytes, rule: str) -> None:
    with pytest.raises(weights.BadWeights, match=rule):
        weights.read_header(lambda start, length: data[start : start + length], len(data))


def test_a_header_whose_length_looks_like_a_pickle_is_fine(owner: Any, tmp_path: Path) -> None:
    folder = tiny_models.full(tmp_path / "m")
    data = (folder / "model.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    # 0x…0280: the first two bytes are those of a pickle of protocol 2.
    wanted = (length // 0x10000 + 1) * 0x10000 + 0x0280
    text = data[8 : 8 + length].ljust(wanted)
    (folder / "model.safetensors").write_bytes(
        wanted.to_bytes(8, "little") + text + data[8 + length :]
    )
    assert take(owner, folder).phase == "ready"


# Archives


def _sent(owner: Any, data: bytes, name: str = "m.tar") -> Upload:
    """An upload whose one part is there, but that is not finished."""
    upload = uploads.begin(project_id=owner.project_id, filename=name, size_bytes=len(data))
    backends.objects().put_part(  # type: ignore[attr-defined]
        upload.key, upload.store_id, 1, io.BytesIO(data), size_bytes=len(data)
    )
    return upload


def _upload(owner: Any, api: Any, data: bytes, name: str = "m.tar") -> Any:
    begun = api.post("/api/v1/models/uploads", {"filename": name, "size_bytes": len(data)},
                     format="json").json()  # fmt: skip
    upload = Upload.objects.get(pk=begun["id"])
    backends.objects().put_part(  # type: ignore[attr-defined]
        upload.key, upload.store_id, 1, io.BytesIO(data), size_bytes=len(data)
    )
    done = api.post(f"/api/v1/models/uploads/{upload.pk}/finish")
    assert done.status_code == 200, done.json()
    answer = api.post("/api/v1/models/import", {"name": "packed", "upload": begun["id"]},
                      format="json")  # fmt: skip
    assert answer.status_code == 202, answer.json()
    run()
    return api.get(f"/api/v1/model-versions/{answer.json()['id']}").json()


def _tar(folder: Path, mode: str = "w", top: str = "", extra: Any = None) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as tar:  # type: ignore[call-overload]
        for path in sorted(folder.iterdir()):
            tar.add(path, f"{top}{path.name}")
        if extra:
            extra(tar)
    return packed.getvalue()


def _zip(folder: Path) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.iterdir()):
            file.write(path, f"model/{path.name}")
    return packed.getvalue()


@pytest.mark.parametrize("pack", ["tar", "tar.gz", "tar with a folder", "zip"])
def test_an_archive_becomes_a_ready_version(
    owner: Any, api: Any, tmp_path: Path, pack: str
) -> None:
    folder = tiny_models.full(tmp_path / "m")
    data = {
        "tar": lambda: _tar(folder),
        "tar.gz": lambda: _tar(folder, "w:gz"),
        "tar with a folder": lambda: _tar(folder, top="some/"),
        "zip": lambda: _zip(folder),
    }[pack]()
    version = _upload(owner, api, data)
    assert version["phase"] == "ready", version["reason"]
    assert set(version["files"]) == {path.name for path in folder.iterdir()}


def _member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, link: str = "") -> Any:
    def add(tar: tarfile.TarFile) -> None:
        info = tarfile.TarInfo(name)
        info.type, info.size, info.linkname = kind, size, link
        tar.addfile(info, io.BytesIO(b"\0" * size))

    return add


@pytest.mark.parametrize(
    ("extra", "rule"),
    [
        (_member("../evil.json", size=2), "may not lead out"),
        (_member("/etc/evil.json", size=2), "may not lead out"),
        (_member("NOTICE.txt", tarfile.SYMTYPE, link="/etc/passwd"), "a link"),
        (_member("NOTICE.txt", tarfile.LNKTYPE, link="config.json"), "a link"),
        (_member("NOTICE.txt", tarfile.CHRTYPE), "not a plain file"),
        (_member("config.json", size=2), "twice"),
        (_member("model.pkl", size=2), "may run code"),
        (_member("x/y/config.json", size=2), "flat folder"),
    ],
)
def test_a_hostile_tar_is_refused(
    owner: Any, api: Any, tmp_path: Path, extra: Any, rule: str
) -> None:
    folder = tiny_models.full(tmp_path / "m")
    version = _upload(owner, api, _tar(folder, extra=extra))
    assert version["phase"] == "refused"
    assert rule in version["faults"][0]["rule"]


def _bomb(kind: str, folder: Path) -> bytes:
    if kind == "tar.gz":
        return _tar(folder, "w:gz", extra=_member("NOTICE.txt", size=200_000_000))
    if kind == "pax header":
        header = tarfile.TarInfo("x")
        header.type, header.size = tarfile.XHDTYPE, 300_000_000
        import gzip

        return gzip.compress(header.tobuf() + b"\0" * 300_000_000, 1)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("NOTICE.txt", b"\0" * 200_000_000)
    return packed.getvalue()


@pytest.mark.parametrize("kind", ["tar.gz", "zip", "pax header"])
def test_a_bomb_is_refused_before_it_goes_off(
    owner: Any, api: Any, tmp_path: Path, kind: str
) -> None:
    data = _bomb(kind, tiny_models.full(tmp_path / "m"))
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    version = _upload(owner, api, data)
    assert version["phase"] == "refused", version
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


@pytest.mark.parametrize("pack", [_tar, lambda folder: _tar(folder, "w:gz"), _zip])
def test_an_archive_cut_short_is_refused(owner: Any, api: Any, tmp_path: Path, pack: Any) -> None:
    data = pack(tiny_models.full(tmp_path / "m"))
    version = _upload(owner, api, data[: len(data) * 2 // 3])
    assert version["phase"] == "refused"
    assert "damaged or cut short" in version["reason"]


def test_what_is_no_archive_is_refused(owner: Any, api: Any) -> None:
    version = _upload(owner, api, b"\x80\x04 this is no archive", "m.zip")
    assert "neither tar" in version["reason"]


def test_an_upload_says_which_parts_are_missing_and_can_be_given_up(
    api: Any, api_for: Any, stranger: Any
) -> None:
    size = 20 * 1024 * 1024
    begun = api.post("/api/v1/models/uploads", {"filename": "m.tar", "size_bytes": size},
                     format="json").json()  # fmt: skip
    assert (begun["parts"], begun["received"]) == (3, [])
    address = api.get(f"/api/v1/models/uploads/{begun['id']}/parts/3").json()["address"]
    assert "partNumber=3" in address
    assert api.get(f"/api/v1/models/uploads/{begun['id']}/parts/4").status_code == 422
    early = api.post(f"/api/v1/models/uploads/{begun['id']}/finish")
    assert (early.status_code, "missing: [1, 2, 3]" in early.content.decode()) == (409, True)
    assert api_for(stranger).get(f"/api/v1/models/uploads/{begun['id']}").status_code == 404
    assert api.delete(f"/api/v1/models/uploads/{begun['id']}").status_code == 204
    assert api.get(f"/api/v1/models/uploads/{begun['id']}").status_code == 404


def test_an_upload_stays_while_it_is_imported(owner: Any, api: Any) -> None:
    upload = _sent(owner, b"whole")
    uploads.finish(upload, now=timezone.now())
    here = f"/api/v1/models/uploads/{upload.pk}"
    answer = api.post("/api/v1/models/import", {"name": "m", "upload": str(upload.pk)},
                      format="json")  # fmt: skip
    assert answer.status_code == 202
    refused = api.delete(here)
    assert (refused.status_code, "being imported" in refused.json()["error"]["message"]) == (
        409, True)  # fmt: skip
    run()
    assert api.delete(here).status_code == 204


def test_a_finish_that_died_half_way_is_finished_by_the_next(owner: Any) -> None:
    upload = _sent(owner, b"whole")
    backends.objects().finish_upload(upload.key, upload.store_id, [1])
    uploads.finish(upload, now=timezone.now())
    assert Upload.objects.get().finished_at is not None
    uploads.finish(upload, now=timezone.now())
    assert backends.objects().read(upload.key) == b"whole"


def test_two_finishes_at_once_are_one(owner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = _sent(owner, b"whole")
    store = type(backends.objects())
    join = store.finish_upload

    def second(self: Any, *args: Any) -> None:
        join(self, *args)  # the other request's
        join(self, *args)

    monkeypatch.setattr(store, "finish_upload", second)
    uploads.finish(upload, now=timezone.now())
    assert Upload.objects.get().finished_at is not None
    lost = _sent(owner, b"gone")

    def gone(self: Any, key: str, upload_id: str, numbers: list[int]) -> None:
        self.abort_upload(key, upload_id)
        join(self, key, upload_id, numbers)

    monkeypatch.setattr(store, "finish_upload", gone)
    with pytest.raises(Conflict, match="cannot be finished"):
        uploads.finish(lost, now=timezone.now())


def test_only_uploads_that_nobody_needs_are_forgotten(owner: Any, tmp_path: Path) -> None:
    now = timezone.now()
    long_ago = now - uploads.KEPT - timedelta(hours=1)
    coming = _sent(owner, b"still arriving")
    packed = _sent(owner, _tar(tiny_models.full(tmp_path / "m")))
    uploads.finish(packed, now=now)
    Upload.objects.update(created_at=long_ago)
    Upload.objects.filter(pk=packed.pk).update(finished_at=long_ago)
    fact = services.import_upload(project_id=owner.project_id, name="m", upload_id=packed.pk)
    reconcile.sweep(now)
    assert Upload.objects.count() == 2
    run()
    assert services.version(project_id=owner.project_id, version_id=fact.id).phase == "ready"
    reconcile.sweep(now)
    assert Upload.objects.get() == coming
    reconcile.sweep(now + uploads.KEPT + timedelta(hours=1))
    assert not Upload.objects.exists()


# Breakage


class Killed(BaseException):
    """The worker is gone at this point."""


def test_an_import_killed_anywhere_ends_ready_with_the_same_content(
    owner: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_models.full(tmp_path / "m")
    wanted = take(owner, folder, "calm").sha256
    objects = backends.objects()
    puts = type(objects).put
    deaths = 0
    for point in range(1, 20):
        fact = services.import_directory(
            project_id=owner.project_id, name=f"m{point}", path=str(folder)
        )
        calls = 0

        def put(self: Any, key: str, data: Any, point: int = point) -> None:
            nonlocal calls
            calls += 1
            if calls == (point + 1) // 2 and point % 2:
                raise Killed
            puts(self, key, data)
            if calls == point // 2 and not point % 2:
                raise Killed

        monkeypatch.setattr(type(objects), "put", put)
        try:
            run()
        except Killed:
            deaths += 1
            half = services.version(project_id=owner.project_id, version_id=fact.id)
            assert half.phase == "importing"
            with pytest.raises(Conflict):
                services.ready_version(project_id=owner.project_id, version_id=fact.id)
        monkeypatch.setattr(type(objects), "put", puts)
        run()
        done = services.ready_version(project_id=owner.project_id, version_id=fact.id)
        assert done.sha256 == wanted
    assert deaths == 12  # before and after each of the six files


def test_a_full_store_fails_an_import_and_says_so(
    owner: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Any, key: str, data: Any) -> None:
        raise StorageFull("no room left below /there")

    monkeypatch.setattr(type(backends.objects()), "put", full)
    version = take(owner, tiny_models.full(tmp_path / "m"))
    assert version.phase == "failed"
    assert "no room left" in version.reason
    assert stored(version) == []


def test_deleting_while_importing_leaves_nothing(owner: Any, tmp_path: Path) -> None:
    fact = services.import_directory(
        project_id=owner.project_id, name="m", path=str(tiny_models.full(tmp_path / "m"))
    )
    version = ModelVersion.objects.get(pk=fact.id)
    # The worker read the row as importing; the deletion arrives before it takes the step.
    services.delete_version(
        project_id=owner.project_id, version_id=fact.id, now=timezone.now(), by="me"
    )
    with pytest.raises(loop.LostRace):
        reconcile.step_version(version, timezone.now())
    run()
    version.refresh_from_db()
    assert version.phase == "deleted"
    assert stored(version) == []
    with pytest.raises(NotFound):
        services.version(project_id=owner.project_id, version_id=fact.id)


# Results of jobs, adapters


def _result(owner: Any, folder: Path, base: ModelVersion, job: str, **more: Any) -> Any:
    prefix = f"projects/{owner.project_id}/runs/{job}/artifact-1"
    files = {}
    for path in folder.iterdir():
        data = path.read_bytes()
        backends.objects().put(f"{prefix}/{path.name}", data)
        files[path.name] = hashlib.sha256(data).hexdigest()
    given = {
        "project_id": owner.project_id,
        "model_name": "tuned",
        "kind": "adapter",
        "artifact_uri": backends.objects().uri(prefix),
        "base_version_id": base.pk,
        "made_by": job,
        "dataset_version_id": uuid.UUID(int=5),
        "metrics": {"held_out_loss": 0.5},
        "files": files,
    }
    return services.register_result(**given | more)


def test_the_result_of_a_job_is_one_ready_version_however_often_it_reports(
    owner: Any, tmp_path: Path, ready: ModelVersion
) -> None:
    job = str(uuid.uuid4())
    folder = tiny_models.adapter(tmp_path / "a", rank=4, alpha=8)
    fact = _result(owner, folder, ready, job)
    assert _result(owner, folder, ready, job) == fact
    assert ModelVersion.objects.filter(model__name="tuned").count() == 1
    assert (fact.phase, fact.kind, fact.reference) == ("ready", "adapter", "tuned@1")
    assert (fact.base_version_id, fact.parent) == (ready.pk, "tiny")
    assert fact.base_uri == backends.objects().uri(ready.prefix)
    assert fact.adapter == {
        "method": "lora", "rank": 4, "alpha": 8.0, "targets": ["q_proj", "up_proj"],
        "dora": False, "modules": 4,
    }  # fmt: skip
    assert fact.capabilities == ("completions", "chat", "system")
    assert str(fact.job_id) == job
    # The job's own files may go; the registry keeps its own.
    backends.objects().delete_prefix(f"projects/{owner.project_id}/runs/{job}/")
    assert len(stored(ModelVersion.objects.get(pk=fact.id))) == 2


@pytest.mark.parametrize(
    ("made", "rule"),
    [
        ({"width": 24}, "changes a weight of shape"),
        ({"r": 8}, "has rank 4"),
        ({"r": 0}, "must be 1 to 1024"),
        ({"peft_type": "IA3"}, "only LORA"),
        ({"lora_alpha": None}, "not a number"),
        ({"alpha_pattern": {"(a+)+$": 4}}, "not a plain name"),
        ({"auto_mapping": {"parent_library": "os"}}, "to be imported"),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused_at_registration(
    owner: Any, tmp_path: Path, ready: ModelVersion, made: dict[str, Any], rule: str
) -> None:
    folder = tiny_models.adapter(tmp_path / "a", **made)
    with pytest.raises(Invalid, match="cannot be kept") as refused:
        _result(owner, folder, ready, str(uuid.uuid4()))
    assert rule in refused.value.details[0].rule
    with pytest.raises(NotFound):
        services.resolve(project_id=owner.project_id, reference="nothing")


def test_a_result_whose_files_are_not_those_reported_is_refused(
    owner: Any, tmp_path: Path, ready: ModelVersion
) -> None:
    folder = tiny_models.adapter(tmp_path / "a")
    other = {"adapter_model.safetensors": "0" * 64}
    with pytest.raises(Invalid, match="was reported"):
        _result(owner, folder, ready, str(uuid.uuid4()), files=other)
    with pytest.raises(Invalid, match="not there"):
        _result(owner, folder, ready, str(uuid.uuid4()), files={"gone.json": "0" * 64})


def test_a_full_store_does_not_lose_a_jobs_result(
    owner: Any, tmp_path: Path, ready: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, job = tiny_models.adapter(tmp_path / "a"), str(uuid.uuid4())
    copy = type(backends.objects()).copy

    def full(self: Any, source: str, target: str) -> None:
        raise StorageFull("no room")

    monkeypatch.setattr(type(backends.objects()), "copy", full)
    with pytest.raises(StorageFull):
        _result(owner, folder, ready, job)
    monkeypatch.setattr(type(backends.objects()), "copy", copy)
    assert _result(owner, folder, ready, job).phase == "ready"


def test_an_adapter_is_imported_upon_a_named_base_only(
    owner: Any, tmp_path: Path, ready: ModelVersion
) -> None:
    folder = tiny_models.adapter(tmp_path / "a")
    assert "config.json: the file is missing" in take(owner, folder, "alone").reason
    child = take(owner, folder, "tuned", base="tiny@1")
    assert (child.phase, child.kind, child.base_id) == ("ready", "adapter", ready.pk)
    with pytest.raises(Invalid, match="itself an adapter"):
        take(owner, folder, "twice", base="tuned")


# Names, holds, deletion, the tracker


def test_names_numbers_and_aliases_lead_to_versions(
    owner: Any, stranger: Any, tmp_path: Path, ready: ModelVersion
) -> None:
    second = take(owner, tiny_models.full(tmp_path / "b", seed=1))
    _code(tiny_models.full(tmp_path / "c"))
    take(owner, tmp_path / "c")

    def number(reference: str, who: Any = owner) -> int:
        return services.resolve(project_id=who.project_id, reference=reference).number

    services.set_alias(
        project_id=owner.project_id, model_id=ready.model_id, alias="production",
        version_id=ready.pk,
    )  # fmt: skip
    found = [number(r) for r in ("tiny", "tiny@1", "tiny@production", str(second.pk))]
    assert found == [2, 1, 1, 2]
    services.set_alias(
        project_id=owner.project_id, model_id=ready.model_id, alias="production",
        version_id=second.pk,
    )  # fmt: skip
    assert number("tiny@production") == 2
    with pytest.raises(Conflict, match=r"tiny@3 is refused.*modeling_evil"):
        number("tiny@3")
    for reference in ("tiny@9", "tiny@none", "other", str(uuid.uuid4())):
        with pytest.raises(NotFound):
            number(reference)
    with pytest.raises(NotFound):
        number("tiny", stranger)
    with pytest.raises(Invalid, match="cannot be an alias"):
        services.set_alias(project_id=owner.project_id, model_id=ready.model_id, alias="7",
                           version_id=second.pk)  # fmt: skip


def test_a_version_in_use_cannot_be_deleted_and_the_users_are_named(
    owner: Any, tmp_path: Path, ready: ModelVersion
) -> None:
    child = take(owner, tiny_models.adapter(tmp_path / "a"), "tuned", base="tiny")
    services.hold(version_id=ready.pk, holder="job:1", label="job lines-1")
    services.hold(version_id=ready.pk, holder="job:1", label="job lines-1")

    def delete(version: ModelVersion) -> None:
        services.delete_version(
            project_id=owner.project_id, version_id=version.pk, now=timezone.now(), by="me"
        )
        run()

    with pytest.raises(Conflict, match="needed by job lines-1, adapter tuned@1"):
        delete(ready)
    services.release(version_id=ready.pk, holder="job:1")
    services.release(version_id=ready.pk, holder="job:1")
    with pytest.raises(Conflict, match="needed by adapter tuned@1"):
        delete(ready)
    delete(child)
    delete(ready)
    assert (stored(ready), stored(child)) == ([], [])
    assert set(ModelVersion.objects.values_list("phase", flat=True)) == {"deleted"}
    with pytest.raises(Conflict, match="cannot be built upon"):
        services.hold(version_id=ready.pk, holder="job:2")


def test_a_ready_version_reaches_the_tracker_late_if_need_be_and_leaves_it_again(
    owner: Any, tmp_path: Path, world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(**_: Any) -> str:
        raise TrackingUnavailable("database is locked")

    monkeypatch.setattr(world.tracking, "register", away)
    version = take(owner, tiny_models.full(tmp_path / "m"))
    assert version.phase == "ready"
    warnings = Event.objects.filter(subject=subject_of(version), level="warning")
    assert [event.reason for event in warnings] == [
        "not in the tracker's registry yet, will be tried again: database is locked"
    ]
    monkeypatch.undo()
    monkeypatch.setattr(backends, "tracking", lambda: world.tracking)
    run()
    assert Mirror.objects.get(version=version).phase == "written"
    assert list(world.tracking.versions) == [str(version.pk)]
    services.delete_version(
        project_id=owner.project_id, version_id=version.pk, now=timezone.now(), by="me"
    )
    run()
    assert world.tracking.versions == {}
    assert Mirror.objects.get(version=version).phase == "removed"


# Taking weights away


def _export(owner: Any, api: Any, version_id: Any, form: str) -> tuple[dict[str, bytes], Any]:
    asked = api.post(f"/api/v1/model-versions/{version_id}/exports", {"form": form}, format="json")
    assert asked.status_code == 202, asked.json()
    run()
    export = api.get(f"/api/v1/model-exports/{asked.json()['id']}").json()
    assert export["phase"] == "ready", export["reason"]
    again = api.post(f"/api/v1/model-versions/{version_id}/exports", {"form": form}, format="json")
    assert again.json()["id"] == export["id"]
    packed = b"".join(api.get(export["address"].partition("8000")[2]).streaming_content)
    assert hashlib.sha256(packed).hexdigest() == export["sha256"]
    assert len(packed) == export["size_bytes"]
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        assert len(set(tar.getnames())) == len(tar.getnames())
        files = {m.name: tar.extractfile(m).read() for m in tar}  # type: ignore[union-attr]
    manifest = json.loads(files["manifest.json"])
    for name, file in manifest["files"].items():
        assert hashlib.sha256(files[name]).hexdigest() == file["sha256"]
    assert set(manifest["files"]) == set(files) - {"manifest.json"}
    return files, manifest


def test_an_adapter_is_taken_away_as_it_is_and_merged_with_hashes_and_lineage(
    owner: Any, api: Any, tmp_path: Path, ready: ModelVersion
) -> None:
    folder, job = tiny_models.adapter(tmp_path / "a", rank=4, alpha=8), str(uuid.uuid4())
    # Runs leave one of their own; the archive has only one file of that name.
    (folder / "manifest.json").write_text("{}")
    fact = _result(owner, folder, ready, job)
    files, manifest = _export(owner, api, fact.id, "as_is")
    for path in folder.iterdir():
        assert path.name == "manifest.json" or files[path.name] == path.read_bytes()
    assert (manifest["job_id"], manifest["base"]["sha256"]) == (job, ready.sha256)
    assert job in files["LINEAGE.md"].decode()

    files, _ = _export(owner, api, fact.id, "merged")
    base = load_file(tmp_path / "ready" / "model.safetensors")
    pairs = load_file(folder / "adapter_model.safetensors")
    merged = load(files["model.safetensors"])
    changed = 0
    for name, weight in base.items():
        stem = f"base_model.model.{name.removesuffix('.weight')}"
        if f"{stem}.lora_A.weight" in pairs:
            weight = weight + 2.0 * pairs[f"{stem}.lora_B.weight"] @ pairs[f"{stem}.lora_A.weight"]  # noqa: PLW2901
            changed += 1
        np.testing.assert_allclose(merged[name], weight, rtol=1e-6, atol=1e-6)
    assert changed == 4
    assert files["tokenizer.json"] == (tmp_path / "ready" / "tokenizer.json").read_bytes()
    # What was taken away can be brought back.
    for name, data in files.items():
        if name not in {"manifest.json", "LINEAGE.md"}:
            (tmp_path / "back").mkdir(exist_ok=True)
            (tmp_path / "back" / name).write_bytes(data)
    assert take(owner, tmp_path / "back", "back").phase == "ready"
    assert not Hold.objects.exists()


def test_a_whole_model_cannot_be_merged(api: Any, ready: ModelVersion) -> None:
    asked = api.post(f"/api/v1/model-versions/{ready.pk}/exports", {"form": "merged"},
                     format="json")  # fmt: skip
    assert (asked.status_code, "nothing to merge" in asked.json()["error"]["message"]) == (
        422,
        True,
    )


def test_bfloat16_is_rounded_to_nearest_ties_to_even() -> None:
    values = np.array(
        [
            1.0,
            -2.5,
            1 + 2**-8,
            1 + 3 * 2**-8,
            1 + 2**-8 + 2**-20,
            3e38,
            np.inf,
            -np.inf,
            np.nan,
            0.0,
        ],
        dtype=np.float32,
    )
    tensor = weights.Tensor("BF16", (len(values),), 0, 2 * len(values))
    back = lora.to_float32(lora.from_float32(values, "BF16"), tensor)
    wanted = [1.0, -2.5, 1.0, 1 + 2**-6, 1 + 2**-7, 3.004055e38, np.inf, -np.inf, np.nan, 0.0]
    np.testing.assert_allclose(back, np.array(wanted, dtype=np.float32), rtol=1e-6)
    assert back[2] == 1.0
    assert back[3] == 1 + 2**-6


def test_scale_follows_rank_stabilised_and_per_module_alpha() -> None:
    adapter = {
        "base_model.model.a.q.lora_A.weight": (4, 8),
        "base_model.model.a.q.lora_B.weight": (8, 4),
        "base_model.model.b.q.lora_A.weight": (4, 8),
        "base_model.model.b.q.lora_B.weight": (8, 4),
    }
    base = {"a.q.weight": (8, 8), "b.q.weight": (8, 8)}
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "alpha_pattern": {"b.q": 2}}
    plan = lora.plan(config, adapter, base)
    assert {name: pair.scale for name, pair in plan.pairs.items()} == {
        "a.q.weight": 2.0, "b.q.weight": 0.5,
    }  # fmt: skip
    stable = lora.plan(config | {"use_rslora": True}, adapter, base)
    assert stable.pairs["a.q.weight"].scale == 4.0


# REST


def test_rest_shows_models_versions_and_lineage_to_their_project_only(
    api: Any, api_for: Any, stranger: Any, owner: Any, tmp_path: Path
) -> None:
    folder = tiny_models.full(tmp_path / "m")
    made = api.post("/api/v1/models/import", {"name": "tiny", "path": str(folder)}, format="json")
    assert (made.status_code, made.json()["phase"]) == (202, "importing")
    run()
    version_id, model_id = made.json()["id"], made.json()["model_id"]
    model = api.get("/api/v1/models").json()["data"][0]
    assert (model["name"], model["latest"]["phase"], model["versions"]) == ("tiny", "ready", 1)
    alias = api.put(f"/api/v1/models/{model_id}/aliases/production", {"version_id": version_id},
                    format="json")  # fmt: skip
    assert alias.json()["aliases"] == {"production": 1}
    found = api.get("/api/v1/model-versions?reference=tiny@production").json()["data"]
    assert [row["id"] for row in found] == [version_id]
    detail = api.get(f"/api/v1/model-versions/{version_id}").json()
    assert detail["files"]["config.json"]["sha256"]
    assert api.get(f"/api/v1/model-versions/{version_id}/lineage").json()["sha256"]
    events = api.get(f"/api/v1/model-versions/{version_id}/events").json()["data"]
    assert "ready" in [event["target"] for event in events]
    other = api_for(stranger)
    for path in (
        f"models/{model_id}",
        f"models/{model_id}/versions",
        f"model-versions/{version_id}",
        f"model-versions/{version_id}/lineage",
        f"model-versions/{version_id}/exports",
    ):
        assert other.get(f"/api/v1/{path}").status_code == 404, path
    assert other.delete(f"/api/v1/model-versions/{version_id}").status_code == 404
    assert other.get("/api/v1/models").json()["data"] == []
    reader = api_for(owner, role="reader")
    assert reader.delete(f"/api/v1/model-versions/{version_id}").status_code == 403
    both = api.post("/api/v1/models/import", {"name": "t", "path": "/a", "uri": "b"}, format="json")
    assert both.status_code == 422
    bad = api.post("/api/v1/models/import", {"name": "a/b", "path": str(folder)}, format="json")
    assert bad.json()["error"]["details"][0]["field"] == "name"
    assert api.delete(f"/api/v1/model-versions/{version_id}").status_code == 202
    run()
    assert api.get(f"/api/v1/model-versions/{version_id}").status_code == 404


def test_a_large_import_says_how_far_it_is_and_keeps_its_lease(
    owner: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from slipway.registry.services import ingest

    monkeypatch.setattr(ingest, "TELL_EVERY", 0.0)
    said: list[str] = []
    annotate = ingest.lifecycle.annotate

    def listen(record: Any, *, reason: str, **fields: Any) -> None:
        said.append(reason)
        annotate(record, reason=reason, **fields)

    monkeypatch.setattr(ingest.lifecycle, "annotate", listen)
    started = time.monotonic()
    assert take(owner, tiny_models.full(tmp_path / "m")).phase == "ready"
    assert time.monotonic() - started < 60
    assert "checking the files" in said
    assert any(line.startswith("importing: 3 files, ") for line in said)


def test_sources_list_nothing_for_an_empty_place(tmp_path: Path) -> None:
    with pytest.raises(sources.Refusal, match="no files of a model"):
        sources.Directory(tmp_path).sizes()
    with pytest.raises(sources.Refusal, match="no files of a model"):
        sources.Prefix("projects/none").sizes()
