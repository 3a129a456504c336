"""From each format to the canonical row and back, losing nothing.

`read` takes a decoded row of a format to the canonical row and reports faults in the words and
paths of that format. `write` does the inverse; what the target has no place for is a fault,
never dropped. Keys that a format does not name are carried along where it has objects.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slipway_contracts.formats import pairs, rows
from slipway_contracts.formats.rows import Checked
from slipway_contracts.formats.words import Fault, Format, Row, RowKind, shown

_SHAREGPT_ROLES = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
}
_CSV_PROMPT = {"prompt": "response", "question": "answer"}


def read(value: Any, source: Format) -> Checked:
    """The canonical row of a decoded row (mended if need be, None if it cannot be), and faults."""
    return _READERS[source](value)


def write(row: Row, target: Format) -> tuple[Any, list[Fault]]:
    """A valid canonical row in another format: the value to encode, or None and why not.

    For CSV the value is a dict of column to text; for TEXT a string or an object.
    """
    kind = rows.kind_of(row)
    if kind is RowKind.TEXT:
        if target in {Format.TEXT, Format.OPENAI}:
            return (row["text"] if set(row) == {"text"} and target is Format.TEXT else row), []
        if target is Format.CSV:
            return _write_csv_cells(row, {"text": row["text"]}, taken={"text"})
        return None, [_lost("$.text", row["text"], f"{target.value} holds questions and answers")]
    if kind is RowKind.PAIR:
        return _write_pair(row, target)
    if kind is RowKind.PROMPT:
        if target is Format.PROMPTS:
            return row, []
        why = f"{target.value} rows are answered; export it as prompts"
        return None, [Fault(rule="cannot_carry", path="$.messages", value="a question", fix=why)]
    if target is Format.OPENAI:
        return row, []
    if target in _WRITERS:
        return _WRITERS[target](row)
    why = "text holds no conversations"
    if target is not Format.TEXT:
        why = f"{target.value} is not for answered chats"
    return None, [_lost("$.messages", row["messages"], why)]


def _write_pair(row: Row, target: Format) -> tuple[Any, list[Fault]]:
    match target:
        case Format.PREFERENCE:
            return row, []
        case Format.CHOSEN_REJECTED:
            return pairs.write_chosen(row), []
        case Format.QIANFAN_DPO:
            value, why = pairs.write_qianfan(row)
        case _:
            value, why = None, f"{target.value} has no place for two answers"
    if value is not None:
        return value, []
    fix = f"{why}; export it as preference"
    return None, [Fault(rule="cannot_carry", path="$.input", value=shown(row["input"]), fix=fix)]


def _lost(path: str, value: Any, why: str) -> Fault:
    return Fault(
        rule="cannot_carry", path=path, value=shown(value), fix=f"{why}; export it as openai"
    )


def _wrong(value: Any, fix: str, path: str = "$") -> Checked:
    return None, [Fault(rule="row_type", path=path, value=shown(value), fix=fix)]


def _read_openai(value: Any) -> Checked:
    if not isinstance(value, dict):
        return _wrong(value, 'write an object: {"messages": […]}')
    return rows.check_chat(value)


def _read_text(value: Any) -> Checked:
    if isinstance(value, str):
        return rows.check_text({"text": value})
    if isinstance(value, dict):
        return rows.check_text(value)
    return _wrong(value, 'write bare text, a JSON string, or {"text": "…"}')


# ShareGPT: {"conversations": [{"from": "human", "value": "…"}, {"from": "gpt", …}], …}


def _read_sharegpt(value: Any) -> Checked:
    fix = 'write {"conversations": [{"from": "human", "value": "…"}, {"from": "gpt", …}]}'
    if not isinstance(value, dict):
        return _wrong(value, fix)
    turns = value.get("conversations")
    if not isinstance(turns, list) or not turns:
        return _wrong(turns, fix, "$.conversations")
    extras = {k: v for k, v in value.items() if k not in {"conversations", "system"}}
    lead = 1 if value.get("system") else 0

    def where(index: int, key: str) -> str:
        if lead and not index:
            return "$.system"
        key = {"role": "from", "content": "value"}.get(key, key)
        return f"$.conversations[{index - lead}]" + (f".{key}" if key else "")

    messages = [_sharegpt_turn(turn) for turn in turns]
    if lead:
        messages.insert(0, {"role": "system", "content": value["system"]})
    return rows.check_chat({"messages": messages} | extras, where)


def _sharegpt_turn(turn: Any) -> Any:
    if not isinstance(turn, dict):
        return turn
    role = turn.get("from")
    if isinstance(role, str):
        role = _SHAREGPT_ROLES.get(role, role)
    rest = {k: v for k, v in turn.items() if k not in {"from", "value", "role", "content"}}
    return {"role": role, "content": turn.get("value")} | rest


def _write_sharegpt(row: Row) -> tuple[Any, list[Fault]]:
    faults = _reserved(row, {"conversations", "system"})
    names = {"system": "system", "user": "human", "assistant": "gpt"}
    turns = []
    for index, message in enumerate(row["messages"]):
        _plain(message, index, faults, {"from", "value"})
        rest = {k: v for k, v in message.items() if k not in {"role", "content"}}
        name = names.get(message["role"], message["role"])
        turns.append({"from": name, "value": message.get("content")} | rest)
    extras = {k: v for k, v in row.items() if k != "messages"}
    return (None, faults) if faults else ({"conversations": turns} | extras, [])


def _reserved(row: Row, names: set[str]) -> list[Fault]:
    return [
        _lost(f"$.{name}", row[name], f"{name} means something else there")
        for name in sorted(names & row.keys())
    ]


def _plain(message: Row, index: int, faults: list[Fault], taken: set[str]) -> None:
    """Fault a message that is no plain text turn, or has a key the target uses itself."""
    path = rows.in_messages(index, "")
    if message["role"] == "tool" or message.get("tool_calls"):
        faults.append(_lost(path, message, "tools have no place there"))
    for name in sorted(taken & message.keys()):
        faults.append(_lost(f"{path}.{name}", message[name], f"{name} is used there"))


# Qianfan PromptResponse: [{"prompt": "…", "response": [["…"]]}, …], one object a turn


def _read_qianfan(value: Any) -> Checked:
    fix = 'write [{"prompt": "…", "response": [["…"]]}]'
    turns = [value] if isinstance(value, dict) else value
    if not isinstance(turns, list) or not turns:
        return _wrong(value, fix)
    faults: list[Fault] = []
    messages: list[Any] = []
    places: list[str] = []
    extras: Row = {}
    for index, turn in enumerate(turns):
        here = "$" if turns is not value else f"$[{index}]"
        if not isinstance(turn, dict):
            return _wrong(turn, fix, here)
        rest = {k: v for k, v in turn.items() if k not in {"prompt", "response"}}
        if not index:
            if "system" in rest:
                messages.append({"role": "system", "content": rest.pop("system")})
                places.append(f"{here}.system")
            extras, rest = rest, {}
        messages.append({"role": "user", "content": turn.get("prompt")} | rest)
        answer = _one_response(turn.get("response"), f"{here}.response", faults)
        messages.append({"role": "assistant", "content": answer})
        places += [f"{here}.prompt", f"{here}.response"]

    for name in sorted({"messages", "role", "content"} & extras.keys()):
        faults.append(Fault(rule="row_type", path=f"$[0].{name}", value=shown(extras[name])))
        del extras[name]
    row, more = rows.check_chat({"messages": messages} | extras, lambda i, _: places[i])
    return (None if faults else row), faults + more


def _one_response(response: Any, path: str, faults: list[Fault]) -> Any:
    flat = response if isinstance(response, list) else [response]
    flat = [text for part in flat for text in (part if isinstance(part, list) else [part])]
    if len(flat) > 1:
        fix = 'keep the best: [["…"]]; ranked responses belong to a reward model\'s dataset'
        faults.append(Fault(rule="one_answer", path=path, value=shown(response), fix=fix))
    return flat[0] if flat else None


def _write_qianfan(row: Row) -> tuple[Any, list[Fault]]:
    faults = _reserved(row, {"prompt", "response", "system", "role", "content"})
    extras = {k: v for k, v in row.items() if k != "messages"}
    turns: list[Row] = []
    system: Row = {}
    for index, message in enumerate(row["messages"]):
        _plain(message, index, faults, {"prompt", "response"})
        rest = {k: v for k, v in message.items() if k not in {"role", "content"}}
        if message["role"] == "user" and turns:
            turns.append({"prompt": message.get("content")} | rest)
            continue
        for name, value in rest.items():
            path = f"{rows.in_messages(index, '')}.{name}"
            faults.append(_lost(path, value, "only questions after the first have further keys"))
        if message["role"] == "system":
            system = {"system": message.get("content")}
        elif message["role"] == "user":
            turns.append(system | {"prompt": message.get("content")} | extras)
        else:
            turns[-1]["response"] = [[message.get("content")]]
    return (None, faults) if faults else (turns, [])


# Alpaca: {"instruction", "input", "output", "system"?, "history"?: [[question, answer], …]}


def _read_alpaca(value: Any) -> Checked:
    fix = 'write {"instruction": "…", "input": "", "output": "…"}'
    if not isinstance(value, dict):
        return _wrong(value, fix)
    history = value.get("history") or []
    if not isinstance(history, list) or not all(
        isinstance(turn, list) and len(turn) == 2 for turn in history
    ):
        return _wrong(history, "write [[question, answer], …]", "$.history")
    messages: list[Row] = []
    places: list[str] = []
    if value.get("system"):
        messages.append({"role": "system", "content": value["system"]})
        places.append("$.system")
    for index, (question, answer) in enumerate(history):
        messages += [
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ]
        places += [f"$.history[{index}][0]", f"$.history[{index}][1]"]
    instruction, given = value.get("instruction"), value.get("input")
    if given is not None and not isinstance(given, str):
        return _wrong(given, "write input as text", "$.input")
    # What was the input stays known by the key `input`, so that the row can be written back.
    extras = {
        k: v
        for k, v in value.items()
        if k not in {"instruction", "output", "system", "history"} and (k != "input" or v)
    }
    if given and isinstance(instruction, str):
        instruction = f"{instruction}\n{given}"
    messages += [
        {"role": "user", "content": instruction},
        {"role": "assistant", "content": value.get("output")},
    ]
    places += ["$.instruction", "$.output"]
    if "messages" in extras:
        return _wrong(extras["messages"], "one format a row: remove messages", "$.messages")
    return rows.check_chat({"messages": messages} | extras, lambda i, _: places[i])


def _write_alpaca(row: Row) -> tuple[Any, list[Fault]]:
    faults = _reserved(row, {"instruction", "output", "system", "history"})
    texts: list[str] = []
    system: Row = {}
    for index, message in enumerate(row["messages"]):
        _plain(message, index, faults, set())
        for name in message.keys() - {"role", "content", "tool_calls"}:
            path = f"{rows.in_messages(index, '')}.{name}"
            faults.append(_lost(path, message[name], "a message is only text there"))
        if message["role"] == "system":
            system = {"system": message.get("content")}
        else:
            texts.append(message.get("content"))
    given = row.get("input", "")
    if faults:
        return None, faults
    if given and not (isinstance(given, str) and texts[-2].endswith(f"\n{given}")):
        faults.append(_lost("$.input", given, "input is the end of the last question there"))
    if faults:
        return None, faults
    question = texts[-2].removesuffix(f"\n{given}") if given else texts[-2]
    extras = {k: v for k, v in row.items() if k not in {"messages", "input"}}
    past = [list(pair) for pair in zip(texts[:-2:2], texts[1:-2:2], strict=True)]
    history = {"history": past} if past else {}
    shape = {"instruction": question, "input": given, "output": texts[-1]}
    return shape | system | history | extras, []


# CSV: prompt,response | question,answer | instruction,input,output | text; system, group, weight


def _read_csv(cells: Any) -> Checked:
    filled = {name: cell for name, cell in cells.items() if cell}
    if "weight" in filled:
        filled["weight"] = _csv_number(filled["weight"])
    if "text" in cells:
        return rows.check_text({"text": ""} | filled)
    if "instruction" in cells:
        return _read_alpaca(filled)
    asked = next((name for name in _CSV_PROMPT if name in cells), "prompt")
    answered = _CSV_PROMPT[asked]
    names = ["system", asked, answered] if "system" in filled else [asked, answered]
    roles = {"system": "system", asked: "user", answered: "assistant"}
    messages = [{"role": roles[name], "content": filled.get(name)} for name in names]
    extras = {k: v for k, v in filled.items() if k not in {"system", asked, answered}}
    return rows.check_chat({"messages": messages} | extras, lambda i, _: f"$.{names[i]}")


def _csv_number(cell: str) -> Any:
    try:
        return float(cell)
    except ValueError:
        return cell


def _write_csv(row: Row) -> tuple[Any, list[Fault]]:
    faults: list[Fault] = []
    if len([m for m in row["messages"] if m["role"] != "system"]) > 2:
        count = len(row["messages"])
        faults.append(_lost("$.messages", f"{count} messages", "a record is one turn there"))
    cells: dict[str, str] = {}
    columns = {"system": "system", "user": "prompt", "assistant": "response"}
    for index, message in enumerate(row["messages"][:3]):
        _plain(message, index, faults, set())
        for name in message.keys() - {"role", "content", "tool_calls"}:
            path = f"{rows.in_messages(index, '')}.{name}"
            faults.append(_lost(path, message[name], "a message is only text there"))
        cells[columns.get(message["role"], "")] = message.get("content")
    if faults:
        return None, faults
    return _write_csv_cells(row, cells, taken={"messages"})


def _write_csv_cells(
    row: Row, cells: dict[str, str], *, taken: set[str]
) -> tuple[Any, list[Fault]]:
    means = {"prompt", "response", "system", "question", "answer", "instruction", "output", "text"}
    faults = _reserved({k: v for k, v in row.items() if k not in taken}, means)
    for name, value in row.items():
        if name in taken or name in means:
            continue
        if name == "weight":
            cells[name] = repr(value)
        elif isinstance(value, str) and value:
            cells[name] = value
        else:
            faults.append(_lost(f"$.{name}", value, "a cell is text that is not empty"))
    return (None, faults) if faults else (cells, [])


def _read_prompts(value: Any) -> Checked:
    if not isinstance(value, dict):
        return _wrong(value, 'write an object: {"messages": […], "reference_answer": …}')
    return pairs.check_prompt(value)


_READERS: dict[Format, Callable[[Any], Checked]] = {
    Format.OPENAI: _read_openai,
    Format.QIANFAN: _read_qianfan,
    Format.ALPACA: _read_alpaca,
    Format.SHAREGPT: _read_sharegpt,
    Format.TEXT: _read_text,
    Format.CSV: _read_csv,
    Format.PREFERENCE: pairs.read_pair,
    Format.CHOSEN_REJECTED: pairs.read_chosen,
    Format.QIANFAN_DPO: pairs.read_qianfan,
    Format.PROMPTS: _read_prompts,
}
#: For answered chats.
_WRITERS: dict[Format, Callable[[Row], tuple[Any, list[Fault]]]] = {
    Format.SHAREGPT: _write_sharegpt,
    Format.QIANFAN: _write_qianfan,
    Format.ALPACA: _write_alpaca,
    Format.CSV: _write_csv,
}
