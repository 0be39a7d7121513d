"""A model of greedy scheduling, apart from the engine: slow, simple, and from the words of the laws alone.

It knows tasks that sleep, limits, rates, pauses and the event limit; nothing of lanes, heaps, lines or bookings.
"""

import math
from itertools import pairwise

import attrs


@attrs.frozen
class Site:
    """A platform of the model."""

    limit: int
    rate: object = None
    pauses: tuple = ()
    """Times between which it is paused, as (from, to)."""

    def limit_at(self, time):
        """Its limit at a time that is no boundary."""
        return 0 if any(begin < time < end for begin, end in self.pauses) else self.limit


def opens_at(rate, starts):
    """From when on one more may start, after starts at these times (GCRA)."""
    if rate is None:
        return -math.inf
    tat = -math.inf
    for start in sorted(starts):
        tat = max(tat, start) + rate.interval
    return tat - (rate.burst - 1) * rate.interval


def starts_alone(site, durations):
    """When tasks start on a platform that nothing else holds up: each as soon as slot, rate and pause let it."""
    starts, ends = [], []
    for duration in durations:
        time = max(0.0, opens_at(site.rate, starts))
        while True:
            running = sum(begin <= time < end for begin, end in zip(starts, ends, strict=True))
            paused = [end for begin, end in site.pauses if begin <= time < end]
            if paused:
                time = max(paused)
            elif running >= site.limit:
                time = min(end for end in ends if end > time)
            else:
                break
        starts.append(time)
        ends.append(time + duration)
    return starts


def idle_tasks(sites, event_limit, tasks, starts, ends):
    """Find tasks that waited while everything would have let them run.

    Args:
        sites: the platforms by name.
        event_limit: how many events may be in progress.
        tasks: all (event, platform), accepted at time 0.
        starts: when each was started.
        ends: when each ended.

    Returns:
        (task, from, to) for each interval between two changes in which a task waited for nothing.
    """
    by_event, by_site = {}, {}
    for event, name in tasks:
        by_event.setdefault(event, []).append((event, name))
        by_site.setdefault(name, []).append((event, name))
    moments = {0.0, *starts.values(), *ends.values()}
    moments |= {time for site in sites.values() for pause in site.pauses for time in pause}
    for name, site in sites.items():
        done = sorted(starts[task] for task in by_site.get(name, ()))
        moments |= {opens_at(site.rate, done[:count]) for count in range(len(done) + 1)}
    moments = sorted(time for time in moments if 0 <= time < math.inf)

    middles = [(begin + end) / 2 for begin, end in pairwise(moments) if end - begin >= 1e-9]

    def in_progress(event, time):
        mine = by_event[event]
        begun = [task for task in mine if starts[task] < time]
        unfinished = [task for task in mine if ends[task] > time]
        if not begun or not unfinished:
            return False
        if any(starts[task] < time < ends[task] for task in mine):
            return True
        # It waits. If all that it waited for was paused at some moment since, it has given its slot back.
        since = max(change for task in mine for change in (starts[task], ends[task]) if change < time)
        return all(
            any(sites[name].limit_at(moment) for _, name in unfinished) for moment in middles if since < moment <= time
        )

    found = []
    for begin, end in pairwise(moments):
        if end - begin < 1e-9:
            continue
        time = (begin + end) / 2
        busy = sum(in_progress(event, time) for event in by_event)
        for name, site in sites.items():
            mine = by_site.get(name, ())
            running = sum(starts[task] < time < ends[task] for task in mine)
            if (
                running >= site.limit_at(time)
                or opens_at(site.rate, [starts[t] for t in mine if starts[t] < time]) > time
            ):
                continue
            found += [
                (task, begin, end)
                for task in mine
                if starts[task] > time and (busy < event_limit or in_progress(task[0], time))
            ]
    return found
