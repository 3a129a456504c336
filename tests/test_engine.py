"""The serving engine in process: the answers of `generate`, whatever joins or leaves the batch."""

from __future__ import annotations

import asyncio
import math
import pathlib
import random
import time
from collections import Counter
from typing import Any

import engine_models
import pytest
import torch

from slipway_runtime.serving import engine, forward, loading, lora, sampling, scheduler, text

# peft asks transformers by a name that transformers is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

KINDS = {
    "llama": forward.Masked4D,
    "qwen2-sliding": forward.Masked4D,
    "qwen3": forward.Masked4D,
    "glm": forward.Masked4D,
    "mistral-sliding": forward.Masked4D,
    "gemma2-eager": forward.Masked4D,
    "bloom": forward.Masked2D,
    "qwen3-next": forward.Apart,
}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def made(model: Any, adapters: lora.Adapters | None = None, **limits: Any) -> scheduler.Scheduler:
    layout = forward.layout_for(model, adapters or lora.Adapters(model))
    return scheduler.Scheduler(
        layout,
        decode=engine_models.tokenizer().decode,
        end_tokens=frozenset([1]),
        limits=scheduler.Limits(
            **{"max_rows": 5, "max_context": engine_models.CONTEXT, "prefill_tokens": 48} | limits
        ),
    )


def request(prompt: list[int], tokens: int, **fields: Any) -> scheduler.Request:
    """Exactly `tokens` tokens, reported one by one."""
    drawn = fields.pop("sampling", sampling.Sampling(top_logprobs=0))
    return scheduler.Request(
        prompt=prompt, max_tokens=tokens, ignore_eos=True, sampling=drawn, **fields
    )


def drain(work: scheduler.Scheduler) -> dict[scheduler.Row, list[scheduler.Delta]]:
    seen: dict[scheduler.Row, list[scheduler.Delta]] = {}
    while not work.idle:
        for row, delta in work.step():
            seen.setdefault(row, []).append(delta)
    return seen


def tokens_of(deltas: list[scheduler.Delta]) -> list[int]:
    return [choice.token for delta in deltas for choice in delta.choices]


def prompts(count: int, longest: int = 60) -> list[list[int]]:
    dice = random.Random(5)
    lengths = [dice.randint(1, longest) for _ in range(count)]
    return [[dice.randrange(5, 300) for _ in range(length)] for length in lengths]


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_unequal_length_answer_as_generate_does(kind: str) -> None:
    model = engine_models.model(kind)
    work = made(model)
    assert type(work.layout) is KINDS[kind]
    asked = [(prompt, 3 + 2 * i) for i, prompt in enumerate(prompts(9))]
    rows = [work.add(request(prompt, tokens)) for prompt, tokens in asked]
    seen = drain(work)
    for row, (prompt, tokens) in zip(rows, asked, strict=True):
        assert tokens_of(seen[row]) == engine_models.greedy(model, prompt, tokens)
        assert [d.finish_reason for d in seen[row]] == [None] * (tokens - 1) + ["length"]
    assert work.layout.size_bytes() == 0  # an idle engine holds no keys and values


def test_a_model_that_no_layout_reproduces_is_refused_not_served_wrongly() -> None:
    model = engine_models.model("mamba")
    with pytest.raises(forward.UnsupportedModel, match="MambaForCausalLM"):
        forward.layout_for(model, lora.Adapters(model))


def test_a_long_prompt_is_computed_in_pieces_and_others_go_on_meanwhile() -> None:
    model = engine_models.model()
    work = made(model, prefill_tokens=16)
    short, long = prompts(1, 4)[0], [random.Random(1).randrange(5, 300) for _ in range(100)]
    first = work.add(request(short, 12))
    second = work.add(request(long, 5))
    seen: dict[scheduler.Row, list[scheduler.Delta]] = {first: [], second: []}
    before_the_long_one = 0
    while not work.idle:
        for row, delta in work.step():
            seen[row].append(delta)
        before_the_long_one += not seen[second]
    assert before_the_long_one >= 6
    assert len(seen[first]) == 12
    assert tokens_of(seen[first]) == engine_models.greedy(model, short, 12)
    assert tokens_of(seen[second]) == engine_models.greedy(model, long, 5)


