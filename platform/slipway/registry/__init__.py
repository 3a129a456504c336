"""The models kept: versions, their files and hashes, and where each came from."""
