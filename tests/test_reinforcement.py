"""Reinforcement: answers that the grader rewards become likelier, and a kill changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiny
from test_formats import check, lines
from test_recipes import DyingContext, Killed

from slipway_contracts.grading import checking, scoring, similarity
from slipway_contracts.progress import NoteKind
from slipway_runtime.run import BadInput
from slipway_runtime.training import rewards

# PEFT asks under a name that transformers is about to retire.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


def question(text: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]} | more


#: Rewards answers for what any model says now and then, so that there is something to begin with.
GRADER = {
    "type": "multi",
    "name": "both",
    "graders": {
        "has": {
            "type": "string_check", "name": "has", "operation": "like",
            "input": "{{sample.output_text}}", "reference": "{{item.wanted}}",
        },
        "near": {
            "type": "text_similarity", "name": "near", "evaluation_metric": "fuzzy_match",
            "input": "{{sample.output_text}}", "reference": "{{item.wanted}}",
        },
    },
    "calculate_output": "0.8 * has + 0.2 * near",
}  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """A model that knows its answers' form a little: by chance it says what is rewarded."""
    root = tmp_path_factory.mktemp("base")
    random = tiny.write_base(root / "random")
    rows = [tiny.chat(q, a) for q, a in tiny.pairs()]
    report = tiny.train(
        root / "run", random, tiny.write_rows(root / "rows.jsonl", rows), scale="full",
        epochs=3, learning_rate=3e-3, batch_size=4,
    )  # fmt: skip
    return Path(report.artifact_uri.removeprefix("file://"))


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> SimpleNamespace:
    root = tmp_path_factory.mktemp("rows")
    rows = [question(q, wanted="white") for q, _ in tiny.pairs()]
    return SimpleNamespace(
        train=tiny.write_rows(root / "train.jsonl", rows[:24]),
        held_out=tiny.write_rows(root / "held_out.jsonl", rows[24:]),
    )


OPTIONS: dict[str, Any] = {
    "method": "grpo", "grader": GRADER, "batch_size": 4, "num_generations": 6,
    "max_new_tokens": 12, "learning_rate": 5e-3,
}  # fmt: skip


def test_the_reward_rises(tmp_path, base, files) -> None:
    report = tiny.train(
        tmp_path,
        base,
        files.train,
        held_out=files.held_out,
        epochs=5,
        held_out_samples=4,
        **OPTIONS,
    )
    notes = tiny.notes(tmp_path)
    curve = [n.values for n in notes if n.kind is NoteKind.METRICS and "reward" in n.values]
    assert len(curve) == 5 * 6
    first, last = (sum(v["reward"] for v in part) / 5 for part in (curve[:5], curve[-5:]))
    assert last > first + 0.2
    assert {"reward_std", "kl", "answer_tokens", "cut_answers", "grader_errors"} < set(curve[0])
    assert curve[0]["kl"] == pytest.approx(0, abs=1e-3)
    assert curve[-1]["kl"] > 0
    told = [n.values for n in notes if n.kind is NoteKind.METRICS]
    judged = [values["held_out_reward"] for values in told if "held_out_reward" in values]
    assert len(judged) == 5
    assert judged[-1] > judged[0]
    assert report.metrics["held_out_reward"] == judged[-1]
    assert report.metrics["best_held_out_reward"] == max(judged)
    assert report.metrics["tokens"] == curve[-1]["tokens"] > 0
    assert "held_out_loss" not in report.metrics


@pytest.mark.parametrize("scale", ["lora", "full"])
def test_a_killed_and_resumed_run_ends_in_the_same_bytes(tmp_path, base, files, scale) -> None:
    run = {**OPTIONS, "scale": scale, "held_out": files.held_out, "learning_rate": 1e-3}
    straight = tiny.train(tmp_path / "straight", base, files.train, **run)
    with pytest.raises(Killed):
        tiny.train(tmp_path / "killed", base, files.train, context=DyingContext, **run)
    resumed = tiny.train(tmp_path / "killed", base, files.train, attempt=2, **run)
    assert resumed.files == straight.files
    for key in ("reward", "held_out_reward", "steps", "tokens"):
        assert resumed.metrics[key] == straight.metrics[key], key


