"""Recipes that train: each takes the context of a run and knows nothing of the host."""
