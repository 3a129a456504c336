"""Judging: scores as the reference libraries give them, honest intervals, and no row lost."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import sacrebleu
import tiny
import torch
from rouge_score import rouge_scorer
from sklearn.metrics import f1_score

from slipway_contracts import metrics as contract
from slipway_contracts import workload
from slipway_contracts.progress import NoteKind
from slipway_runtime import evaluate, progress
from slipway_runtime.evaluation import metrics, statistics
from slipway_runtime.hosts.context import RunContext
from slipway_runtime.run import BadInput
from slipway_runtime.training import weights

ENGLISH = (
    ["the cat sat on the mat", "a dog barked", "", "it rains today in Paris and in Rome"],
    ["the cat is on the mat", "a dog barked", "the sun shines", "it rains in Paris and Rome"],
)
RIGHT = '{"colour":"red"}'
CHINESE = (["今天天气很好", "我喜欢吃苹果 apple"], ["今天的天气真好", "我喜欢吃苹果 apple"])


def figure(name, answers, references):
    scored = metrics.score(name, answers, references)
    rows = scored.rows[~np.isnan(scored.rows).any(axis=1)]
    return scored.finish(rows.sum(axis=0))


class TestMetrics:
    def test_every_metric_of_the_contract_is_there(self):
        assert set(metrics.METRICS) == set(contract.METRICS)

    def test_exact_contains_and_accuracy(self):
        answers = ["Yes.", " yes", "I say yes", "no", None]
        references = ["yes"] * 5
        assert metrics.score("exact_match", answers, references).each == [0, 1, 0, 0, 0]
        assert metrics.score("contains", answers, references).each == [0, 1, 1, 0, 0]
        assert metrics.score("accuracy", answers, references).each == [1, 1, 0, 0, 0]

    def test_json_is_compared_by_value_and_only_where_the_reference_is_json(self):
        answers = ['{"b": 2, "a": 1}', '{"a": 1}', "sorry", "{"]
        references = ['{"a":1,"b":2}', '{"a": 1, "b": 2}', "sorry", "[1]"]
        assert metrics.score("json_equal", answers, references).each == [1, 0, None, 0]
        with pytest.raises(metrics.NotApplicable, match="no reference is JSON"):
            metrics.score("json_equal", ["a"], ["b"])

    def test_macro_f1_is_scikit_learns(self):
        draws = np.random.default_rng(3)
        labels = ["cat", "dog", "bird", "fish"]
        wanted = [labels[i] for i in draws.integers(0, 3, 60)]
        given = [labels[i] for i in draws.integers(0, 4, 60)]
        expected = f1_score(wanted, given, labels=sorted(set(wanted)), average="macro")
        assert figure("macro_f1", given, wanted) == pytest.approx(expected)
        texts = [str(i) for i in range(101)]
        with pytest.raises(metrics.NotApplicable, match="101 different texts"):
            metrics.score("macro_f1", texts, texts)

    @pytest.mark.parametrize(("pair", "tokenize"), [(ENGLISH, "13a"), (CHINESE, "zh")])
    def test_bleu_is_sacrebleus_corpus_score(self, pair, tokenize):
        answers, references = pair
        expected = sacrebleu.corpus_bleu(answers, [references], tokenize=tokenize).score
        assert figure("bleu_4", answers, references) == pytest.approx(expected / 100)

    @pytest.mark.parametrize(("name", "kind"), [("rouge_1", "rouge1"), ("rouge_l", "rougeL")])
    def test_rouge_is_rouge_scores_for_english(self, name, kind):
        scorer = rouge_scorer.RougeScorer([kind])
        expected = [scorer.score(r, a)[kind].fmeasure for a, r in zip(*ENGLISH, strict=True)]
        assert metrics.score(name, *ENGLISH).each == pytest.approx(expected)

    def test_rouge_counts_chinese_by_character(self):
        # 今 天 天 气 好 of six are in seven: precision 5/6, recall 5/7.
        assert metrics.score("rouge_1", *CHINESE).each[0] == pytest.approx(10 / 13)
        # 今天, 天气: 2 of 5 and of 6 pairs.
        assert metrics.score("rouge_2", *CHINESE).each[0] == pytest.approx(4 / 11)
        assert metrics.score("rouge_2", *CHINESE).each[1] == 1


class TestStatistics:
    def test_wilson(self):
        # Newcombe 1998 (two-sided intervals for the single proportion), method 3.
        assert statistics.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
        assert statistics.wilson(0, 20) == pytest.approx((0, 0.1611), abs=5e-5)
        assert statistics.wilson(0, 0) == (0, 1)

    @pytest.mark.parametrize(
        ("only_a", "only_b", "p_value"),
        [(0, 0, 1.0), (0, 10, 2 / 2**10), (10, 0, 2 / 2**10), (3, 3, 1.0), (1, 7, 18 / 2**8)],
    )
    def test_mcnemar_is_exact(self, only_a, only_b, p_value):
        a = np.array([1.0] * only_a + [0.0] * only_b + [1.0] * 20 + [0.0] * 4)
        b = np.array([0.0] * only_a + [1.0] * only_b + [1.0] * 20 + [0.0] * 4)
        assert statistics.mcnemar(a, b) == pytest.approx(p_value)

    def test_newcombe_for_pairs(self):
        # Newcombe 1998 (paired proportions), table II: 36, 12, 2, 0 of 50, method 8/10.
        a = np.array([1.0] * 48 + [0.0] * 2)
        b = np.array([1.0] * 36 + [0.0] * 12 + [1.0] * 2)
        difference, low, high = statistics.newcombe(a, b)
        assert difference == pytest.approx(0.2)
        assert (low, high) == pytest.approx((0.0569, 0.3404), abs=5e-4)
        _, low, high = statistics.newcombe(np.ones(30), np.zeros(30))
        assert 0.8 < low < high == 1.0

    def test_the_bootstrap_is_seeded_and_covers(self):
        values = np.random.default_rng(1).normal(0.4, 0.1, 200)
        scored = metrics._mean(values.tolist())
        found = []
        for _ in range(2):
            bootstrap = statistics.Bootstrap(200, seed=5)
            found.append(bootstrap.interval(bootstrap.values(scored.rows, scored.finish)))
        assert found[0] == found[1]
        low, high = found[0]
        error = values.std() / np.sqrt(200)
        assert low == pytest.approx(values.mean() - 1.96 * error, abs=error / 3)
        assert high == pytest.approx(values.mean() + 1.96 * error, abs=error / 3)

    def test_the_paired_bootstrap_sees_what_differs_in_every_row(self):
        assert statistics.Bootstrap.p_value(np.full(1000, 0.1)) < 0.01
        assert statistics.Bootstrap.p_value(np.zeros(1000)) == 1.0


# PEFT asks under a name that transformers is about to retire.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A base and an adapter that has learnt to answer everything by `RIGHT`."""
    root = tmp_path_factory.mktemp("models")
    base = tiny.write_base(root / "base")
    rows = tiny.write_rows(root / "rows.jsonl", [tiny.chat(q, RIGHT) for q, _ in tiny.pairs()])
    report = tiny.train(root / "run", base, rows, epochs=8, learning_rate=2e-2, save_strategy="no")
    return base, Path(report.artifact_uri.removeprefix("file://"))


