"""Deadlines of our own connections: one is closed when its time has passed, and who waits for it gets an error.

A cancel scope for each request would cost as much as to send it. So one alarm is set for a connection, not for a
request: it is left as it is while deadlines only move on, and is set again when it rings too early.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import trio

from scrapeengine.http.transport.connection import Connection

__all__ = ["Deadline", "Timer"]


class Timer(Protocol):
    """Calls back at times of trio's clock."""

    def at(self, when: float, call: Callable[[], None]) -> Any:
        """Have `call` called at `when`."""
        ...

    def drop(self, ring: Any) -> None:
        """Have what `at` has returned not called."""
        ...


class Deadline:
    """The deadline of one connection, which it watches for as long as that lives.

    Who uses the connection sets `when`; only the alarm sets `passed`.
    """

    __slots__ = ("_alarms", "_connection", "_ring", "_rings_at", "passed", "when")

    def __init__(self, connection: Connection, alarms: Timer) -> None:
        self._connection = connection
        self._alarms = alarms
        self._ring: Any = None
        self._rings_at = math.inf
        self.when = math.inf
        """When it is, in trio's time; infinite: never."""
        self.passed = False
        """Whether the connection was closed by it."""

    def set(self, when: float) -> None:
        """Move it."""
        self.when = when
        # A later one leaves the alarm as it is: that rings too early once in the time of an attempt, and is set anew.
        if when < self._rings_at:
            self.end()
            self._rings_at = when
            self._ring = self._alarms.at(when, self._look)

    def end(self) -> None:
        """Watch no more."""
        if self._ring is not None:
            self._alarms.drop(self._ring)
            self._ring = None
        self._rings_at = math.inf

    def _look(self) -> None:
        self._ring, self._rings_at = None, math.inf
        if trio.current_time() >= self.when:
            # Before the closing: who waits for the connection looks at it to tell this from all other ends.
            self.passed = True
            self._connection.close()
        else:
            self.set(self.when)
