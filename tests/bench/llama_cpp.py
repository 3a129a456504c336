"""llama.cpp's own server over a Llama in the Hugging Face layout, for `serving.py`.

    python -m venv /tmp/llama && /tmp/llama/bin/pip install xllamacpp gguf safetensors
    /tmp/llama/bin/python tests/bench/llama_cpp.py MODEL TARGET.gguf

Writes the same float32 weights as GGUF, then serves them on one thread with 32 slots; says its
port as one JSON line and stays until killed. The tokenizer keeps the model's pieces, but may cut
a prompt into a few tokens more or less.
"""

from __future__ import annotations

import json
import pathlib
import sys
import threading
from typing import Any

import gguf
import numpy as np
import safetensors.numpy
import xllamacpp

SLOTS = 32
#: The model's own template without the tags that only training needs.
TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + "
    "'<|end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
PARTS = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}  # fmt: skip


def write(model: pathlib.Path, target: pathlib.Path) -> None:
    config = json.loads((model / "config.json").read_text())
    out = gguf.GGUFWriter(target, "llama")
    out.add_context_length(config["max_position_embeddings"])
    out.add_embedding_length(config["hidden_size"])
    out.add_block_count(config["num_hidden_layers"])
    out.add_feed_forward_length(config["intermediate_size"])
    out.add_head_count(config["num_attention_heads"])
    out.add_head_count_kv(config["num_key_value_heads"])
    out.add_rope_dimension_count(config["head_dim"])
    out.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    out.add_layer_norm_rms_eps(config["rms_norm_eps"])
    out.add_file_type(gguf.LlamaFileType.ALL_F32)
    _write_tokenizer(out, json.loads((model / "tokenizer.json").read_text()))
    tensors = safetensors.numpy.load_file(model / "model.safetensors")
    for name, tensor in tensors.items():
        out.add_tensor(*_tensor(name, tensor.astype(np.float32), config))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def _tensor(name: str, tensor: Any, config: dict[str, Any]) -> tuple[str, Any]:
    whole = {"model.embed_tokens.weight": "token_embd.weight", "lm_head.weight": "output.weight",
             "model.norm.weight": "output_norm.weight"}  # fmt: skip
    if name in whole:
        return whole[name], tensor
    _, _, number, rest = name.split(".", 3)
    part = rest.removesuffix(".weight")
    heads = {"self_attn.q_proj": "num_attention_heads", "self_attn.k_proj": "num_key_value_heads"}
    if part in heads:
        # Rotary pairs stand side by side here, half a head apart there.
        count = config[heads[part]]
        halves = tensor.reshape(count, 2, tensor.shape[0] // count // 2, tensor.shape[1])
        tensor = np.ascontiguousarray(halves.swapaxes(1, 2).reshape(tensor.shape))
    return f"blk.{number}.{PARTS[part]}.weight", tensor


def _write_tokenizer(out: Any, tokenizer: dict[str, Any]) -> None:
    pieces = {number: piece for piece, number in tokenizer["model"]["vocab"].items()}
    special = {token["id"]: token["content"] for token in tokenizer["added_tokens"]}
    pieces |= special
    kinds = []
    for number in range(len(pieces)):
        byte = pieces[number].startswith("<0x") and len(pieces[number]) == 6
        kinds.append(
            gguf.TokenType.CONTROL if number in special
            else gguf.TokenType.BYTE if byte else gguf.TokenType.NORMAL
        )  # fmt: skip
    out.add_tokenizer_model("llama")
    out.add_token_list([pieces[number] for number in range(len(pieces))])
    out.add_token_scores([-float(number) for number in range(len(pieces))])
    out.add_token_types(kinds)
    out.add_eos_token_id(1)
    out.add_bos_token_id(1)
    out.add_add_bos_token(False)
    out.add_vocab_size(len(pieces))


def main(model: str, target: str) -> None:
    write(pathlib.Path(model), pathlib.Path(target))
    asked = xllamacpp.CommonParams()
    asked.model.path = target
    asked.n_parallel = SLOTS
    asked.n_ctx = SLOTS * 512
    asked.cpuparams.n_threads = asked.cpuparams_batch.n_threads = 1
    asked.chat_template = TEMPLATE
    asked.use_jinja = True
    asked.port = 0
    asked.warmup = True
    server = xllamacpp.Server(asked)
    print(json.dumps({"address": server.listening_address}), flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
