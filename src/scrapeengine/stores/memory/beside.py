"""Tables in memory beside the jobs: validators by URL, outcomes, locks, and the shares of engines."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import attrs

from scrapeengine.model.job import Delivery, Kept
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
    """Outcomes, in the order of the times until which each is nobody's business."""

    _kept: dict[Delivery, tuple[float, str, int | None]] = attrs.field(factory=dict, init=False)
    """By when they are somebody's business again, what they are, and the opening that has them."""
    _times: Ordered[tuple[float, int, Delivery]] = attrs.field(factory=Ordered, init=False)

    def put(self, kept: Kept, until: float, opening: int | None) -> None:
        """See `OutboxTable`."""
        self.drop([kept.delivery])
        self._kept[kept.delivery] = until, kept.outcome, opening
        self._times.add((until, kept.delivery.token, kept.delivery))

    def late(self, now: float, gone: float, n: int) -> list[Kept]:
        """See `OutboxTable`."""
        self.clear(gone, len(self._kept))
        return [Kept(delivery, self._kept[delivery][1]) for _, _, delivery in self._times.through(now, n)]

    def release(self, seconds: float, until: float) -> None:
        """See `OutboxTable`."""
        for delivery, (before, *_) in list(self._kept.items()):
            self.postpone(delivery, min(before + seconds, until), -math.inf, None)

    def free(self, opening: int, until: float) -> None:
        """See `OutboxTable`."""
        for delivery, (before, _, its_opening) in list(self._kept.items()):
            if its_opening == opening and before > until:
                self.postpone(delivery, until, -math.inf, opening)

    def postpone(self, delivery: Delivery, until: float, gone: float, opening: int | None) -> None:
        """See `OutboxTable`."""
        if delivery in self._kept and self._kept[delivery][0] > gone:
            self.put(Kept(delivery, self._kept[delivery][1]), until, opening)

    def clear(self, gone: float, n: int) -> None:
        """See `OutboxTable`."""
        for _, _, delivery in self._times.through(gone, n):
            self.drop([delivery])

    def drop(self, deliveries: Sequence[Delivery]) -> None:
        """See `OutboxTable`."""
        for delivery in deliveries:
            if delivery in self._kept:
                until, *_ = self._kept.pop(delivery)
                self._times.remove((until, delivery.token, delivery))


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
