"""Rows are edited into the next version, compared with the one before, and found by length."""

from __future__ import annotations

import json
from typing import Any

import pytest
from test_datasets import chat, faults_of, jsonl, ok, post, refused, rows_of, store, upload, work

pytestmark = pytest.mark.django_db
#: Every test here writes to a folder of its own.
_ = store


def seen(api: Any, version: dict[str, Any]) -> dict[str, Any]:
    return ok(api.get(f"/api/v1/dataset-versions/{version['id']}"))


def edited(api: Any, version: dict[str, Any], *edits: dict[str, Any]) -> dict[str, Any]:
    made = ok(post(api, f"/api/v1/dataset-versions/{version['id']}/edits", edits=list(edits)), 201)
    work()
    return seen(api, made)


def line(row: Any) -> str:
    return json.dumps(row, ensure_ascii=False)


def test_rows_are_replaced_removed_and_added_in_the_next_version(api: Any) -> None:
    first = upload(api, jsonl(*(chat(f"q{n}", f"a{n}") for n in range(5))))
    before = rows_of(api, first)
    second = edited(
        api,
        first,
        {"row": 1, "text": line(chat("q1", "better", label="edited"))},
        {"row": 3, "text": None},
        {"text": line(chat("new", "row"))},
    )
    assert second["phase"] == "valid"
    assert second["number"] == first["number"] + 1
    assert rows_of(api, second) == [
        before[0],
        chat("q1", "better", label="edited"),
        before[2],
        before[4],
        chat("new", "row"),
    ]
    assert rows_of(api, first) == before, "the version that was edited is as it was"
    diff = ok(api.get(f"/api/v1/dataset-versions/{second['id']}/diff/{first['id']}"))
    assert (diff["same"], diff["added_count"], diff["removed_count"]) == (3, 1, 1)
    assert [each["value"] for each in diff["added"]] == [chat("new", "row")]
    assert [each["other_row"] for each in diff["removed"]] == [3]
    (changed,) = diff["changed"]
    assert (changed["row"], changed["other_row"]) == (1, 1)
    assert changed["other_value"] == before[1]


def test_a_faulty_line_is_mended_where_it_stands(api: Any) -> None:
    good = [line(chat(f"q{n}", f"a{n}")) for n in range(4)]
    broken = [good[0], good[1][:-2], '{"messages": []}', good[3]]
    first = upload(api, ("\ufeff" + "\r\n".join(broken) + "\r\n").encode())
    assert first["phase"] == "invalid"
    blamed = {each["line"] for each in faults_of(api, first) if each["error"]}
    assert blamed == {2, 3}
    address = f"/api/v1/dataset-versions/{first['id']}/lines/2"
    assert ok(api.get(address))["text"] == good[1][:-2]
    half = edited(api, first, {"line": 2, "text": good[1]})
    assert half["phase"] == "invalid"
    assert {each["line"] for each in faults_of(api, half) if each["error"]} == {3}
    whole = edited(api, half, {"line": 3, "text": good[2]})
    assert whole["phase"] == "valid"
    assert rows_of(api, whole) == [json.loads(each) for each in good]


@pytest.mark.parametrize(
    ("edit", "word"),
    [
        ({"row": 9, "text": "{}"}, "row"),
        ({"row": 0, "text": "a\nb"}, "one line"),
        ({"row": 0, "text": "  "}, "one line"),
        ({"row": None, "line": None, "text": None}, "what to add"),
    ],
)
def test_an_edit_that_cannot_be_made_is_refused_by_name(
    api: Any, edit: dict[str, Any], word: str
) -> None:
    first = upload(api, jsonl(chat("q", "a")))
    error = refused(post(api, f"/api/v1/dataset-versions/{first['id']}/edits", edits=[edit]), 422)
    assert word in json.dumps(error)


def test_lines_of_a_file_that_has_none_are_not_edited(api: Any) -> None:
    first = upload(api, b"prompt,response\nq,\n")
    body = {"edits": [{"line": 2, "text": "q,a"}]}
    answer = api.post(f"/api/v1/dataset-versions/{first['id']}/edits", body, format="json")
    assert answer.status_code == 409


def test_a_bar_of_the_histogram_gives_its_rows(api: Any) -> None:
    given = [chat("q" * n, "a") for n in (1, 2, 3, 50, 51, 100)]
    first = upload(api, jsonl(*given))
    bars = ok(api.get(f"/api/v1/dataset-versions/{first['id']}/statistics"))["lengths"]
    assert sum(bar["rows"] for bar in bars) == len(given)
    assert bars[0]["low"] == 2
    assert bars[-1]["high"] == 101
    for bar in bars:
        found = ok(
            api.get(
                f"/api/v1/dataset-versions/{first['id']}/rows",
                {"at_least": bar["low"], "at_most": bar["high"]},
            )
        )
        assert len(found["data"]) == bar["rows"]


def test_labelled_rows_and_the_others_are_found(api: Any) -> None:
    rows = [chat("q1", "a1", label="good"), chat("q2", "a2"), chat("q3", "a3", label="bad")]
    first = upload(api, jsonl(*rows))
    for labelled, numbers in (("true", [0, 2]), ("false", [1])):
        found = ok(api.get(f"/api/v1/dataset-versions/{first['id']}/rows", {"labelled": labelled}))
        assert [each["number"] for each in found["data"]] == numbers
