"""Tables in memory beside the jobs: validators by URL, outcomes, locks, and the shares of engines."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection

import attrs

from scrapeengine.model.job import Delivery, Kept
from scrapeengine.model.sink import Position
from scrapeengine.model.validators import Validator
from scrapeengine.stores.memory.ordered import Ordered
from scrapeengine.stores.rules.tables import SharedGate, Stake

__all__ = ["DictOutboxTable", "DictPageTable", "DictSharingTable", "SetSeenTable"]


@attrs.define(eq=False, repr=False)
class DictPageTable:
    """Validators by URL, in the order in which they were written."""

    _pages: dict[tuple[str, str], Validator] = attrs.field(factory=dict, init=False)

    def recall(self, platform: str, url: str) -> Validator | None:
        """See `PageTable`."""
        return self._pages.get((platform, url))

    def remember(self, platform: str, url: str, validator: Validator, most: int) -> None:
        """See `PageTable`."""
        self._pages.pop((platform, url), None)
        self._pages[platform, url] = validator
        while len(self._pages) > most:
            del self._pages[next(iter(self._pages))]

    def forget(self, platform: str, url: str) -> None:
        """See `PageTable`."""
        self._pages.pop((platform, url), None)


@attrs.define(eq=False, repr=False)
class SetSeenTable:
    """Ids that a crawl has seen."""

    _seen: set[tuple[str, str]] = attrs.field(factory=set, init=False)

    def has(self, platform: str, id: str) -> bool:
        """See `SeenTable`."""
        return (platform, id) in self._seen

    def add(self, platform: str, id: str) -> None:
        """See `SeenTable`."""
        self._seen.add((platform, id))

    def turn(self, n: int) -> None:
        """See `SeenTable`."""
        del n
        if self._seen:
            self._seen = set()


@attrs.define(eq=False, repr=False)
class DictOutboxTable:
    """Outcomes by sink, in the order of the times until which each is nobody's business."""

    _kept: dict[tuple[str, Delivery], tuple[float, str, int | None]] = attrs.field(factory=dict, init=False)
    """By when they are somebody's business again, what they are, and the opening that has them."""
    _times: dict[str, Ordered[tuple[float, int, Delivery]]] = attrs.field(
        factory=lambda: defaultdict(Ordered), init=False
    )
    _positions: dict[str, dict[str, str]] = attrs.field(factory=dict, init=False)

    def put(self, sink: str, kept: Kept, until: float, opening: int | None) -> None:
        """See `OutboxTable`."""
        self._drop(sink, kept.delivery)
        self._kept[sink, kept.delivery] = until, kept.outcome, opening
        self._times[sink].add((until, kept.delivery.token, kept.delivery))

    def late(self, sink: str, now: float, gone: float, n: int) -> list[Kept]:
        """See `OutboxTable`."""
        self.clear(gone, len(self._kept))
        times = self._times[sink].through(now, n) if sink in self._times else ()
        return [Kept(delivery, self._kept[sink, delivery][1]) for _, _, delivery in times]

    def release(self, seconds: float, until: float) -> None:
        """See `OutboxTable`."""
        for (sink, delivery), (before, *_) in list(self._kept.items()):
            self.postpone(sink, delivery, min(before + seconds, until), -math.inf, None)

    def free(self, opening: int, until: float) -> None:
        """See `OutboxTable`."""
        for (sink, delivery), (before, _, its_opening) in list(self._kept.items()):
            if its_opening == opening and before > until:
                self.postpone(sink, delivery, until, -math.inf, opening)

    def postpone(self, sink: str, delivery: Delivery, until: float, gone: float, opening: int | None) -> None:
        """See `OutboxTable`."""
        if self._owes(sink, delivery, gone):
            self.put(sink, Kept(delivery, self._kept[sink, delivery][1]), until, opening)

    def clear(self, gone: float, n: int) -> None:
        """See `OutboxTable`."""
        for sink, times in list(self._times.items()):
            for _, _, delivery in times.through(gone, n):
                self._drop(sink, delivery)

    def take(self, sink: str, deliveries: Collection[Delivery], gone: float, *, whole: bool) -> bool:
        """See `OutboxTable`."""
        owed = [delivery for delivery in deliveries if self._owes(sink, delivery, gone)]
        if whole and len(owed) < len(deliveries):
            return False
        for delivery in owed:
            self._drop(sink, delivery)
        return len(owed) == len(deliveries)

    def move(self, sink: str, position: Position) -> None:
        """See `OutboxTable`."""
        self._positions.setdefault(sink, {})[position.slot] = position.value

    def positions(self, sink: str) -> dict[str, str]:
        """See `OutboxTable`."""
        return dict(self._positions.get(sink, {}))

    def _owes(self, sink: str, delivery: Delivery, gone: float) -> bool:
        return (sink, delivery) in self._kept and self._kept[sink, delivery][0] > gone

    def _drop(self, sink: str, delivery: Delivery) -> None:
        if (sink, delivery) in self._kept:
            until, *_ = self._kept.pop((sink, delivery))
            self._times[sink].remove((until, delivery.token, delivery))
            if not self._times[sink]:
                del self._times[sink]


@attrs.define(eq=False)
class DictSharingTable:
    """Locks, and the shares of engines."""

    _locks: dict[str, tuple[str, float, int | None]] = attrs.field(factory=dict, init=False)
    _stakes: defaultdict[str, dict[str, Stake]] = attrs.field(factory=lambda: defaultdict(dict), init=False)
    _gates: dict[str, SharedGate] = attrs.field(factory=dict, init=False)

    def holder(self, name: str) -> tuple[str, float] | None:
        """See `SharingTable`."""
        held = self._locks.get(name)
        return None if held is None else held[:2]

    def lock(self, name: str, owner: str, until: float, opening: int | None) -> None:
        """See `SharingTable`."""
        self._locks[name] = owner, until, opening

    def free(self, opening: int) -> None:
        """See `SharingTable`."""
        self._locks = {name: held for name, held in self._locks.items() if held[2] != opening}

    def unlock(self, name: str) -> None:
        """See `SharingTable`."""
        self._locks.pop(name, None)

    def void(self, now: float) -> None:
        """See `SharingTable`."""
        self._locks = {name: held for name, held in self._locks.items() if held[1] > now}

    def stakes(self, platform: str) -> list[Stake]:
        """See `SharingTable`."""
        return sorted(self._stakes[platform].values(), key=lambda stake: stake.owner)

    def set_stake(self, platform: str, stake: Stake) -> None:
        """See `SharingTable`."""
        self._stakes[platform][stake.owner] = stake

    def staked(self) -> list[str]:
        """See `SharingTable`."""
        return sorted(platform for platform, stakes in self._stakes.items() if stakes)

    def drop_stake(self, platform: str, owner: str) -> None:
        """See `SharingTable`."""
        self._stakes[platform].pop(owner, None)

    def gate(self, platform: str) -> SharedGate:
        """See `SharingTable`."""
        return self._gates.get(platform, SharedGate())

    def set_gate(self, platform: str, gate: SharedGate) -> None:
        """See `SharingTable`."""
        self._gates[platform] = gate

    def shut(self, now: float) -> dict[str, SharedGate]:
        """See `SharingTable`."""
        return {
            name: gate
            for name, gate in self._gates.items()
            if gate.paused or (gate.closed_until is not None and gate.closed_until > now)
        }

    def restart(self, seconds: float) -> None:
        """See `SharingTable`."""
        self._locks.clear()
        self._stakes.clear()
        self._gates = {platform: gate.moved(seconds) for platform, gate in self._gates.items()}
