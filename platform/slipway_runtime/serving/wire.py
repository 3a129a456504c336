"""Requests in the OpenAI wire shape: a body to what the engine shall generate, or to an error."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from slipway_runtime.serving import chat as conversation
from slipway_runtime.serving import loading, sampling, scheduler, shape
from slipway_runtime.serving.refusal import ApiError

MAX_CHOICES = 128
MAX_STOPS = 16
#: More than any vocabulary has.
MAX_TOP_K = 1_000_000
#: What both endpoints read, ours at the end.
_READ = frozenset(
    {
        "model", "stream", "stream_options", "n", "max_tokens", "stop", "seed", "temperature",
        "top_p", "presence_penalty", "frequency_penalty", "logit_bias", "logprobs", "top_k",
        "ignore_eos"
    }
)  # fmt: skip
#: What one endpoint reads besides.
_CHAT = frozenset(
    {
        "messages", "max_completion_tokens", "top_logprobs", "response_format", "tools",
        "tool_choice", "parallel_tool_calls"
    }
)  # fmt: skip
_COMPLETION = frozenset(["prompt"])
#: Accepted and without any effect on the answer: labels, hints, and where it is kept or billed.
_IGNORED = frozenset(
    {
        "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key",
        "prompt_cache_retention"
    }
)  # fmt: skip
#: Settings of the API that change what the answer must look like and that this engine has not;
#: with the values that ask for nothing.
_UNSUPPORTED: dict[str, tuple[Any, ...]] = {
    "functions": ([],),
    "function_call": ("none",),
    "audio": (),
    "prediction": (),
    "modalities": (["text"],),
    "reasoning_effort": ("none",),
    "verbosity": ("medium",),
    "web_search_options": (),
    "echo": (False,),
    "suffix": ("",),
    "best_of": (1,),
}
_INSTEAD = {"functions": "; use tools", "function_call": "; use tool_choice"}


@dataclass(kw_only=True)
class Call:
    """One HTTP request, understood: what to generate and how to write the answer."""

    chat: bool
    model: str
    requests: list[scheduler.Request]
    stream: bool
    include_usage: bool
    shape: shape.Shape = field(default_factory=shape.Shape)
    id: str = ""
    created: int = field(default_factory=lambda: int(time.time()))

    def __post_init__(self) -> None:
        prefix = "chatcmpl-" if self.chat else "cmpl-"
        self.id = self.id or prefix + secrets.token_hex(12)


def parse(
    body: bytes,
    *,
    chat: bool,
    served: loading.Served,
    names: dict[str, str | None],
    adapter: str = "",
) -> Call:
    """Understand a request body. `names` maps served model names to adapters (None: the base);
    with `adapter`, that one is meant whatever name the model was asked by.

    Raises ApiError naming the parameter, the rule and the value.
    """
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"The request body is not valid JSON: {error}") from None
    if not isinstance(fields, dict):
        raise ApiError(400, "The request body must be a JSON object.")
    reader = _Fields(fields)
    model = reader.text("model")
    if not adapter and model not in names:
        known = ", ".join(sorted(names))
        message = f"The model `{model}` does not exist here; this copy serves {known}."
        raise ApiError(404, message, param="model", code="model_not_found")
    _refuse_what_is_not_served(fields, chat=chat)
    try:
        wanted = shape.read(fields, served) if chat else shape.Shape()
    except RecursionError:
        raise ApiError(400, "The request nests objects too deep; flatten its schema.") from None
    prompts = (
        [conversation.prompt(fields, served, wanted.offered)] if chat else _prompts(fields, served)
    )
    count = reader.integer("n", 1, MAX_CHOICES, 1) or 1
    if len(prompts) * count > MAX_CHOICES:
        raise ApiError(
            400,
            f"`prompt` holds {len(prompts)} prompts, with `n` {count} that is "
            f"{len(prompts) * count} answers; one request gets at most {MAX_CHOICES}. "
            "Send it in parts.",
            param="prompt",
        )
    max_tokens = reader.integer("max_completion_tokens", 1, None, None) if chat else None
    max_tokens = max_tokens or reader.integer("max_tokens", 1, None, None)
    if max_tokens is None and not chat:
        max_tokens = 16  # the API's own default for /completions
    stop = _stop(fields.get("stop"))
    drawn = _sampling(reader, served, wanted.rules, chat=chat)
    requests = [
        scheduler.Request(
            prompt=prompt,
            sampling=drawn(choice),
            max_tokens=max_tokens,
            stop=stop,
            ignore_eos=reader.truth("ignore_eos"),
            adapter=adapter or names[model],
            show_special=wanted.show_special,
        )
        for prompt in prompts
        for choice in range(count)
    ]
    options = fields.get("stream_options") or {}
    if not isinstance(options, dict):
        raise ApiError(400, "`stream_options` must be an object.", param="stream_options")
    return Call(
        chat=chat,
        model=model,
        requests=requests,
        stream=reader.truth("stream"),
        include_usage=bool(options.get("include_usage")),
        shape=wanted,
    )


def _refuse_what_is_not_served(fields: dict[str, Any], *, chat: bool) -> None:
    read = _READ | _IGNORED | (_CHAT if chat else _COMPLETION)
    for name, value in fields.items():
        if name in read:
            continue
        if name not in _UNSUPPORTED:
            message = f"Unrecognized request argument supplied: {name[:80]}"
            raise ApiError(400, message, param=name[:80], code="unknown_parameter")
        if value is not None and value not in _UNSUPPORTED[name]:
            instead = _INSTEAD.get(name, "; leave it out")
            message = f"`{name}` is not supported by this model's engine{instead}."
            raise ApiError(400, message, param=name, code="unsupported_parameter")


class _Fields:
    """Typed reading of a JSON object; every refusal names the parameter and its range."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.fields = fields

    def text(self, name: str) -> str:
        value = self.fields.get(name)
        if not isinstance(value, str) or not value:
            raise ApiError(400, f"`{name}` must be a non-empty string.", param=name)
        return value

    def truth(self, name: str) -> bool:
        value = self.fields.get(name)
        if not (value is None or isinstance(value, bool)):
            raise ApiError(400, f"`{name}` must be true or false, not {value!r}.", param=name)
        return bool(value)

    def number(self, name: str, low: float, high: float, default: float) -> float:
        value = self.fields.get(name)
        if value is None:
            return default
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not (low <= value <= high)
        ):
            raise ApiError(
                400, f"`{name}` must be a number from {low} to {high}, not {value!r}.", param=name
            )
        return float(value)

    def integer(self, name: str, low: int, high: int | None, default: int | None) -> int | None:
        value = self.fields.get(name)
        if value is None:
            return default
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or value < low or (high is not None and value > high):
            upto = f" to {high}" if high is not None else " or more"
            raise ApiError(
                400, f"`{name}` must be an integer from {low}{upto}, not {value!r}.", param=name
            )
        return value


