"""Supervised fine-tuning: what is learnt from, what is left, and that a kill changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import safetensors.torch
import tiny
import torch
import transformers

from slipway_contracts.progress import NoteKind
from slipway_runtime import chats
from slipway_runtime.hosts.context import RunContext
from slipway_runtime.run import BadInput, Diverged
from slipway_runtime.training import encoded, examples, sft, weights

# PEFT asks under a name that transformers is about to retire.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

TURNS = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": "the sky?"},
    {"role": "assistant", "content": "it is blue"},
    {"role": "user", "content": "a leaf?"},
    {"role": "assistant", "content": "绿色 green"},
]


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return tiny.write_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> Path:
    return tiny.write_rows(tmp_path_factory.mktemp("rows") / "rows.jsonl")


def learnt(template: str, messages, *, stops=(), eos="<|im_end|>") -> list[tuple[str, list[str]]]:
    """Each example's whole text, and the pieces of it that the loss is taken on."""
    tokenizer = tiny.tokenizer(template, eos)
    stop_ids = tokenizer.convert_tokens_to_ids(list(stops))
    encoder = examples.Encoder(tokenizer, stop_ids)
    found = []
    for example in examples.encode([chats.Row(line=1, messages=messages)], encoder):
        pieces: list[list[int]] = []
        inside = False
        for token, label in zip(example.input_ids, example.labels, strict=True):
            assert label in (token, examples.IGNORED)
            if label != examples.IGNORED:
                if not inside:
                    pieces.append([])
                pieces[-1].append(token)
            inside = label != examples.IGNORED
        found.append((tokenizer.decode(example.input_ids), [tokenizer.decode(p) for p in pieces]))
    return found


class TestWhatIsLearnt:
    def test_answers_and_their_end_and_nothing_else(self):
        [(text, pieces)] = learnt(tiny.CHATML, TURNS)
        assert text.startswith("<|im_start|>system\nbe brief<|im_end|>\n<|im_start|>user\n")
        assert pieces == ["it is blue<|im_end|>", "绿色 green<|im_end|>"]

    def test_it_agrees_token_by_token_with_a_template_that_marks_its_answers(self):
        tokenizer = tiny.tokenizer(tiny.MARKED)
        marked = tokenizer.apply_chat_template(
            TURNS, return_dict=True, return_assistant_tokens_mask=True
        )
        [example] = examples.encode(
            [chats.Row(line=1, messages=TURNS)], examples.Encoder(tokenizer, [])
        )
        assert example.input_ids == marked["input_ids"]
        assert [label != examples.IGNORED for label in example.labels] == [
            bool(bit) for bit in marked["assistant_masks"]
        ]

    def test_an_answer_ended_by_the_next_speaker_learns_to_stop(self):
        stops = ["<|endoftext|>", "<|user|>"]
        [(text, pieces)] = learnt(tiny.GLM, TURNS, stops=stops, eos="<|endoftext|>")
        assert pieces == ["it is blue<|user|>", "绿色 green<|endoftext|>"]
        assert text.endswith("绿色 green<|endoftext|>")

    def test_a_template_without_a_generation_prompt(self):
        [(_, pieces)] = learnt(tiny.MISTRAL, TURNS[1:], eos="</s>")
        assert pieces == [" it is blue</s>", " 绿色 green</s>"]

    def test_a_template_that_rewrites_earlier_turns_gives_an_example_for_each(self):
        found = learnt(tiny.THINKING, TURNS)
        assert [pieces for _, pieces in found] == [
            ["<think>\n\n</think>\n\nit is blue<|im_end|>"],
            ["<think>\n\n</think>\n\n绿色 green<|im_end|>"],
        ]
        assert "it is blue<|im_end|>\n<|im_start|>user" in found[1][0]

    def test_turns_of_weight_0_are_context_only(self):
        turns = [dict(turn) for turn in TURNS]
        turns[2]["weight"] = 0
        turns[4]["weight"] = 1
        [(text, pieces)] = learnt(tiny.CHATML, turns)
        assert pieces == ["绿色 green<|im_end|>"]
        assert "it is blue" in text

    def test_text_in_parts_and_arguments_as_text_are_made_ready(self, tmp_path):
        call = {"type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
        row = {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "hi"}]},
                {"role": "assistant", "content": None, "tool_calls": [call]},
            ]
        }
        [read] = chats.read(tiny.write_rows(tmp_path / "rows.jsonl", [row]))
        assert read.messages[0]["content"] == "hi"
        assert read.messages[1]["content"] == ""
        assert read.messages[1]["tool_calls"][0]["function"]["arguments"] == {"a": 1}

    def test_what_is_cut_off_is_counted_and_located(self):
        encoder = examples.Encoder(tiny.tokenizer(), [])
        rows = [
            chats.Row(line=1, messages=tiny.chat("the sky?", "blue")["messages"]),
            chats.Row(line=3, messages=tiny.chat("the sky?", "blue " * 50)["messages"]),
            chats.Row(line=4, messages=tiny.chat("the sky? " * 50, "blue")["messages"]),
            chats.Row(line=5, messages=tiny.chat("the sky?", "blue", weight=0)["messages"][:1]),
        ]
        whole = examples.encode(rows, encoder)
        report = encoded.cut(whole, 40).report()
        lengths = [len(example.input_ids) for example in whole]
        assert report["rows"] == 4
        assert report["examples"] == 2
        assert report["tokens"] == lengths[0] + 40
        assert report["truncated_rows"] == 2
        assert report["truncated_tokens"] == lengths[1] + lengths[2] - 80
        assert report["dropped_rows"] == 2
        assert report["lines"] == [3, 4, 5]


