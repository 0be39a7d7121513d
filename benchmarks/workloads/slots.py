"""How Scrapy schedules, as a model: a slot for each domain under one number for all, by the source of Scrapy 2.19.

    start() and callbacks ──> scheduler ──> downloader: at most CONCURRENT_REQUESTS ──> slot of the domain ──> request

- What `start` yields goes to the scheduler at once, since a full downloader does not hold `start` back; each request is
  taken out again as long as the downloader has room. From then on it counts there, also while it waits in its slot.
- The scheduler has a queue for each domain, and takes from the one with the fewest requests in the downloader, in turns
  by name where these are as many. In a queue what callbacks yielded comes first, the last one first; then what `start`
  yielded, the first one first.
- A slot sends its requests in the order in which it got them: as many at once as its concurrency lets, and with a delay
  no two within it.

Settings are such as to be most like the engine's limits: the concurrency of a slot is the platform's limit, its delay
the interval of the rate (it knows no burst), `CONCURRENT_REQUESTS` what events at their limit can have in progress, as
Scrapy knows no events. The delay is not drawn anew each time between half of it and one and a half, as it is by
default: that would break the rate. What is tried again takes as long as all attempts together.

The concurrency of a slot is kept here. On asyncio Scrapy 2.19 exceeds it where several requests wait in a slot: it lets
them all go before the first of them counts (`_process_queue`, `_schedule_coro`), nine at once for a concurrency of five
in the workload `dates`.
"""

from __future__ import annotations

import math
from collections import deque
from heapq import heappop, heappush
from typing import NamedTuple

import attrs

from benchmarks.workloads.ideal import Schedule, Span
from benchmarks.workloads.loads import Load, Platform, Task, tasks_of

__all__ = ["by_slots"]


def by_slots(load: Load) -> Schedule:
    """Schedule a workload as Scrapy does."""
    crawl = _Crawl(load)
    for event in load.events:
        for task in event.tasks:
            crawl.scheduler[task.platform].started.append(_Request(event.id, task))
            crawl.fill(0.0)
    while crawl.calls:
        crawl.go_on()
    assert len(crawl.schedule) == sum(1 for _ in tasks_of(load.events))
    return crawl.schedule


class _Request(NamedTuple):
    event: str
    task: Task


@attrs.define(eq=False)
class _Queue:
    """What the scheduler has for a domain."""

    started: deque[_Request] = attrs.field(factory=deque, init=False)
    """Of `start`: first in, first out."""
    followed: list[_Request] = attrs.field(factory=list, init=False)
    """Of callbacks: last in, first out."""

    def __len__(self) -> int:
        return len(self.started) + len(self.followed)

    def pop(self) -> _Request:
        return self.followed.pop() if self.followed else self.started.popleft()


@attrs.define(eq=False)
class _Slot:
    """A slot of the downloader."""

    policy: Platform
    waiting: deque[_Request] = attrs.field(factory=deque, init=False)
    sent: int = attrs.field(default=0, init=False)
    last_sent: float = attrs.field(default=-math.inf, init=False)
    calls_later: bool = attrs.field(default=False, init=False)
    """Whether it waits for its delay to have passed, and sends nothing whatever happens until then."""

    @property
    def active(self) -> int:
        """Its requests in the downloader."""
        return len(self.waiting) + self.sent


class _Crawl:
    """A crawl that is simulated."""

    def __init__(self, load: Load) -> None:
        self.schedule: Schedule = {}
        self.scheduler = {name: _Queue() for name in load.platforms}
        self.calls: list[tuple[float, int, str, _Request | None]] = []
        """What happens later on a domain: a request ends, or (None) the delay of its slot."""
        self._slots = {name: _Slot(platform) for name, platform in load.platforms.items()}
        self._most = load.event_limit * max(len(event.tasks) for event in load.events)
        self._last = ""
        self._numbers = 0

    def go_on(self) -> None:
        """Go to what happens next."""
        now, _, name, ended = heappop(self.calls)
        slot = self._slots[name]
        if ended is None:
            slot.calls_later = False
            self._send(name, now)
            return
        slot.sent -= 1
        self._send(name, now)
        for event in ended.task.leads_to:
            for task in event.tasks:
                self.scheduler[task.platform].followed.append(_Request(event.id, task))
        self.fill(now)

    def fill(self, now: float) -> None:
        """Move requests from the scheduler to the downloader, as long as it has room."""
        while sum(slot.active for slot in self._slots.values()) < self._most and (name := self._next_domain()):
            self._slots[name].waiting.append(self.scheduler[name].pop())
            self._last = name
            self._send(name, now)

    def _next_domain(self) -> str:
        """Choose the domain whose turn it is; the empty name: none has a request."""
        names = sorted(name for name, queue in self.scheduler.items() if queue)
        least = min((self._slots[name].active for name in names), default=0)
        in_turn = [name for name in names if self._slots[name].active == least]
        return next((name for name in in_turn if name > self._last), in_turn[0] if in_turn else "")

    def _send(self, name: str, now: float) -> None:
        """Send what a slot may send now."""
        slot = self._slots[name]
        delay = 0.0 if slot.policy.pace is None else slot.policy.pace.interval
        while not slot.calls_later:
            if delay and slot.last_sent + delay > now:
                slot.calls_later = True
                self._call(slot.last_sent + delay, name, None)
            elif slot.waiting and slot.sent < slot.policy.limit:
                request = slot.waiting.popleft()
                slot.sent += 1
                slot.last_sent = now
                end = now + slot.policy.takes(request.task)
                self.schedule[request.event, name] = Span(now, end)
                self._call(end, name, request)
            else:
                return

    def _call(self, when: float, name: str, ended: _Request | None) -> None:
        self._numbers += 1
        heappush(self.calls, (when, self._numbers, name, ended))