def test_keys_and_values_stay_within_their_budget() -> None:
    model = engine_models.model()
    token_bytes = 3 * 2 * 2 * 8 * 4
    work = made(model, max_rows=8, kv_bytes=token_bytes * 40 * 3)
    work.add(request([5], 1))
    drain(work)  # teaches it how large a token is
    for _ in range(6):
        work.add(request([7] * 20, 20))
    most = 0
    while not work.idle:
        work.step()
        most = max(most, len(work.running))
    assert most == 3


@pytest.mark.parametrize("kind", ["llama", "qwen3-next"])
def test_background_requests_fill_the_engine_and_make_room(kind: str) -> None:
    """A batch has every row while it is alone; who waits for an answer has one at the next step,
    and a request that was set back for it ends with the answer it would have had."""
    model = engine_models.model(kind)
    work = made(model, max_rows=8, prefill_tokens=64)
    asked = prompts(12, 20)
    batch = {work.add(request(prompt, 20, background=True)): prompt for prompt in asked}
    seen: dict[scheduler.Row, list[scheduler.Delta]] = {}

    def step() -> None:
        for row, delta in work.step():
            seen.setdefault(row, []).append(delta)

    while len(work.running) < 8 or min(row.generated for row in work.running) < 3:
        step()
    live = [work.add(request([5, 6, 7], 6)) for _ in range(3)]
    for _ in live:
        step()
    assert all(row in work.running for row in live)
    assert len(work.running) <= 8
    back = [row for row in work.later if row.generated]
    assert len(back) == 3
    assert back == list(work.later)[:3]
    while not work.idle:
        step()
    for row in live:
        assert tokens_of(seen[row]) == engine_models.greedy(model, [5, 6, 7], 6)
    for row, prompt in batch.items():
        assert tokens_of(seen[row]) == engine_models.greedy(model, prompt, 20)
    ends = [row for row, deltas in seen.items() if deltas[-1].final]
    assert len(ends) == 15
    assert work.counts["prompt_tokens"] == sum(map(len, asked)) + 9


def test_background_requests_hold_few_rows_while_others_come() -> None:
    work = made(engine_models.model(), max_rows=8, prefill_tokens=64)
    for _ in range(20):
        work.add(request([5, 6, 7], 10, background=True))
    most = 0
    for turn in range(40):
        if not turn % 4:
            work.add(request([5, 6, 7], 8))
        work.step()
        most = max(most, sum(row.request.background for row in work.running))
    assert most == 2


# --- adapters -----------------------------------------------------------------------------------


def peft_adapter(folder: pathlib.Path, *, seed: int, **config: Any) -> pathlib.Path:
    import peft

    torch.manual_seed(seed)
    wrapped = peft.get_peft_model(
        engine_models.model(), peft.LoraConfig(init_lora_weights=False, **config)
    )
    wrapped.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def adapter_dirs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pathlib.Path]:
    """Adapters that differ in rank, in the layers they touch, and in how they are scaled."""
    home = tmp_path_factory.mktemp("adapters")
    everything = "all-linear"
    return {
        "a": peft_adapter(home / "a", seed=1, r=4, lora_alpha=8, target_modules=everything),
        "b": peft_adapter(
            home / "b", seed=2, r=8, lora_alpha=8, target_modules=["q_proj", "v_proj"]
        ),
        "c": peft_adapter(
            home / "c", seed=3, r=2, lora_alpha=4, target_modules=everything, use_rslora=True
        ),
        "d": peft_adapter(
            home / "d",
            seed=4,
            r=4,
            lora_alpha=4,
            target_modules=["up_proj", "down_proj"],
            rank_pattern={"up_proj": 6},
            alpha_pattern={"layers.1.mlp.up_proj": 12},
        ),
    }


