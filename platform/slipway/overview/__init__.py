"""What a project does just now, in one answer: what its home page shows."""
