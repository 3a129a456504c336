"""What the files of a sentence encoder say: how its token vectors become one vector.

The form is that of the sentence-transformers library: `modules.json` lists the steps, a folder
beside it holds the settings of each. Read by the registry, which takes a model in, and by the
engine, which serves it; so both mean the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MODULES = "modules.json"
_LENGTH = "sentence_bert_config.json"
_PROMPTS = "config_sentence_transformers.json"
#: Folder of one step's settings.
FOLDER = re.compile(r"\d{1,2}_[A-Z][A-Za-z0-9]{0,63}")
MEAN, FIRST, LAST, MAX = "mean", "cls", "lasttoken", "max"
_FLAGS = {
    "pooling_mode_mean_tokens": MEAN,
    "pooling_mode_cls_token": FIRST,
    "pooling_mode_lasttoken": LAST,
    "pooling_mode_max_tokens": MAX,
    "pooling_mode_mean_sqrt_len_tokens": "",
    "pooling_mode_weightedmean_tokens": "",
}
_POSITIONS = ("max_position_embeddings", "n_positions", "max_sequence_length", "n_ctx")
#: These number their positions from behind the padding token's.
_OFFSET = {"roberta", "xlm-roberta", "camembert", "mpnet", "longformer", "data2vec-text"}
#: Encoders whose output is token vectors and no text; without MODULES nobody knows how to pool.
_BARE = re.compile(
    r"(Bert|Roberta|XLMRoberta|MPNet|DistilBert|Electra|Albert|DebertaV2|ModernBert|NomicBert)"
    r"(Model|For(MaskedLM|PreTraining))"
)


class BadEncoder(ValueError):
    """The files do not say what is needed: `file`, the rule broken, and what to do."""

    def __init__(self, file: str, rule: str, fix: str) -> None:
        super().__init__(f"{file}: {rule}. {fix}")
        self.file, self.rule, self.fix = file, rule, fix


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """How to make one vector of a text."""

    #: MEAN, FIRST, LAST or MAX over the text's tokens.
    pooling: str
    #: The vector is divided by its Euclidean length.
    normalise: bool
    #: Tokens of one text, special ones included.
    most_tokens: int
    #: Put before each text; empty for nothing.
    prompt: str = ""
    #: Lengths that the model was trained to be cut to; None for any, () for none.
    shorter: tuple[int, ...] | None = ()


def read(documents: Mapping[str, Any]) -> Encoder | None:
    """The encoder that JSON documents by path describe, or None where they are another model's.

    Raises BadEncoder where the model is an encoder, but not one that can be served as it says.
    """
    config = documents.get("config.json")
    config = config if isinstance(config, dict) else {}
    if MODULES not in documents:
        named = config.get("architectures")
        architecture = str(named[0]) if isinstance(named, list) and named else ""
        if _BARE.fullmatch(architecture):
            raise BadEncoder(
                MODULES,
                f"the file is missing, and {architecture} gives vectors of tokens, no text",
                "Save a sentence encoder with `SentenceTransformer(name).save(folder)`.",
            )
        return None
    pooling, normalise = "", False
    for name, folder in _steps(documents[MODULES]):
        if name == "Pooling":
            pooling = _pooling(documents, f"{folder}/config.json")
        elif name == "Normalize":
            normalise = True
        elif name != "Transformer" or folder:
            where = f" in the folder {folder}" if name == "Transformer" else ""
            raise BadEncoder(
                MODULES,
                f"the step {name}{where} cannot be served",
                "Served are Transformer (in the folder itself), Pooling and Normalize.",
            )
    if not pooling:
        raise BadEncoder(MODULES, "no step pools the tokens' vectors", "Add a Pooling step.")
    return Encoder(
        pooling=pooling,
        normalise=normalise,
        most_tokens=_most_tokens(config, documents.get(_LENGTH)),
        prompt=_prompt(documents.get(_PROMPTS)),
        shorter=_shorter(config),
    )


def _steps(modules: Any) -> list[tuple[str, str]]:
    """Class name without its package, and folder, of each step in order."""
    try:
        return [(str(step["type"]).rpartition(".")[2], str(step["path"])) for step in modules]
    except (TypeError, KeyError):
        raise BadEncoder(
            MODULES,
            "not a list of steps with type and path",
            "Write it with sentence-transformers.",
        ) from None


def _pooling(documents: Mapping[str, Any], path: str) -> str:
    settings = documents.get(path)
    if not isinstance(settings, dict):
        raise BadEncoder(path, "the file is missing", "Take the whole folder of the model.")
    named = settings.get("pooling_mode")
    modes = [mode for flag, mode in _FLAGS.items() if settings.get(flag)]
    if isinstance(named, str):
        modes = [named if named in _FLAGS.values() else ""]
    if len(modes) != 1 or not modes[0]:
        served = ", ".join(filter(None, _FLAGS.values()))
        raise BadEncoder(
            path, "it does not name one way of pooling that is served", f"Served: {served}."
        )
    return modes[0]


def _most_tokens(config: dict[str, Any], length: Any) -> int:
    positions = next((n for k in _POSITIONS if (n := _whole(config.get(k)))), 0)
    if config.get("model_type") in _OFFSET and positions:
        positions -= (_whole(config.get("pad_token_id")) or 0) + 1
    told = _whole(length.get("max_seq_length")) if isinstance(length, dict) else 0
    return min(filter(None, (positions, told)), default=512)


def _prompt(settings: Any) -> str:
    if not isinstance(settings, dict):
        return ""
    prompts, name = settings.get("prompts"), settings.get("default_prompt_name")
    found = prompts.get(name) if isinstance(prompts, dict) and isinstance(name, str) else None
    return found if isinstance(found, str) else ""


def _shorter(config: dict[str, Any]) -> tuple[int, ...] | None:
    listed = config.get("matryoshka_dimensions")
    if isinstance(listed, list):
        return tuple(n for n in listed if _whole(n))
    return None if config.get("is_matryoshka") is True else ()


def _whole(value: Any) -> int:
    return value if type(value) is int and 0 < value < 2**31 else 0