@pytest.fixture(scope="module")
def merged_models(adapter_dirs: dict[str, pathlib.Path]) -> dict[str | None, Any]:
    import peft

    merged = {
        name: peft.PeftModel.from_pretrained(engine_models.model(), folder).merge_and_unload()
        for name, folder in adapter_dirs.items()
    }
    return {None: engine_models.model()} | merged


def test_mixed_adapters_in_one_batch_answer_as_their_merged_models(
    adapter_dirs: dict[str, pathlib.Path], merged_models: dict[str | None, Any]
) -> None:
    model = engine_models.model()
    adapters = lora.Adapters(model)
    for name, folder in adapter_dirs.items():
        adapters.attach(name, lora.read(model, folder))
    work = made(model, adapters, max_rows=9)
    names = [None, "a", "b", "a", "c", "d", None, "b", "a", "d", "c", "a"]
    asked = [(p, 6 + i % 5, n) for i, (p, n) in enumerate(zip(prompts(12), names, strict=True))]
    rows = [work.add(request(p, tokens, adapter=name)) for p, tokens, name in asked]
    seen = drain(work)
    for row, (prompt, tokens, name) in zip(rows, asked, strict=True):
        assert tokens_of(seen[row]) == engine_models.greedy(merged_models[name], prompt, tokens)
    # They are different models, or the above would prove nothing.
    answers = {tuple(engine_models.greedy(m, [9, 8, 7], 8)) for m in merged_models.values()}
    assert len(answers) == 5
    # Layers that are fed the same tensor were found, and no others.
    found = {tuple(path.rsplit(".", 1)[1] for path in group) for group in adapters._groups}
    assert found == {
        ("q_proj", "k_proj", "v_proj"), ("o_proj",), ("gate_proj", "up_proj"), ("down_proj",)
    }  # fmt: skip


def test_one_adapter_alone_is_merged_after_a_while_and_answers_the_same(
    adapter_dirs: dict[str, pathlib.Path], merged_models: dict[str | None, Any]
) -> None:
    model = engine_models.model()
    adapters = lora.Adapters(model)
    adapters.attach("a", lora.read(model, adapter_dirs["a"]))
    work = made(model, adapters)
    row = work.add(request([9, 8, 7], 60, adapter="a"))
    seen = drain(work)
    assert next(iter(adapters._plans.values())).weights
    assert tokens_of(seen[row]) == engine_models.greedy(merged_models["a"], [9, 8, 7], 60)


def test_an_adapter_is_attached_while_others_answer(
    adapter_dirs: dict[str, pathlib.Path], merged_models: dict[str | None, Any]
) -> None:
    model = engine_models.model()
    adapters = lora.Adapters(model)
    work = made(model, adapters)
    base = work.add(request([9, 8, 7], 20))
    seen: dict[scheduler.Row, list[scheduler.Delta]] = {}
    for _ in range(5):
        for row, delta in work.step():
            seen.setdefault(row, []).append(delta)
    adapters.attach("b", lora.read(model, adapter_dirs["b"]))
    late = work.add(request([9, 8, 7], 20, adapter="b"))
    for row, deltas in drain(work).items():
        seen.setdefault(row, []).extend(deltas)
    assert tokens_of(seen[base]) == engine_models.greedy(merged_models[None], [9, 8, 7], 20)
    assert tokens_of(seen[late]) == engine_models.greedy(merged_models["b"], [9, 8, 7], 20)


def test_merging_at_load_equals_peft(
    adapter_dirs: dict[str, pathlib.Path], merged_models: dict[str | None, Any]
) -> None:
    for name, folder in adapter_dirs.items():
        ours = lora.merge(engine_models.model(), folder)
        for key, value in merged_models[name].state_dict().items():
            torch.testing.assert_close(ours.state_dict()[key], value)