def test_packed_rows_do_not_see_each_other(base):
    """The loss of each packed row is that of the row alone."""
    loaded = weights.load_base(base, torch.float32)
    encoder = examples.Encoder(loaded.tokenizer, [])
    data = [chats.Row(line=i, messages=tiny.chat(q, a)["messages"]) for i, (q, a) in
            enumerate(tiny.pairs()[:6])]  # fmt: skip
    whole = examples.encode(data, encoder)
    alone = []
    for example in whole:
        ids, labels = torch.tensor([example.input_ids]), torch.tensor([example.labels])
        alone.append(loaded.model(input_ids=ids, labels=labels).loss.item())
    packed = sft._train_rows(
        SimpleNamespace(log=print),
        loaded.model,
        encoded.cut(whole, 128),
        {"packing": True, "max_seq_len": 128},
    )
    assert len(packed) < len(whole)
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    batch = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)(list(packed))
    labels = batch["labels"]
    with torch.no_grad():
        logits = loaded.model(
            input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False
        ).logits
    losses = torch.nn.functional.cross_entropy(
        logits[0, :-1], labels[0, 1:], ignore_index=-100, reduction="none"
    )
    counts = [sum(x != -100 for x in e.labels) for e in whole]
    wanted = sum(a * n for a, n in zip(alone, counts, strict=True))
    assert losses.sum().item() == pytest.approx(wanted, rel=1e-5)


@pytest.fixture(scope="module")
def done(tmp_path_factory, base, rows) -> SimpleNamespace:
    """A run that ended well: what it told and what it left."""
    root = tmp_path_factory.mktemp("run")
    report = tiny.train(root, base, rows, held_out=rows, learning_rate=2e-2, epochs=6)
    return SimpleNamespace(report=report, notes=tiny.notes(root))


