"""Runs: workloads carried to their end over any number of attempts."""
