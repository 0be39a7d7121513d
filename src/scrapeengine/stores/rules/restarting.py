"""What ends with a boot, and what of it goes on in the next."""

from __future__ import annotations

import math

from scrapeengine.stores.moment import Moment
from scrapeengine.stores.rules.leasing import lapse
from scrapeengine.stores.shelf import Shelf

__all__ = ["restart"]


def restart(shelf: Shelf, before: Moment) -> None:
    """Go on by another clock than the one by which the shelf was used up to a moment.

    Whoever has leased jobs, locks, slots or outcomes is gone. Penalties are not over, and start times that were given
    may have been used: what was left of them and has not passed since is left.
    """
    lapse(shelf, math.inf)
    shelf.outbox.release(shelf.awake)
    shelf.pool.restart(before.asleep - shelf.moment.asleep)
