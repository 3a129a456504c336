"""Which files a model may consist of: an allow-list by name first, then by content.

Nothing is let in because a scanner found nothing bad; it is let in because it was read and is
what it should be: safetensors, JSON, tokenizer data, plain text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from slipway.core.errors import Detail
from slipway_contracts import encoders

MOST_FILES = 1000
LARGEST_JSON = 64 * 1024 * 1024
LARGEST_TEXT = 16 * 1024 * 1024
DEEPEST_JSON = 64
MOST_CONTAINERS = 2_000_000
#: The only folder a model directory may have, beside those of a sentence encoder's steps.
FOLDERS = {"additional_chat_templates"}
#: Of no use to a model and never copied, so of no danger.
LEFT_OUT = re.compile(
    r"(^|/)(\.cache/.*|\.git/.*|\.gitattributes|\.gitignore|\.DS_Store)$"
    r"|\.(png|jpe?g|gif|svg|webp|pdf)$",
    re.IGNORECASE,
)
WEIGHTS, JSON, TEXT, SENTENCEPIECE = "weights", "json", "text", "sentencepiece"
_BY_SUFFIX = {
    "safetensors": WEIGHTS, "json": JSON, "txt": TEXT, "md": TEXT, "jinja": TEXT,
    "tiktoken": TEXT, "model": SENTENCEPIECE,
}  # fmt: skip
_BY_NAME = re.compile(r"(LICEN[CS]E|NOTICE|README|COPYING)", re.IGNORECASE)
_CODE = {"py", "pyc", "so", "sh", "dll", "exe", "ipynb", "js"}
_UNSAFE = {
    "bin", "pt", "pth", "pkl", "pickle", "ckpt", "joblib", "npz", "npy", "h5", "msgpack", "onnx",
    "gguf", "ot", "mar", "dill",
}  # fmt: skip
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+@=-]*")
_MAGIC = (
    (re.compile(rb"\x80[\x02-\x05]"), "a Python pickle"),
    (re.compile(rb"PK\x03\x04"), "a zip archive (as torch.save writes, with a pickle inside)"),
    (re.compile(rb"\x7fELF|MZ"), "a program"),
    (re.compile(rb"\x1f\x8b|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd|\x78[\x01\x9c\xda]"), "compressed data"),
    (re.compile(rb"\x89HDF"), "an HDF5 file"),
)
#: Keys of a config that name code to be imported and run by whoever loads the model.
_CODE_KEYS = {"auto_map", "custom_pipelines"}
#: Data, not settings: any word may stand there as a key.
_DICTIONARIES = re.compile(r"^(tokenizer|vocab|added_tokens|.*\.index)\.json$")

CONVERT = (
    "Save the model again as safetensors (`model.save_pretrained(folder)`) and leave this file out."
)


class Refusal(Exception):
    """The files may not come in; `details` names each file, the rule and what to do."""

    def __init__(self, details: Iterable[Detail]) -> None:
        self.details = list(details)
        super().__init__(summary(self.details))


def summary(details: list[Detail]) -> str:
    """All of it in one sentence for the user."""
    first = details[0]
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    return f"{first.field}: {first.rule}. {first.fix}{more}".strip()


def judge_names(paths: Iterable[str]) -> tuple[list[str], list[str]]:
    """Split paths into those to take and those to leave out; raises Refusal with every fault."""
    take, leave, faults, seen = [], [], [], set()
    for path in paths:
        if (fault := _unsafe_path(path)) is not None:
            faults.append(fault)
        elif path in seen:
            faults.append(Detail(field=path, rule="the name stands twice", fix="Keep one of them."))
        elif LEFT_OUT.search(path):
            leave.append(path)
        elif (fault := _not_listed(path)) is not None:
            faults.append(fault)
        else:
            take.append(path)
        seen.add(path)
        if len(seen) > MOST_FILES:
            fix = "Import one model at a time."
            faults.append(Detail(field=path, rule=f"more than {MOST_FILES} files", fix=fix))
            break
    if faults:
        raise Refusal(faults)
    return take, leave


def _unsafe_path(path: str) -> Detail | None:
    parts = path.split("/")
    if "\\" in path or "\0" in path or path.startswith("/") or {"..", ".", ""} & set(parts):
        return Detail(
            field=path[:200],
            rule="a name may not lead out of the model's own folder",
            fix="Pack the folder again with plain relative names.",
        )
    return None


def _not_listed(path: str) -> Detail | None:
    *folders, name = path.split("/")
    suffix = name.rpartition(".")[2].lower() if "." in name else ""
    if suffix in _CODE:
        return Detail(
            field=path,
            rule="program code is not taken in",
            fix="Use an architecture that the transformers library has built in, without *.py.",
        )
    if suffix in _UNSAFE:
        rule = f"a .{suffix} file may run code when it is loaded, or cannot be checked"
        return Detail(field=path, rule=rule, fix=CONVERT)
    step = len(folders) == 1 and encoders.FOLDER.fullmatch(folders[0]) and name == "config.json"
    if folders and not step and (len(folders) > 1 or folders[0] not in FOLDERS):
        return Detail(
            field=path,
            rule="a model is one flat folder",
            fix="Import the folder that holds config.json itself; leave other folders out.",
        )
    if role_of(path) is None or not _PLAIN.fullmatch(name):
        return Detail(
            field=path,
            rule="not among the files a model consists of: *.safetensors, *.json, *.txt, *.md, "
            "*.jinja, *.model, *.tiktoken, LICENSE",
            fix="Leave this file out.",
        )
    return None


def role_of(path: str) -> str | None:
    """Which check the content must pass; None if no file of that name is taken."""
    name = path.rpartition("/")[2]
    stem, _, suffix = name.rpartition(".")
    if stem:
        return _BY_SUFFIX.get(suffix.lower())
    return TEXT if _BY_NAME.fullmatch(name) else None


def looks_like(head: bytes) -> str:
    """What the first bytes say a file is, if that is something not taken in; else empty."""
    return next((what for magic, what in _MAGIC if magic.match(head)), "")


def parse_json(path: str, data: bytes) -> Any:
    """The document, within bounds of size and depth and without keys that name code."""
    if len(data) > LARGEST_JSON:
        raise _fault(path, f"{len(data)} bytes of JSON; at most {LARGEST_JSON} are read")
    # Small containers cost far more in memory than in the file.
    if data.count(b"[") + data.count(b"{") > MOST_CONTAINERS:
        raise _fault(path, f"more than {MOST_CONTAINERS} lists and objects")
    try:
        document = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise _fault(path, f"not UTF-8 at byte {error.start}{_instead(data)}") from error
    except json.JSONDecodeError as error:
        rule = f"not JSON: {error.msg} in line {error.lineno}{_instead(data)}"
        raise _fault(path, rule) from error
    except (RecursionError, ValueError) as error:
        raise _fault(path, f"nested deeper than {DEEPEST_JSON}, or a number too long") from error
    settings = _DICTIONARIES.match(path) is None
    level = [("$", document)]
    for _ in range(DEEPEST_JSON):
        for where, node in level:
            if settings and isinstance(node, dict) and (keys := _CODE_KEYS & node.keys()):
                raise _names_code(path, f"{where}.{min(keys)}")
        level = [inner for where, node in level for inner in _inside(where, node)]
        if not level:
            return document
    raise _fault(path, f"nested deeper than {DEEPEST_JSON}")


def _inside(where: str, node: Any) -> list[tuple[str, Any]]:
    """The lists and objects right inside a node, each with its JSON path."""
    if isinstance(node, dict):
        return [(f"{where}.{key}", v) for key, v in node.items() if isinstance(v, dict | list)]
    if isinstance(node, list):
        return [(f"{where}[{n}]", v) for n, v in enumerate(node) if isinstance(v, dict | list)]
    return []


def _names_code(path: str, where: str) -> Refusal:
    return _fault(
        path,
        f"{where} names code to be run by whoever loads the model",
        "Remove the key; the architecture must be built into the transformers library.",
    )


def check_text(path: str, data: bytes) -> None:
    if len(data) > LARGEST_TEXT:
        raise _fault(path, f"{len(data)} bytes of text; at most {LARGEST_TEXT} are read")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise _fault(path, f"not UTF-8 text at byte {error.start}{_instead(data)}") from error
    if "\0" in text:
        raise _fault(path, f"not text: a zero byte at {text.index(chr(0))}{_instead(data)}")


def check_sentencepiece(path: str, data: bytes) -> None:
    """A serialized ModelProto starts with its pieces; the unknown piece is among the first."""
    if len(data) > LARGEST_TEXT or data[:1] != b"\x0a" or b"<unk>" not in data[:4096]:
        raise _fault(path, f"not a SentencePiece model{_instead(data)}")


def bad_weights(path: str, why: str, head: bytes) -> Refusal:
    return _fault(path, f"not safetensors: {why}{_instead(head)}", CONVERT)


def no_model(where: str) -> Refusal:
    return _fault(where, "there are no files of a model", "Check the place.")


def _instead(data: bytes) -> str:
    what = looks_like(data[:16])
    return f"; it is {what}, whatever its name says" if what else ""


def _fault(path: str, rule: str, fix: str = "Put the right file in its place.") -> Refusal:
    return Refusal([Detail(field=path, rule=rule, fix=fix)])
