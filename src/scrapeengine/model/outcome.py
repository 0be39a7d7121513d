"""Outcomes: how one task ended. A closed union, to be matched to the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeAlias, TypeVar

import attrs

from scrapeengine.model.described import described
from scrapeengine.model.event import Event
from scrapeengine.model.urls import told

__all__ = ["KINDS", "Cancelled", "Failure", "Outcome", "Skipped", "Success"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@described
@attrs.frozen(kw_only=True, eq=False)
class _Ended:
    event: Event
    """The event that was scraped."""
    platform: str = attrs.field(repr=told)
    """The name of the platform that it was scraped on."""
    attempts: int = 0
    """How often the scraper was run; 0 if it was never started."""
    queued: float = 0.0
    """Seconds from when the event was accepted to the task's start."""
    parked: float = 0.0
    """Seconds in which the task waited without a slot, after its start."""
    ran: float = 0.0
    """Seconds in which it held its slot."""
    items: tuple[Any, ...] = attrs.field(default=(), repr=False)
    """The items that the last run of the scraper has emitted, in their order; none if it was skipped or cancelled."""

    @property
    def elapsed(self) -> float:
        """Seconds from when the event was accepted to the task's end: queued, parked and ran."""
        return self.queued + self.parked + self.ran


@described
@attrs.frozen(kw_only=True, eq=False)
class Success(_Ended, Generic[T_co]):
    """The scraper returned."""

    value: T_co
    """The value that the scraper returned."""


@described
@attrs.frozen(kw_only=True, eq=False)
class Failure(_Ended):
    """The scraper raised, took too long, or could not be started."""

    error: Exception
    """The exception, or a `ScraperCrashed` that was raised from it where it is no `Exception`.

    The local variables of its frames are cleared, so that it keeps nothing alive.
    """


@described
@attrs.frozen(kw_only=True, eq=False)
class Skipped(_Ended):
    """The scraper called `task.skip`."""

    reason: str
    """The reason that it gave."""
    again_after: float | None = None
    """Seconds for which, it said, nobody need ask again."""


@described
@attrs.frozen(kw_only=True, eq=False)
class Cancelled(_Ended):
    """The run was stopped, or left, before the task had ended."""

    reason: str
    """The cause of its end."""


Outcome: TypeAlias = Success[T] | Failure | Skipped | Cancelled
"""How one task ended."""

KINDS: Mapping[type[Outcome[Any]], str] = {
    Success: "succeeded",
    Failure: "failed",
    Skipped: "skipped",
    Cancelled: "cancelled",
}
"""What each kind is called wherever outcomes are counted or shown: the names of the fields of `Counts`."""
