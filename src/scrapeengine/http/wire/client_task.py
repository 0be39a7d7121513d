"""What the HTTP client needs of the task that it works for."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol

import trio

from scrapeengine.model.event import Event
from scrapeengine.model.platform import Platform

__all__ = ["ClientTask"]


class ClientTask(Protocol):
    """A task, as its client sees it.

    Requests may go to another platform of the engine than the task's own, by a redirect or an absolute URL; `at` is
    that platform's name, None the task's own.
    """

    @property
    def event(self) -> Event:
        """The event."""
        ...

    @property
    def platform(self) -> str:
        """The platform's name."""
        ...

    @property
    def policy(self) -> Platform[Any]:
        """The platform's policy as it is now."""
        ...

    @property
    def log(self) -> Any:
        """A logger, bound to the event and the platform."""
        ...

    def place(self, host: str) -> str | None:
        """Name the platform that serves a host; None if it is the task's own, or none does."""
        ...

    def open(self, at: str | None) -> bool:
        """Say whether a platform is under no penalty."""
        ...

    def go(self, at: str | None, *, first: bool) -> bool:
        """Start a request now, by what was booked or past an empty line; it must be sent without a checkpoint.

        Args:
            at: where it goes.
            first: whether it is no retry.

        Returns:
            False if it may not start; call `turn`.
        """
        ...

    async def turn(self, at: str | None, after: float = 0.0, *, ahead: bool = False) -> None:
        """Wait, parked, until `after` seconds have passed and a request is booked; `go` uses it.

        Args:
            at: where it goes.
            after: seconds.
            ahead: whether it has waited before, and stands first in line.

        Raises:
            PlatformClosed: the platform is closed for longer than its policy's patience.
        """
        ...

    async def apart(self, until: trio.Event) -> None:
        """Wait for an event, parked."""
        ...

    def connecting(self) -> None:
        """Take note that the request that is booked has to be connected first."""
        ...

    def refused(self, at: str | None, sent: float, after: float | None) -> None:
        """Take note that a platform asks not to be called."""
        ...

    def over_budget(self, places: Collection[str | None]) -> str:
        """Take a retry out of the budgets of platforms; if one has none left, say so in words, and take none."""
        ...

    def slow_down(self, at: str | None, seconds: float) -> None:
        """Take note that a platform's robots.txt asks for `seconds` between two requests."""
        ...

    def draw(self) -> float:
        """Return a random number from 0 to 1."""
        ...

    def wall(self, now: float) -> float:
        """Turn a trio time into Unix time."""
        ...
