"""What the live page shows, made once for all who look, and only while somebody does.

Of what was made the latest is kept, and nothing else: who is slow misses some. A frame that takes long to make is made
less often, so that to be looked at costs a run a tenth of its time at most.
"""

from __future__ import annotations

import json
import math
from typing import Any, Protocol

import trio

from scrapeengine.observe.log import logger

__all__ = ["Feed", "Follower", "Scene"]

_APART = 0.5
"""Seconds between two frames."""
_LEAST = 0.05
"""The same, where something was done on the page."""
_SHARE = 0.1
"""The share of time that frames may take."""
_WHOLE = 10.0
"""Seconds between two frames that have all in them, timelines too."""
_WRITE = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class Scene(Protocol):
    """What is looked at."""

    async def frame(self, *, whole: bool) -> dict[str, Any]:
        """Return it as JSON has it, bounded in size; what is large only where all of it is asked for. Checkpoint."""
        ...


class Feed:
    """Makes frames for those who wait for one."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.latest = b""
        """The last frame, as server-sent events have it."""
        self.whole = b""
        """The last one that had all in it."""
        self.number, self.whole_number = 0, 0
        """The numbers of both, from 1."""
        self._whole_at = -math.inf
        """When the next whole one is due."""
        self._made, self._wanted, self._hurried = trio.Event(), trio.Event(), trio.Event()

    def follow(self) -> Follower:
        """Return what somebody follows from now on, who has nothing yet."""
        self._whole_at = -math.inf
        self.hurry()
        return Follower(self)

    def hurry(self) -> None:
        """Make the next frame soon: something was done, or somebody has come."""
        self._hurried.set()

    async def another(self) -> None:
        """Wait for the next frame. Checkpoint."""
        self._wanted.set()
        await self._made.wait()

    async def run(self) -> None:
        """Make frames, for ever, as long as somebody waits for one. Checkpoint."""
        while True:
            await self._wanted.wait()
            self._wanted, self._hurried = trio.Event(), trio.Event()
            began = trio.current_time()
            await self._make(whole=began >= self._whole_at)
            rest = (trio.current_time() - began) / _SHARE
            await trio.sleep(max(_LEAST, rest))
            with trio.move_on_after(max(0.0, _APART - rest)):
                await self._hurried.wait()

    async def _make(self, *, whole: bool) -> None:
        try:
            found = await self._scene.frame(whole=whole)
            event = await trio.to_thread.run_sync(_event_of, found, abandon_on_cancel=True)  # which may be a megabyte
        except Exception as error:  # noqa: BLE001 - whatever it is, the run goes on, and who looks is told
            logger().error("the live page could not be made", exc_info=error)
            event = _event_of({"trouble": f"{type(error).__name__}: the log of the program has more"})
        self.number, self.latest = self.number + 1, event
        if whole:
            self.whole_number, self.whole, self._whole_at = self.number, self.latest, trio.current_time() + _WHOLE
        self._made.set()
        self._made = trio.Event()

    def __repr__(self) -> str:
        """Count what was made."""
        return f"<Feed, {self.number} frames>"


class Follower:
    """One who follows a feed, as fast as it can. Implements `observe.live.server.Following`."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._seen, self._seen_whole = feed.number, feed.whole_number

    async def next(self) -> bytes:
        """Wait for a frame that it has not had: the latest. Checkpoint."""
        feed = self._feed
        while feed.number == self._seen:
            await feed.another()
        self._seen = feed.number
        if feed.whole_number > self._seen_whole:
            self._seen_whole = feed.whole_number
            return feed.whole
        return feed.latest


def _event_of(found: dict[str, Any]) -> bytes:
    """Write a frame as server-sent events have it: JSON in one line, of ASCII."""
    return f"data: {_written(found, 4)}\n\n".encode()


def _written(value: Any, levels: int) -> str:
    """Write JSON piece by piece: as one call in C a megabyte of it would hold up the loop, which needs the GIL too."""
    if levels and isinstance(value, dict):
        return "{" + ",".join([f"{_WRITE(name)}:{_written(each, levels - 1)}" for name, each in value.items()]) + "}"
    if levels and isinstance(value, list):
        return "[" + ",".join([_written(each, levels - 1) for each in value]) + "]"
    return _WRITE(value)
