"""Where requests for a name go: shares, fallbacks, and models that others serve."""
