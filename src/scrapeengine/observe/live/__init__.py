"""The live page: a run, or a store, seen and steered from a browser."""
