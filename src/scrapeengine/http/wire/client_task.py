"""Protocols of the task that the HTTP client works for, and of the platforms that its requests go to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import trio

from scrapeengine.decide.heed import StatedLimit
from scrapeengine.model.event import Event
from scrapeengine.model.platform import Platform
from scrapeengine.observe.following import FollowsTask
from scrapeengine.observe.instruments import Instruments

__all__ = ["ClientTask", "Destination"]


class Destination(Protocol):
    """The destination of a request: the task's own platform, or, by a redirect or an absolute URL, another one."""

    @property
    def name(self) -> str:
        """The platform's name."""
        ...

    def closed_for(self) -> float:
        """Return for how many seconds more the platform is under penalty; 0: it is open."""
        ...

    def start(self, *, first: bool, cost: int) -> bool:
        """Start a request now, by what was booked or past an empty line; it must be sent without a checkpoint.

        Args:
            first: whether it is no retry.
            cost: the requests that it counts as.

        Returns:
            False if it may not start: wait for its `turn`.
        """
        ...

    async def turn(self, after: float = 0.0, *, cost: int, ahead: bool = False) -> None:
        """Wait, parked, until `after` seconds have passed and a request is booked; `start` uses it.

        Args:
            after: seconds.
            cost: the requests that it counts as.
            ahead: whether it has waited before, and stands first in line.

        Raises:
            PlatformClosed: the platform is closed for longer than its policy's patience.
        """
        ...

    def refused(self, sent: float, after: float | None) -> None:
        """Close the platform, which asks not to be called.

        Args:
            sent: when the request was sent that was refused, in trio's time.
            after: the seconds that it asks for; None: it does not say.
        """
        ...

    def heard(self, sent: float, said: StatedLimit) -> None:
        """Keep to a limit that the platform has stated.

        Args:
            sent: when the request was sent that was answered so, in trio's time.
            said: the limit.
        """
        ...

    def over_budget(self) -> str:
        """Say in words that the platform's budget has no retry left; else nothing."""
        ...

    def retry(self) -> None:
        """Take a retry out of the platform's budget."""
        ...

    def slow_down(self, seconds: float) -> None:
        """Keep to what the platform's robots.txt asks for: `seconds` between two requests."""
        ...


class ClientTask(Protocol):
    """A task, as its client sees it."""

    @property
    def event(self) -> Event:
        """The event."""
        ...

    @property
    def platform_name(self) -> str:
        """The platform's name."""
        ...

    @property
    def platform(self) -> Platform[Any]:
        """The platform, tuned as it is now."""
        ...

    @property
    def instruments(self) -> Instruments:
        """The run's instruments."""
        ...

    @property
    def followed(self) -> Sequence[FollowsTask]:
        """Who follows its requests."""
        ...

    @property
    def log(self) -> Any:
        """A logger, bound to the event and the platform."""
        ...

    def destination(self, host: str) -> Destination:
        """Return where a request to a host goes: to the platform that serves it, or else to the task's own."""
        ...

    def is_served(self, host: str) -> bool:
        """Say whether a platform serves a host; what no one serves only counts on the task's own."""
        ...

    async def apart(self, until: trio.Event) -> None:
        """Wait for an event, parked."""
        ...

    def connecting(self) -> None:
        """Say that the request that is booked has to be connected first: its booking lapses unused."""
        ...

    def draw(self) -> float:
        """Return a random number from 0 to 1."""
        ...

    def wall(self) -> float:
        """Return the Unix time."""
        ...
