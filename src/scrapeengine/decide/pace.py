"""Requests over time in a fixed number of steps, which grow wider as the run goes on. Pure.

Invariant: step i counts what happened in [began + i * width, began + (i + 1) * width). When something comes after the
last step, each two of them become one, and the width doubles: no count is lost, and memory does not grow.
"""

from __future__ import annotations

import attrs

from scrapeengine.model.history import Pace

__all__ = ["STEPS", "PaceCount"]

STEPS = 240
"""How many steps there are at most."""


@attrs.define(eq=False)
class PaceCount:
    """The requests of one platform, and the rate that it was allowed."""

    began: float
    rate: float | None
    """Requests a second that are allowed from then on; None: as many as one likes."""
    width: float = attrs.field(default=0.125, init=False)
    """Seconds of a step."""
    _counts: list[int] = attrs.field(factory=list, init=False)
    _rates: dict[int, float | None] = attrs.field(factory=dict, init=False)
    """The rate at the end of each step in which it has changed."""

    def add(self, time: float) -> None:
        """Count a request."""
        step = self._step(time)
        counts = self._counts
        if step >= len(counts):
            counts.extend([0] * (step + 1 - len(counts)))
        counts[step] += 1

    def allow(self, rate: float | None, time: float) -> None:
        """Hear of another rate."""
        step = self._step(time)  # first: it may put others in the place of all that is there
        self._rates[step] = rate

    def pace(self, now: float) -> Pace:
        """Freeze what was counted until now. From any thread."""
        counts, rates, width = self._counts.copy(), self._rates.copy(), self.width
        steps = min(STEPS, max(len(counts), int(max(0.0, now - self.began) / width) + 1))
        allowed, rate = [], self.rate
        for step in range(steps):
            rate = rates.get(step, rate)
            allowed.append(rate)
        return Pace(width, tuple(counts + [0] * (steps - len(counts))), tuple(allowed))

    def _step(self, time: float) -> int:
        step = int(max(0.0, time - self.began) / self.width)
        while step >= STEPS:
            self._fold()
            step = int((time - self.began) / self.width)
        return step

    def _fold(self) -> None:
        self.width *= 2
        pairs = [*self._counts, 0] if len(self._counts) % 2 else self._counts
        self._counts = [one + other for one, other in zip(pairs[::2], pairs[1::2], strict=True)]
        # In order, so that of two changes in one step the later one is kept.
        self._rates = {step // 2: rate for step, rate in sorted(self._rates.items())}