def test_dora_is_merged_by_its_own_library_and_refused_beside_others(
    tmp_path: pathlib.Path,
) -> None:
    import peft

    folder = peft_adapter(tmp_path / "dora", seed=1, r=4, target_modules=["q_proj"], use_dora=True)
    with pytest.raises(lora.AdapterError, match="use_dora is True"):
        lora.read(engine_models.model(), folder)
    wanted = peft.PeftModel.from_pretrained(engine_models.model(), folder).merge_and_unload()
    ours = lora.merge(engine_models.model(), folder)
    assert engine_models.greedy(ours, [9, 8], 8) == engine_models.greedy(wanted, [9, 8], 8)


def test_an_adapter_made_for_another_base_is_refused_by_name(
    adapter_dirs: dict[str, pathlib.Path], tmp_path: pathlib.Path
) -> None:
    with pytest.raises(lora.AdapterError, match=r"no layer 'model\.layers\.0"):
        lora.read(engine_models.model("bloom"), adapter_dirs["a"])
    with pytest.raises(lora.AdapterError, match=r"no adapter_config\.json"):
        lora.merge(engine_models.model(), tmp_path)


# --- sampling -----------------------------------------------------------------------------------


def test_a_seed_draws_the_same_whoever_shares_the_batch() -> None:
    model = engine_models.model()
    drawn = sampling.Sampling(temperature=1.0, top_p=0.9, seed=42, top_logprobs=0)
    alone = made(model)
    row = alone.add(request([9, 8, 7], 20, sampling=drawn))
    first = tokens_of(drain(alone)[row])
    crowded = made(model)
    for seed, prompt in enumerate(prompts(4)):
        other = sampling.Sampling(temperature=1.5, seed=seed)
        crowded.add(request(prompt, 9, sampling=other))
    row = crowded.add(request([9, 8, 7], 20, sampling=drawn))
    assert tokens_of(drain(crowded)[row]) == first
    assert first != engine_models.greedy(model, [9, 8, 7], 20)


def draws(logits: list[float], count: int, **fields: Any) -> Counter[int]:
    samplers = [sampling.Sampler(sampling.Sampling(seed=i, **fields)) for i in range(count)]
    chosen = sampling.choose(torch.tensor([logits] * count), samplers)
    return Counter(choice.token for choice in chosen)


def test_draws_follow_the_distribution() -> None:
    logits = [0.0, 1.0, 2.0, -1.0]
    for temperature in (0.5, 1.0, 2.0):
        wanted = torch.softmax(torch.tensor(logits) / temperature, -1).tolist()
        found = draws(logits, 4000, temperature=temperature)
        for token, probability in enumerate(wanted):
            deviation = math.sqrt(probability * (1 - probability) / 4000)
            assert abs(found[token] / 4000 - probability) < 4.5 * deviation


def test_top_k_and_top_p_cut_the_tail_and_nothing_else() -> None:
    logits = [3.0, 2.0, 1.0, 0.0]  # probabilities .64 .24 .09 .03
    assert set(draws(logits, 500, temperature=1.0, top_k=2)) == {0, 1}
    assert set(draws(logits, 500, temperature=1.0, top_p=0.8)) == {0, 1}
    assert set(draws(logits, 500, temperature=1.0, top_p=0.9)) == {0, 1, 2}
    assert set(draws(logits, 100, temperature=1.0, top_p=0.0)) == {0}
    # More tokens than the first guess at the nucleus holds: all 2000 are equally likely.
    assert len(draws([0.0] * 2000, 3000, temperature=1.0, top_p=0.99)) > 1400


