"""Trouble with a store: what is said of it, and how long to leave it alone.

All that works beside a run asks the store again and again. While that fails, all of it together says one line a second
at most, with the number of those that were left out, and shows each traceback once: of one error in all calls the first
says as much as a hundred.
"""

from __future__ import annotations

import attrs
import trio

from scrapeengine.decide.quota import Firsts, Quota
from scrapeengine.errors import StoreError
from scrapeengine.observe.log import logger

__all__ = ["Backoff", "Trouble"]

_FIRST = 0.1
_LONGEST = 5.0


@attrs.define(eq=False, repr=False)
class Trouble:
    """What was said of the trouble with one store, by one run or by all runs of one program's rounds."""

    _quota: Quota = attrs.field(factory=Quota, init=False)
    _shown: Firsts = attrs.field(factory=Firsts, init=False)

    def say(self, what: str, error: StoreError, **details: object) -> None:
        """Log that a call has failed, unless something was logged within the last second."""
        left_out = self._quota.ask("store", trio.current_time())  # one kind: the store is down, whatever is asked
        if left_out is None:
            return
        if left_out:
            details["left_out"] = left_out
        if self._shown.see((type(error), str(error))):
            details["exc_info"] = error
        else:
            details["error"] = str(error)
        logger().warning(what, **details)

    def __repr__(self) -> str:
        """Count what was shown."""
        return f"<Trouble, {self._shown!r}>"


@attrs.define(eq=False, repr=False)
class Backoff:
    """The pauses of one task between calls that fail: each is twice as long as the last one, up to a few seconds."""

    longest: float = _LONGEST
    _next: float = attrs.field(default=_FIRST, init=False)

    async def pause(self) -> None:
        """Sleep, for longer each time. Checkpoint."""
        seconds = min(self._next, self.longest)
        self._next = 2 * seconds
        await trio.sleep(seconds)

    def over(self) -> None:
        """Begin anew: a call has gone through."""
        self._next = _FIRST

    def __repr__(self) -> str:
        """Show the next pause."""
        return f"<Backoff, {self._next:g} s next>"
