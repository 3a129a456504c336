"""Signing up by oneself, where the edition lets people: an address, proved by a letter to it."""
