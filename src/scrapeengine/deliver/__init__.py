"""What comes out: outcomes on their way to sinks and consumers, and the counts of a report."""