def test_bias_penalties_and_constraints_steer_the_choice() -> None:
    class OnlyEven:
        def __init__(self) -> None:
            self.seen: list[int] = []

        finished = False

        def bar(self, logits: torch.Tensor) -> None:
            logits[1::2] = -math.inf

        def advance(self, token: int) -> None:
            self.seen.append(token)

    def answer(**fields: Any) -> list[int]:
        work = made(engine_models.model())
        drawn = sampling.Sampling(top_logprobs=0, **fields)
        row = work.add(request([9, 8, 7], 12, sampling=drawn))
        return tokens_of(drain(work)[row])

    assert answer(logit_bias={77: 100.0}) == [77] * 12
    assert 77 not in answer(logit_bias={77: -100.0})
    repeats = answer(logit_bias={77: 100.0}, frequency_penalty=2.0)
    assert repeats == [77] * 12  # a bias of 100 outweighs 24
    assert len(set(answer(presence_penalty=2.0, logit_bias={7: 1.0}))) > len(set(answer())) - 1
    even = OnlyEven()
    constrained = answer(constraint=even)
    assert all(token % 2 == 0 for token in constrained)
    assert even.seen == constrained


def test_a_penalty_lowers_the_logit_by_what_it_says() -> None:
    s = sampling.Sampling(presence_penalty=0.5, frequency_penalty=0.25)
    sampler = sampling.Sampler(s)
    for token in (2, 2, 3):
        sampler.took(token)
    logits = torch.zeros(5)
    sampler.shape(logits)
    assert logits.tolist() == [0, 0, -1.0, -0.75, 0]


def test_log_probabilities_are_the_models_own() -> None:
    model = engine_models.model()
    work = made(model)
    row = work.add(request([9, 8, 7], 4, sampling=sampling.Sampling(top_logprobs=3)))
    work.add(request([4, 4], 4))
    choices = [c for delta in drain(work)[row] for c in delta.choices]
    sequence = [9, 8, 7] + [choice.token for choice in choices]
    with torch.inference_mode():
        logprobs = model(torch.tensor([sequence])).logits[0].log_softmax(-1)
    for place, choice in enumerate(choices, start=2):
        values, ids = logprobs[place].topk(3)
        assert choice.logprob == pytest.approx(float(values[0]), abs=1e-4)
        assert [token for token, _ in choice.top] == ids.tolist()
        assert [v for _, v in choice.top] == pytest.approx(values.tolist(), abs=1e-4)


# --- text ---------------------------------------------------------------------------------------


def test_streamed_pieces_hold_whole_characters_and_add_up() -> None:
    tokenizer = engine_models.tokenizer()
    decode = tokenizer.backend_tokenizer.decode
    sentence = "华北地区 2019 年 3 月的 sales,用折线图表示。👩‍👩‍👧 naïve\n" * 6
    detokenizer = text.Detokenizer(decode)
    tokens = tokenizer(sentence)["input_ids"]
    pieces = [detokenizer.add(token) for token in tokens]
    assert "".join(pieces) + detokenizer.flush() == sentence
    assert not any("\ufffd" in piece for piece in pieces)
    assert sum(not piece for piece in pieces) > 50  # tokens that were but a part of a character


def test_text_of_any_tokens_adds_up_to_the_decoded_whole() -> None:
    tokenizer = engine_models.tokenizer()
    decode = tokenizer.backend_tokenizer.decode
    dice = random.Random(3)
    pool = tokenizer("趋势折线 the chart 图")["input_ids"]
    for _ in range(200):
        words = [dice.choice(pool) for _ in range(dice.randint(1, 40))]
        detokenizer = text.Detokenizer(decode)
        shown = "".join(map(detokenizer.add, words)) + detokenizer.flush()
        assert shown.replace("\ufffd", "") == decode(words).replace("\ufffd", "")


def test_half_a_character_at_the_end_is_not_lost() -> None:
    tokenizer = engine_models.tokenizer()
    half = tokenizer("ab图")["input_ids"][:-1]
    detokenizer = text.Detokenizer(tokenizer.backend_tokenizer.decode)
    shown = [detokenizer.add(token) for token in half]
    assert "".join(shown) == "ab"
    assert detokenizer.flush() == "\ufffd"


