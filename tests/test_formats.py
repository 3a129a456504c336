"""Formats: detection, every rule with its path and fix, and conversion that loses nothing."""

from __future__ import annotations

import io
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipway.datasets.services import checking
from slipway_contracts import formats
from slipway_contracts.formats import RULES, Container, Format

#: Formats of answered chats.
CHAT_FORMATS = [
    Format.OPENAI, Format.QIANFAN, Format.ALPACA, Format.SHAREGPT, Format.CSV,
]  # fmt: skip
ROW = {
    "messages": [
        {"role": "system", "content": "简短"},
        {"role": "user", "content": "你好\n“在吗”"},
        {"role": "assistant", "content": '在, "yes"'},
        {"role": "user", "content": "画图"},
        {"role": "assistant", "content": "{}"},
    ],
    "group": "折线",
    "weight": 0.5,
}


def check(data: bytes, given: str = "") -> tuple[checking.Outcome, list[Any], list[dict[str, Any]]]:
    """What a check of these bytes finds, the canonical rows, and the faults."""
    canonical, faults = io.BytesIO(), io.BytesIO()
    outcome = checking.check_file(
        lambda: io.BytesIO(data), given=given, canonical=canonical, faults=faults
    )
    written = data if outcome.verbatim else canonical.getvalue()
    assert len(written) == outcome.size_bytes
    rows = [json.loads(line) for line in written.splitlines()]
    assert len(rows) == outcome.rows
    return outcome, rows, [json.loads(line) for line in faults.getvalue().splitlines()]


def lines(*rows: Any) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def bare(prompt: str, response: str, **extras: Any) -> dict[str, Any]:
    turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
    return {"messages": turns} | extras


# Detection


@pytest.mark.parametrize(
    ("data", "container", "found"),
    [
        (lines(ROW), "jsonl", "openai"),
        (lines([{"prompt": "a", "response": [["b"]]}]), "jsonl", "qianfan"),
        (lines({"prompt": "a", "response": "b"}), "jsonl", "qianfan"),
        (lines({"instruction": "a", "input": "", "output": "b"}), "jsonl", "alpaca"),
        (lines({"conversations": [{"from": "human", "value": "a"}]}), "jsonl", "sharegpt"),
        (lines({"text": "a"}), "jsonl", "text"),
        (lines("一段文字"), "lines", "text"),
        ("只是文字\n第二行\n".encode(), "lines", "text"),
        (b"prompt,response\na,b\n", "csv", "csv"),
        (b"question\tanswer\na\tb\n", "csv", "csv"),
        (json.dumps([{"instruction": "a", "output": "b"}], indent=1).encode(), "json", "alpaca"),
        (json.dumps([{"conversations": []}] * 2).encode(), "json", "sharegpt"),
        (json.dumps([ROW], indent=2).encode(), "json", "openai"),
        (
            json.dumps([[{"prompt": "a", "response": [["b"]]}]], indent=2).encode(),
            "json",
            "qianfan",
        ),
        (lines({"question": 1}), "jsonl", None),
        (b'{"messages": broken\n', "jsonl", "openai"),
        (b'\n\n{"broken"\n' + lines({"instruction": "a"}), "jsonl", "alpaca"),
    ],
)
def test_the_format_is_told_from_the_first_bytes(data: bytes, container: str, found: Any) -> None:
    detected = formats.detect(data, whole=True)
    assert (detected.container, detected.format) == (Container(container), found)
    with_mark = formats.detect(b"\xef\xbb\xbf" + data, whole=True)
    assert (with_mark.container, with_mark.format) == (detected.container, detected.format)


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        (b"ticket,label\nslow, and late,billing\nb,c\nd,e\n", "ticket, label"),
        ("问题\t类别\n甲\t乙\n".encode(), "问题, 类别"),
        (b"Hello, world\nfoo, bar\n", None),
        ("你好，世界\n再见，明天\n".encode(), None),
        (b"yes\nno\n", None),
    ],
)
def test_a_table_of_unknown_columns_is_not_taken_for_text(data: bytes, seen: str | None) -> None:
    found = formats.detect(data, whole=True)
    if seen is None:
        assert found.format is Format.TEXT
    else:
        assert (found.container, found.format) == (Container.CSV, None)
        assert found.seen == f"a table with columns {seen}"