class TestARun:
    def test_it_learns_and_tells_its_curves(self, done):
        curve = [n for n in done.notes if n.kind is NoteKind.METRICS]
        losses = [n.values["loss"] for n in curve if "loss" in n.values]
        assert len(losses) == 24
        assert losses[-1] < losses[0] / 2
        held = [n.values["held_out_loss"] for n in curve if "held_out_loss" in n.values]
        assert len(held) == 6
        assert held[-1] < held[0]
        first = curve[0]
        assert (first.step, first.total_steps) == (1, 24)
        wanted = {"loss", "learning_rate", "grad_norm", "tokens", "tokens_per_second"}
        # Beside what it learns, what it uses of the machine, where two seconds have passed.
        used = {"cpu_cores", "memory_bytes", "gpu_memory_bytes"}
        assert wanted | {"token_accuracy"} == set(first.values) - used
        assert first.values["grad_norm"] > 0
        assert first.values["tokens_per_second"] > 0
        assert first.values["tokens"] > 100
        assert done.report.metrics["held_out_loss"] == held[-1]
        assert done.report.metrics["best_held_out_loss"] == min(held)
        assert done.report.metrics["train_loss"] == pytest.approx(sum(losses[-4:]) / 4)

    def test_tokens_are_counted_without_padding(self, done):
        per_epoch = done.report.details["rows"]["tokens"]
        assert done.report.metrics["tokens"] == 6 * per_epoch

    def test_a_checkpoint_after_each_epoch_holds_its_metrics(self, done):
        saved = [n for n in done.notes if n.kind is NoteKind.CHECKPOINT]
        assert [n.step for n in saved] == [4, 8, 12, 16, 20, 24]
        assert {"loss", "held_out_loss"} <= set(saved[0].values)
        directory = Path(saved[0].uri.removeprefix("file://"))
        assert (directory / "adapter_model.safetensors").is_file()
        assert (directory / "optimizer.pt").is_file()

    def test_the_result_is_an_adapter_of_safetensors_and_json(self, done, base):
        files = set(done.report.files) - {"manifest.json"}
        assert files == {"adapter_model.safetensors", "adapter_config.json"}
        artifact = Path(done.report.artifact_uri.removeprefix("file://"))
        stored = safetensors.torch.load_file(artifact / "adapter_model.safetensors")
        assert {t.dtype for t in stored.values()} == {torch.float32}
        assert len(stored) == 2 * 2 * 7  # A and B of 7 linear layers in 2 blocks
        config = json.loads((artifact / "adapter_config.json").read_text())
        assert config["base_model_name_or_path"] == f"file://{base}"

    def test_the_adapter_changes_the_answer(self, done, base):
        import peft

        artifact = Path(done.report.artifact_uri.removeprefix("file://"))
        loaded = weights.load_base(base, torch.float32)
        question, answer = tiny.pairs()[0]
        ids = loaded.tokenizer.apply_chat_template(
            [{"role": "user", "content": question}],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
        )

        def loss_of(model):
            whole = loaded.tokenizer(answer, return_tensors="pt")["input_ids"]
            joined = torch.cat([ids["input_ids"], whole], dim=1)
            labels = joined.clone()
            labels[:, : ids["input_ids"].shape[1]] = -100
            return model(input_ids=joined, labels=labels).loss.item()

        before = loss_of(loaded.model)
        after = loss_of(peft.PeftModel.from_pretrained(loaded.model, artifact))
        assert after < before / 2

    def test_the_report_says_how_it_was_made(self, done):
        details = done.report.details
        assert details["hyperparameters"]["learning_rate"] == 2e-2
        assert "learning_rate" not in details["why"]
        assert set(details["why"]["max_seq_len"]) == {"zh", "en"}
        assert details["libraries"]["torch"] == torch.__version__.split("+")[0]
        assert details["threads"] == tiny.THREADS
        assert details["trainable_parameters"] > 0


class Killed(BaseException):
    """Stands for the signal: nothing of ours may catch it."""


class DyingContext(RunContext):
    """Dies right after the second checkpoint is stored."""

    saved = 0

    def save_checkpoint(self, directory, *, step, values):
        uri = super().save_checkpoint(directory, step=step, values=values)
        self.saved += 1
        if self.saved == 2:
            raise Killed
        return uri


