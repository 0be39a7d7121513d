"""Poison: jobs that kill the process in which their scrapers run.

A store knows whose scrapers ran when a process died, and not which of them has killed it: what ran beside that one
looks the same, and so does what ran while somebody pulled the plug. So a death makes *suspects* of all that ran. A
suspect is run with no other suspect beside it, in all engines on the store. A process that dies with one suspect in it
counts against that one; those that were none become suspects. A task that ends, in whatever outcome, clears its job.

At the fourth death a job is poison, and is set aside. The first makes it a suspect, the others are deaths at which it
was the only one. Why several of these: it may have run when somebody killed the process (a deploy that does not wait,
the system for want of memory), or beside a poison that nobody knew of. Either happens to the same job once more only if
the next death, too, comes in the one time of many in which it is the one that is tried, and those that have died less
often are tried before it. (Sidekiq takes three, the poison pills of super_fetch, and tells no suspects apart.)

The last trial is made in a process that has lived for a while. What kills processes as they start (a deploy that fails,
a sink, a limit on memory) would find a suspect running each time, and have one job after the other set aside. A process
that does not live so long, since it only polls, tries it a minute after the last death.

A scraper that raises `SystemExit` ends its process in good order, and would do so in each that comes after: that is a
death of which its job is the sole cause. A `KeyboardInterrupt` is the user's, whatever ran when it came.

Rejected: to count each death against all that ran. A process that is killed three times while 32 run would fail all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["LIVED", "LONG", "MOST_DEATHS", "PAUSE", "after_death", "is_poison", "is_suspect", "not_before"]

MOST_DEATHS = 4
"""The deaths at which a job is set aside."""
PAUSE = 5.0
"""Seconds for which a suspect waits for those that have died less often, which may be of a platform nobody serves."""
LIVED = 2.0
"""Seconds for which a process has lived that tries a job for the last time."""
LONG = 60.0
"""Seconds since the last death after which any process tries it."""


def is_suspect(deaths: int) -> bool:
    """Say whether a job may have killed a process, and is to be tried."""
    return 0 < deaths < MOST_DEATHS


def is_poison(deaths: int) -> bool:
    """Say whether a job is not run any more."""
    return deaths >= MOST_DEATHS


def not_before(deaths: int, died: float | None, began: float) -> float:
    """Return when a suspect may be tried at the soonest.

    Args:
        deaths: how many count against it.
        died: when the last one was, by the clock that processes of one boot share.
        began: when the process that would try it began to use the store, by the same.
    """
    if died is None or deaths < MOST_DEATHS - 1:
        return -math.inf
    return min(began + LIVED, died + LONG)


def after_death(deaths: Sequence[int]) -> list[int]:
    """Return how many deaths count against each of the jobs whose scrapers ran when a process died.

    Args:
        deaths: how many did before.
    """
    alone = sum(map(is_suspect, deaths)) == 1
    return [max(1, before + (alone and is_suspect(before))) for before in deaths]
