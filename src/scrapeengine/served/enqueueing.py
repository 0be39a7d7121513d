"""Events as jobs of a store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import trio

from scrapeengine.decide.cadence import cadence_to_json
from scrapeengine.decide.records import payload_of
from scrapeengine.decide.routing import Routes
from scrapeengine.decide.texts import written
from scrapeengine.model.cadence import Cadence
from scrapeengine.model.event import Event
from scrapeengine.model.job import NewJob
from scrapeengine.model.urls import told

__all__ = ["check_context", "check_store", "jobs_of", "new_jobs"]

_PRIORITIES = 2**63
_CONTEXT = 8192
"""The characters that may come with a job beside its event, as many as headers have room for."""
_AT_ONCE = 200
"""The events of which jobs are made before others have their turn; fewer where they are large."""
_SIZE = 256 * 1024
"""The characters of payloads that are made before others have it."""


def check_store(store: object) -> None:
    """Refuse what is no store."""
    if not all(callable(getattr(store, name, None)) for name in ("claim", "complete", "enqueue")):
        raise TypeError(
            f"a store is what `async with scrapeengine.open_store('sqlite:jobs.db') as store` gives, got {told(store)}"
        )


def check_context(context: object) -> None:
    """Refuse what cannot come with a job."""
    if context is None:
        return
    if not isinstance(context, Mapping) or not all(isinstance(each, str) for pair in context.items() for each in pair):
        raise TypeError(
            f"enqueue(context=…) takes texts by name, got {told(context)}; write context=se.observe.trace_context()"
        )
    size = sum(len(name) + len(value) for name, value in context.items())
    if size > _CONTEXT:
        raise ValueError(f"enqueue(context=…) takes {_CONTEXT} characters at most, got {size}; data is for the event")


async def new_jobs(
    events: Iterable[Event],
    routes: Routes,
    cadence: Cadence | None = None,
    delay: float = 0.0,
    context: Mapping[str, str] | None = None,
) -> list[NewJob]:
    """Make a job for each event on each of its platforms. Checkpoint if there are many.

    Raises:
        TypeError: something is no event, or its data cannot be stored.
        ValueError: an id or a priority cannot be stored.
        UnknownPlatform: an event names a platform that there is not, or none at all.
    """
    if not isinstance(events, Event | Iterable):
        raise TypeError(f"enqueue takes Events, got {told(events)}; write [Event(id)] or [Event(url='https://…')]")
    how = None if cadence is None else cadence_to_json(cadence)
    jobs: list[NewJob] = []
    count, size = 0, 0
    for event in [events] if isinstance(events, Event) else events:
        count += 1
        if count >= _AT_ONCE or size > _SIZE:
            await trio.lowlevel.checkpoint()
            count, size = 0, 0
        if not isinstance(event, Event):
            raise TypeError(f"enqueue takes Events, got {told(event)}; write Event(id) or Event(url='https://…')")
        made = jobs_of(event, routes, how, delay, None if cadence is None else cadence.min_interval, context)
        size += len(made[0].payload)
        jobs += made
    return jobs


def jobs_of(
    event: Event,
    routes: Routes,
    cadence: str | None = None,
    delay: float = 0.0,
    interval: float | None = None,
    context: Mapping[str, str] | None = None,
) -> list[NewJob]:
    """Make a job for an event on each of its platforms; raises as `new_jobs`."""
    route = routes.of(event)
    if route.unknown:
        raise route.unknown[0][1]
    if written(event.id) != event.id:
        raise ValueError(f"{event!r} cannot be stored: its id has half a surrogate pair in it, which is no character")
    if event.priority >= _PRIORITIES:
        raise ValueError(f"{event!r} cannot be stored: its priority must be less than 2**63")
    payload = payload_of(event, context)
    return [NewJob(name, event.id, payload, event.priority, delay, cadence, interval) for name in route.known]