@pytest.mark.parametrize("scale", ["lora", "full"])
@pytest.mark.parametrize("when", ["epoch", "steps"])
def test_a_killed_and_resumed_run_ends_in_the_same_bytes(tmp_path, base, rows, scale, when):
    values = {"batch_size": 3, "gradient_accumulation_steps": 2, "save_steps": 3}
    if scale == "lora":
        values["lora_dropout"] = 0.2
    run = {"scale": scale, "held_out": rows, "save_strategy": when, **values}
    straight = tiny.train(tmp_path / "straight", base, rows, **run)
    with pytest.raises(Killed):
        tiny.train(tmp_path / "killed", base, rows, context=DyingContext, **run)
    resumed = tiny.train(tmp_path / "killed", base, rows, attempt=2, **run)
    stages = [n.text for n in tiny.notes(tmp_path / "killed") if n.kind is NoteKind.STAGE]
    assert any(text.startswith("resuming at step") for text in stages)
    assert resumed.files == straight.files
    assert len(straight.files) >= 2
    for key in ("train_loss", "held_out_loss", "best_step", "steps"):
        assert resumed.metrics[key] == straight.metrics[key], key


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path, base, rows):
    once = tiny.train(tmp_path / "a", base, rows, epochs=1)
    again = tiny.train(tmp_path / "b", base, rows, epochs=1)
    other = tiny.train(tmp_path / "c", base, rows, epochs=1, seed=8)
    assert once.files == again.files
    name = "adapter_model.safetensors"
    assert once.files[name] != other.files[name]


def test_a_full_update_is_stored_whole_in_the_dtype_of_the_base(tmp_path, rows):
    base = tiny.write_base(tmp_path / "base", dtype=torch.bfloat16)
    report = tiny.train(tmp_path / "run", base, rows, scale="full", learning_rate=3e-3, epochs=4)
    artifact = Path(report.artifact_uri.removeprefix("file://"))
    stored = safetensors.torch.load_file(artifact / "model.safetensors")
    assert {t.dtype for t in stored.values()} == {torch.bfloat16}
    before = safetensors.torch.load_file(base / "model.safetensors")
    assert any(not torch.equal(stored[name], before[name]) for name in before)
    assert {"config.json", "tokenizer.json", "tokenizer_config.json"} <= set(report.files)
    assert not [name for name in report.files if name.endswith((".bin", ".pt", ".pth", ".py"))]
    tokenizer = transformers.AutoTokenizer.from_pretrained(artifact)
    assert tokenizer.chat_template == tiny.CHATML


def test_packing_trains_on_fewer_longer_rows(tmp_path, base, rows):
    report = tiny.train(
        tmp_path / "run", base, rows, packing=True, max_seq_len=256, batch_size=1, epochs=2
    )
    assert report.metrics["steps"] < 2 * 32 / 4
    assert report.metrics["tokens"] == 2 * report.details["rows"]["tokens"]


def test_early_stopping_looks_at_the_held_out_loss(tmp_path, base, rows):
    # Held-out rows that contradict what is learnt: their loss soon only grows.
    wrong = tiny.write_rows(
        tmp_path / "wrong.jsonl", [tiny.chat(q, "<think>" + a[::-1]) for q, a in tiny.pairs()]
    )
    report = tiny.train(
        tmp_path / "run", base, rows, held_out=wrong, epochs=40, learning_rate=1e-2,
        early_stopping_patience=2,
    )  # fmt: skip
    assert report.metrics["steps"] < 40 * 4
    assert report.metrics["best_step"] == report.metrics["steps"] - 2 * 4


