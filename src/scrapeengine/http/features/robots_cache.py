"""The robots.txt of the origins that requests go to: each is fetched once, whoever asks, and kept within bounds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable

import attrs
import trio

from scrapeengine.http.features.robots import Rules, read

__all__ = ["RobotsCache"]

_FIRST_WAIT = 2.0
_LONGEST_WAIT = 60.0
_HARDLY = 0.001
"""Seconds that are not worth a wait; also so much less than the patience is waited, that no rounding exceeds it."""


@attrs.frozen
class _Outage:
    """The time in which the robots.txt of an origin could not be had."""

    since: float
    failures: int = 0
    until: float = 0.0
    """When it is asked for again."""


class RobotsCache:
    """The rules of origins, least recently used out first: 1,000 at most, and 4 MiB of files.

    Where the files are too large, the largest go first, so that a few of them push out no others.
    """

    def __init__(self, most: int = 1000, most_bytes: int = 4 * 2**20) -> None:
        """Make an empty one.

        Args:
            most: how many origins are kept.
            most_bytes: how many bytes their files may have; one file may have more.
        """
        self._most = most
        self._most_bytes = most_bytes
        self._known: OrderedDict[str, Rules] = OrderedDict()
        self._asked: dict[str, trio.Event] = {}
        """The origins whose robots.txt is being fetched; the event is set when that has ended, however."""
        self._outages: OrderedDict[str, _Outage] = OrderedDict()
        """Of origins whose robots.txt is still to be waited for."""
        self._bytes = 0

    def __repr__(self) -> str:
        """Count them."""
        return f"<RobotsCache {len(self._known)} origins, {self._bytes} bytes, {len(self._asked)} being fetched>"

    async def rules(
        self,
        origin: str,
        fetch: Callable[[], Awaitable[tuple[int | None, bytes]]],
        now: Callable[[], float],
        wait: Callable[[trio.Event], Awaitable[object]] = trio.Event.wait,
    ) -> Rules:
        """Return the rules of an origin, fetched where they are not known or too old.

        Args:
            origin: scheme, host and port.
            fetch: fetches the robots.txt; returns what `read` takes. Called at most once at a time for an origin:
                others that ask for it meanwhile wait.
            now: the clock, in seconds; always the same one.
            wait: waits for the event that another's fetch has ended.

        Raises:
            Exception: what `fetch` raises; then one of those who wait calls its own.

        Checkpoint where they are fetched. If cancelled, nothing is kept, and one of those who wait fetches them.
        """
        while True:
            known = self._known.get(origin)
            if known is not None and now() < known.until:
                self._known.move_to_end(origin)
                return known
            asked = self._asked.get(origin)
            if asked is None:
                return await self._fetched(origin, fetch, now)
            await wait(asked)

    def put_off(self, origin: str, now: float, patience: float) -> float | None:
        """Note that a robots.txt could not be had, and say for how many seconds to wait before it is asked for again.

        Twice as long after each time, from 2 s to a minute, and for `patience` in all. It outlives who fetches it: one
        who takes over goes on with the same waits.

        Args:
            origin: scheme, host and port.
            now: the time, by the clock that `rules` is given.
            patience: the seconds that may be waited for it in all.

        Returns:
            The seconds; None: it was waited for long enough.
        """
        outage = self._outages.pop(origin, None)
        if outage is None or now > outage.until + max(_LONGEST_WAIT, patience):
            outage = _Outage(now)  # nobody has asked for so long: what is known of the last one says nothing of this
        wait = min(
            _LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(outage.failures, 10), outage.since + patience - now - _HARDLY
        )
        if wait <= _HARDLY:
            return None
        self._outages[origin] = _Outage(outage.since, outage.failures + 1, now + wait)
        if len(self._outages) > self._most:
            self._outages.popitem(last=False)
        return wait

    async def _fetched(
        self, origin: str, fetch: Callable[[], Awaitable[tuple[int | None, bytes]]], now: Callable[[], float]
    ) -> Rules:
        ended = self._asked[origin] = trio.Event()
        try:
            status, body = await fetch()
            rules = read(status, body, now=now())
            self._keep(origin, rules)
            return rules
        finally:
            # However it has ended: who waits looks again, and fetches itself what is not kept.
            del self._asked[origin]
            ended.set()

    def _keep(self, origin: str, rules: Rules) -> None:
        self._outages.pop(origin, None)
        self._forget(origin)  # before room is made, for it needs none itself
        while self._known and len(self._known) >= self._most:
            self._forget(next(iter(self._known)))
        while self._known and self._bytes + rules.size > self._most_bytes:
            self._forget(max(self._known, key=lambda each: self._known[each].size))
        self._known[origin] = rules
        self._bytes += rules.size

    def _forget(self, origin: str) -> None:
        rules = self._known.pop(origin, None)
        if rules is not None:
            self._bytes -= rules.size
