"""The line of lanes that wait for an event slot. The lane that had its last turn longest ago is first.

Slots go round: while lanes stay in line this is the order in which they joined it. One that comes late, for its rate
has opened only now, does not wait behind those that have just had a turn: it would lose that time in each of its
intervals, and could never make up for it. A lane that has had no turn yet counts from when it first joined: it goes
before all that had one since. Nobody passes a lane in line but those that had their turn before it, so each other lane
passes it at most once.

Invariants:

- `_places` has the lanes that wait, and no others. Each has one live entry in the heap, that with its place's number;
  all other entries are stale, and dropped when they come up.
- `Lane.turned` does not change while the lane waits, or the heap would be out of order: a lane takes a slot when it has
  been taken out of the line for its turn, or while nobody is in line.

Rejected: to add a lane that joins to the end of the line. A host that wants 2 s between requests, beside others with
more work than slots, then took 3 % longer for the whole of it.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count

import attrs

from scrapeengine.schedule.lane import Lane
from scrapeengine.uninterrupted import uninterrupted

__all__ = ["EventSlotQueue"]


@uninterrupted
@attrs.define(eq=False, repr=False)
class EventSlotQueue:
    """Lanes in the order of their turns."""

    places: dict[Lane, int] = attrs.field(factory=dict, init=False)
    """The lanes that wait, with the number of their places."""
    _heap: list[tuple[int, int, Lane]] = attrs.field(factory=list, init=False)
    """When each had its turn, the number of its place, and the lane; those that have left since are still there."""
    _clock: count[int] = attrs.field(factory=lambda: count(1), init=False)
    """Counts turns and places."""

    def __len__(self) -> int:
        """Count those that wait."""
        return len(self.places)

    def join(self, lane: Lane) -> None:
        """Put a lane into its place; one that waits keeps the place that it has."""
        if lane in self.places:
            return
        place = next(self._clock)
        lane.turned = lane.turned or place
        self.places[lane] = place
        heappush(self._heap, (lane.turned, place, lane))

    def next(self) -> Lane:
        """Take out the lane that has its turn now. Only where one waits."""
        while True:
            _, place, lane = heappop(self._heap)
            if self.places.get(lane) == place:
                del self.places[lane]
                return lane

    def turn(self, lane: Lane) -> None:
        """Mark that a lane has had its turn."""
        lane.turned = next(self._clock)

    def leave(self, lane: Lane) -> None:
        """Take out a lane that has no work any more."""
        self.places.pop(lane, None)
        # Only where most of it is stale, so that a lane that leaves costs little on average.
        if len(self._heap) > 2 * len(self.places) + 16:
            self._heap = [entry for entry in self._heap if self.places.get(entry[2]) == entry[1]]
            self._heap.sort()  # which makes a heap of it

    def __repr__(self) -> str:
        """Count what is there."""
        return f"<EventSlotQueue {len(self.places)} lanes>"
