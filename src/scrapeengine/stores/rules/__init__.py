"""What a store does, step by step, in whatever tables it keeps its jobs."""
