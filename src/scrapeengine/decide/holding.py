"""The reason that holds a platform's work back at an instant: the first of those that alone would do it. Pure.

The order is the one in which the scheduler asks. So the reason that is named is the one that a start would fail by now.
Whether the next one would hold it back as well is not looked at.
"""

from __future__ import annotations

import enum

import attrs

__all__ = ["Holdup", "LaneFacts", "held_by"]


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
    BUFFER = "buffer"
    """So many outcomes wait for the consumer, the sinks or the store that no task starts."""
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
    has_room: bool
    """Whether there is room for outcomes."""
    event_slot: bool
    """Whether one more event may be in progress."""


def held_by(facts: LaneFacts) -> Holdup:
    """Say what holds a lane back. Where nothing does, its work starts in this very step."""
    reasons = (
        (Holdup.NOTHING, not facts.waiting),
        (Holdup.PAUSE, not facts.own_limit),
        (Holdup.PENALTY, facts.closed),
        (Holdup.SHARE, facts.running >= facts.limit and facts.limit < facts.own_limit),
        (Holdup.LIMIT, facts.running >= facts.limit),
        (Holdup.RATE, not facts.rate_open),
        (Holdup.PARKED, facts.started >= 2 * facts.own_limit),
        (Holdup.BUFFER, not facts.has_room),
        (Holdup.EVENTS, not facts.event_slot),
    )
    return next((holdup for holdup, holds in reasons if holds), Holdup.NOTHING)
