"""The OpenAI-shaped door: files, uploads, fine-tuning, batches, graders and evals under /v1."""
