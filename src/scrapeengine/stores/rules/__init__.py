"""The rules of a store: synchronous, and run on whatever tables it keeps its jobs in."""