def test_the_examples_of_the_catalogue_are_what_they_say() -> None:
    for info in formats.CATALOGUE:
        outcome, rows, faults = check(info.example.encode())
        assert (outcome.format, outcome.rows, faults) == (info.name, 1, []), info.name
        assert formats.read(*_decoded(rows[0]))[1] == []


def _decoded(row: Any) -> tuple[Any, Format]:
    return row, formats.CANONICAL[formats.kind_of(row)]


# Rules: one fault each, with its place and its fix


def turns(*roles: str) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": f"{role}{i}"} for i, role in enumerate(roles)]}


def broken(**changes: Any) -> dict[str, Any]:
    return json.loads(json.dumps(ROW)) | changes


def message(index: int, **changes: Any) -> dict[str, Any]:
    row = broken()
    row["messages"][index] |= changes
    return row


FAULTS: list[tuple[Any, str, str, bool]] = [
    ([1], "row_type", "$", False),
    ({"mesages": []}, "messages", "$.messages", False),
    (broken(messages=[]), "messages", "$.messages", False),
    (broken(messages=["hi"]), "message", "$.messages[0]", False),
    (message(1, role="human"), "role", "$.messages[1].role", True),
    (message(1, role="User"), "role", "$.messages[1].role", True),
    (message(1, role="wizard"), "role", "$.messages[1].role", False),
    (message(1, role=None), "role", "$.messages[1].role", False),
    (message(2, content=""), "content", "$.messages[2].content", False),
    (message(2, content=" \n"), "content", "$.messages[2].content", False),
    (message(2, content=None), "content", "$.messages[2].content", False),
    (message(2, content=7), "content", "$.messages[2].content", True),
    (
        message(2, content=[{"type": "text", "text": "a"}]),
        "content",
        "$.messages[2].content",
        True,
    ),
    (message(2, content=[{"type": "image_url"}]), "content", "$.messages[2].content", False),
    (message(2, weight=2), "weight", "$.messages[2].weight", False),
    (turns("user", "system", "assistant"), "system_first", "$.messages[1].role", True),
    (turns("user", "user", "assistant"), "order", "$.messages[1].role", True),
    (turns("user", "assistant", "assistant"), "order", "$.messages[2].role", True),
    (turns("assistant", "user", "assistant"), "first_user", "$.messages[0].role", True),
    (turns("user", "assistant", "user"), "answer", "$.messages[2].role", True),
    (turns("user"), "answer", "$.messages[0]", False),
    (turns("system", "user"), "answer", "$.messages[1]", False),
    (turns("assistant"), "answer", "$.messages[0]", False),
    (turns("user", "tool", "assistant"), "tool", "$.messages[1].role", False),
    (broken(group=7), "group", "$.group", True),
    (broken(group=" "), "group", "$.group", True),
    (broken(group=["a"]), "group", "$.group", False),
    (broken(group="x" * 201), "group", "$.group", False),
    (broken(weight="0.5"), "weight", "$.weight", True),
    (broken(weight=-1), "weight", "$.weight", False),
    (broken(weight=True), "weight", "$.weight", False),
]


@pytest.mark.parametrize(("row", "rule", "path", "fixed"), FAULTS)
def test_a_fault_names_its_place_and_rule_and_a_fix(
    row: Any, rule: str, path: str, fixed: bool
) -> None:
    mended, faults = formats.read(row, Format.OPENAI)
    assert [(f.rule, f.path, f.fixed) for f in faults] == [(rule, path, fixed)]
    assert faults[0].fix
    assert rule in RULES
    assert (mended is not None) == fixed
    if mended is not None:
        assert formats.read(mended, Format.OPENAI) == (mended, [])
    # The streaming check comes to the same verdict, at the right line.
    outcome, rows, found = check(lines(ROW, row, ROW))
    assert [(f["line"], f["rule"], f["path"], f["fixed"]) for f in found] == [
        (2, rule, path, fixed)
    ]
    assert rows == [ROW, mended, ROW] if mended else [ROW, ROW]
    assert outcome.dropped_rows == (0 if fixed else 1)


