"""Where a recipe runs: warmed (one process, forked from a warm parent) or workers (Ray Train)."""