def judge(root: Path, models, rows, **settings):
    base, adapter = models
    dataset = tiny.write_rows(root / "dataset.jsonl", rows)
    asked = workload.Workload(
        name="evaluate-tiny-1",
        kind=workload.Kind.EVALUATE,
        inputs={"dataset": f"file://{dataset}"},
        settings={
            "candidates": [
                {"key": "base", "base": f"file://{base}", "adapter": ""},
                {"key": "tuned", "base": f"file://{base}", "adapter": f"file://{adapter}"},
            ],
            "metrics": ["exact_match", "json_equal", "rouge_l"],
            "max_tokens": 24,
            "threads": tiny.THREADS,
        }
        | settings,
        output_uri=f"file://{root}/out",
    )
    (root / "scratch").mkdir()
    with progress.Writer(asked.output_uri, 1) as writer:
        evaluate.run(RunContext(asked, scratch=root / "scratch", writer=writer))
    report = workload.report_from_json((root / "out/report-1.json").read_bytes())
    artifact = Path(report.artifact_uri.removeprefix("file://"))
    lines = (artifact / "rows.jsonl").read_text("utf-8").splitlines()
    return report, [json.loads(line) for line in lines]


def test_candidates_are_judged_by_group_and_against_the_first(tmp_path, models):
    seen = [tiny.chat(q, RIGHT, group="seen") for q, _ in tiny.pairs()[:20]]
    refused = [tiny.chat(q, "sorry", group="refused") for q, _ in tiny.pairs()[20:30]]
    long = tiny.chat("x " * 400, "sorry", group="refused")
    report, rows = judge(tmp_path, models, [*seen, *refused, long])

    scores = report.details["scores"]
    assert set(scores) == {"base", "tuned"}
    assert set(scores["base"]) == {"all", "seen", "refused"}
    tuned = scores["tuned"]["seen"]["exact_match"]
    assert tuned["n"] == 20
    assert tuned["value"] >= 0.9
    assert tuned["low"] < tuned["value"] <= tuned["high"] <= 1
    assert scores["base"]["seen"]["exact_match"]["value"] == 0
    # No reference there is JSON, and in "all" only those that are count.
    assert "json_equal" not in scores["tuned"]["refused"]
    assert scores["tuned"]["all"]["json_equal"]["n"] == 20
    assert scores["tuned"]["all"]["exact_match"]["n"] == 31

    [test] = [
        p for p in report.details["paired"] if (p["metric"], p["group"]) == ("exact_match", "seen")
    ]
    assert (test["a"], test["b"], test["n"]) == ("tuned", "base", 20)
    assert test["difference"] == tuned["value"]
    assert 0 < test["low"] < test["difference"] <= test["high"] <= 1
    assert test["p_value"] < 1e-4

    # The row that does not fit is counted against both, and says why.
    assert report.details["failed"] == {"base": 1, "tuned": 1}
    assert report.metrics["failed_rows"] == 2
    assert [row["index"] for row in rows] == list(range(31))
    assert rows[30]["candidates"]["tuned"]["answer"] is None
    assert "tokens, the model 256" in rows[30]["candidates"]["tuned"]["error"]
    assert rows[30]["candidates"]["tuned"]["scores"]["exact_match"] == 0
    first = rows[0]
    assert first["group"] == "seen"
    assert first["prompt"] == [{"role": "user", "content": tiny.pairs()[0][0]}]
    assert first["reference"] == RIGHT
    assert set(first["candidates"]["tuned"]["scores"]) == {"exact_match", "json_equal", "rouge_l"}
    told = [n for n in tiny.notes(tmp_path) if n.kind is NoteKind.METRICS]
    assert (told[-1].step, told[-1].total_steps) == (62, 62)


