"""How many numbers are how large: a histogram of what a sketch has seen. Ten steps of it make the tenfold. Pure."""

from __future__ import annotations

from scrapeengine.decide.sketch import LEAST, Sketch

__all__ = ["spread_of"]

_BOUNDS = [10 ** (step / 10) for step in range(-59, 61)]
"""Where steps end, from a microsecond on; the last is a million seconds."""


def spread_of(sketch: Sketch) -> tuple[tuple[float, float, int], ...]:
    """Count the numbers in steps, from the least to the greatest.

    Returns:
        For each step from where to where it goes, and how many there were; empty: there was no number. The first one
        goes from 0 where numbers are less than a microsecond, and the last one on where some are more than a million
        seconds. A number that is less than 1 % away from where a step ends may count on its other side.
    """
    below, count, _ = sketch.histogram([LEAST, *_BOUNDS])
    if not count:
        return ()
    edges = [0.0, LEAST, *_BOUNDS]
    counts = [now - before for before, now in zip([0, *below], below, strict=False)]
    counts[-1] += count - below[-1]
    steps = list(zip(edges, edges[1:], counts, strict=False))
    used = [place for place, (_, _, number) in enumerate(steps) if number]
    return tuple(steps[used[0] : used[-1] + 1])
