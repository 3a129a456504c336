"""Serving: an OpenAI-shaped engine behind a Unix socket, and the Ray Serve app around it."""
