"""The inference hot path: admit, relay, settle."""
