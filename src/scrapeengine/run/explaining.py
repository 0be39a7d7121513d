"""The state of a run at this instant: in numbers (`run.statistics()`), and in plain sentences (`run.explain()`)."""

from __future__ import annotations

from scrapeengine.decide.holding import Holdup, standing
from scrapeengine.errors import UnknownPlatform
from scrapeengine.model.platform import check_platform_name
from scrapeengine.model.report import Statistics
from scrapeengine.model.urls import named, told
from scrapeengine.run.backing import Backing, Parts
from scrapeengine.schedule.lane import Lane

__all__ = ["explain", "statistics"]


def statistics(parts: Parts) -> Statistics:
    """Say what a run is doing, in numbers. From any thread: all that is walked through is copied in one step."""
    scheduler, now = parts.scheduler, parts.counters.anchor.now()
    platforms = parts.lanes.statistics(now)
    return Statistics(
        closed=parts.lanes.closed(now),
        events=parts.counters.events,
        outcomes=parts.counters.by_platform(),
        event_limit=parts.plan.event_limit,
        in_progress=scheduler.events.borrowed_tokens,
        live=scheduler.agenda.live,
        running=sum(each.running for each in platforms.values()),
        parked=sum(each.parked for each in platforms.values()),
        waiting=sum(each.waiting for each in platforms.values()),
        buffered=parts.outbox.waiting,
        platforms=platforms,
    )


def explain(parts: Parts, backing: Backing, platform: str | None) -> str:
    """Say what holds a platform back, or (None) each that has work, and the run as a whole.

    Raises:
        TypeError: it is no name.
        UnknownPlatform: there is no such platform.
    """
    lanes = parts.scheduler.lanes.copy()
    if platform is not None:
        check_platform_name(platform)
        name = parts.plan.routes.declared(platform) or platform
        if name in lanes:
            return _about(parts, lanes[name])
        if name not in parts.plan.platforms and parts.plan.default is None:
            known = ", ".join(map(repr, sorted(parts.plan.declared)))
            raise UnknownPlatform(f"no platform is named {told(platform)}; the engine has {known}")
        return _alone(parts, name)
    # Where the store pauses a platform work waits there too, which has been given back.
    busy = {name for name, lane in lanes.items() if not lane.idle} | parts.lanes.pauses.by_store.keys()
    sentences = [_about(parts, lanes[name]) if name in lanes else _alone(parts, name) for name in sorted(busy)]
    return "\n".join([_whole(parts, backing), *sentences])


def _whole(parts: Parts, backing: Backing) -> str:
    scheduler = parts.scheduler
    if scheduler.stopped is not None:
        return f"the run is stopping: {scheduler.stopped}"
    progress = f"{scheduler.events.borrowed_tokens} of {int(scheduler.events.total_tokens)} events are in progress"
    source = "no more events come" if backing.jobs.done else "more events may come"
    outcomes = parts.outbox.waiting + backing.ends.waiting
    return f"the run: {progress}, {outcomes} of {parts.outbox.buffer} outcomes wait to be read or stored, {source}"


def _about(parts: Parts, lane: Lane) -> str:
    now = parts.counters.anchor.now()
    return f"{named(lane.name)}: {_reason(parts, lane, now)}; {_counts(lane)}"


def _alone(parts: Parts, name: str) -> str:
    return f"{named(name)}: {_without_lane(parts, name)}"


def _without_lane(parts: Parts, name: str) -> str:
    stands = parts.lanes.without_lane(name, parts.counters.anchor.now())
    match Holdup(stands.held_by):
        case Holdup.PAUSE:
            return _paused(parts, name)
        case Holdup.PENALTY:
            return _closed(stands.opens_in)
        case _:
            return "no work waits there"


def _paused(parts: Parts, name: str) -> str:
    if parts.plan.platform(name).limit:
        return f"it is paused in the store, for all engines there; go on with store.resume({told(name)})"
    return f"it is paused, for its limit is 0; go on with tune({told(name)}, limit=…)"


def _closed(seconds: float) -> str:
    return f"it has asked not to be called for another {seconds:.1f} s"


def _counts(lane: Lane) -> str:
    running = lane.limit.taken
    return (
        f"{running} of {lane.limit.now} tasks running, {len(lane.records) - running} parked, "
        f"{lane.queue.waiting} waiting for their start"
    )


def _reason(parts: Parts, lane: Lane, now: float) -> str:  # noqa: C901, PLR0911 - a sentence for each
    name = lane.name
    match standing(parts.scheduler.facts(lane, now)):
        case Holdup.NOTHING:
            return "nothing holds it back" if lane.records else "no work waits there"
        case Holdup.PAUSE:
            return _paused(parts, name)
        case Holdup.PENALTY:
            return _closed(lane.gate.penalty.until - now)
        case Holdup.SHARE:
            return f"other engines on the store leave it {lane.limit.now} of its limit of {lane.limit.own}"
        case Holdup.LIMIT:
            return f"its limit of {lane.limit.own} holds it back"
        case Holdup.RATE:
            opens = lane.gate.glance(now)
            when = "others have to leave it a request" if opens == float("inf") else f"next in {opens - now:.3g} s"
            return f"its rate holds it back ({when})"
        case Holdup.PARKED:
            return f"its parked tasks hold it back: with {lane.limit.bound} begun, twice its limit, none starts"
        case Holdup.SINKS if (sink := parts.outbox.slowest_sink()) is not None:
            return f"the sink {sink!r} holds it back: as many outcomes wait for it as there is room for"
        case Holdup.CONSUMER | Holdup.SINKS | Holdup.STORE as slow:
            who = {Holdup.CONSUMER: "the consumer to read them", Holdup.SINKS: "the sinks", Holdup.STORE: "the store"}
            return f"as many outcomes wait for {who[slow]} as the buffer has room for"
        case Holdup.EVENTS:
            total = int(parts.scheduler.events.total_tokens)
            return f"the event limit of {total} holds it back"
