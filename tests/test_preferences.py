"""Pairs of answers: what a row may look like, and that the answer preferred becomes likelier."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import peft
import pytest
import tiny
import torch
from test_formats import check, lines
from test_recipes import DyingContext, Killed

from slipway_contracts import formats
from slipway_contracts.formats import Format
from slipway_contracts.progress import NoteKind
from slipway_runtime import chats
from slipway_runtime.run import BadInput
from slipway_runtime.training import encoded, examples, pairs, weights

# PEFT asks under a name that transformers is about to retire.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


def pair(question: str, good: str, bad: str, **more: Any) -> dict[str, Any]:
    return {
        "input": {"messages": [{"role": "user", "content": question}]},
        "preferred_output": [{"role": "assistant", "content": good}],
        "non_preferred_output": [{"role": "assistant", "content": bad}],
    } | more


ROW = pair("天是什么颜色?", "蓝色", "不知道", group="g", weight=0.5, source="s")
LONG = {
    "input": {
        "messages": [
            {"role": "system", "content": "简短"},
            {"role": "user", "content": "你好"},
            {"role": "assistant", "content": "在"},
            {"role": "user", "content": "画图"},
        ]
    },
    "preferred_output": [{"role": "assistant", "content": "{}"}],
    "non_preferred_output": [{"role": "assistant", "content": "不"}],
    "group": "g",
}


# Formats


@pytest.mark.parametrize("row", [ROW, LONG])
@pytest.mark.parametrize("target", [Format.PREFERENCE, Format.CHOSEN_REJECTED, Format.QIANFAN_DPO])
def test_a_pair_comes_back_from_every_format_of_pairs(row: Any, target: Format) -> None:
    value, faults = formats.write(row, target)
    assert faults == []
    outcome, rows, told = check(lines(value))
    assert (outcome.format, outcome.kind, told) == (target, "pair", [])
    assert rows == [row]


def test_what_others_write_is_read() -> None:
    question = {"role": "user", "content": "a"}
    implicit = {
        "chosen": [question, {"role": "assistant", "content": "b"}],
        "rejected": [question, {"role": "assistant", "content": "c"}],
    }
    for value in (
        {"prompt": "a", "chosen": "b", "rejected": "c"},
        {"user": "a", "chosen": "b", "rejected": "c"},
        implicit,
    ):
        _, rows, faults = check(lines(value))
        assert (rows, faults) == ([pair("a", "b", "c")], []), value


@pytest.mark.parametrize(
    ("row", "rule", "path", "kept"),
    [
        (pair("a", "b", "b"), "differ", "$.non_preferred_output", 0),
        (pair("a", " ", "b"), "content", "$.preferred_output[0].content", 0),
        (pair("", "b", "c"), "content", "$.input.messages[0].content", 0),
        (ROW | {"preferred_output": "蓝"}, "pair", "$.preferred_output", 1),
        (ROW | {"preferred_output": []}, "pair", "$.preferred_output", 0),
        (
            ROW | {"non_preferred_output": [{"role": "user", "content": "b"}]},
            "pair", "$.non_preferred_output[0].role", 0,
        ),
        (ROW | {"input": "a"}, "row_type", "$.input", 0),
        (ROW | {"input": {"messages": []}}, "messages", "$.input.messages", 0),
        (
            ROW | {"input": {"messages": LONG["input"]["messages"][:3]}},
            "ask", "$.input.messages[2].role", 0,
        ),
        (ROW | {"weight": "x"}, "weight", "$.weight", 0),
    ],
)  # fmt: skip
def test_every_fault_of_a_pair_is_named_once(row: Any, rule: str, path: str, kept: int) -> None:
    outcome, rows, [fault] = check(lines(ROW, row))
    assert (fault["rule"], fault["path"], fault["line"]) == (rule, path, 2)
    assert fault["fix"]
    assert len(rows) == 1 + kept
    assert outcome.faulty_rows == 1


def test_qianfan_has_no_place_for_tools() -> None:
    row = LONG | {"input": LONG["input"] | {"tools": [{"type": "function"}]}}
    assert formats.read(row, Format.PREFERENCE) == (row, [])
    value, [fault] = formats.write(row, Format.QIANFAN_DPO)
    assert (value, fault.rule) == (None, "cannot_carry")
    assert formats.write(row, Format.OPENAI)[1][0].fix.endswith("export it as preference")


# What is learnt from


def test_a_pair_shares_its_question_and_ends_with_the_turn() -> None:
    tokenizer = tiny.tokenizer()
    row = chats.PairRow(
        line=3, messages=LONG["input"]["messages"],
        chosen=LONG["preferred_output"][0], rejected=LONG["non_preferred_output"][0],
    )  # fmt: skip
    [found] = pairs.encode_pairs([row], examples.Encoder(tokenizer, []))
    assert tokenizer.decode(found.prompt_ids).endswith("画图<|im_end|>\n<|im_start|>assistant\n")
    assert tokenizer.decode(found.chosen_ids) == "{}<|im_end|>"
    assert tokenizer.decode(found.rejected_ids) == "不<|im_end|>"
    assert encoded.cut([found], len(found.prompt_ids)).dropped_rows == 1
    cut = encoded.cut([found], len(found.prompt_ids) + 1)
    assert (cut.truncated_rows, cut.lines, cut.examples[0].length) == (1, [3], found.length - 3)


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return tiny.write_base(tmp_path_factory.mktemp("base"))


def _questions() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """One rule behind all pairs (JSON before prose), on other questions in either half."""
    rows = [pair(q, a, f"i think it is {a[11:-2]}") for q, a in tiny.pairs()]
    return rows[::2] + rows[1::4], rows[3::4]


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> SimpleNamespace:
    root = tmp_path_factory.mktemp("rows")
    train, held_out = _questions()
    return SimpleNamespace(
        train=tiny.write_rows(root / "train.jsonl", train),
        held_out=tiny.write_rows(root / "held_out.jsonl", held_out),
    )


def margin(base: Path, adapter: Path | None, rows: Path) -> float:
    """Mean log-likelihood of the preferred answers less that of the others."""
    loaded = weights.load_base(base, torch.float32)
    model = peft.PeftModel.from_pretrained(loaded.model, adapter) if adapter else loaded.model
    model.eval()
    found = pairs.encode_pairs(chats.read_pairs(rows), examples.Encoder(loaded.tokenizer, []))

    def likelihood(prompt: list[int], answer: list[int]) -> float:
        ids = torch.tensor([prompt + answer])
        with torch.no_grad():
            scores = model(input_ids=ids).logits[0, :-1].log_softmax(-1)
        told = scores.gather(1, ids[0, 1:, None])[len(prompt) - 1 :]
        return float(told.sum())

    differences = [
        likelihood(one.prompt_ids, one.chosen_ids) - likelihood(one.prompt_ids, one.rejected_ids)
        for one in found
    ]
    return sum(differences) / len(differences)


def _artifact(report: Any) -> Path:
    return Path(report.artifact_uri.removeprefix("file://"))


@pytest.fixture(scope="module")
def done(tmp_path_factory, base, files) -> SimpleNamespace:
    root = tmp_path_factory.mktemp("run")
    report = tiny.train(
        root, base, files.train, method="dpo", held_out=files.held_out, learning_rate=5e-3
    )
    return SimpleNamespace(report=report, notes=tiny.notes(root), artifact=_artifact(report))


def test_preferred_answers_become_likelier_on_questions_not_seen(base, files, done) -> None:
    assert margin(base, done.artifact, files.held_out) > margin(base, None, files.held_out) + 2
    curve = [n.values for n in done.notes if n.kind is NoteKind.METRICS]
    judged = [values for values in curve if "held_out_loss" in values]
    assert judged[-1]["held_out_loss"] < judged[0]["held_out_loss"] < 0.6931
    assert judged[-1]["held_out_reward_accuracy"] == 1.0
    assert curve[0]["reward_margin"] == pytest.approx(0, abs=1e-5)
    assert curve[-1 if "reward_margin" in curve[-1] else -2]["reward_margin"] > 0.2
    assert done.report.metrics["held_out_reward_accuracy"] == 1.0
    assert done.report.metrics["tokens"] == 3 * done.report.details["rows"]["tokens"]
    assert done.report.details["hyperparameters"]["beta"] == 0.1
    assert set(done.report.files) == {
        "adapter_config.json", "adapter_model.safetensors",
    }  # fmt: skip


@pytest.mark.parametrize("scale", ["lora", "full"])
def test_a_killed_and_resumed_run_ends_in_the_same_bytes(tmp_path, base, files, scale) -> None:
    run = {"method": "dpo", "scale": scale, "held_out": files.held_out, "learning_rate": 1e-3}
    straight = tiny.train(tmp_path / "straight", base, files.train, **run)
    with pytest.raises(Killed):
        tiny.train(tmp_path / "killed", base, files.train, context=DyingContext, **run)
    resumed = tiny.train(tmp_path / "killed", base, files.train, attempt=2, **run)
    assert resumed.files == straight.files
    for key in ("train_loss", "held_out_loss", "reward_margin", "steps"):
        assert resumed.metrics[key] == straight.metrics[key], key


def test_the_losses_of_its_kind_train(tmp_path, base, files) -> None:
    for loss in ("hinge", "ipo"):
        report = tiny.train(
            tmp_path / loss, base, files.train, method="dpo", epochs=1, loss_type=loss,
            rpo_alpha=1.0,
        )  # fmt: skip
        assert report.metrics["train_loss"] > 0


# An adapter trained further


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_an_adapter_is_trained_further_from_where_it_was(
    tmp_path, base, files, done, method
) -> None:
    """The new adapter begins as the old one, which stays the reference of a preference run."""
    rows = files.train if method == "dpo" else tiny.write_rows(tmp_path / "rows.jsonl")
    run = {"method": method, "adapter": done.artifact}
    still = tiny.train(tmp_path / "still", base, rows, epochs=1, learning_rate=1e-7, **run)
    before = margin(base, done.artifact, files.held_out)
    assert margin(base, _artifact(still), files.held_out) == pytest.approx(before, abs=0.02)
    if method == "dpo":
        first = next(n for n in tiny.notes(tmp_path / "still") if n.kind is NoteKind.METRICS)
        assert first.values["loss"] == pytest.approx(0.6931, abs=1e-3)
        more = tiny.train(tmp_path / "more", base, rows, epochs=2, learning_rate=5e-3, **run)
        assert margin(base, _artifact(more), files.held_out) > before + 1
    config = json.loads((_artifact(still) / "adapter_config.json").read_text())
    assert config["r"] == 4
    assert still.details["hyperparameters"]["lora_rank"] == 4
    assert "lora_targets" not in still.details["hyperparameters"]


def test_an_adapter_keeps_its_rank(tmp_path, base, files, done) -> None:
    with pytest.raises(BadInput, match="lora_rank = 8: out of range, allowed: from 4 to 4"):
        tiny.train(
            tmp_path / "run", base, files.train, method="dpo", adapter=done.artifact, lora_rank=8
        )


def test_all_weights_are_trained_on_from_an_adapter_laid_into_them(
    tmp_path, base, files, done
) -> None:
    report = tiny.train(
        tmp_path / "run", base, files.train, method="dpo", scale="full", adapter=done.artifact,
        epochs=1, learning_rate=1e-7,
    )  # fmt: skip
    merged = _artifact(report)
    before = margin(base, done.artifact, files.held_out)
    assert margin(merged, None, files.held_out) == pytest.approx(before, abs=0.02)
