"""Runs apart, limited in time and memory: loads a tokenizer and renders a chat template with it.

Both come from strangers: a tokenizer's pattern or a template's loops may never end. So this file
is started as a script of its own, reads one JSON document and answers with one.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

CPU_SECONDS = 20
MEMORY_BYTES = 4 * 1024**3
LONGEST_RENDERED = 1_000_000

SYSTEM = {"role": "system", "content": "Answer with the colour azure."}
TALK = [
    {"role": "user", "content": "What is the sales total of March? 销售额"},
    {"role": "assistant", "content": "It was forty-two."},
    {"role": "user", "content": "And of April, please? 谢谢"},
]
TOOL = {
    "type": "function",
    "function": {
        "name": "look_up_zebra",
        "description": "Looks it up.",
        "parameters": {"type": "object", "properties": {"key": {"type": "string"}}},
    },
}


class Fault(Exception):
    def __init__(self, file: str, rule: str, fix: str) -> None:
        super().__init__(rule)
        self.answer = {"fault": {"field": file, "rule": rule, "fix": fix}}


def examine(given: dict[str, Any]) -> dict[str, Any]:
    """`given`: tokenizer (text), template (text or null), template_file, special (name to text)."""
    tokenizer = _tokenizer(given["tokenizer"])
    answer: dict[str, Any] = {
        "vocab_size": tokenizer.get_vocab_size(),
        "capabilities": ["completions"],
    }
    if given["template"] is None:
        return answer
    render = _renderer(given)
    text = render(TALK)
    for message in TALK:
        if message["content"] not in text:
            raise Fault(
                given["template_file"],
                f"the chat template drops a {message['role']} message of an ordinary conversation",
                "Render every message's content.",
            )
    tokens = tokenizer.encode(text, add_special_tokens=False).ids
    answer["capabilities"].append("chat")
    asked: dict[str, Callable[[], bool]] = {
        "system": lambda: SYSTEM["content"] in render([SYSTEM, *TALK]),
        "tools": lambda: "look_up_zebra" in render(TALK, tools=[TOOL]),
    }
    for name, understands in asked.items():
        try:
            able = understands()
        except Fault:
            able = False
        if able:
            answer["capabilities"].append(name)
    return answer | {"rendered": text[:2000], "tokens": len(tokens)}


def _tokenizer(text: str) -> Any:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_str(text)
        mute = [m for m in TALK if not tokenizer.encode(m["content"]).ids]
    except BaseException as error:
        # The library panics (no Exception) on some broken input.
        raise Fault(
            "tokenizer.json",
            f"the tokenizer cannot be used: {error}"[:300],
            "Write it again with `tokenizer.save_pretrained(folder)`.",
        ) from error
    if mute:
        rule = "the tokenizer makes no tokens of ordinary text"
        raise Fault("tokenizer.json", rule, "Use the tokenizer of the model.")
    return tokenizer


def _renderer(given: dict[str, Any]) -> Any:
    import jinja2
    from jinja2 import ext, nodes
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(ext.Extension):
        """`{% generation %}` marks what the assistant says; it changes nothing in the text."""

        tags = {"generation"}

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.CallBlock(self.call_method("_as_it_is"), [], [], body).set_lineno(line)

        def _as_it_is(self, caller: Any) -> Any:
            return caller()

    def refuse(message: str) -> None:
        raise jinja2.TemplateError(message)

    def to_json(value: Any, ensure_ascii: bool = False, **more: Any) -> str:  # noqa: FBT001, FBT002
        return json.dumps(value, ensure_ascii=ensure_ascii, **more)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, ext.loopcontrols]
    )
    environment.filters["tojson"] = to_json
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = lambda text: datetime.now().strftime(text)  # noqa: DTZ005 - as templates expect

    def render(messages: list[dict[str, str]], tools: list[Any] | None = None) -> str:
        try:
            text = environment.from_string(given["template"]).render(
                messages=messages, tools=tools, documents=None, add_generation_prompt=True,
                **given["special"],
            )  # fmt: skip
        except Exception as error:
            line = getattr(error, "lineno", None) or _line(error)
            where = f" in line {line}" if line else ""
            raise Fault(
                given["template_file"],
                f"the chat template fails{where}: {type(error).__name__}: {error}"[:300],
                "It must render user, assistant, user with a generation prompt.",
            ) from error
        if len(text) > LONGEST_RENDERED:
            rule = f"the chat template makes {len(text)} characters of three short messages"
            raise Fault(given["template_file"], rule, "Render each message once.")
        return text

    return render


def _line(error: BaseException) -> int | None:
    found, frame = None, error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code.co_filename == "<template>":
            found = frame.tb_lineno
        frame = frame.tb_next
    return found


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    try:
        result = examine(json.load(sys.stdin))
    except Fault as fault:
        result = fault.answer
    json.dump(result, sys.stdout)
