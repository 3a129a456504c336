"""What has changed, told to whoever listens, as it happens."""
