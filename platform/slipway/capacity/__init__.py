"""What is free, and why work waits."""
