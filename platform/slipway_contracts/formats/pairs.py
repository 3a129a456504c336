"""Pairs of answers, one preferred to the other, and prompts without an answer: check, read, write.

The canonical pair is OpenAI's: `{"input": {"messages", "tools"?}, "preferred_output": [message],
"non_preferred_output": [message]}`; the canonical prompt is a chat that ends with the user, with
whatever a grader needs to know in keys beside it. Both may carry `group` and `weight`.
"""

from __future__ import annotations

from typing import Any

from slipway_contracts.formats import rows
from slipway_contracts.formats.rows import Checked
from slipway_contracts.formats.words import Fault, Row, shown

PREFERRED, OTHER = "preferred_output", "non_preferred_output"
_OF_INPUT = ("tools", "parallel_tool_calls")
_PAIR = '{"input": {"messages": […]}, "preferred_output": […], "non_preferred_output": […]}'
#: Where the parts of a row lie in the file as its author wrote it.
Places = dict[str, str]


def conversation(row: Row) -> list[Row]:
    """The messages of a canonical row; of a pair with the preferred answer. Empty for text."""
    if "input" in row and PREFERRED in row:
        return [*row["input"]["messages"], *row[PREFERRED]]
    return list(row.get("messages", ()))


def texts(row: Row) -> list[str]:
    """Every text of a canonical row, in order; both answers of a pair."""
    if "text" in row and "messages" not in row:
        return [row["text"]]
    return [message.get("content") or "" for message in conversation(row) + row.get(OTHER, [])]


def check_prompt(row: Row) -> Checked:
    """A chat that ends with the user's turn; an answer that follows it is taken off."""
    messages = row.get("messages")
    faults: list[Fault] = []
    if not isinstance(messages, list) or not messages:
        fix = 'write {"messages": [{"role": "user", "content": "…"}], "reference_answer": "…"}'
        value = shown(row if messages is None else messages)
        return None, [Fault(rule="messages", path="$.messages", value=value, fix=fix)]
    last = messages[-1]
    if isinstance(last, dict) and last.get("role") == "assistant":
        path = rows.in_messages(len(messages) - 1, "role")
        fix = "remove it, or give it as reference_answer"
        faults.append(Fault(rule="ask", path=path, value=shown(last), fix=fix, fixed=True))
        messages = messages[:-1]
    mended, more = rows.check_chat(row | {"messages": [*messages, _PLACEHOLDER]})
    if mended is not None:
        mended["messages"] = mended["messages"][:-1]
    return mended, faults + more


#: Stands for the answer to come while the turns before it are checked.
_PLACEHOLDER = {"role": "assistant", "content": "…"}


def read_pair(value: Any) -> Checked:
    """Read and check OpenAI's form."""
    if not isinstance(value, dict):
        return None, [Fault(rule="row_type", value=shown(value), fix=f"write {_PAIR}")]
    given = value.get("input")
    if not isinstance(given, dict):
        fix = 'write {"messages": [{"role": "user", "content": "…"}]}'
        return None, [Fault(rule="row_type", path="$.input", value=shown(given), fix=fix)]
    places = {"prompt": "$.input.messages", PREFERRED: f"$.{PREFERRED}", OTHER: f"$.{OTHER}"}
    return _checked(value, places)


def _checked(row: Row, places: Places) -> Checked:
    """Check a row of canonical keys; faults name the places its author knows."""
    faults: list[Fault] = []
    messages = row["input"].get("messages")
    answers = {name: _answer(row.get(name), places[name], faults) for name in (PREFERRED, OTHER)}
    if not isinstance(messages, list) or not messages:
        fix = 'write [{"role": "user", "content": "…"}]'
        path = places["prompt"]
        faults.append(Fault(rule="messages", path=path, value=shown(messages), fix=fix))
        return None, faults
    last = messages[-1]
    if isinstance(last, dict) and last.get("role") in {"assistant", "system"}:
        path = f"{places['prompt']}[{len(messages) - 1}].role"
        fix = "end the input with the question that both answers are for"
        faults.append(Fault(rule="ask", path=path, value=shown(last.get("role")), fix=fix))
        return None, faults
    mended = dict(row)
    for name, answer in answers.items():
        checked = _whole(row, messages, answer, name, places, faults) if answer else None
        if checked is None:
            return None, faults
        mended["input"] = row["input"] | {"messages": checked["messages"][:-1]}
        mended[name] = checked["messages"][-1:]
        mended |= {key: checked[key] for key in ("group", "weight") if key in checked}
    if _said(mended[PREFERRED][0]) == _said(mended[OTHER][0]):
        fix = "give an answer that is worse, or remove the row"
        value = shown(mended[OTHER][0].get("content"))
        faults.append(Fault(rule="differ", path=places[OTHER], value=value, fix=fix))
    return (mended if all(fault.fixed for fault in faults) else None), faults


def _answer(given: Any, path: str, faults: list[Fault]) -> Row | None:
    """The one message of an answer, mended where it is plain what was meant."""
    if isinstance(given, list) and len(given) == 1 and isinstance(given[0], dict):
        role = given[0].get("role")
        if role == "assistant":
            return dict(given[0])
        fix = "an answer is the assistant's"
        faults.append(Fault(rule="pair", path=f"{path}[0].role", value=shown(role), fix=fix))
        return None
    meant = {"role": "assistant", "content": given} if isinstance(given, str) else given
    fixed = isinstance(meant, dict) and meant.get("role") == "assistant"
    fix = 'write [{"role": "assistant", "content": "…"}]'
    faults.append(Fault(rule="pair", path=path, value=shown(given), fix=fix, fixed=fixed))
    return dict(meant) if fixed else None