def _sampling(
    reader: _Fields, served: loading.Served, rules: str, *, chat: bool
) -> Callable[[int], sampling.Sampling]:
    own = served.sampling
    fields = reader.fields
    seed = reader.integer("seed", -(2**63), 2**63 - 1, None)
    if chat:
        alternatives = reader.integer("top_logprobs", 0, 20, 0)
        if not reader.truth("logprobs"):
            if alternatives:
                message = "`top_logprobs` needs `logprobs`: true beside it."
                raise ApiError(400, message, param="top_logprobs")
            alternatives = None
    else:
        alternatives = reader.integer("logprobs", 0, 20, None)
    common: dict[str, Any] = {
        "temperature": reader.number("temperature", 0, 2, own["temperature"]),
        "top_p": reader.number("top_p", 0, 1, own["top_p"]),
        "top_k": reader.integer("top_k", 0, MAX_TOP_K, own["top_k"]),
        "presence_penalty": reader.number("presence_penalty", -2, 2, 0.0),
        "frequency_penalty": reader.number("frequency_penalty", -2, 2, 0.0),
        "logit_bias": _bias(fields.get("logit_bias"), served),
        "top_logprobs": alternatives,
    }

    def draw(choice: int) -> sampling.Sampling:
        # Each of n choices has a sequence of its own; the first is what n=1 would have given.
        own_seed = None if seed is None else seed + choice
        held = _held(served, rules) if rules else None
        return sampling.Sampling(seed=own_seed, constraint=held, **common)

    return draw


def _held(served: loading.Served, rules: str) -> sampling.Constraint:
    try:
        return served.grammars.constraint(rules)
    except ValueError as error:
        message = f"No answer can fit what response_format and tools ask for: {error}."
        raise ApiError(400, message, param="response_format", code="unsupported_schema") from None


def _bias(value: Any, served: loading.Served) -> dict[int, float]:
    if value is None:
        return {}
    size = len(served.tokenizer)
    try:
        bias = {int(token): float(amount) for token, amount in value.items()}
        if all(0 <= token < size and -100 <= amount <= 100 for token, amount in bias.items()):
            return bias
    except (AttributeError, TypeError, ValueError):
        pass
    raise ApiError(
        400,
        f"`logit_bias` must map token ids (0 to {size - 1}) to numbers from -100 to 100.",
        param="logit_bias",
    )


def _stop(value: Any) -> tuple[str, ...]:
    listed = [value] if isinstance(value, str) else [] if value is None else value
    if (
        not isinstance(listed, list)
        or len(listed) > MAX_STOPS
        or not all(isinstance(s, str) and s for s in listed)
    ):
        raise ApiError(
            400,
            f"`stop` must be a string or a list of up to {MAX_STOPS} non-empty strings.",
            param="stop",
        )
    return tuple(listed)


def _prompts(fields: dict[str, Any], served: loading.Served) -> list[list[int]]:
    prompt = fields.get("prompt")
    size = len(served.tokenizer)
    match prompt:
        case str():
            listed = [prompt]
        case [int(), *_]:
            listed = [prompt]
        case [_, *_]:
            listed = prompt
        case _:
            raise ApiError(
                400, "`prompt` must be a string, tokens or a list of them.", param="prompt"
            )
    prompts = []
    for one in listed:
        tokens = served.tokenizer(one)["input_ids"] if isinstance(one, str) else one
        if not isinstance(tokens, list) or not all(
            isinstance(t, int) and 0 <= t < size for t in tokens
        ):
            raise ApiError(400, f"`prompt` holds tokens outside 0 to {size - 1}.", param="prompt")
        if not tokens:
            raise ApiError(400, "`prompt` is empty.", param="prompt")
        prompts.append(tokens)
    return prompts
