"""What ends with a boot, and what of it goes on in the next."""

from __future__ import annotations

import math

from scrapeengine.stores.moment import Moment
from scrapeengine.stores.rules.leasing import lapse
from scrapeengine.stores.rules.tables import Tables

__all__ = ["restart"]


def restart(tables: Tables, before: Moment) -> None:
    """Go on by another clock than the one by which the tables was used up to a moment.

    Whoever has leased jobs, locks, slots or outcomes is gone. Penalties are not over, and start times that were given
    may have been used: what was left of them and has not passed since is left.
    """
    lapse(tables, math.inf)
    tables.outbox.release(tables.awake)
    tables.pool.restart(before.asleep - tables.moment.asleep)
