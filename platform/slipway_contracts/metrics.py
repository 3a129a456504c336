"""Metrics that an evaluation may ask for, by name, each with its text in two languages."""

from __future__ import annotations

METRICS: dict[str, dict[str, str]] = {
    "exact_match": {"zh": "与参考答案完全一致", "en": "The answer equals the reference."},
    "contains": {"zh": "回答包含参考答案", "en": "The answer contains the reference."},
    "json_equal": {"zh": "作为 JSON 相等", "en": "Answer and reference are equal as JSON."},
    "accuracy": {"zh": "分类准确率", "en": "Share of rows given the right label."},
    "macro_f1": {"zh": "各类别 F1 的平均", "en": "F1 of each label, averaged over the labels."},
    "bleu_4": {"zh": "BLEU-4", "en": "BLEU with n-grams up to 4."},
    "rouge_1": {"zh": "ROUGE-1", "en": "Overlap of single words (F-measure)."},
    "rouge_2": {"zh": "ROUGE-2", "en": "Overlap of word pairs (F-measure)."},
    "rouge_l": {"zh": "ROUGE-L", "en": "Longest common subsequence (F-measure)."},
}
