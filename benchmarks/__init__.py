"""What the engine costs, alone and beside its peers: `make bench`, or a part of it, `make bench ONLY=http`.

Each part is a program of its own, `python -m benchmarks.http`, that prints a section in Markdown and ends with 1 if a
promise is broken. `python -m benchmarks` runs them, and keeps what they printed in `RESULTS.md`.
"""
