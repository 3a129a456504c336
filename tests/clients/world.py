"""What a scenario has at hand: strict clients of the `openai` package, names, and patience."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import openai

MAJOR = int(openai.__version__.split(".")[0])
#: Chat model, sentence encoder: deployed before the scenarios begin.
CHAT, ENCODER = "chart-base", "words"
HELLO: Any = [{"role": "user", "content": "华北地区2019年3月的销售额,用柱状图表示。"}]


@dataclass(frozen=True)
class World:
    """Clients that validate every answer against their types, and what tells runs apart."""

    #: Letters that no other run of the scenarios has.
    mark: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    def __post_init__(self) -> None:
        options: dict[str, Any] = {"_strict_response_validation": True, "max_retries": 0}
        if MAJOR > 1:
            options["admin_api_key"] = os.environ["OPENAI_ADMIN_KEY"]
        object.__setattr__(self, "openai", openai.OpenAI(**options))
        object.__setattr__(self, "asynchronous", lambda: openai.AsyncOpenAI(**options))
        # Where the client's own types contradict what it asks for, it cannot be strict.
        lenient = options | {"_strict_response_validation": False}
        object.__setattr__(self, "lenient", openai.OpenAI(**lenient))
        # Checkpoints are shared by whoever administers, with the ordinary key's methods.
        object.__setattr__(
            self,
            "admin",
            openai.OpenAI(**options | {"api_key": os.environ["OPENAI_ADMIN_KEY"]}),
        )

    def rows(self, count: int = 16) -> bytes:
        """Chats to tune with."""
        return lines(
            {"messages": [*HELLO, {"role": "assistant", "content": f"{self.mark} {number}"}]}
            for number in range(count)
        )

    def put(self, data: bytes, purpose: str = "fine-tune") -> str:
        name = f"{self.mark}.jsonl"
        return str(self.openai.files.create(file=(name, data), purpose=purpose).id)

    def refused(self, kind: type[Any], call: Callable[[], Any], status: int, **facts: Any) -> Any:
        """The error of a call that must be refused, whole as the client reads it."""
        try:
            answer = call()
        except openai.APIStatusError as caught:
            error = caught
        else:
            raise AssertionError(f"not refused: {answer!r}"[:300])
        assert isinstance(error, kind), repr(error)
        assert error.status_code == status, repr(error)
        assert error.request_id, "no request id"
        assert isinstance(error.body, dict), error.body
        assert set(error.body) == {"message", "type", "param", "code"}, error.body
        for name, value in facts.items():
            assert getattr(error, name) == value, (name, getattr(error, name), str(error))
        return error


@dataclass(frozen=True)
class Scenario:
    name: str
    play: Callable[[Any], None]
    #: The attribute of the client without which it cannot be played; older clients lack some.
    needs: str = ""


SCENARIOS: list[Scenario] = []


def scenario(name: str, *, needs: str = "") -> Callable[[Any], Any]:
    def keep(play: Callable[[Any], None]) -> Callable[[Any], None]:
        SCENARIOS.append(Scenario(name, play, needs))
        return play

    return keep


def lines(rows: Any) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def until(what: str, look: Callable[[], Any], seconds: float = 120) -> Any:
    """The first truthy thing `look` returns."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, f"waited {seconds:g} s in vain for {what}"
        time.sleep(0.2)
    return found


def pages(first: Any, most: int = 1000) -> list[Any]:
    """Every item, page after page as the client itself asks for them; no id comes twice."""
    found = []
    for item in first:
        found.append(item)
        assert len(found) <= most, "the pages have no end"
    ids = [item.id for item in found]
    assert len(ids) == len(set(ids)), ids
    return found
