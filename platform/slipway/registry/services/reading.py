"""What a model's own files say of it: read from the store, checked against each other."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from slipway import backends
from slipway.core.errors import Detail
from slipway.registry.models import Kind, ModelVersion
from slipway.registry.services import lora, probe, rules, weights
from slipway_contracts import encoders

WHOLE, INDEX, ADAPTER = (
    "model.safetensors",
    "model.safetensors.index.json",
    "adapter_model.safetensors",
)
SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
_CONTEXT = ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length", "n_ctx")
_WIDTH = ("hidden_size", "n_embd", "d_model")
_DEPTH = ("num_hidden_layers", "n_layer", "num_layers")
_EMBEDDINGS = re.compile(r"(^|\.)(embed_tokens|word_embeddings|wte|embed_in|embeddings)\.weight$")
_CLASS = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)\n---", re.DOTALL)
_LICENCE = re.compile(r"^license:\s*[\"']?([\w.+ -]{1,100})", re.MULTILINE)
#: The capability of a model that makes vectors and no text.
EMBEDDING = "embedding"
SAVE_AGAIN = "Write it with `save_pretrained(folder)` of the transformers library."


def headers(*, prefix: str, files: dict[str, Any]) -> dict[str, weights.Header]:
    """The header of each safetensors file below the prefix; raises rules.Refusal."""
    found = {}
    for path in sorted(files):
        if rules.role_of(path) == rules.WEIGHTS:
            size = files[path]["size_bytes"]
            key = f"{prefix}/{path}"
            try:
                found[path] = weights.read_header(partial(_bytes, key), size)
            except weights.BadWeights as error:
                raise rules.bad_weights(path, str(error), _bytes(key, 0, 16)) from error
    return found


def examine(version: ModelVersion) -> dict[str, Any]:
    """Check the content of every file; return what to store in the row, or raise Refusal."""
    files, prefix = version.files, version.prefix
    documents: dict[str, Any] = {}
    for path in sorted(files):
        role = rules.role_of(path)
        if role == rules.WEIGHTS:
            continue
        data = backends.objects().read(f"{prefix}/{path}")
        if role == rules.JSON:
            documents[path] = rules.parse_json(path, data)
        elif role == rules.SENTENCEPIECE:
            rules.check_sentencepiece(path, data)
        else:
            rules.check_text(path, data)
            documents[path] = data.decode()
    found = headers(prefix=prefix, files=files)
    facts = {
        "size_bytes": sum(file["size_bytes"] for file in files.values()),
        "sha256": digest_of(files),
        "licence": _licence(documents.get("README.md", "")),
    }
    if version.kind == Kind.ADAPTER:
        return facts | _adapter(version, documents, found)
    return facts | _full(version, documents, found)


def digest_of(files: dict[str, Any]) -> str:
    """SHA-256 over the lines `<sha256>  <path>`, sorted by path: what `sha256sum` prints."""
    lines = "".join(f"{files[path]['sha256']}  {path}\n" for path in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


def _full(
    version: ModelVersion, documents: dict[str, Any], found: dict[str, weights.Header]
) -> dict[str, Any]:
    config = _object(documents, "config.json")
    tensors = _tensors(documents, found)
    if "tokenizer.json" not in version.files:
        other = "tokenizer.model" in version.files or "vocab.json" in version.files
        raise _refuse(
            "tokenizer.json",
            "the model has no tokenizer" + (" in the form tokenizer.json" if other else ""),
            "Add it with `AutoTokenizer.from_pretrained(name).save_pretrained(folder)`.",
        )
    architectures = config.get("architectures")
    named = architectures[0] if isinstance(architectures, list) and architectures else None
    if not isinstance(named, str) or not _CLASS.fullmatch(named):
        raise _refuse("config.json", "`architectures` does not name a class", SAVE_AGAIN)
    text_config = config.get("text_config")
    settings = config | (text_config if isinstance(text_config, dict) else {})
    vocab_size = _whole(settings.get("vocab_size"))
    tried = _try_tokenizer(documents)
    for name, tensor in tensors.items():
        if _EMBEDDINGS.search(name) and "position" not in name and len(tensor.shape) == 2:
            if tried["vocab_size"] > tensor.shape[0]:
                raise _refuse(
                    "tokenizer.json",
                    f"it has {tried['vocab_size']} tokens, but {name} only {tensor.shape[0]} rows",
                    "Use the tokenizer that the model was trained with.",
                )
            break
    by_type: Counter[str] = Counter()
    for tensor in tensors.values():
        by_type[tensor.dtype] += tensor.elements
    template = _template(documents)[1]
    encoder = _encoder(documents)
    context = next((n for k in _CONTEXT if (n := _whole(settings.get(k)))), 0)
    return {
        "architecture": named,
        "parameters": sum(by_type.values()),
        "dtype": by_type.most_common(1)[0][0],
        "context_length": encoder.most_tokens if encoder else context,
        "vocabulary_size": vocab_size or tried["vocab_size"],
        "hidden_size": next((n for k in _WIDTH if (n := _whole(settings.get(k)))), 0),
        "layers": next((n for k in _DEPTH if (n := _whole(settings.get(k)))), 0),
        "template_sha256": hashlib.sha256(template.encode()).hexdigest() if template else "",
        "capabilities": [EMBEDDING] if encoder else tried["capabilities"],
        "notices": version.notices + ([] if template or encoder else [_NO_TEMPLATE]),
    }


def _encoder(documents: dict[str, Any]) -> encoders.Encoder | None:
    try:
        return encoders.read(documents)
    except encoders.BadEncoder as error:
        raise _refuse(error.file, error.rule, error.fix) from error


_NO_TEMPLATE = (
    "There is no chat template: this version answers completions but no chat. Add "
    "chat_template.jinja and import again to change that."
)


def _adapter(
    version: ModelVersion, documents: dict[str, Any], found: dict[str, weights.Header]
) -> dict[str, Any]:
    config = _object(documents, "adapter_config.json")
    if ADAPTER not in found:
        raise _refuse(ADAPTER, "the adapter has no weights", SAVE_AGAIN)
    base = version.base
    if base is None:
        raise _refuse(
            "adapter_config.json",
            "this is an adapter, and it was not said upon which version",
            "Import it with `base` naming a ready version.",
        )
    if EMBEDDING in base.capabilities:
        raise _refuse(
            "adapter_config.json",
            "its base makes embeddings; adapters on such a model are not served",
            "Merge it into the base and import the whole model.",
        )
    tensors = found[ADAPTER].tensors
    upon = {
        name: tensor.shape
        for header in headers(prefix=base.prefix, files=base.files).values()
        for name, tensor in header.tensors.items()
    }
    shape = lora.fit(config, {name: tensor.shape for name, tensor in tensors.items()}, upon)
    return {
        "adapter": shape,
        "architecture": base.architecture,
        "parameters": sum(tensor.elements for tensor in tensors.values()),
        "dtype": Counter(tensor.dtype for tensor in tensors.values()).most_common(1)[0][0],
        "context_length": base.context_length,
        "vocabulary_size": base.vocabulary_size,
        "hidden_size": base.hidden_size,
        "layers": base.layers,
        "template_sha256": base.template_sha256,
        "capabilities": base.capabilities,
    }


def _tensors(
    documents: dict[str, Any], found: dict[str, weights.Header]
) -> dict[str, weights.Tensor]:
    """All tensors of a whole model, which may be one file or shards with an index."""
    if INDEX in documents:
        weight_map = _object(documents, INDEX).get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            raise _refuse(INDEX, "`weight_map` is missing or empty", SAVE_AGAIN)
        for name, shard in weight_map.items():
            if not isinstance(shard, str) or shard not in found:
                raise _refuse(str(shard)[:200], f"{INDEX} names this shard; it is not there",
                              "Add the missing file.")  # fmt: skip
            if name not in found[shard].tensors:
                raise _refuse(shard, f"{INDEX} says it holds {name[:100]!r}; it does not",
                              "Take all files from one download.")  # fmt: skip
        shards = set(weight_map.values())
        parts = [header.tensors for path, header in found.items() if path in shards]
    elif WHOLE in found:
        parts = [found[WHOLE].tensors]
    else:
        raise _refuse(
            WHOLE,
            f"there are no weights: neither {WHOLE} nor {INDEX} with its shards",
            rules.CONVERT,
        )
    tensors = {name: tensor for part in parts for name, tensor in part.items()}
    if not tensors:
        raise _refuse(WHOLE, "the weights hold no tensor", SAVE_AGAIN)
    return tensors


def _template(documents: dict[str, Any]) -> tuple[str, str | None]:
    """File and text of the chat template; None if there is none."""
    if (own := documents.get("chat_template.jinja")) is not None:
        return "chat_template.jinja", own
    named = documents.get("tokenizer_config.json")
    template = named.get("chat_template") if isinstance(named, dict) else None
    if isinstance(template, list):
        by_name = {t.get("name"): t.get("template") for t in template if isinstance(t, dict)}
        template = by_name.get("default")
    return "tokenizer_config.json", template if isinstance(template, str) else None


def _try_tokenizer(documents: dict[str, Any]) -> dict[str, Any]:
    settings = documents.get("tokenizer_config.json")
    file, template = _template(documents)
    special = {}
    for name, value in (settings if isinstance(settings, dict) else {}).items():
        text = value.get("content") if isinstance(value, dict) else value
        if name.endswith("_token") and isinstance(text, str):
            special[name] = text
    given = {
        "tokenizer": json.dumps(documents["tokenizer.json"]),
        "template": template,
        "template_file": file,
        "special": special,
    }
    # -I: nothing of our environment or folder reaches it; sys.executable: the same libraries.
    try:
        done = subprocess.run(  # noqa: S603 - our own script, no shell
            [sys.executable, "-I", str(Path(probe.__file__))],
            input=json.dumps(given), capture_output=True, text=True, check=False, env={},
            timeout=120,
        )  # fmt: skip
        answer = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError) as error:
        raise _refuse(
            file,
            f"loading the tokenizer and rendering the chat template took more than "
            f"{probe.CPU_SECONDS} s or {probe.MEMORY_BYTES >> 30} GiB",
            "Simplify the template's loops or the tokenizer's pattern.",
        ) from error
    if "fault" in answer:
        raise rules.Refusal([Detail(**answer["fault"])])
    return answer


def _object(documents: dict[str, Any], path: str) -> dict[str, Any]:
    if path not in documents:
        raise _refuse(path, "the file is missing", SAVE_AGAIN)
    if not isinstance(documents[path], dict):
        raise _refuse(path, "not a JSON object", SAVE_AGAIN)
    return documents[path]


def _licence(card: str) -> str:
    """`license:` of the model card's front matter, as its author wrote it."""
    front = _FRONT_MATTER.match(card.replace("\r\n", "\n"))
    found = _LICENCE.search(front[1]) if front else None
    return found[1].strip() if found else ""


def _whole(value: Any) -> int:
    return value if type(value) is int and 0 < value < 2**31 else 0


def _refuse(file: str, rule: str, fix: str) -> rules.Refusal:
    return rules.Refusal([Detail(field=file, rule=rule, fix=fix)])


def _bytes(key: str, start: int, length: int) -> bytes:
    with backends.objects().open(key, start=start, length=length) as stream:
        return stream.read()
