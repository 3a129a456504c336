"""What models learn from and are judged on: datasets and their immutable versions."""