@pytest.mark.parametrize(
    ("pieces", "stops", "shown", "found"),
    [
        (["Hello", " wor", "ld END", " more"], ["END"], "Hello world ", True),
        (["a E", "N", "D b"], ["END"], "a ", True),
        (["a E", "N", "x"], ["END"], "a ENx", False),
        (["aab", "aac"], ["aabaac"], "", True),
        (["one\n", "\ntwo"], ["\n\n", "two"], "one", True),
        (["ends in E"], ["END"], "ends in E", False),
    ],
)
def test_stop_strings(pieces: list[str], stops: list[str], shown: str, found: bool) -> None:
    stop = text.StopStrings(stops)
    got = ""
    for piece in pieces:
        got += stop.add(piece)
        if stop.found:
            break
    assert (got + stop.flush(), stop.found) == (shown, found)


def test_a_stop_string_ends_the_answer_and_is_not_shown() -> None:
    model = engine_models.model()
    whole = engine_models.tokenizer().decode(engine_models.greedy(model, [9, 8, 7], 40))
    stop = whole[12:15]
    work = made(model)
    row = work.add(request([9, 8, 7], 40, stop=(stop,)))
    deltas = drain(work)[row]
    assert "".join(d.text for d in deltas) == whole[: whole.index(stop)]
    assert deltas[-1].finish_reason == "stop"
    assert row.generated < 40


# --- who leaves, and how ------------------------------------------------------------------------


def test_a_cancelled_request_is_gone_at_the_next_step_and_others_do_not_notice() -> None:
    model = engine_models.model()
    work = made(model)
    rows = [work.add(request(prompt, 30)) for prompt in prompts(3)]
    seen: dict[scheduler.Row, list[scheduler.Delta]] = {row: [] for row in rows}
    for _ in range(6):
        for row, delta in work.step():
            seen[row].append(delta)
    rows[0].cancelled = True
    had = len(seen[rows[0]])
    for row, delta in work.step():
        seen[row].append(delta)
    assert rows[0] not in work.running
    assert len(work.layout.lengths) == 2
    for row, deltas in drain(work).items():
        seen[row].extend(deltas)
    assert len(seen[rows[0]]) == had
    for row, prompt in list(zip(rows, prompts(3), strict=True))[1:]:
        assert tokens_of(seen[row]) == engine_models.greedy(model, prompt, 30)


def test_a_request_that_fails_takes_nobody_with_it() -> None:
    class Broken:
        finished = False

        def bar(self, logits: torch.Tensor) -> None:
            raise ValueError("no grammar")

        def advance(self, token: int) -> None: ...

    model = engine_models.model()
    work = made(model)
    good = work.add(request([9, 8, 7], 10))
    broken = sampling.Sampling(constraint=Broken())
    bad = work.add(request([5, 6], 10, sampling=broken))
    seen = drain(work)
    assert tokens_of(seen[good]) == engine_models.greedy(model, [9, 8, 7], 10)
    assert [delta.error.code for delta in seen[bad]] == ["engine_error"]
    assert "no grammar" in str(seen[bad][0].error)


def test_a_failing_forward_pass_ends_its_requests_and_the_next_ones_are_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = engine_models.model()
    work = made(model)
    lost = work.add(request([9, 8], 10))
    work.step()
    broken = pytest.MonkeyPatch()
    broken.setattr(work.layout, "decode", lambda *_: (_ for _ in ()).throw(MemoryError("full")))
    events = work.step()
    broken.undo()
    assert [(row, str(delta.error)) for row, delta in events] == [(lost, "MemoryError: full")]
    after = work.add(request([9, 8, 7], 10))
    assert tokens_of(drain(work)[after]) == engine_models.greedy(model, [9, 8, 7], 10)
    assert work.counts["forward_failures"] == 1
    assert work.failures_in_a_row == 0


