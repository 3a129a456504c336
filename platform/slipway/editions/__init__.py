"""On whose terms this installation runs: its edition and its licence."""
