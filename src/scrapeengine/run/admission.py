"""Admission of events to a run: from the source, or by `task.follow`."""

from __future__ import annotations

import trio

from scrapeengine.decide.binding import Coming
from scrapeengine.decide.holding import Holdup
from scrapeengine.decide.routing import Route
from scrapeengine.deliver.counters import Counters
from scrapeengine.errors import AgendaFull
from scrapeengine.model.event import Event
from scrapeengine.model.instrument import EventAccepted
from scrapeengine.model.outcome import Failure, Skipped
from scrapeengine.model.urls import named, told
from scrapeengine.observe.log import logger
from scrapeengine.run.backing import Ends, Parts
from scrapeengine.uninterrupted import uninterrupted

__all__ = ["Admission", "count_duplicate"]


def count_duplicate(counters: Counters, id: str, platform: str) -> None:
    """Count a task that was not accepted, because it is known, and say so."""
    counters.duplicate(platform)
    logger().debug("a duplicate was not accepted", id=named(id), platform=named(platform))


@uninterrupted
class Admission:
    """Accepts events, once each, and says whether there is room for more."""

    def __init__(self, parts: Parts, ends: Ends) -> None:
        self._plan = parts.plan
        self._skips = parts.plan.skips
        self._scheduler = parts.scheduler
        self._agenda = parts.scheduler.agenda
        self._lanes = parts.lanes
        self._counters = parts.counters
        self._outbox = parts.outbox
        self.instruments = parts.instruments
        self._ends = ends

    def accept(self, event: Event) -> float:
        """Take an event of the source, on the platforms on which it is not known. Returns the time."""
        now = trio.current_time()
        route = self._new(event, self._plan.routes.of(event))
        if route is not None:
            self._enter(event, route, now, followed=False)
        return now

    def follow(self, event: Event) -> bool:
        """Take an event that a task has found, on the platforms on which it is not known; false if there are none.

        Raises:
            TypeError: it is no event.
            UnknownPlatform: it names a platform that there is not, or none at all.
            AgendaFull: `max_pending` events wait already.
        """
        if not isinstance(event, Event):
            raise TypeError(f"task.follow takes an Event, got {told(event)}; write task.follow(Event(url='https://…'))")
        asked = self._plan.routes.of(event)
        if asked.unknown:
            raise asked.unknown[0][1]
        route = self._new(event, asked)
        if route is None:
            return False
        limit = self._plan.settings.max_pending
        # What a closed platform turns away at once waits in the outbox instead.
        overfull = max(0, self._outbox.waiting - self._outbox.buffer)
        if self._agenda.waiting_events + overfull >= limit:
            raise AgendaFull(f"{limit} events wait already; follow fewer, or give the engine a larger max_pending")
        self._enter(event, route, trio.current_time(), followed=True)
        return True

    def has_room(self) -> bool:
        """Say whether the source may be read on."""
        settings = self._plan.settings
        return (
            self._agenda.waiting_from_source < settings.lookahead
            and self._agenda.waiting_events < settings.max_pending
            and self._outbox.has_room()
        )

    def held_by(self) -> Coming | Holdup:
        """Say for what the source is not read on, where there is no room."""
        return Coming.UNREAD if self._outbox.has_room() else self._outbox.slowest()

    def has_much_room(self) -> bool:
        """Say whether a source that waits for room is worth waking: not for each place, but for an eighth of them."""
        lookahead = self._plan.settings.lookahead
        return self._agenda.waiting_from_source <= lookahead - max(1, lookahead // 8)

    def _not_skipped(self, event: Event, names: tuple[str, ...], now: float) -> list[str]:
        """Return the platforms on which an event is to be asked for; on the others it is skipped once more."""
        found = []
        for name in names:
            left = self._skips.left(event.id, name, now)
            if left is None:
                found.append(name)
            else:
                self._outbox.deliver(Skipped(event=event, platform=name, reason=left[1], again_after=left[0]))
        return found

    def _new(self, event: Event, route: Route) -> Route | None:
        """Return where an event goes that is not known there yet; None if it is known wherever it goes."""
        knows = self._agenda.knows
        duplicates = []
        for name in route.known:
            if knows(event.id, name):
                duplicates.append(name)  # noqa: PERF401 - for each event, and hardly ever
        for name, _ in route.unknown:
            if knows(event.id, name):
                duplicates.append(name)
        if not duplicates:
            return route
        for name in duplicates:
            count_duplicate(self._counters, event.id, name)
        known = tuple(name for name in route.known if name not in duplicates)
        unknown = tuple(each for each in route.unknown if each[0] not in duplicates)
        return Route(known, unknown) if known or unknown else None

    def _enter(self, event: Event, route: Route, now: float, *, followed: bool) -> None:
        names = self._not_skipped(event, route.known, now) if self._skips.known else route.known
        lanes, queues = [], []
        for name in names:  # no comprehensions: up to Python 3.11 each is a call, for each event
            lane = self._lanes.get(name, now)
            lanes.append(lane)
            queues.append(lane.queue)
        entry = self._agenda.accept(event, queues, now=now, followed=followed)
        self._counters.events += 1
        self._counters.tasks += len(route.known) + len(route.unknown)
        if self.instruments.event_accepted:
            details = EventAccepted(time=now, event=event, platforms=route.known, followed=followed)
            self.instruments.tell(self.instruments.event_accepted, details)
        if route.unknown or names is not route.known:  # some have ended as they came
            for name in {*route.known, *(name for name, _ in route.unknown)}.difference(names):
                self._agenda.remember(event.id, name, followed=followed)
        for name, error in route.unknown:
            self._outbox.deliver(Failure(event=event, platform=name, error=error))
        for job, lane in zip(entry.jobs, lanes, strict=True):
            if self._scheduler.stopped is not None:
                self._ends.give_up(job, self._scheduler.stopped)
            elif lane.patient(now):
                self._scheduler.offer(lane)
            else:
                self._ends.turn_away(job, lane)
        self._scheduler.settle(now)
