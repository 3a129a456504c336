"""Limits that will bite, and asking for more: request, answer, term."""
