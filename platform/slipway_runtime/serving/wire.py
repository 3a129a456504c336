"""Requests in the OpenAI wire shape: a body to what the engine shall generate, or to an error."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from slipway_runtime.serving import loading, sampling, scheduler

MAX_CHOICES = 128
#: Settings of the API that change what the answer must look like and that this engine has not.
_UNSUPPORTED = {
    "tools": ([], None),
    "functions": ([], None),
    "response_format": ({"type": "text"}, None),
    "audio": (None,),
    "echo": (False, None),
    "suffix": ("", None),
    "best_of": (1, None),
}


class ApiError(Exception):
    """An answer that is an error: HTTP status and the four keys of OpenAI's error object."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_seconds = retry_after_seconds
        self.body = {
            "error": {
                "message": message,
                "type": "server_error" if status >= 500 else "invalid_request_error",
                "param": param,
                "code": code,
            }
        }


@dataclass(kw_only=True)
class Call:
    """One HTTP request, understood: what to generate and how to write the answer."""

    chat: bool
    model: str
    requests: list[scheduler.Request]
    stream: bool
    include_usage: bool
    id: str = ""
    created: int = field(default_factory=lambda: int(time.time()))

    def __post_init__(self) -> None:
        prefix = "chatcmpl-" if self.chat else "cmpl-"
        self.id = self.id or prefix + secrets.token_hex(12)


def parse(body: bytes, *, chat: bool, served: loading.Served, names: dict[str, str | None]) -> Call:
    """Understand a request body. `names` maps served model names to adapters (None: the base).

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
    if model not in names:
        known = ", ".join(sorted(names))
        message = f"The model `{model}` does not exist here; this copy serves {known}."
        raise ApiError(404, message, param="model", code="model_not_found")
    for name, harmless in _UNSUPPORTED.items():
        if fields.get(name) not in (*harmless, None):
            message = f"`{name}` is not supported by this model's engine; leave it out."
            raise ApiError(400, message, param=name, code="unsupported_parameter")
    prompts = [_chat_prompt(fields, served)] if chat else _prompts(fields, served)
    count = reader.integer("n", 1, MAX_CHOICES, 1)
    max_tokens = reader.integer("max_completion_tokens", 1, None, None) if chat else None
    max_tokens = max_tokens or reader.integer("max_tokens", 1, None, None)
    if max_tokens is None and not chat:
        max_tokens = 16  # the API's own default for /completions
    stop = _stop(fields.get("stop"))
    drawn = _sampling(reader, served, chat=chat)
    requests = [
        scheduler.Request(
            prompt=prompt,
            sampling=drawn(choice),
            max_tokens=max_tokens,
            stop=stop,
            ignore_eos=bool(fields.get("ignore_eos", False)),
            adapter=names[model],
        )
        for prompt in prompts
        for choice in range(count or 1)
    ]
    options = fields.get("stream_options") or {}
    return Call(
        chat=chat,
        model=model,
        requests=requests,
        stream=bool(fields.get("stream")),
        include_usage=bool(isinstance(options, dict) and options.get("include_usage")),
    )


class _Fields:
    """Typed reading of a JSON object; every refusal names the parameter and its range."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.fields = fields

    def text(self, name: str) -> str:
        value = self.fields.get(name)
        if not isinstance(value, str) or not value:
            raise ApiError(400, f"`{name}` must be a non-empty string.", param=name)
        return value

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
    reader: _Fields, served: loading.Served, *, chat: bool
) -> Callable[[int], sampling.Sampling]:
    own = served.sampling
    fields = reader.fields
    seed = reader.integer("seed", -(2**63), 2**63 - 1, None)
    if chat:
        alternatives = reader.integer("top_logprobs", 0, 20, 0) if fields.get("logprobs") else None
    else:
        alternatives = reader.integer("logprobs", 0, 20, None)
    common: dict[str, Any] = {
        "temperature": reader.number("temperature", 0, 2, own["temperature"]),
        "top_p": reader.number("top_p", 0, 1, own["top_p"]),
        "top_k": reader.integer("top_k", 0, None, own["top_k"]),
        "presence_penalty": reader.number("presence_penalty", -2, 2, 0.0),
        "frequency_penalty": reader.number("frequency_penalty", -2, 2, 0.0),
        "logit_bias": _bias(fields.get("logit_bias"), served),
        "top_logprobs": alternatives,
    }

    def draw(choice: int) -> sampling.Sampling:
        # Each of n choices has a sequence of its own; the first is what n=1 would have given.
        own_seed = None if seed is None else seed + choice
        return sampling.Sampling(seed=own_seed, **common)

    return draw


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
    listed = [value] if isinstance(value, str) else value or []
    if (
        not isinstance(listed, list)
        or len(listed) > 16
        or not all(isinstance(s, str) and s for s in listed)
    ):
        raise ApiError(
            400, "`stop` must be a string or a list of up to 16 non-empty strings.", param="stop"
        )
    return tuple(listed)


def _chat_prompt(fields: dict[str, Any], served: loading.Served) -> list[int]:
    messages = fields.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ApiError(400, "`messages` must be a non-empty list.", param="messages")
    if not served.tokenizer.chat_template:
        message = "This model has no chat template; use /v1/completions."
        raise ApiError(400, message, param="messages", code="no_chat_template")
    conversation = [_message(index, message) for index, message in enumerate(messages)]
    try:
        encoded: Any = served.tokenizer.apply_chat_template(
            conversation, add_generation_prompt=True, return_dict=True
        )
    except Exception as error:  # noqa: BLE001 - a template may refuse a conversation in any way it likes
        text = f"The model's chat template refuses these messages: {error}"
        raise ApiError(400, text, param="messages") from None
    return [int(token) for token in encoded["input_ids"]]


def _message(index: int, message: Any) -> dict[str, Any]:
    where = f"messages[{index}]"
    if not isinstance(message, dict):
        raise ApiError(400, f"`{where}` must be an object.", param=where)
    role, content = message.get("role"), message.get("content")
    if role not in ("system", "developer", "user", "assistant", "tool"):
        raise ApiError(
            400,
            f"`{where}.role` must be system, developer, user, assistant or tool, not {role!r}.",
            param=f"{where}.role",
        )
    if isinstance(content, list):
        if not all(isinstance(part, dict) and part.get("type") == "text" for part in content):
            raise ApiError(
                400,
                f"`{where}.content` may hold parts of type text only: this model reads no images, "
                "audio or files.",
                param=f"{where}.content",
            )
        content = "".join(str(part.get("text", "")) for part in content)
    if not isinstance(content, str) and not (content is None and role == "assistant"):
        raise ApiError(
            400, f"`{where}.content` must be a string or a list of parts.", param=f"{where}.content"
        )
    return message | {"role": "system" if role == "developer" else role, "content": content or ""}


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
    for one in listed[:MAX_CHOICES]:
        tokens = served.tokenizer(one)["input_ids"] if isinstance(one, str) else one
        if not isinstance(tokens, list) or not all(
            isinstance(t, int) and 0 <= t < size for t in tokens
        ):
            raise ApiError(400, f"`prompt` holds tokens outside 0 to {size - 1}.", param="prompt")
        if not tokens:
            raise ApiError(400, "`prompt` is empty.", param="prompt")
        prompts.append(tokens)
    return prompts