def test_a_deadline_ends_a_request_wherever_it_is() -> None:
    work = made(engine_models.model(), max_rows=1)
    running = work.add(request([9, 8], 200))
    waiting = work.add(request([9, 8], 200))
    work.step()
    running.request.deadline = waiting.request.deadline = time.monotonic() - 1
    events = work.step()
    assert {row for row, _ in events} == {running, waiting}
    assert all(delta.error.code == "deadline_exceeded" for _, delta in events)
    assert work.idle


# --- the engine's thread ------------------------------------------------------------------------


def served(**settings: Any) -> loading.Served:
    return loading.Served(engine_models.model(), engine_models.tokenizer(), settings)


async def collect(stream: engine.Stream) -> list[scheduler.Delta]:
    return [delta async for delta in stream]


def test_many_streams_at_once_answer_as_generate_does() -> None:
    async def story() -> None:
        one = served()
        one.engine.start()
        asked = prompts(20)
        streams = [one.engine.submit(request(prompt, 12)) for prompt in asked]
        answers = await asyncio.gather(*map(collect, streams))
        for prompt, deltas, stream in zip(asked, answers, streams, strict=True):
            assert tokens_of(deltas) == engine_models.greedy(one.model, prompt, 12)
            assert (stream.prompt_tokens, stream.completion_tokens) == (len(prompt), 12)
        await one.engine.stop(5)

    asyncio.run(story())


def test_what_cannot_be_taken_on_is_refused_with_both_numbers() -> None:
    async def story() -> None:
        one = served(max_context=64, max_queue=2)
        with pytest.raises(
            engine.ContextTooLong, match=r"64 tokens, but 90.*60 in the prompt and 30"
        ):
            one.engine.submit(request([9] * 60, 30))
        with pytest.raises(engine.ContextTooLong, match="64 tokens, but 65"):
            one.engine.submit(scheduler.Request(prompt=[9] * 64))
        for _ in range(2):  # nothing runs yet, so both wait
            one.engine.submit(request([9], 5))
        with pytest.raises(engine.Overloaded) as refused:
            one.engine.submit(request([9], 5))
        assert refused.value.retry_after_seconds >= 1

    asyncio.run(story())


def test_without_max_tokens_an_answer_may_fill_the_context() -> None:
    work = made(engine_models.model(), max_context=40)
    row = work.add(
        scheduler.Request(
            prompt=[9, 8, 7], ignore_eos=True, sampling=sampling.Sampling(top_logprobs=0)
        )
    )
    deltas = drain(work)[row]
    assert len(tokens_of(deltas)) == 37
    assert deltas[-1].finish_reason == "length"


def test_stopping_lets_running_answers_end_and_takes_no_more() -> None:
    async def story() -> None:
        one = served()
        one.engine.start()
        running = asyncio.create_task(collect(one.engine.submit(request([9], 60))))
        await asyncio.sleep(0)
        stopping = asyncio.create_task(one.engine.stop(20))
        await asyncio.sleep(0)
        with pytest.raises(engine.Stopping):
            one.engine.submit(request([9], 5))
        assert (await running)[-1].finish_reason == "length"
        await stopping
        assert one.engine.trouble() == "the engine's thread has ended"

    asyncio.run(story())


def test_what_does_not_end_in_time_is_told_so() -> None:
    async def story() -> None:
        one = served()
        one.engine.start()
        running = asyncio.create_task(collect(one.engine.submit(request([9], 250))))
        await asyncio.sleep(0)
        await one.engine.stop(0)
        assert (await running)[-1].error.code == "engine_stopped"

    asyncio.run(story())


def test_bfloat16_is_for_models_too_large_for_float32(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = engine_models.save(tmp_path / "m")
    assert loading.load(folder).model.dtype == torch.float32
    monkeypatch.setattr(loading, "FLOAT32_LIMIT_BYTES", 1000)
    assert loading.load(folder).model.dtype == torch.bfloat16
    with pytest.raises(ValueError, match="max_context 300 is more than the 256"):
        loading.load(folder, settings={"max_context": 300})
