"""The reason that holds a platform's work back at an instant: the first of those that alone would do it. Pure.

The order is the one in which the scheduler asks. So the reason that is named is the one that a start would fail by now.
Whether the next one would hold it back as well is not looked at.
"""

from __future__ import annotations

import enum

import attrs

__all__ = ["Holdup", "LaneFacts", "LaneTimes", "held_by", "held_since", "slowest", "standing"]


class Holdup(enum.Enum):
    """Reasons that hold a platform's work back."""

    NOTHING = "nothing"
    """No work waits there."""
    PAUSE = "pause"
    """Its limit is 0."""
    PENALTY = "penalty"
    """It has asked not to be called."""
    SHARE = "share"
    """Other engines leave it no more."""
    LIMIT = "limit"
    """As many tasks run as may."""
    PARKED = "parked"
    """Running and parked tasks are twice the limit."""
    RATE = "rate"
    """The next request may not start yet."""
    CONSUMER = "consumer"
    """So many outcomes wait that no task starts, most of them for who reads them."""
    SINKS = "sinks"
    """The same, most of them for the sinks."""
    STORE = "store"
    """The same, most of them for the store to accept them."""
    EVENTS = "event limit"
    """As many events are in progress as may be."""


@attrs.frozen(kw_only=True)
class LaneFacts:
    """The state of a lane, as far as it can hold work back."""

    waiting: int
    """Tasks that wait for their start, and parked ones whose next request waits for its turn."""
    own_limit: int
    """The limit of its policy."""
    limit: int
    """The number of tasks that may run."""
    running: int
    started: int
    """Running and parked tasks."""
    closed: bool
    """Whether it is under penalty."""
    rate_open: bool
    """Whether a request may start now."""
    full: Holdup | None
    """Who takes outcomes too slowly, so that there is no room for more; None: there is."""
    event_slot: bool
    """Whether one more event may be in progress."""


@attrs.frozen(kw_only=True)
class LaneTimes:
    """The times at which a lane came to stand as it does, all of one clock."""

    closed: float
    """When its last penalty began."""
    opened: float
    """When that ends, or has ended."""
    paused: float
    """When it was last paused."""
    moved: float
    """When a task of it last started or went on, or it could start some again."""
    waits: float
    """When work began to wait there, of which some has waited ever since."""


def held_by(facts: LaneFacts) -> Holdup:  # noqa: PLR0911 - a line for each reason, in their order
    """Say what holds a lane back. Where nothing does, its work starts in this very step."""
    # No table: this is asked at each step of each lane where somebody listens, and mostly one of the first holds.
    if not facts.waiting:
        return Holdup.NOTHING
    if not facts.own_limit:
        return Holdup.PAUSE
    if facts.closed:
        return Holdup.PENALTY
    if facts.running >= facts.limit:
        return Holdup.SHARE if facts.limit < facts.own_limit else Holdup.LIMIT
    if not facts.rate_open:
        return Holdup.RATE
    if facts.started >= 2 * facts.own_limit:
        return Holdup.PARKED
    if facts.full is not None:
        return facts.full
    return Holdup.NOTHING if facts.event_slot else Holdup.EVENTS


def slowest(*, consumer: int, sinks: int, store: int) -> Holdup:
    """Say who takes outcomes too slowly, where there are too many.

    They go from the store to the sinks and to the consumer, and none of these waits for another. So they pile up where
    it is slow; who has the most before it is named, and of equals the last.

    Args:
        consumer: the outcomes that the consumer may read.
        sinks: those that sinks have not taken.
        store: those that the store has not accepted.
    """
    most = max(consumer, sinks, store)
    return Holdup.CONSUMER if consumer == most else Holdup.SINKS if sinks == most else Holdup.STORE


def standing(facts: LaneFacts) -> Holdup:
    """Say what holds a lane back, or, where no work waits, what would: it is paused or closed."""
    holdup = held_by(facts)
    if holdup is not Holdup.NOTHING:
        return holdup
    return Holdup.PAUSE if not facts.own_limit else Holdup.PENALTY if facts.closed else Holdup.NOTHING


def held_since(holdup: Holdup, times: LaneTimes) -> float | None:
    """Say since when that holds a lane back; None: nothing does.

    A pause and a penalty have their own times. All else comes and goes with each task that starts, where much work
    waits: so it is since when nothing has started there, though something waited and the platform was open.
    """
    match holdup:
        case Holdup.NOTHING:
            return None
        case Holdup.PAUSE:
            return times.paused
        case Holdup.PENALTY:
            return times.closed
        case _:
            return max(times.moved, times.waits, times.opened)