def test_several_faults_of_one_row_are_all_reported() -> None:
    row = {
        "messages": [
            {"role": "human", "content": "a"},
            {"role": "bot", "content": ""},
            {"role": "user", "content": "b"},
        ],
        "weight": "heavy",
    }
    mended, faults = formats.read(row, Format.OPENAI)
    assert mended is None
    assert [f.rule for f in faults] == ["role", "role", "content", "answer", "weight"]


def test_tools_are_taken_in_their_order() -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    good = {
        "messages": [
            {"role": "user", "content": "a"},
            call,
            {"role": "tool", "content": "7", "tool_call_id": "1"},
            {"role": "assistant", "content": "b"},
        ]
    }
    assert formats.read(good, Format.OPENAI) == (good, [])
    for target in (Format.SHAREGPT, Format.QIANFAN, Format.ALPACA, Format.CSV):
        value, faults = formats.write(good, target)
        assert value is None
        assert {f.rule for f in faults} == {"cannot_carry"}
    bad = {"messages": [good["messages"][0], call, good["messages"][3]]}
    assert "tool" in [f.rule for f in formats.read(bad, Format.OPENAI)[1]]


def test_faults_speak_of_the_places_of_their_own_format() -> None:
    cases: list[tuple[Any, Format, str]] = [
        ({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": ""}]},
         Format.SHAREGPT, "$.conversations[1].value"),
        ([{"prompt": "a", "response": [["b"]]}, {"prompt": "", "response": [["d"]]}],
         Format.QIANFAN, "$[1].prompt"),
        ([{"prompt": "a", "response": [["b"], ["c"]]}], Format.QIANFAN, "$[0].response"),
        ([{"prompt": "a", "response": [["b", "c"]]}], Format.QIANFAN, "$[0].response"),
        ({"instruction": "a", "output": ""}, Format.ALPACA, "$.output"),
        ({"instruction": "a", "output": "b", "history": [["x", None]]},
         Format.ALPACA, "$.history[0][1]"),
        ({"prompt": "a", "response": ""}, Format.CSV, "$.response"),
        ({"text": " "}, Format.TEXT, "$.text"),
    ]  # fmt: skip
    for value, source, path in cases:
        row, faults = formats.read(value, source)
        assert row is None
        assert [f.path for f in faults] == [path], value


# Conversion


words = st.text(
    st.characters(exclude_categories=("Cs", "Zs", "Zl", "Zp", "Cc"), max_codepoint=0x1FFFF),
    min_size=1,
    max_size=8,
).map(lambda text: text + '\n, "x"\t' + text)
extras = st.dictionaries(
    st.sampled_from(["id", "source", "label"]),
    st.one_of(words, st.integers(), st.none()),
    max_size=2,
)


@st.composite
def chats(draw: Any, most: int = 3) -> dict[str, Any]:
    messages = [{"role": "system", "content": draw(words)}] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(1, most))):
        messages.append({"role": "user", "content": draw(words)})
        messages.append({"role": "assistant", "content": draw(words)})
        if draw(st.integers(0, 5)) == 0:
            messages[-1]["weight"] = draw(st.sampled_from([0, 0.5, 1]))
    row = {"messages": messages} | draw(extras)
    if draw(st.booleans()):
        row["group"] = draw(words)
    if draw(st.booleans()):
        row["weight"] = draw(st.floats(0, 10))
    return row


@settings(max_examples=300, deadline=None)
@given(chats(), st.sampled_from(CHAT_FORMATS))
def test_a_row_comes_back_from_any_format_as_it_was_or_is_refused(
    row: dict[str, Any], target: Format
) -> None:
    assert formats.read(row, Format.OPENAI) == (row, [])
    value, faults = formats.write(row, target)
    if faults:
        assert value is None
        assert {f.rule for f in faults} == {"cannot_carry"}
        assert target not in {Format.OPENAI, Format.SHAREGPT}
        return
    # Through the bytes of a file, not only through memory.
    if target is Format.CSV:
        assert formats.read(value, target) == (row, [])
    else:
        assert formats.read(json.loads(json.dumps(value)), target) == (row, [])


