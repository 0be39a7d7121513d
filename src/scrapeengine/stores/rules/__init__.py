"""What a store does, step by step, on whatever shelf it keeps its jobs."""
