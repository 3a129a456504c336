"""Judging model versions on held-out rows, side by side."""