def test_a_grader_that_does_not_fit_the_rows_is_refused(tmp_path, base, files) -> None:
    grader = GRADER["graders"]["has"] | {"reference": "{{item.answer}}"}
    with pytest.raises(BadInput, match=r"does not fit the rows: there is no \{\{item.answer\}\}"):
        tiny.train(tmp_path / "a", base, files.train, **OPTIONS | {"grader": grader})
    with pytest.raises(BadInput, match=r"grader\.type: a known type, one of string_check"):
        tiny.train(tmp_path / "b", base, files.train, **OPTIONS | {"grader": {"type": "judge"}})
    with pytest.raises(BadInput, match=r"100 questions a step .* more than the 24 there are"):
        tiny.train(tmp_path / "c", base, files.train, **OPTIONS | {"batch_size": 100})


def test_of_answered_chats_the_answer_is_the_reference(tmp_path, base) -> None:
    grader = GRADER["graders"]["near"] | {"reference": "{{item.reference_answer}}"}
    report = tiny.train(
        tmp_path, base, tiny.write_rows(tmp_path / "rows.jsonl"), epochs=1,
        **OPTIONS | {"grader": grader},
    )  # fmt: skip
    assert 0 < report.metrics["reward"] < 1


# Formats and graders


def test_questions_are_told_from_answered_chats() -> None:
    row = question("6 × 7 = ?", reference_answer="42")
    outcome, rows, faults = check(lines(row))
    assert (outcome.kind, outcome.format, rows, faults) == ("prompt", "prompts", [row], [])
    answered = tiny.chat("a", "b", reference_answer="b")
    outcome, rows, [fault] = check(lines(row, answered), "prompts")
    assert (fault["rule"], fault["path"], fault["fixed"]) == ("ask", "$.messages[1].role", True)
    assert rows[1] == question("a", reference_answer="b")
    # Where most are answered, a question at the end is one whose answer is missing.
    outcome, _, [fault] = check(lines(answered, row, answered))
    assert (outcome.kind, fault["rule"], fault["line"]) == ("chat", "answer", 2)


def test_scores_of_plain_graders() -> None:
    def score(grader: dict[str, Any], text: str, **item: Any) -> float:
        return scoring.score(
            grader, item=item, text=text, measures=similarity.MEASURES, python=lambda *_: 0.5
        )

    assert score(GRADER, "abc", wanted="b") == pytest.approx(0.8 + 0.2 * 0.5)
    check_json = GRADER["graders"]["has"] | {
        "input": "{{sample.output_json.name}}", "operation": "eq", "reference": "x",
    }  # fmt: skip
    assert score(check_json, '{"name": "x"}') == 1
    for text in ("no json", '{"other": 1}'):
        with pytest.raises(scoring.NoScore) as caught:
            score(check_json, text)
        assert not caught.value.of_item
    with pytest.raises(scoring.NoScore) as caught:
        score(GRADER, "abc")
    assert caught.value.of_item


def test_a_grader_in_python_rewards_from_its_jail() -> None:
    source = "def grade(sample, item):\n    return len(sample['output_text']) / item['most']\n"
    reward = rewards.Rewards({"type": "python", "name": "short", "source": source})
    errors: dict[str, float] = {}
    found = reward(
        completions=["ab", "abcd"],
        item=[json.dumps({"most": 4}), json.dumps({"most": 0})],
        log_metric=errors.__setitem__,
    )
    reward.close()
    assert found == [0.5, 0.0]
    assert errors == {"grader_errors": 0.5}


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"type": "score_model"}, "grader.type"),
        ({"calculate_output": "has + style"}, "grader.calculate_output"),
        ({"calculate_output": 1}, "grader.calculate_output"),
        ({"graders": {}}, "grader.graders"),
        ({"graders": {"has": {"type": "string_check"}}}, "grader.graders.has.name"),
        ({"graders": {"has": GRADER["graders"]["has"] | {"operation": "is"}},
          "calculate_output": "has"}, "grader.graders.has.operation"),
        ({"graders": {"near": GRADER["graders"]["near"] | {"evaluation_metric": "taste"}},
          "calculate_output": "near"}, "grader.graders.near.evaluation_metric"),
    ],
)  # fmt: skip
def test_faults_of_a_grader_name_their_place(change: dict[str, Any], path: str) -> None:
    assert checking.check(GRADER) == []
    found = checking.check(GRADER | change)
    assert found[0].path == path
    assert found[0].fix
