"""What is pure arithmetic; no Django, so that the gateway may use it."""
