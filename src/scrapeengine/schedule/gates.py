"""The gates of an engine's platforms: they outlive lanes and runs, for as long as they matter."""

from __future__ import annotations

import math
from collections.abc import Callable
from heapq import heapify, heappop, heappush

from scrapeengine.decide.gate import Gate
from scrapeengine.decide.penalty import Penalty
from scrapeengine.model.policy import Rate
from scrapeengine.schedule.clock import Anchor

__all__ = ["Gates"]


class Gates:
    """Gates of platforms that have no lane now; none that a new one would serve as well."""

    def __init__(self, make: Callable[[tuple[Rate, ...]], Gate] = Gate.of) -> None:
        """Make an empty one.

        Args:
            make: makes the gate of a platform of which nothing is remembered.
        """
        self._make = make
        self._kept: dict[str, Gate] = {}
        self._expiry: list[tuple[float, str]] = []
        self._listed: set[str] = set()
        self._anchor: Anchor | None = None

    def __len__(self) -> int:
        """Count the gates that are kept."""
        return len(self._kept)

    def attach(self, anchor: Anchor) -> None:
        """Move what is kept to the clock of the trio run that begins; times of one run mean nothing in another."""
        if self._anchor is not None:
            seconds = anchor.shift_from(self._anchor)
            for gate in self._kept.values():
                gate.shift(seconds)
            self._expiry = [(gate.matters_until(), name) for name, gate in self._kept.items()]
            self._listed = set(self._kept)
            heapify(self._expiry)
        self._anchor = anchor

    def detach(self, anchor: Anchor) -> None:
        """Mark where the clock stands at the end of a run."""
        self._anchor = anchor

    def take(self, name: str, rates: tuple[Rate, ...], now: float) -> Gate:
        """Hand out the gate of a platform that gets a lane."""
        gate = self._kept.pop(name, None)
        if gate is None:
            return self._make(rates)
        gate.keep_to(rates, now)
        return gate

    def closed_until(self, name: str) -> float:
        """Say until when a platform that has no lane now is under penalty."""
        gate = self._kept.get(name)
        return -math.inf if gate is None else gate.penalty.until

    def close(self, name: str, rates: tuple[Rate, ...], until: float, now: float) -> None:
        """Close a platform that has no lane now until a time at least."""
        gate = self.take(name, rates, now)
        gate.penalty.close(until, now)
        self.keep(name, gate, now)

    def reopen(self, name: str, now: float) -> None:
        """End the penalty of a platform that has no lane now."""
        if name in self._kept:
            self._kept[name].penalty.end(now)

    def closed(self, now: float) -> dict[str, float]:
        """Name the platforms without a lane that are under penalty, each with the end of it. From any thread."""
        return {name: gate.penalty.until for name, gate in self._kept.copy().items() if gate.closed(now)}

    def penalty(self, name: str) -> Penalty:
        """Return the penalty of a platform that has no lane now, to be looked at."""
        gate = self._kept.get(name)
        return Penalty() if gate is None else gate.penalty

    def keep(self, name: str, gate: Gate, now: float) -> None:
        """Take back the gate of a platform whose lane goes away, and forget those that matter no more."""
        if gate.matters(now):
            self._kept[name] = gate
            # Once at a time: by when it matters may have moved meanwhile, and `_review` lists it anew if it has.
            if name not in self._listed:
                self._list(name, gate)
        while self._expiry and self._expiry[0][0] <= now:
            self._review(heappop(self._expiry)[1], now)

    def _review(self, name: str, now: float) -> None:
        """Forget a gate whose time has come, unless it was handed out or used since."""
        self._listed.discard(name)
        gate = self._kept.get(name)
        if gate is None:
            return
        if gate.matters(now):
            self._list(name, gate)
        else:
            del self._kept[name]

    def _list(self, name: str, gate: Gate) -> None:
        self._listed.add(name)
        heappush(self._expiry, (gate.matters_until(), name))

    def __repr__(self) -> str:
        """Count what is there."""
        return f"<Gates {len(self._kept)} kept>"
