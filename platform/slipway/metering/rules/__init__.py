"""What is pure arithmetic and layout; no Django, so that the gateway may use it."""
