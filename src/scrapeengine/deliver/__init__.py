"""Outcomes on their way out, to sinks and consumers, and the counts of a report."""
