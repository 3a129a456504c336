"""From model directories to an engine that is ready to start."""

from __future__ import annotations

import contextlib
import functools
import logging
import pathlib
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from slipway_runtime.serving import engine, forward, grammar, lora, scheduler, text, tools

log = logging.getLogger(__name__)

#: Weights larger than this (as float32) are kept in bfloat16: half the memory, and above this
#: size half the time per token, since reading weights is what a decode step does.
FLOAT32_LIMIT_BYTES = 1 << 30
TIED_COPY_LIMIT_BYTES = 64 << 20


class Served:
    """A model, its tokenizer and its engine; `sampling` holds the model's own defaults."""

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, settings: dict[str, Any]
    ) -> None:
        self.model = model
        model.train(False).requires_grad_(False)  # noqa: FBT003 - torch's own signature
        self.tokenizer = tokenizer
        _lay_out_for_decoding(model)
        self.adapters = lora.Adapters(model)
        limits = scheduler.Limits(max_context=_max_context(model, settings))
        for name in ("max_rows", "prefill_tokens", "kv_bytes"):
            if name in settings:
                setattr(limits, name, int(settings[name]))
        ends = _end_tokens(model, tokenizer)
        work = scheduler.Scheduler(
            forward.layout_for(model, self.adapters),
            decode=_decoder(tokenizer),
            end_tokens=ends,
            limits=limits,
        )
        self._ends = ends
        self.engine = engine.Engine(work, max_queue=int(settings.get("max_queue", 256)))
        own = model.generation_config
        greedy = not own.do_sample
        self.sampling: dict[str, Any] = {
            "temperature": 0.0 if greedy else float(own.temperature or 1.0),
            "top_p": 1.0 if greedy else float(own.top_p or 1.0),
            "top_k": 0 if greedy else int(own.top_k or 0),
        }

    @functools.cached_property
    def grammars(self) -> grammar.Grammars:
        """What holds answers to a grammar. Raises ValueError for a tokenizer that cannot."""
        vocabulary = self.model.get_output_embeddings().weight.shape[0]
        return grammar.Grammars(self.tokenizer, vocabulary=vocabulary, end_tokens=self._ends)

    @functools.cached_property
    def calls(self) -> tools.Style:
        """How this model writes a call of a tool."""
        ends = [self.tokenizer.decode([token]) for token in self._ends]
        return tools.learn(self.tokenizer, ends)

    def learn_shapes(self) -> None:
        """Make `grammars` and `calls` now: for a large vocabulary the first takes a second."""
        with contextlib.suppress(ValueError):
            _ = self.grammars
        _ = self.calls

    def attach(self, name: str, directory: pathlib.Path) -> None:
        """Attach an adapter; call in the engine's thread. Raises lora.AdapterError."""
        self.adapters.attach(name, lora.read(self.model, directory))

    def detach(self, name: str) -> None:
        """Forget an adapter; call in the engine's thread. Raises AdapterError while in use."""
        using = sum(row.request.adapter == name for row in self.engine.scheduler.rows())
        if using:
            raise lora.AdapterError(
                f"{name!r} still answers {using} requests; try again when they have ended"
            )
        self.adapters.detach(name)


def load(
    base: pathlib.Path, adapter: pathlib.Path | None = None, settings: dict[str, Any] | None = None
) -> Served:
    """Load a safetensors directory, with `adapter` merged into its weights if there is one.

    `settings`: max_context, max_rows, max_queue, prefill_tokens, kv_bytes, threads, dtype
    (`auto`, `float32`, `bfloat16`). Raises OSError, ValueError or lora.AdapterError naming the
    directory and what is wrong with it. No code from the directory is run.
    """
    settings = settings or {}
    torch.set_num_threads(int(settings.get("threads", 1)))
    tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True)
    model: Any = AutoModelForCausalLM.from_pretrained(
        base,
        dtype=_dtype(base, settings.get("dtype", "auto")),
        local_files_only=True,
        use_safetensors=True,
        low_cpu_mem_usage=True,
    )
    if adapter is not None:
        model = lora.merge(model, adapter)
    return Served(model, tokenizer, settings)


def _lay_out_for_decoding(model: PreTrainedModel) -> None:
    """Store the linear layers' weights by columns; shapes and values stay as they are.

    With one row the product of a vector and such a matrix is 2.7 times as fast, with 32 rows a
    tenth faster (float32, AVX-512). Embeddings are read by rows: a tied head gets its own copy,
    unless that is large.
    """
    embeddings = model.get_input_embeddings().weight
    for layer in model.modules():
        if not isinstance(layer, torch.nn.Linear) or layer.weight.dtype != torch.float32:
            continue
        weight = layer.weight
        if weight is embeddings and weight.numel() * weight.element_size() > TIED_COPY_LIMIT_BYTES:
            continue
        layer.weight = torch.nn.Parameter(weight.t().contiguous().t(), requires_grad=False)


def _dtype(base: pathlib.Path, wanted: str) -> torch.dtype:
    if wanted != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[wanted]
    from safetensors import safe_open

    parameters = 0
    for path in base.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            parameters += sum(
                torch.Size(file.get_slice(key).get_shape()).numel()
                for key in file.keys()  # noqa: SIM118
            )
    return torch.float32 if parameters * 4 <= FLOAT32_LIMIT_BYTES else torch.bfloat16


def _max_context(model: PreTrainedModel, settings: dict[str, Any]) -> int:
    config = model.config.get_text_config(decoder=True)
    own = getattr(config, "max_position_embeddings", None) or getattr(config, "seq_length", None)
    wanted = settings.get("max_context")
    if wanted and own and int(wanted) > own:
        raise ValueError(
            f"max_context {wanted} is more than the {own} positions this model was made for; "
            f"use {own} or less"
        )
    return int(wanted or own or 2048)


def _end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    ends = model.generation_config.eos_token_id
    listed = [ends] if isinstance(ends, int) else list(ends or ())
    return frozenset([*listed, tokenizer.eos_token_id]) - {None}


def _decoder(tokenizer: PreTrainedTokenizerBase) -> text.Decode:
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:  # the Rust tokenizer itself: a fifth of the wrapper's time per call
        decode: text.Decode = backend.decode
        return decode

    def slow(ids: list[int], skip_special_tokens: bool = True) -> str:  # noqa: FBT001, FBT002
        return str(tokenizer.decode(ids, skip_special_tokens=skip_special_tokens))

    return slow