def _whole(
    row: Row, messages: list[Any], answer: Row, name: str, places: Places, faults: list[Fault]
) -> Row | None:
    """The conversation with this answer, checked as any; what the two share is told once."""

    def where(index: int, key: str) -> str:
        place = f"{places['prompt']}[{index}]" if index < len(messages) else f"{places[name]}[0]"
        return f"{place}.{key}" if key else place

    labels = {key: row[key] for key in ("group", "weight") if key in row}
    chat, found = rows.check_chat({"messages": [*messages, answer]} | labels, where)
    faults += [fault for fault in found if fault not in faults]
    return chat


def _said(answer: Row) -> tuple[Any, Any]:
    return answer.get("content"), answer.get("tool_calls")


# Chosen and rejected: {"prompt": text or messages, "chosen": text or messages, "rejected": …}


def read_chosen(value: Any) -> Checked:
    """Also without `prompt`, where both are whole conversations that part at their last turn."""
    fix = 'write {"prompt": "…", "chosen": "…", "rejected": "…"}'
    if not isinstance(value, dict) or not {"chosen", "rejected"} <= value.keys():
        return None, [Fault(rule="row_type", value=shown(value), fix=fix)]
    prompt, chosen, rejected = (value.get(key) for key in ("prompt", "chosen", "rejected"))
    places = {"prompt": "$.prompt", PREFERRED: "$.chosen", OTHER: "$.rejected"}
    if prompt is None:
        places["prompt"] = "$.chosen"
        if not (isinstance(chosen, list) and isinstance(rejected, list)):
            return None, [Fault(rule="row_type", path="$.prompt", value="null", fix=fix)]
        if chosen[:-1] != rejected[:-1]:
            fix = "let chosen and rejected differ in their last message only, or give a prompt"
            value = shown(rejected[:-1])
            return None, [Fault(rule="pair", path="$.rejected", value=value, fix=fix)]
        prompt, chosen, rejected = chosen[:-1], chosen[-1:], rejected[-1:]
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    rest = {k: v for k, v in value.items() if k not in {"prompt", "chosen", "rejected"}}
    given = {"messages": messages} | {k: rest.pop(k) for k in _OF_INPUT if k in rest}
    row = {"input": given, PREFERRED: _as_turn(chosen), OTHER: _as_turn(rejected)}
    return _checked(row | rest, places)


def _as_turn(answer: Any) -> Any:
    return [{"role": "assistant", "content": answer}] if isinstance(answer, str) else answer


def write_chosen(row: Row) -> Row:
    given = {k: v for k, v in row["input"].items() if k != "messages"}
    rest = {k: v for k, v in row.items() if k not in {"input", PREFERRED, OTHER}}
    pair = {"prompt": row["input"]["messages"], "chosen": row[PREFERRED], "rejected": row[OTHER]}
    return pair | given | rest


# Qianfan's: [{"user": "…", "assistant": "…"}, …, {"user": "…", "chosen": "…", "rejected": "…"}]


def read_qianfan(value: Any) -> Checked:
    fix = 'write [{"user": "…", "chosen": "…", "rejected": "…"}]'
    turns = [value] if isinstance(value, dict) else value
    if not isinstance(turns, list) or not turns or not all(isinstance(t, dict) for t in turns):
        return None, [Fault(rule="row_type", value=shown(value), fix=fix)]
    messages: list[Row] = []
    if "system" in turns[0]:
        messages.append({"role": "system", "content": turns[0]["system"]})
    for turn in turns:
        messages.append({"role": "user", "content": turn.get("user")})
        if turn is not turns[-1]:
            messages.append({"role": "assistant", "content": turn.get("assistant")})
    last = turns[-1]
    here = f"$[{len(turns) - 1}]" if turns is value else "$"
    places = {"prompt": "$", PREFERRED: f"{here}.chosen", OTHER: f"{here}.rejected"}
    known = {"system", "user", "assistant", "chosen", "rejected"}
    rest = {k: v for k, v in turns[0].items() if k not in known | {"input", PREFERRED, OTHER}}
    row = {
        "input": {"messages": messages},
        PREFERRED: _as_turn(last.get("chosen")),
        OTHER: _as_turn(last.get("rejected")),
    }
    return _checked(rest | row, places)


def write_qianfan(row: Row) -> tuple[Any, str]:
    """The turns, or None and what has no place there."""
    messages = conversation(row) + row[OTHER]
    if any(m.get("tool_calls") or m["role"] == "tool" for m in messages) or len(row["input"]) > 1:
        return None, "tools have no place there"
    if any(set(message) != {"role", "content"} for message in messages):
        return None, "a message is only text there"
    rest = {k: v for k, v in row.items() if k not in {"input", PREFERRED, OTHER}}
    turns: list[Row] = []
    lead: Row = {}
    for message in row["input"]["messages"]:
        if message["role"] == "system":
            lead = {"system": message["content"]}
        elif message["role"] == "user":
            turns.append(lead | {"user": message["content"]})
            lead = {}
        else:
            turns[-1]["assistant"] = message["content"]
    answers = {"chosen": row[PREFERRED][0]["content"], "rejected": row[OTHER][0]["content"]}
    turns[-1] |= answers
    return [turns[0] | rest, *turns[1:]], ""