def test_answers_are_those_of_a_plain_generate(tmp_path, models):
    """The batched engine and the library's greedy search agree to the letter."""
    import peft

    base, adapter = models
    rows = [tiny.chat(q, a) for q, a in tiny.pairs()[:6]]
    _, found = judge(tmp_path, models, rows)
    for key in ("base", "tuned"):
        loaded = weights.load_base(base, torch.float32)
        model = loaded.model
        if key == "tuned":
            model = peft.PeftModel.from_pretrained(model, adapter)
        for row in found:
            asked = loaded.tokenizer.apply_chat_template(
                row["prompt"], add_generation_prompt=True, return_tensors="pt", return_dict=True
            )
            made = model.eval().generate(
                input_ids=asked["input_ids"],
                attention_mask=asked["attention_mask"],
                do_sample=False,
                max_new_tokens=24,
            )
            text = loaded.tokenizer.decode(
                made[0, asked["input_ids"].shape[1] :], skip_special_tokens=True
            )
            assert row["candidates"][key]["answer"] == text


def test_a_metric_that_makes_no_sense_is_left_out_and_told(tmp_path, models):
    rows = [tiny.chat(q, "plain") for q, _ in tiny.pairs()[:3]]
    report, _ = judge(tmp_path, models, rows)
    assert "json_equal" not in report.details["scores"]["tuned"]["all"]
    said = [n.text for n in tiny.notes(tmp_path) if n.kind is NoteKind.WARNING]
    assert said == ["json_equal is left out: no reference is JSON"]


@pytest.mark.parametrize(
    ("rows", "settings", "said"),
    [
        ([tiny.chat("a", "b")], {"metrics": ["vibes"]}, "unknown metrics vibes; there are exact"),
        ([{"messages": [{"role": "user", "content": "a"}]}], {}, "dataset line 1: to judge by it"),
        ([{"messages": []}], {}, "dataset line 1: to judge by it"),
        (
            [tiny.chat("a", "b")],
            {"candidates": [{"key": "k", "base": "file:///nowhere/at/all"}]},
            "candidate k cannot be read",
        ),
    ],
)
def test_faults_are_the_users_to_mend(tmp_path, models, rows, settings, said):
    with pytest.raises(BadInput, match=said):
        judge(tmp_path, models, rows, **settings)
