"""What the body of a request asks for, as far as we read it; the engine judges the rest. Pure."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec

from slipway.gateway import errors
from slipway.gateway.errors import Refusal

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
EMBEDDINGS = "/v1/embeddings"


#: Levels of arrays and objects that are read for certain. The decoder ends a little below Python's
#: recursion limit, and counting them here as well would cost more than reading the body.
DEEPEST = 900
_NONE = msgspec.Raw()


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


_Name = Annotated[str, msgspec.Meta(max_length=64)]
_Value = Annotated[str, msgspec.Meta(max_length=512)]
#: What no engine judges, because it changes no answer; by the key, as a refusal says it.
_RULES = {
    "metadata": "at most 16 pairs of strings, keys of up to 64 and values of up to 512 characters",
    "safety_identifier": "a string of up to 64 characters",
    "service_tier": "use auto, default, flex, scale, priority or fast",
    "prompt_cache_retention": "use in_memory or 24h",
}


class Ask(msgspec.Struct):
    """The keys we read; all others are the engine's to judge."""

    model: str
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    #: The most tokens the answer may have, by its old and its new name; the engine checks them.
    max_tokens: Any = None
    max_completion_tokens: Any = None
    n: Any = None
    #: Requests that share a beginning, and are best answered by one replica.
    prompt_cache_key: str | None = None
    #: A chat completion that is to be kept; of no meaning to the others.
    store: bool | None = None
    metadata: Annotated[dict[_Name, _Value], msgspec.Meta(max_length=16)] | None = None
    user: str | None = None
    safety_identifier: _Name | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    #: What the model is given: messages or prompt, unread; and what is put before it as text.
    given: msgspec.Raw = msgspec.Raw()
    tools: msgspec.Raw = _NONE
    response_format: msgspec.Raw = _NONE

    @property
    def prompt_bytes(self) -> int:
        if self.tools is _NONE and self.response_format is _NONE:
            return len(bytes(self.given))
        return sum(map(len, map(bytes, (self.given, self.tools, self.response_format))))


class _Chat(Ask):
    given: msgspec.Raw = msgspec.field(name="messages", default=msgspec.Raw())


class _Completion(Ask):
    given: msgspec.Raw = msgspec.field(name="prompt", default=msgspec.Raw())


class _Embeddings(Ask):
    given: msgspec.Raw = msgspec.field(name="input", default=msgspec.Raw())


_decoders: dict[str, msgspec.json.Decoder[Any]] = {
    CHAT: msgspec.json.Decoder(_Chat),
    COMPLETIONS: msgspec.json.Decoder(_Completion),
    EMBEDDINGS: msgspec.json.Decoder(_Embeddings),
}
#: The paths that are completed by an engine.
ENDPOINTS = frozenset(_decoders)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_options = msgspec.json.Decoder(dict[str, msgspec.Raw])
_prompts = msgspec.json.Decoder(list[msgspec.Raw])
_encode = msgspec.json.Encoder().encode
_WITH_USAGE = msgspec.Raw(b'{"include_usage":true}')
_PLACE = re.compile(r" - at (?:`key` in )?`\$\.?([^`]*)`$")


def read(endpoint: str, body: bytes, most_bytes: int) -> Ask | Refusal:
    """`endpoint` is CHAT, COMPLETIONS or EMBEDDINGS."""
    if len(body) > most_bytes:
        return errors.too_large(most_bytes)
    try:
        body.decode()
        ask: Ask = _decoders[endpoint].decode(body)
    except UnicodeDecodeError as error:
        return Refusal(
            400, f"The body is not UTF-8: byte {error.start} is 0x{body[error.start]:02x}."
        )
    except RecursionError:
        says = f"The body nests arrays and objects deeper than {DEEPEST} levels; flatten it."
        return Refusal(400, says)
    except msgspec.ValidationError as error:
        return _misshapen(str(error))
    except msgspec.DecodeError as error:
        return Refusal(400, f"The body is not valid JSON: {error}. Send one JSON object.")
    if not 0 < len(ask.model) <= 256:
        return Refusal(
            400,
            f"model must have 1 to 256 characters, not {len(ask.model)}.",
            param="model",
        )
    if ask.stream_options is not None and not ask.stream:
        return Refusal(
            400,
            "stream_options is only allowed together with stream: true; leave it out.",
            param="stream_options",
        )
    return _ungiven(endpoint, ask) or ask


def _ungiven(endpoint: str, ask: Ask) -> Refusal | None:
    """What is wrong with what the model is given; the engine reads it in full."""
    given = bytes(ask.given)
    if endpoint == CHAT:
        if ask.tools is not _NONE and not bytes(ask.tools).startswith((b"[", b"null")):
            text = 'tools must be a list such as [{"type": "function", "function": {…}}].'
            return Refusal(400, text, param="tools")
        if given.startswith(b"["):
            return None
        text = 'messages must be a list such as [{"role": "user", "content": "…"}].'
        return Refusal(400, text, param="messages")
    if endpoint == COMPLETIONS and not given:
        return Refusal(400, "prompt is missing; give a string.", param="prompt")
    if endpoint == EMBEDDINGS and not given:
        return Refusal(400, "input is missing; give a string or a list.", param="input")
    if endpoint == EMBEDDINGS and ask.stream:
        return Refusal(400, "Embeddings have no streams; leave stream out.", param="stream")
    return None


def longest_answer(ask: Ask) -> int:
    """Tokens that one answer may have, as far as the request says; else 0."""
    old, new = ask.max_tokens, ask.max_completion_tokens
    if old is None and new is None:
        return 0
    # Which of the two an engine heeds is its business: the larger one.
    said = [value for value in (new, old) if isinstance(value, int) and value > 0]
    return max(said, default=0)


def copies(endpoint: str, ask: Ask) -> int:
    """How many answers are asked for: so many for each prompt."""
    count = ask.n if isinstance(ask.n, int) and ask.n > 1 else 1
    if endpoint == COMPLETIONS and bytes(ask.given).startswith(b"["):
        prompts = _prompts.decode(ask.given)
        # A list of numbers is one prompt in tokens.
        if prompts and not bytes(prompts[0])[:1].isdigit():
            count *= len(prompts)
    return count


def _misshapen(complaint: str) -> Refusal:
    """msgspec says `Expected `str`, got `int` - at `$.model``; the path becomes `param`."""
    place = _PLACE.search(complaint)
    param = place[1].removesuffix("[...]") if place else None
    if missing := re.search(r"required field `(\w+)`", complaint):
        param = missing[1]
        return Refusal(400, f"{param} is missing; give it.", param=param)
    rule = _PLACE.sub("", complaint)
    if says := _RULES.get(param or ""):
        rule += f"; {says}"
    return Refusal(400, f"{param or 'The body'}: {rule}.", param=param)


def asking_for_usage(body: bytes) -> bytes:
    """The same request with `stream_options.include_usage` on."""
    fields = _fields.decode(body)
    given = fields.get("stream_options")
    if given is None or bytes(given) == b"null":
        fields["stream_options"] = _WITH_USAGE
    else:
        options = _options.decode(given)
        options["include_usage"] = msgspec.Raw(b"true")
        fields["stream_options"] = msgspec.Raw(_encode(options))
    return _encode(fields)
