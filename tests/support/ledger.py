"""What the fake platforms see: who comes in and goes out, and which requests arrive. Never the engine's own counters.

A task surely runs while its scraper does something other than to wait for a request's turn, and while a request of its
is on the wire. In between it may be parked; the ledger cannot know, and does not count it.
"""

from collections import Counter, defaultdict

import attrs
import trio


@attrs.define(eq=False)
class Ledger:
    """A record of one run. Times are trio's."""

    limits: dict = attrs.field(factory=dict)
    """The limit of each platform now; None for those not watched."""
    event_limit: int | None = None
    broken: list = attrs.field(factory=list)
    """What should not have been seen."""
    inside: Counter = attrs.field(factory=Counter)
    """Tasks that surely run, by platform."""
    events_inside: Counter = attrs.field(factory=Counter)
    """Tasks that surely run, by event."""
    started: Counter = attrs.field(factory=Counter)
    """Tasks started and not ended, by platform."""
    most_started: Counter = attrs.field(factory=Counter)
    most_inside: Counter = attrs.field(factory=Counter)
    most_events: int = 0
    in_flight: Counter = attrs.field(factory=Counter)
    """Requests on the wire, by platform."""
    starts: dict = attrs.field(factory=dict)
    """When each task was started first, by (event, platform)."""
    ends: dict = attrs.field(factory=dict)
    requests: dict = attrs.field(factory=lambda: defaultdict(list))
    """When requests arrived, by platform."""
    costs: dict = attrs.field(factory=lambda: defaultdict(list))
    """What each of them cost."""
    closed_until: dict = attrs.field(factory=dict)
    """When each platform may be asked again, by what it has answered."""

    def start(self, event, platform):
        """A scraper was called."""
        self.starts.setdefault((event, platform), trio.current_time())
        self.started[platform] += 1
        self.most_started[platform] = max(self.most_started[platform], self.started[platform])
        self.enter(event, platform)

    def end(self, event, platform):
        """A scraper has left."""
        self.leave(event, platform)
        self.started[platform] -= 1
        self.ends[event, platform] = trio.current_time()

    def enter(self, event, platform):
        """A task surely runs from now."""
        self.inside[platform] += 1
        self.events_inside[event] += 1
        self.most_inside[platform] = max(self.most_inside[platform], self.inside[platform])
        self.most_events = max(self.most_events, len(self.events_inside))
        limit = self.limits.get(platform)
        if limit is not None and self.inside[platform] > limit:
            self.broken.append(f"{self.inside[platform]} tasks run on {platform}, limit {limit}")
        if self.event_limit is not None and len(self.events_inside) > self.event_limit:
            self.broken.append(f"{len(self.events_inside)} events in progress, limit {self.event_limit}")

    def leave(self, event, platform):
        """From now a task may be parked, or has ended."""
        self.inside[platform] -= 1
        self.events_inside[event] -= 1
        if not self.events_inside[event]:
            del self.events_inside[event]

    def request(self, platform, cost=1):
        """A request arrives."""
        now = trio.current_time()
        self.costs[platform].append(cost)
        self.requests[platform].append(now)
        self.in_flight[platform] += 1
        limit = self.limits.get(platform)
        if limit is not None and self.in_flight[platform] > limit:
            self.broken.append(f"{self.in_flight[platform]} requests on {platform}, limit {limit}")
        if now < self.closed_until.get(platform, now):
            self.broken.append(f"a request on {platform} at {now}, closed until {self.closed_until[platform]}")

    def answered(self, platform, closed_for=None):
        """A request is answered, or given up."""
        self.in_flight[platform] -= 1
        if closed_for is not None:
            until = trio.current_time() + closed_for
            self.closed_until[platform] = max(until, self.closed_until.get(platform, until))


def rate_broken(times, rate, slack=1e-6, *, costs=None):
    """Name a window in which more requests started than the rate allows: from each request to each later one.

    Each counts as many times as it costs, 1 if nothing is said; the last one of a window may cost more than the burst.
    """
    costs = costs or [1] * len(times)
    for first, begin in enumerate(times):
        total = 0
        for last in range(first, len(times)):
            total += costs[last]
            allowed = max(rate.burst, costs[last]) + (times[last] - begin) * rate.count / rate.per
            if total > allowed + slack:
                return f"requests for {total} in {times[last] - begin} s, {allowed} allowed"
    return None
