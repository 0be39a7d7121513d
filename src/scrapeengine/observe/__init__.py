"""Observation of a run from outside: instruments, and log lines."""
