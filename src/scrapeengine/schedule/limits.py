"""The limit of one platform at this instant, and which of its parts holds.

The tokens are those of a `trio.CapacityLimiter`, whose `total_tokens` is the live number: whoever knows trio can read
it, and its `statistics()` name the jobs that hold a token. Nobody waits at it. Who has to wait stands in the lines of
the scheduler, which takes a token only when one is free.

A limit has parts, and each part has one writer:

    own      what the platform's policy says               `Lanes`, when a lane is made or tuned
    share    what other engines leave to this one          `Sharing`, and its end; `math.inf` where nobody shares it
    stopped  whether the store says that none may start    `Lanes`, when it is told so

The least of them holds. No one else reads a part in its place: what runs is bounded by `now`, what is parked and runs
by `bound`, and both are computed here, when a part changes.

A share ends by itself, at a time of trio's clock: a process that was stopped for longer must not go on with what others
have by then. So whoever takes a token, or sends a request on one, looks at `ends` in the same step; a task that was to
lower the limit might run later than those that it should keep from running. What runs when its share ends is not
*covered* any more. It makes no request until no more tokens are taken than are granted anew: who wants to is parked.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs
import trio

from scrapeengine.uninterrupted import uninterrupted

__all__ = ["EffectiveLimit"]


@uninterrupted
@attrs.define(eq=False, repr=False)
class EffectiveLimit:
    """The limit of one lane, as it is now.

    Size: 11 attributes: its three parts, the tokens, and what follows of both.
    """

    own: int
    """The limit of the platform's policy."""
    share: float = math.inf
    """The tasks that other engines leave to this one."""
    stopped: bool = attrs.field(default=False, init=False)
    """Whether the platform is paused in the store."""
    ends: float = attrs.field(default=math.inf, init=False)
    """When the share is over, in trio's time, and nothing starts."""
    uncovered: bool = attrs.field(default=False, init=False)
    """Whether a share has ended while more tasks ran than have been granted since."""
    limiter: trio.CapacityLimiter = attrs.field(init=False)
    """A token for each running task. Lowered, it is reached as tasks end or are parked."""
    take: Callable[[object], None] = attrs.field(init=False)
    """Takes a token on behalf of a job; only where one is free. This and `give` are the limiter's own methods."""
    give: Callable[[object], None] = attrs.field(init=False)
    """Gives the token of a job back."""
    now: int = attrs.field(init=False)
    """The number of tasks that may run."""
    told: int | None = attrs.field(default=None, init=False)
    """The limit that instruments were last told; the share is asked for again and again, and mostly stays."""
    bound: int = attrs.field(init=False)
    """The number of tasks that may run or be parked: twice the platform's own limit, whatever others leave."""

    def __attrs_post_init__(self) -> None:
        """Compute what follows from the parts."""
        self.limiter = trio.CapacityLimiter(0)
        self.take = self.limiter.acquire_on_behalf_of_nowait
        self.give = self.limiter.release_on_behalf_of
        self._compute()

    @property
    def reason(self) -> str:
        """The part that holds: "limit", "share" or "pause"."""
        return "pause" if self.stopped else "limit" if self.own <= self.share else "share"

    @property
    def taken(self) -> int:
        """The number of tasks that hold a token."""
        return self.limiter.borrowed_tokens

    @property
    def free(self) -> int:
        """The number of tokens that may be taken; less than none where the limit was lowered."""
        return self.now - self.limiter.borrowed_tokens

    def tune(self, own: int) -> None:
        """Go by what the platform's policy says from now on."""
        self.own = own
        self._compute()

    def stop(self, *, stopped: bool) -> None:
        """Let nothing start, or end that: so the store says."""
        self.stopped = stopped
        self._compute()

    def leave(self, share: float, ends: float | None = None) -> None:
        """Go by what other engines leave to this one from now on.

        Args:
            share: the tasks.
            ends: when that is over, in trio's time; None: when the last one would have been.
        """
        self.share = share
        if ends is not None:
            self.ends = ends
        self._compute()

    def lapse(self) -> None:
        """Let the share end, whose time is over."""
        if self.share > 0:
            self.uncovered = self.uncovered or self.taken > 0
            self.leave(0)

    def covers(self, now: float) -> bool:
        """Say whether a task that holds a token may send a request on it."""
        if now >= self.ends:
            self.lapse()
            return False
        self.uncovered = self.uncovered and self.taken > self.now
        return not self.uncovered

    def _compute(self) -> None:
        self.now = 0 if self.stopped else int(min(self.own, self.share))
        self.bound = 2 * self.own
        self.limiter.total_tokens = self.now

    def __repr__(self) -> str:
        """Count the tokens."""
        return f"<EffectiveLimit {self.taken}/{self.now} taken, by its {self.reason}>"
