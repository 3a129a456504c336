"""Judging answers: the model's answers, scores per row, and what they say with which certainty."""
