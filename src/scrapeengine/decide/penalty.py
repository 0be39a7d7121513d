"""Penalty: how long a platform stays closed after it has said that it is asked too much."""

from __future__ import annotations

import math

import attrs

__all__ = ["Penalty"]

_FIRST = 2.0
_LONGEST = 600.0


@attrs.define(eq=False)
class Penalty:
    """The penalty of one platform. All times are seconds of one clock.

    An *incident* begins with the first refusal of a request that was sent while the platform was open. Refusals of
    requests that were on their way when it began belong to it: many at once are one. Each incident without a
    `Retry-After` closes the platform for twice as long as the one before, from 2 s to 10 minutes; after as much time
    without a refusal as the last one took, and a minute at least, the count begins anew.
    """

    until: float = attrs.field(default=-math.inf, init=False)
    """When the platform opens again."""
    since: float = attrs.field(default=-math.inf, init=False)
    """When it closed last: it was open before that."""
    openings: int | None = attrs.field(default=None, init=False)
    """The last that was heard from a store of how often the platform was reopened by hand; None: nothing."""
    said: float = attrs.field(default=-math.inf, init=False)
    """Until when it was said to last, if that was said because it is long."""
    _began: float = attrs.field(default=-math.inf, init=False)
    _backoff: float = attrs.field(default=0.0, init=False)

    def refused(self, *, sent: float, now: float, after: float | None) -> None:
        """Count a refusal.

        Args:
            sent: when the request that was refused had been sent.
            now: when the refusal came.
            after: the seconds that its `Retry-After` asks for; None without one.
        """
        if now >= self.forgotten_at():
            self._backoff = 0.0
        if after is not None:
            self._open_incident(sent, now)
            self.close(now + after, now)
        elif sent >= self._began and now >= self.until:
            self._backoff = min(_LONGEST, max(_FIRST, 2 * self._backoff))
            self._open_incident(sent, now)
            self.close(now + self._backoff, now)

    def _open_incident(self, sent: float, now: float) -> None:
        if sent >= self._began:
            self._began = now

    def close(self, until: float, now: float) -> None:
        """Last until a time at least, whoever says so."""
        if now >= self.until:
            self.since = now
        self.until = max(self.until, until)

    def end(self, now: float) -> None:
        """Be over, because the program says so; the next incident is a first one."""
        self.until = min(self.until, now)
        self.said = -math.inf
        self._backoff = 0.0

    def hear(self, openings: int, now: float) -> bool:
        """Hear how often the platform was reopened by hand; true if that ends this penalty."""
        before, self.openings = self.openings, openings
        if before in {None, openings}:
            return False
        self.end(now)
        return True

    def forgotten_at(self) -> float:
        """Say from when on this penalty is as good as a new one."""
        return self.until + max(60.0, self._backoff)

    def shift(self, seconds: float) -> None:
        """Move to a clock that shows `seconds` more."""
        self.until += seconds
        self.since += seconds
        self.said += seconds
        self._began += seconds
