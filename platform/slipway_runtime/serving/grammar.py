"""Answers held to a grammar: JSON, a JSON schema, or the shape of a tool call.

The `llguidance` library says after every token which ones may follow; a `Constraint` bars the
others from one row's logits. A grammar is compiled once and copied for each row.
"""

from __future__ import annotations

import json
import math
import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import llguidance
import numpy as np
import torch
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

_KEPT = 64
#: Between two parts of a JSON text: nothing, a space, or a new line and its indentation. With no
#: bound a small model may write white space until its tokens are spent.
_WHITESPACE = {"whitespace_pattern": r"(\n[ ]{0,16}|[ ])"}
#: Where a JSON schema holds schemas: one, a list of them, or an object of them.
_ONE = ("additionalProperties", "items", "not", "contains", "propertyNames", "if", "then", "else",
        "unevaluatedProperties", "unevaluatedItems", "additionalItems")  # fmt: skip
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_OBJECTS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")


class Unsupported(Exception):
    """A schema that answers cannot be held to; `path` is the place, such as `$.properties.a`."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path


class Constraint:
    """One row's place in a grammar."""

    def __init__(self, matcher: Any, words: np.ndarray[Any, Any], size: int) -> None:
        self._matcher = matcher
        self._words = words
        self._size = size

    @property
    def finished(self) -> bool:
        """Nothing may follow but the end."""
        return bool(self._matcher.is_stopped())

    def bar(self, logits: torch.Tensor) -> None:
        """Set the logits [vocabulary] of all tokens that may not come next to minus infinity."""
        self._matcher.unsafe_compute_mask_ptr(self._words.ctypes.data, self._words.nbytes)
        barred = np.unpackbits(~self._words.view(np.uint8), bitorder="little", count=self._size)
        np.putmask(logits.numpy()[: self._size], barred.view(np.bool_), -math.inf)
        logits[self._size :] = -math.inf

    def advance(self, token: int) -> None:
        """Learn which token was chosen. Raises ValueError if the grammar cannot go on."""
        if not self._matcher.consume_token(token):
            raise ValueError(f"the answer left its grammar: {self._matcher.get_error()[:200]}")


class Grammars:
    """Compiles grammars for one tokenizer, from any thread; constraints are the engine's alone."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, *, vocabulary: int, end_tokens: frozenset[int]
    ) -> None:
        """`vocabulary` is the width of the model's logits."""
        backend: Any = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise ValueError("only tokenizers with a tokenizer.json can hold answers to a grammar")
        whole = json.loads(backend.to_str()) | {"padding": None, "truncation": None}
        self._tokenizer = llguidance.LLTokenizer(
            json.dumps(whole),
            n_vocab=max(vocabulary, len(tokenizer)),
            eos_token=sorted(end_tokens) or None,
        )
        size = self._tokenizer.vocab_size
        self._size = min(vocabulary, size)
        # Filled and read within one step of the one thread that samples.
        self._words = np.zeros((size + 31) // 32, dtype=np.int32)
        self._lock = threading.Lock()
        self._compiled: OrderedDict[str, Any] = OrderedDict()
        #: Schemas that were checked and found good, as text.
        self._sound: set[str] = set()

    def constraint(self, text: str) -> Constraint:
        """A fresh row's constraint for a grammar in Lark. Raises ValueError if it is none."""
        with self._lock:
            matcher = self._compiled.get(text)
        if matcher is None:
            matcher = llguidance.LLMatcher(self._tokenizer, text, log_level=0)
            trial = matcher.deep_copy()
            # One that nothing fits shows only now; a schema that is its own only part, for example.
            if trial.is_error() or not any(trial.compute_bitmask()) or trial.is_error():
                raise ValueError(trial.get_error().partition("\n")[0] or "nothing fits it")
        with self._lock:
            self._compiled[text] = matcher
            self._compiled.move_to_end(text)
            if len(self._compiled) > _KEPT:
                self._compiled.popitem(last=False)
        return Constraint(matcher.deep_copy(), self._words, self._size)

    def check(self, schema: dict[str, Any], path: str = "$") -> None:
        """Raises Unsupported, naming the innermost place at fault, if answers cannot be held to it.

        `path` is where the schema itself stands.
        """
        text = json.dumps(schema)
        if text in self._sound:
            return
        why = self._fault(schema)
        if not why:
            if len(self._sound) >= _KEPT:
                self._sound.clear()
            self._sound.add(text)
            return
        # References point into the whole, so its definitions go along with each part.
        shared: dict[str, Any] = {
            key: schema[key] for key in ("$defs", "definitions") if key in schema
        }
        part: Any = schema
        while isinstance(part, dict):
            for place, inner in _parts(part):
                if self._is_at_fault(inner, shared, why):
                    path, part = path + place, inner
                    break
            else:
                break
        if not isinstance(part, dict):
            why = f"a schema must be an object, not {part!r}"
        raise Unsupported(path, " ".join(why.split())[:300])

    def _is_at_fault(self, part: Any, shared: dict[str, Any], why: str) -> bool:
        if isinstance(part, dict):
            return self._fault(shared | part) == why
        return not isinstance(part, bool)

    def _fault(self, schema: dict[str, Any]) -> str:
        try:
            grammar = llguidance.LLMatcher.grammar_from_json_schema(schema)
        except ValueError as error:
            # Its numbers have 64 bits.
            return f"{error}; numbers have at most 64 bits"
        return str(llguidance.LLMatcher.validate_grammar(grammar, self._tokenizer))

    def bytes_of(self, token: int) -> bytes:
        """What the token spells, which may be half a character."""
        return bytes(self._tokenizer.decode_bytes([token]))


def lark(rules: str) -> str:
    """A whole grammar in llguidance's Lark from its rules."""
    return "%llguidance {}\n" + rules


def json_of(schema: dict[str, Any]) -> str:
    """The Lark term for a JSON text that `schema` allows."""
    return f"%json {json.dumps(schema | {'x-guidance': _WHITESPACE})}"


def _parts(schema: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key in _ONE:
        if key in schema:
            yield f".{key}", schema[key]
    for key in _LISTS:
        for index, part in enumerate(schema.get(key) or ()):
            yield f".{key}[{index}]", part
    for key in _OBJECTS:
        value = schema.get(key)
        for name, part in value.items() if isinstance(value, dict) else ():
            yield f".{key}.{name}", part
