"""What a run waits for that others have: said once, or a restart beside one that hangs is half a minute of silence.

Nothing is wrong with it, so it is information and no more: whoever lives and has jobs or slots keeps them, until it
gives them back or its lease ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs
import trio

from scrapeengine.errors import StoreError
from scrapeengine.model.urls import named
from scrapeengine.observe.log import logger
from scrapeengine.served.leases import Leaseholder

__all__ = ["Others"]

_PATIENCE = 1.0
"""Seconds for which a lane may be without slots before that is said: as a rule others give some back sooner."""


@attrs.define(eq=False, repr=False)
class Others:
    """What was said of the others, by one run."""

    _holder: Leaseholder
    _serves: Callable[[str], bool]
    """Says whether the engine has a platform."""
    _asked: float = attrs.field(default=-math.inf, init=False)
    """When the store was asked last, or infinity, for it was said."""
    _without: dict[str, float] = attrs.field(factory=dict, init=False)
    """Since when platforms are without slots; infinity: it was said."""

    async def have_jobs(self) -> None:
        """Say whether others have jobs in hand, where nothing is left for this run. Checkpoint, or none.

        Once, and asked no more often than a lease lasts.
        """
        now = trio.current_time()
        if now < self._asked + self._holder.lease:
            return
        self._asked = now
        try:
            counted = await self._holder.store.stats()
        except StoreError:
            return  # whoever asks for jobs says so
        leased = sum(each.leased for name, each in counted.items() if self._serves(name))
        if leased:
            self._asked = math.inf
            logger().info(
                "nothing can run here now; others that live have jobs in hand, and keep them until they give them back "
                "or their leases end",
                leased=leased,
                lease=self._holder.lease,
            )

    def have_slots(self, platform: str, *, without: bool) -> None:
        """Hear whether a lane has work and no slot, since others have all; say so once, if that goes on."""
        now = trio.current_time()
        if not without:
            self._without.pop(platform, None)
        elif now >= self._without.setdefault(platform, now) + _PATIENCE:
            self._without[platform] = math.inf
            logger().info(
                "a platform waits for its slots; others that live have all of them, until they give them back or their "
                "leases end",
                platform=named(platform),
                lease=self._holder.lease,
            )

    def __repr__(self) -> str:
        """Count what was said."""
        return f"<Others, {len(self._without)} platforms without slots>"