class TestFaults:
    def test_a_loss_that_is_no_number_ends_the_run_with_its_step(self, tmp_path, base, rows):
        loaded = weights.load_base(base, torch.float32)
        loaded.model.lm_head.weight.data[5] = float("inf")
        broken = tmp_path / "broken"
        weights.save(loaded.model, loaded.tokenizer, broken)
        with pytest.raises(Diverged, match="the loss at step 1 is"):
            tiny.train(tmp_path / "run", broken, rows)
        assert not (tmp_path / "run/out/report-1.json").exists()

    @pytest.mark.parametrize(
        ("values", "said"),
        [
            ({"learning_rate": 3}, "learning_rate = 3: out of range, allowed: from 1e-07 to 0.1"),
            ({"max_seq_len": 1000}, "max_seq_len = 1000: out of range, allowed: from 32 to 256"),
            ({"lora_targets": ["query"]}, "no such layer; it has down_proj, gate_proj"),
        ],
    )
    def test_hyper_parameters_are_checked_against_the_model(
        self, tmp_path, base, rows, values, said
    ):
        with pytest.raises(BadInput, match=said):
            tiny.train(tmp_path / "run", base, rows, **values)

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "holds no rows"),
            (b'{"messages": []}\n{"messages": [', "rows.jsonl line 2: no conversation"),
            (b'{"text": "hi"}', "rows.jsonl line 1: no conversation"),
            (b"\xff\xfe", "rows.jsonl line 1: no conversation"),
        ],
    )
    def test_unreadable_rows_are_located(self, tmp_path, base, content, said):
        (tmp_path / "rows.jsonl").write_bytes(content)
        with pytest.raises(BadInput, match=said):
            tiny.train(tmp_path / "run", base, tmp_path / "rows.jsonl")

    def test_rows_without_anything_to_learn(self, tmp_path, base):
        questions = [{"messages": tiny.chat(q, a)["messages"][:1]} for q, a in tiny.pairs()]
        rows = tiny.write_rows(tmp_path / "rows.jsonl", questions)
        with pytest.raises(BadInput, match="none of the 32 rows has anything to learn"):
            tiny.train(tmp_path / "run", base, rows)

    def test_truncation_is_a_warning_with_lines(self, tmp_path, base):
        data = [tiny.chat(q, a * 20 if i == 4 else a) for i, (q, a) in enumerate(tiny.pairs())]
        rows = tiny.write_rows(tmp_path / "rows.jsonl", data)
        report = tiny.train(tmp_path / "run", base, rows, epochs=1, max_seq_len=64)
        [said] = [n.text for n in tiny.notes(tmp_path / "run") if n.kind is NoteKind.WARNING]
        assert said.startswith("1 rows cut to 64 tokens")
        assert said.endswith("first lines: 5")
        assert report.details["rows"]["truncated_rows"] == 1

    def test_a_model_without_template_or_weights(self, tmp_path, base, rows):
        loaded = weights.load_base(base, torch.float32)
        loaded.tokenizer.chat_template = None
        weights.save(loaded.model, loaded.tokenizer, tmp_path / "silent")
        with pytest.raises(BadInput, match="no chat template"):
            tiny.train(tmp_path / "run", tmp_path / "silent", rows)
        (tmp_path / "silent/model.safetensors").unlink()
        with pytest.raises(BadInput, match="the base model cannot be loaded"):
            tiny.train(tmp_path / "run2", tmp_path / "silent", rows)

    def test_packing_is_refused_where_rows_would_see_each_other(self, tmp_path, rows):
        bloom = tiny.write_base(tmp_path / "bloom", "bloom")
        with pytest.raises(BadInput, match="bloom models know no position_ids"):
            tiny.train(tmp_path / "run", bloom, rows, packing=True)


def test_two_workers_train_as_one_and_survive_kill_9(tmp_path, base, rows):
    """Real processes under a process group: equal weights on both, resumed after SIGKILL."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    script = Path(__file__).parent / "two_workers.py"
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), str(base), str(rows)],
        env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["killed_at"] >= 1
    assert told["straight"] == told["resumed"]
    assert len(set(told["trained"])) == 1
    # Twice the rows at a step: half the steps of one worker alone.
    assert told["steps"] == 3 * 2
