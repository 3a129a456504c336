"""What users are told about each format; the API, the CLI and the docs read it here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from slipway_contracts.formats.words import Format


@dataclass(frozen=True, kw_only=True)
class FormatInfo:
    name: Format
    title: str
    title_zh: str
    #: One row as it stands in a file.
    example: str
    #: Suffix of an exported file.
    suffix: str
    #: What this format has no place for; such a row is refused on export, never trimmed.
    cannot_carry: str


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


CATALOGUE = (
    FormatInfo(
        name=Format.OPENAI,
        title="OpenAI messages (canonical)",
        title_zh="OpenAI 对话（规范格式）",
        example=_json(
            {
                "messages": [
                    {"role": "system", "content": "…"},
                    {"role": "user", "content": "你好"},
                    {"role": "assistant", "content": "你好，有什么可以帮您？"},
                ],
                "group": "greeting",
                "weight": 1.0,
            }
        ),
        suffix=".jsonl",
        cannot_carry="",
    ),
    FormatInfo(
        name=Format.QIANFAN,
        title="Qianfan PromptResponse",
        title_zh="千帆 Prompt+Response",
        example=_json([{"prompt": "你好", "response": [["你好，有什么可以帮您？"]]}]),
        suffix=".jsonl",
        cannot_carry="tools; further keys on answers, on the system text and on the first question",
    ),
    FormatInfo(
        name=Format.ALPACA,
        title="Alpaca",
        title_zh="Alpaca 指令",
        example=_json({"instruction": "翻译成英文", "input": "你好", "output": "Hello"}),
        suffix=".jsonl",
        cannot_carry="tools; further keys on messages, such as a weight",
    ),
    FormatInfo(
        name=Format.SHAREGPT,
        title="ShareGPT",
        title_zh="ShareGPT 对话",
        example=_json(
            {
                "conversations": [
                    {"from": "human", "value": "你好"},
                    {"from": "gpt", "value": "你好，有什么可以帮您？"},
                ]
            }
        ),
        suffix=".jsonl",
        cannot_carry="tools",
    ),
    FormatInfo(
        name=Format.TEXT,
        title="Plain text",
        title_zh="纯文本",
        example=_json("一段纯文本……"),
        suffix=".jsonl",
        cannot_carry="conversations",
    ),
    FormatInfo(
        name=Format.CSV,
        title="CSV with a header",
        title_zh="带表头的 CSV",
        example="prompt,response\n你好,你好，有什么可以帮您？",
        suffix=".csv",
        cannot_carry="more than one turn, tools, and further keys that are not text",
    ),
    FormatInfo(
        name=Format.PREFERENCE,
        title="OpenAI preference pairs",
        title_zh="OpenAI 偏好对",
        example=_json(
            {
                "input": {"messages": [{"role": "user", "content": "天是什么颜色？"}]},
                "preferred_output": [{"role": "assistant", "content": "蓝色。"}],
                "non_preferred_output": [{"role": "assistant", "content": "不知道。"}],
            }
        ),
        suffix=".jsonl",
        cannot_carry="",
    ),
    FormatInfo(
        name=Format.CHOSEN_REJECTED,
        title="Prompt, chosen, rejected",
        title_zh="prompt / chosen / rejected",
        example=_json({"prompt": "天是什么颜色？", "chosen": "蓝色。", "rejected": "不知道。"}),
        suffix=".jsonl",
        cannot_carry="",
    ),
    FormatInfo(
        name=Format.QIANFAN_DPO,
        title="Qianfan DPO",
        title_zh="千帆 Prompt+Chosen+Rejected",
        example=_json([{"user": "天是什么颜色？", "chosen": "蓝色。", "rejected": "不知道。"}]),
        suffix=".jsonl",
        cannot_carry="tools; further keys on messages",
    ),
    FormatInfo(
        name=Format.PROMPTS,
        title="Questions for reinforcement",
        title_zh="强化学习问题",
        example=_json(
            {
                "messages": [{"role": "user", "content": "6 × 7 = ?"}],
                "reference_answer": "42",
            }
        ),
        suffix=".jsonl",
        cannot_carry="",
    ),
)
