"""The face of a task that its HTTP client sees: where requests go, and what they need of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import trio

from scrapeengine.model.urls import host_of
from scrapeengine.observe.instruments import Instruments
from scrapeengine.observe.log import task_logger
from scrapeengine.schedule.destinations import AnyPlatform, OtherPlatform, OwnPlatform
from scrapeengine.schedule.lane import TaskRecord
from scrapeengine.schedule.lanes import Lanes
from scrapeengine.schedule.waiting import apart

if TYPE_CHECKING:
    from scrapeengine.model.event import Event
    from scrapeengine.model.platform import Platform

__all__ = ["RequestServices", "RequestingTask"]


class RequestServices(Protocol):
    """The run as requests see it: what they may ask of it."""

    @property
    def lanes(self) -> Lanes:
        """The run's lanes."""
        ...

    @property
    def instruments(self) -> Instruments:
        """The run's instruments."""
        ...

    def draw(self) -> float:
        """Return a random number from 0 to 1."""
        ...

    def wall(self, now: float) -> float:
        """Turn a time of the run's clock into Unix time."""
        ...


class RequestingTask:
    """A task that makes requests. Implements `scrapeengine.http.wire.client_task.ClientTask`."""

    __slots__ = ("_own", "_record", "_services", "followed", "instruments")

    def __init__(self, record: TaskRecord, services: RequestServices) -> None:
        self._record = record
        self._services = services
        self.instruments = services.instruments
        self.followed = record.followed and [each for each in record.followed if each.requests]
        """Who follows its requests."""
        self._own = OwnPlatform(record, services.lanes)

    @property
    def event(self) -> Event:
        """The event."""
        return self._record.job.entry.event

    @property
    def platform_name(self) -> str:
        """The platform's name."""
        return self._record.lane.queue.name

    @property
    def platform(self) -> Platform[Any]:
        """The platform, tuned as it is now."""
        return self._record.lane.platform

    @property
    def log(self) -> Any:
        """A logger, bound to the event and the platform."""
        return task_logger(self.event, self.platform_name)

    def destination(self, host: str) -> AnyPlatform:
        """Return where a request to a host goes: to the platform that serves it, or else to the task's own."""
        record = self._record
        lane, lanes = record.lane, self._services.lanes
        if host in {lane.home, lane.queue.name} or self._is_of_event(host):
            return self._own
        name = lanes.platforms.host(host)
        return self._own if name is None or name == lane.queue.name else OtherPlatform(record, lanes, name)

    def is_served(self, host: str) -> bool:
        """Say whether a platform serves a host; what no one serves only counts on the task's own."""
        lane = self._record.lane
        if host in {lane.home, lane.queue.name} or self._is_of_event(host):
            return True
        return self._services.lanes.platforms.host(host) is not None

    def _is_of_event(self, host: str) -> bool:
        """Say whether a host is the event's, and so the platform's, which without a base_url is wherever events are."""
        url = self._record.job.entry.event.url
        return url is not None and self._record.lane.platform.base_url is None and host_of(url) == host

    async def apart(self, until: trio.Event) -> None:
        """Wait for an event, parked."""
        await apart(self._services.lanes.scheduler, self._record, until)

    def connecting(self) -> None:
        """Say that the request that is booked has to be connected first: its booking lapses unused."""
        record = self._record
        if record.booked is not None:
            record.lane.gate.rate_limiter.excuse(record.booked)

    def draw(self) -> float:
        """Return a random number from 0 to 1."""
        return self._services.draw()

    def wall(self) -> float:
        """Return the Unix time."""
        return self._services.wall(trio.current_time())
