"""How long a run will still take, by what binds and not by the mean. Pure.

What a platform has to do needs, of each of three, so much time at least:

- its limit: each task holds a slot for some seconds, and so many run at once;
- its rate: each task makes some requests, and so many may start a second;
- the event limit, which the tasks of all platforms have together.

It takes the longest of these, once the platform is open. Platforms work beside one another, so the run takes as long as
the slowest of them, or what the event limit makes of all of them.

Rejected: what is left by what has ended so far in a second. It is wrong whenever the mean is: once the fast platforms
are done, while one is closed, after a knob was turned.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs

from scrapeengine.decide.holding import Holdup

__all__ = ["Load", "Remaining", "remaining"]


@attrs.frozen(kw_only=True)
class Load:
    """The work of one platform."""

    name: str
    left: float
    """Tasks that have not ended, as far as is known."""
    limit: int
    """How many may run at once."""
    seconds: float
    """Seconds for which a task holds its slot, in the mean."""
    interval: float = 0.0
    """Seconds between two requests; 0: it has no rate."""
    requests: float = 1.0
    """Requests of a task, in the mean."""
    opens_in: float = 0.0
    """Seconds until the platform is open, if it is closed."""


@attrs.frozen
class Remaining:
    """What a run will still take."""

    seconds: float
    """Infinite: as it is, it never ends, for a platform that has work is paused."""
    platform: str
    """The platform that takes longest; empty: it is the event limit, which they have in common."""
    by: Holdup
    """What makes it take so long."""


def remaining(loads: Sequence[Load], event_limit: int, tasks_per_event: float = 1.0) -> Remaining | None:
    """Say how long a run will still take.

    Args:
        loads: what each platform has to do.
        event_limit: how many events may be in progress at once.
        tasks_per_event: how many tasks an event is, in the mean; while they run, they have one slot of the event limit.

    Returns:
        It, and what binds; None: there is nothing left to do.
    """
    busy = [load for load in loads if load.left > 0]
    if not busy:
        return None
    found = [_alone(load) for load in busy]
    together = sum(load.left * load.seconds for load in busy) / max(1, event_limit) / max(1.0, tasks_per_event)
    longest = max(found, key=lambda each: each.seconds)
    return Remaining(together, "", Holdup.EVENTS) if together > longest.seconds else longest


def _alone(load: Load) -> Remaining:
    """Say how long one platform takes."""
    if load.limit <= 0:
        return Remaining(math.inf, load.name, Holdup.PAUSE)
    by_limit, by_rate = load.left * load.seconds / load.limit, load.left * load.requests * load.interval
    longer = max(by_limit, by_rate)
    by = Holdup.RATE if by_rate > by_limit else Holdup.LIMIT
    if load.opens_in > longer:
        by = Holdup.PENALTY
    return Remaining(load.opens_in + longer, load.name, by)
