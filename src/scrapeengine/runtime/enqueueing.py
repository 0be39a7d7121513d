"""Events as jobs of a store."""

from __future__ import annotations

from collections.abc import Iterable

from scrapeengine.decide.cadence import cadence_to_json
from scrapeengine.decide.records import payload_of
from scrapeengine.decide.routing import Routes
from scrapeengine.model.cadence import Cadence
from scrapeengine.model.event import Event
from scrapeengine.model.job import NewJob

__all__ = ["check_store", "new_jobs"]


def check_store(store: object) -> None:
    """Refuse what is no store."""
    if not all(callable(getattr(store, name, None)) for name in ("claim", "complete", "enqueue")):
        raise TypeError(
            f"a store is what `async with scrapeengine.open_store('sqlite:jobs.db') as store` gives, got {store!r}"
        )


def new_jobs(events: Iterable[Event], routes: Routes, cadence: Cadence | None, delay: float) -> list[NewJob]:
    """Make a job for each event on each of its platforms.

    Raises:
        TypeError: something is no event, or its data cannot be stored.
        UnknownPlatform: an event names a platform that there is not, or none at all.
    """
    how = None if cadence is None else cadence_to_json(cadence)
    jobs = []
    for event in [events] if isinstance(events, Event) else events:
        if not isinstance(event, Event):
            raise TypeError(f"enqueue takes Events, got {event!r}; write Event(id) or Event(url='https://…')")
        route = routes.of(event)
        if route.unknown:
            raise route.unknown[0][1]
        payload = payload_of(event)
        jobs += [NewJob(name, event.id, payload, event.priority, delay, how) for name in route.known]
    return jobs