def test_each_format_carries_what_it_should() -> None:
    single = bare("问", "答", group="g", weight=2.0, id="7")
    for target in Format:
        value, faults = formats.write(single, target)
        assert (value is None) == (target not in CHAT_FORMATS), target
        assert bool(faults) == (target not in CHAT_FORMATS)
    for target in (Format.QIANFAN, Format.ALPACA, Format.SHAREGPT):
        value, faults = formats.write(ROW, target)
        assert faults == []
        assert formats.read(value, target) == (ROW, [])
    assert formats.write(ROW, Format.CSV)[1][0].path == "$.messages"


@pytest.mark.parametrize(
    ("source", "value"),
    [
        (Format.QIANFAN, [{"prompt": "a", "response": [["b"]]}]),
        (
            Format.QIANFAN,
            [
                {"system": "s", "prompt": "a", "id": 7, "response": [["b"]]},
                {"prompt": "c", "note": "n", "response": [["d"]]},
            ],
        ),
        (Format.ALPACA, {"instruction": "a", "input": "", "output": "b"}),
        (Format.ALPACA, {"instruction": "a\nx", "input": "x", "output": "b", "source": "s"}),
        (
            Format.ALPACA,
            {
                "instruction": "a",
                "input": "多行\n输入",
                "output": "b",
                "system": "s",
                "history": [["q", "r"]],
            },
        ),
        (
            Format.SHAREGPT,
            {
                "conversations": [
                    {"from": "system", "value": "s"},
                    {"from": "human", "value": "a", "weight": 1},
                    {"from": "gpt", "value": "b", "weight": 0},
                ],
                "id": "x",
            },
        ),
        (Format.TEXT, "一段\n文字"),
        (Format.TEXT, {"text": "a", "group": "g"}),
        (Format.CSV, {"prompt": "a", "response": "b", "system": "s", "weight": "0.25"}),
        (Format.CSV, {"text": "a", "group": "g"}),
    ],
)
def test_a_file_in_any_format_comes_back_as_it_was(source: Format, value: Any) -> None:
    row, faults = formats.read(value, source)
    assert faults == []
    assert row is not None
    assert formats.write(row, source) == (value, [])


def test_text_and_conversations_are_not_turned_into_each_other() -> None:
    assert formats.write({"text": "a"}, Format.ALPACA)[1][0].rule == "cannot_carry"
    assert formats.write(ROW, Format.TEXT)[1][0].rule == "cannot_carry"


# The fast way and the slow way agree


def _scarred(rng: random.Random) -> Any:
    """A good row with up to three random scars."""
    row: Any = json.loads(json.dumps(ROW))
    values = [None, "", " ", 0, -1, 1.5, True, [], {}, "user", "assistant", "文", "system", 1e400]
    for _ in range(rng.randint(0, 3)):
        place = rng.choice(["top", "message", "drop", "swap", "add"])
        messages = row.get("messages")
        if place == "top":
            row[rng.choice(["group", "weight", "id", "messages"])] = rng.choice(values)
        elif isinstance(messages, list) and messages:
            at = rng.randrange(len(messages))
            if place == "drop":
                del messages[at]
            elif place == "swap":
                rng.shuffle(messages)
            elif place == "add":
                messages.insert(at, rng.choice(values))
            elif isinstance(messages[at], dict):
                key = rng.choice(["role", "content", "weight", "name", "tool_calls"])
                messages[at][key] = rng.choice(values)
    return row


def test_the_fast_way_takes_exactly_what_the_rules_take() -> None:
    rng = random.Random(7)
    rows = [_scarred(rng) for _ in range(3000)]
    data = lines(*rows)
    outcome, kept, found = check(data, given="openai")
    expected, faults = [], []
    for number, row in enumerate(rows, 1):
        text = json.dumps(row)
        if "Infinity" in text:
            faults.append((number, "json", "$"))
            continue
        mended, problems = formats.read(row, Format.OPENAI)
        faults += [(number, f.rule, f.path) for f in problems]
        if mended is not None:
            expected.append(mended)
    assert kept == expected
    assert [(f["line"], f["rule"], f["path"]) for f in found] == faults
    assert outcome.faulty_rows == len({line for line, *_ in faults})
    assert outcome.dropped_rows == len(rows) - len(expected)
    assert 300 < outcome.dropped_rows < 2700
