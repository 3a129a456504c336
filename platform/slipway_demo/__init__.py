"""The demonstration: a base model, labelled rows, and a story told through the public API."""
