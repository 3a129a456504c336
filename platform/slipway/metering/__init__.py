"""What was used: an append-only ledger, each use recorded exactly once."""
