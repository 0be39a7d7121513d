"""The limit of one platform at this instant, and which of its parts holds.

The tokens are those of a `trio.CapacityLimiter`, whose `total_tokens` is the live number: whoever knows trio can read
it, and its `statistics()` name the jobs that hold a token. Nobody waits at it. Who has to wait stands in the lines of
the scheduler, which takes a token only when one is free.

A limit has parts, and each part has one writer:

    own      what the platform's policy says               `Lanes`, when a lane is made or tuned
    share    what other engines leave to this one          `Sharing`; `math.inf` where nobody shares the platform

The least of them holds. No one else reads a part in its place: what runs is bounded by `now`, what is parked and runs
by `bound`, and both are computed here, when a part changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs
import trio

__all__ = ["EffectiveLimit"]


@attrs.define(eq=False, repr=False)
class EffectiveLimit:
    """The limit of one lane, as it is now."""

    own: int
    """The limit of the platform's policy."""
    share: float = math.inf
    """The tasks that other engines leave to this one."""
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
        """The part that holds: "limit" or "share"."""
        return "limit" if self.own <= self.share else "share"

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

    def leave(self, share: float) -> None:
        """Go by what other engines leave to this one from now on."""
        self.share = share
        self._compute()

    def _compute(self) -> None:
        self.now = int(min(self.own, self.share))
        self.bound = 2 * self.own
        self.limiter.total_tokens = self.now

    def __repr__(self) -> str:
        """Count the tokens."""
        return f"<EffectiveLimit {self.taken}/{self.now} taken, by its {self.reason}>"
