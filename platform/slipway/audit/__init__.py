"""What was changed, by whom, and the proof that nobody changed the record."""
